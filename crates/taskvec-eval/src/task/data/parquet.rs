//! Records in Parquet, the form of most data sets on the Hub.

use crate::error::{Error, Result};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::Row;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The first and the last bytes of every file.
const MARK: &[u8] = b"PAR1";
/// No file of questions has more; a column of one repeated value can claim any number in a few bytes.
const MAX_ROWS: usize = 1 << 20;

pub(super) fn is_parquet(bytes: &[u8]) -> bool {
    bytes.starts_with(MARK)
}

/// Every row, as the object of its columns.
pub(super) fn records<T: DeserializeOwned>(task: &str, path: &Path) -> Result<Vec<T>> {
    let file = File::open(path).map_err(|source| Error::DataFile {
        task: task.to_owned(),
        path: path.to_owned(),
        source,
    })?;
    // The reader is written for files that are well formed; of others some make it panic.
    let rows = catch_unwind(AssertUnwindSafe(|| rows(file)))
        .unwrap_or_else(|_| Err(ParquetError::General("it is malformed".to_owned())))
        .map_err(|source| Error::DataParquet {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
    rows.into_iter()
        .enumerate()
        .map(|(index, row)| {
            serde_json::from_value(row.to_json_value()).map_err(|source| Error::DataRecord {
                path: path.to_owned(),
                line: index + 1,
                source,
            })
        })
        .collect()
}

fn rows(file: File) -> std::result::Result<Vec<Row>, ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let mut rows = Vec::new();
    for row in reader.get_row_iter(None)? {
        if rows.len() == MAX_ROWS {
            let reason = format!("it has more than {MAX_ROWS} rows");
            return Err(ParquetError::General(reason));
        }
        rows.push(row?);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn rows_are_objects_of_their_columns() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/goldens/questions.parquet"
        );
        assert!(is_parquet(&std::fs::read(path).unwrap()));
        let rows: Vec<BTreeMap<String, String>> = records("", Path::new(path)).unwrap();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0].len(), 6);
        assert_eq!(rows[0]["correct_answer"], "water");
        assert_eq!(rows[1]["support"], "");
        assert_eq!(rows[2]["support"], "Ein Elefant \"wiegt\" 5\u{a0}t.\n");
    }

    #[test]
    fn half_a_file_is_refused() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/goldens/questions.parquet"
        );
        let whole = std::fs::read(path).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let half = directory.path().join("half.parquet");
        for length in [4, 100, whole.len() - 1] {
            std::fs::write(&half, &whole[..length]).unwrap();
            let read = records::<BTreeMap<String, String>>("", &half);
            assert!(matches!(read, Err(Error::DataParquet { .. })), "{length}");
        }
    }
}
