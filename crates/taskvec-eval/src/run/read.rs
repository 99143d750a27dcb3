//! A finished record file, read and left alone.

use super::{RecordFile, RecordLog};
use crate::error::{Error, Result};
use std::path::Path;

/// What is in a file that has records.
///
/// # Errors
///
/// [`Error::RecordFile`]; those of [`RecordLog::parse`]; [`Error::NoRecords`].
pub fn read_records(path: &Path) -> Result<RecordFile> {
    let bytes = std::fs::read(path).map_err(|source| Error::RecordFile {
        path: path.to_owned(),
        action: "read",
        source,
    })?;
    let file = RecordLog::parse(path, &bytes)?;
    if file.records.is_empty() {
        return Err(Error::NoRecords {
            path: path.to_owned(),
        });
    }
    Ok(file)
}
