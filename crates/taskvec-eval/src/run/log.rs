//! The record file: appended to while a run goes on, read when it goes on again.

use super::Record;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How every line begins.
const BEGINNING: &[u8] = b"{\"model\":";

/// Whether bytes without an end of line can be what is left of a record.
fn is_torn(rest: &[u8]) -> bool {
    rest.starts_with(BEGINNING) || BEGINNING.starts_with(rest) || rest.contains(&0)
}

/// What a reader finds in a record file.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordFile {
    /// The records, those of one key and label once.
    pub records: Vec<Record>,
    /// A sentence, where a crash tore the last line off, which is left out.
    pub torn: Option<String>,
}

/// Records by what determines them, in memory and, if wanted, in a JSONL file.
///
/// # Guarantees
///
/// - A line is written whole, by one call, before [`RecordLog::append`] returns.
/// - Opening drops the beginning of a record that a crash tore off at the end, and refuses any other damage: a file that is
///   no record file is left as it is.
/// - One process at a time: the file is locked while the log is open.
/// - [`RecordLog::finish`] puts the lines into the order in which they were asked for, so that an
///   interrupted and resumed run ends with the very file of an undisturbed one.
#[derive(Debug)]
pub struct RecordLog {
    records: Vec<Record>,
    /// Index of a record by its key, and then by the model's label.
    index: BTreeMap<String, BTreeMap<String, usize>>,
    /// Records in the order in which this process asked for them.
    asked: Vec<usize>,
    file: Option<(PathBuf, File)>,
}

