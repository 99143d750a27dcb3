//! A finished record file, read and left alone.

use super::Record;
use crate::error::{Error, Result};
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Every record of a file, in its order.
///
/// # Errors
///
/// [`Error::RecordFile`]; [`Error::RecordLine`] with the number of the first line that is no record, a torn last one
/// included, since a run that was interrupted is not to be mistaken for a whole one; [`Error::NoRecords`].
pub fn read_records(path: &Path) -> Result<Vec<Record>> {
    let failed = |source| Error::RecordFile {
        path: path.to_owned(),
        action: "read",
        source,
    };
    let mut records = Vec::new();
    let file = BufReader::new(std::fs::File::open(path).map_err(failed)?);
    for (index, line) in file.split(b'\n').enumerate() {
        let record =
            serde_json::from_slice(&line.map_err(failed)?).map_err(|source| Error::RecordLine {
                path: path.to_owned(),
                line: index + 1,
                source,
            })?;
        records.push(record);
    }
    if records.is_empty() {
        return Err(Error::NoRecords {
            path: path.to_owned(),
        });
    }
    Ok(records)
}
