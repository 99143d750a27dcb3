//! Reading files of records: JSON lines or one JSON array, gzipped or not, and Parquet.

use super::parquet;
use crate::error::{Error, Result};
use flate2::read::GzDecoder;
use serde::de::DeserializeOwned;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// No file of questions comes near this; more is a mistake or an attack.
const MAX_BYTES: u64 = 1 << 30;

/// Records that are part of the binary, unpacked when they are first asked for.
pub(in crate::task) struct Embedded<T: 'static> {
    name: &'static str,
    bytes: &'static [u8],
    records: OnceLock<Vec<T>>,
}

impl<T: DeserializeOwned> Embedded<T> {
    pub(super) const fn new(name: &'static str, bytes: &'static [u8]) -> Self {
        Self {
            name,
            bytes,
            records: OnceLock::new(),
        }
    }

    /// Every record, in the order of the file.
    pub(in crate::task) fn records(&self) -> Result<&[T]> {
        if let Some(records) = self.records.get() {
            return Ok(records);
        }
        let records = parse(Path::new(self.name), self.bytes)?;
        Ok(self.records.get_or_init(|| records))
    }
}

/// The records of a file.
pub(super) fn read<T: DeserializeOwned>(task: &str, path: &Path) -> Result<Vec<T>> {
    let bytes = std::fs::read(path).map_err(|source| Error::DataFile {
        task: task.to_owned(),
        path: path.to_owned(),
        source,
    })?;
    if parquet::is_parquet(&bytes) {
        drop(bytes);
        return parquet::records(task, path);
    }
    parse(path, &bytes)
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<Vec<T>> {
    let unreadable = |source| Error::DataFile {
        task: String::new(),
        path: PathBuf::from(path),
        source,
    };
    let mut text = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut limited = GzDecoder::new(bytes).take(MAX_BYTES);
        limited.read_to_string(&mut text).map_err(unreadable)?;
    } else {
        let mut limited = bytes.take(MAX_BYTES);
        limited.read_to_string(&mut text).map_err(unreadable)?;
    }
    let malformed = |line, source| Error::DataRecord {
        path: PathBuf::from(path),
        line,
        source,
    };
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(&text).map_err(|source| malformed(source.line(), source));
    }
    // Not `str::lines`: a JSON string may hold any character but a raw newline.
    text.split('\n')
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            serde_json::from_str(line).map_err(|source| malformed(index + 1, source))
        })
        .collect()
}