impl RecordLog {
    /// A log that lives and dies with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            records: Vec::new(),
            index: BTreeMap::new(),
            asked: Vec::new(),
            file: None,
        }
    }

    /// Opens or creates a record file and reads what is in it.
    ///
    /// # Errors
    ///
    /// [`Error::RecordFile`], [`Error::RecordsInUse`], and [`Error::RecordLine`] for a line that is neither a record nor what
    /// a crash left of the last one.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |action| {
            move |source| Error::RecordFile {
                path: path.to_owned(),
                action,
                source,
            }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed("open"))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Error::RecordsInUse {
                path: path.to_owned(),
            },
            TryLockError::Error(source) => failed("lock")(source),
        })?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed("read"))?;

        let mut log = Self::in_memory();
        let whole = log.take(path, &bytes)?;
        file.set_len(whole as u64).map_err(failed("repair"))?;
        file.seek(SeekFrom::End(0)).map_err(failed("read"))?;
        log.file = Some((path.to_owned(), file));
        Ok(log)
    }

    /// The records in the bytes of a record file, which is neither locked nor mended: for readers. `path` is for errors.
    ///
    /// # Errors
    ///
    /// [`Error::RecordLine`], as [`RecordLog::open`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<RecordFile> {
        let mut log = Self::in_memory();
        let whole = log.take(path, bytes)?;
        let rest = &bytes[whole..];
        // Whole but for the end of its line: somebody's editor took that.
        let last = serde_json::from_slice(rest).ok();
        let is_torn = !rest.is_empty() && last.is_none();
        last.into_iter().for_each(|record| log.insert(record));
        Ok(RecordFile {
            records: log.records,
            torn: is_torn.then(|| {
                format!(
                    "the last line of `{}` is not whole and is left out: its run was interrupted, or is still going on",
                    path.display()
                )
            }),
        })
    }

    /// Takes in the lines of a record file, and says how many bytes of it are whole lines.
    fn take(&mut self, path: &Path, bytes: &[u8]) -> Result<usize> {
        let damaged = |line, source| Error::RecordLine {
            path: path.to_owned(),
            line,
            source,
        };
        let mut whole = 0;
        let mut number = 0;
        while let Some(length) = bytes[whole..].iter().position(|&byte| byte == b'\n') {
            number += 1;
            let end = whole + length;
            let is_last = end + 1 == bytes.len();
            match serde_json::from_slice::<Record>(&bytes[whole..end]) {
                Ok(record) => self.insert(record),
                // A crash of the machine may leave a block of nothing that ends in a newline by chance.
                Err(_) if is_last && bytes[whole..end].contains(&0) => return Ok(whole),
                Err(source) => return Err(damaged(number, source)),
            }
            whole = end + 1;
        }
        let rest = &bytes[whole..];
        match serde_json::from_slice::<Record>(rest) {
            Err(source) if !rest.is_empty() && !is_torn(rest) => Err(damaged(number + 1, source)),
            _ => Ok(whole),
        }
    }

    /// Everything in the log: what was read, then what was appended.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Writes a finished sample. One of the same key and label replaces what was there.
    ///
    /// # Errors
    ///
    /// [`Error::RecordFile`].
    pub fn append(&mut self, record: Record) -> Result<()> {
        if let Some((path, file)) = &mut self.file {
            write_line(file, &record).map_err(|source| Error::RecordFile {
                path: path.clone(),
                action: "write",
                source,
            })?;
        }
        self.insert(record);
        Ok(())
    }

    /// A finished sample with that key, whatever its model is called; the same label is preferred.
    pub(super) fn find(&self, key: &str, model: &str) -> Option<&Record> {
        let labels = self.index.get(key)?;
        labels
            .get(model)
            .or_else(|| labels.values().next())
            .map(|&index| &self.records[index])
    }

    /// Notes that the sample is part of this run, which fixes its place in the finished file.
    pub(super) fn ask(&mut self, key: &str, model: &str) {
        if let Some(&index) = self.index.get(key).and_then(|labels| labels.get(model)) {
            self.asked.push(index);
        }
    }

    /// Puts the file into its final order, writes it to the disk, and hands out the records of this run in
    /// the order in which they were asked for.
    ///
    /// Records that were not asked for in this process keep their order and come first.
    ///
    /// # Errors
    ///
    /// [`Error::RecordFile`]; the file as it was stays readable then.
    pub fn finish(mut self) -> Result<Vec<Record>> {
        let mut seen = vec![false; self.records.len()];
        self.asked
            .retain(|&index| !std::mem::replace(&mut seen[index], true));
        if let Some((path, file)) = &self.file {
            let failed = |action| {
                move |source| Error::RecordFile {
                    path: path.clone(),
                    action,
                    source,
                }
            };
            let order: Vec<usize> = (0..self.records.len())
                .filter(|&index| !seen[index])
                .chain(self.asked.iter().copied())
                .collect();
            if order
                .iter()
                .enumerate()
                .any(|(place, &index)| place != index)
            {
                let directory = path
                    .parent()
                    .filter(|parent| !parent.as_os_str().is_empty());
                let mut name = path.file_name().unwrap_or_default().to_owned();
                name.push(".taskvec-partial");
                let partial = directory.unwrap_or(Path::new(".")).join(name);
                let mut sorted = File::create(&partial).map_err(failed("reorder"))?;
                for index in order {
                    write_line(&mut sorted, &self.records[index]).map_err(failed("reorder"))?;
                }
                sorted.sync_all().map_err(failed("reorder"))?;
                std::fs::rename(&partial, path).map_err(failed("reorder"))?;
            } else {
                file.sync_all().map_err(failed("write"))?;
            }
        }
        Ok(self
            .asked
            .iter()
            .map(|&index| self.records[index].clone())
            .collect())
    }

    fn insert(&mut self, record: Record) {
        let labels = self.index.entry(record.key()).or_default();
        match labels.get(&record.model) {
            Some(&index) => self.records[index] = record,
            None => {
                labels.insert(record.model.clone(), self.records.len());
                self.records.push(record);
            }
        }
    }
}

/// One call to the operating system for one line, so that only the last line of a file can be torn.
fn write_line(file: &mut File, record: &Record) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    file.write_all(&line)
}
