//! Questions that do not ship with taskvec, in a directory or on the Hub.

use super::records;
use crate::error::{Error, Result};
use crate::task::DataFile;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use taskvec_core::Hub;

/// Where data is that does not ship with taskvec.
#[derive(Debug, Clone)]
pub enum DataSource {
    /// A directory with one folder for each source, in which the files lie as published.
    Directory(PathBuf),
    /// The data sets on the Hugging Face Hub; what was fetched stays in the cache of Hugging Face's tools.
    Hub(Arc<Hub>),
}

/// The Hub's own conversion of every data set that is not Parquet already: `CONFIGURATION/SPLIT/0000.parquet`.
const CONVERTED: &str = "refs/convert/parquet";

/// One file of questions by its places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::task) struct Foreign {
    /// Below the data directory.
    pub(in crate::task) file: &'static str,
    /// On the Hub, as `organisation/name`.
    pub(in crate::task) repository: &'static str,
    /// The configuration there: where there are several, a directory of that name.
    pub(in crate::task) configuration: &'static str,
    /// The split there, with which the file's name begins or ends.
    pub(in crate::task) split: &'static str,
    /// What the user is told.
    pub(in crate::task) licence: &'static str,
}

impl Foreign {
    /// As lists of tasks say it.
    pub(in crate::task) fn about(&self) -> DataFile {
        DataFile {
            path: self.file,
            repository: self.repository,
        }
    }

    /// Every record, in the order of the file.
    pub(in crate::task) fn records<T: DeserializeOwned>(
        &self,
        source: Option<&DataSource>,
        task: &str,
    ) -> Result<Vec<T>> {
        let path = match source {
            None => {
                return Err(Error::NoData {
                    task: task.to_owned(),
                    file: self.file.to_owned(),
                    licence: self.licence,
                });
            }
            Some(DataSource::Directory(directory)) => self.in_directory(directory),
            Some(DataSource::Hub(hub)) => self.fetched(hub, task)?,
        };
        records::read(task, &path)
    }

    /// The file, or the same with `.gz` behind it.
    fn in_directory(&self, directory: &Path) -> PathBuf {
        let plain = directory.join(self.file);
        let packed = directory.join(format!("{}.gz", self.file));
        if packed.exists() && !plain.exists() {
            packed
        } else {
            plain
        }
    }

    /// As its publisher has it, or else as the Hub has converted it.
    fn fetched(&self, hub: &Hub, task: &str) -> Result<PathBuf> {
        let failed = |source| Error::DataHub {
            task: task.to_owned(),
            source: Box::new(source),
        };
        let published = |files: &[String]| self.published(files);
        if let Some(path) = hub
            .fetch_data(self.repository, "main", &published)
            .map_err(failed)?
        {
            return Ok(path);
        }
        let converted = format!("{}/{}/0000.parquet", self.configuration, self.split);
        let same = |files: &[String]| files.contains(&converted).then(|| converted.clone());
        hub.fetch_data(self.repository, CONVERTED, &same)
            .map_err(failed)?
            .ok_or_else(|| Error::NoDataOnHub {
                task: task.to_owned(),
                repository: self.repository.to_owned(),
                split: self.split.to_owned(),
            })
    }

    /// The one file that can be read and holds the split of the configuration. Publishers call it `p2/test.jsonl`,
    /// `data/test-00000-of-00001.parquet` or `gsm8k_validation.jsonl`.
    fn published(&self, files: &[String]) -> Option<String> {
        let is_it = |path: &str| {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
            let mut words = name.split(['-', '_', '.']);
            let readable = [".jsonl", ".json", ".parquet"]
                .iter()
                .any(|ending| name.ends_with(ending));
            readable
                && words.any(|word| word == self.split)
                && (self.configuration == "default" || directory == self.configuration)
        };
        let mut found = files.iter().filter(|path| is_it(path));
        let first = found.next()?;
        // Of several parts none is the split.
        found.next().is_none().then(|| first.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_is_one_file() {
        let foreign = |configuration, split| Foreign {
            file: "",
            repository: "",
            configuration,
            split,
            licence: "",
        };
        let of = |configuration, split, files: &[&str]| {
            let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
            foreign(configuration, split).published(&files)
        };
        let symbolic = [
            "README.md",
            "main/test.jsonl",
            "p1/test.jsonl",
            "p2/test.jsonl",
        ];
        assert_eq!(
            of("p2", "test", &symbolic).as_deref(),
            Some("p2/test.jsonl")
        );
        assert_eq!(of("p3", "test", &symbolic), None);
        let plus = [
            "data/test-00000-of-00001.parquet",
            "data/testmini-00000-of-00001.parquet",
        ];
        assert_eq!(of("default", "test", &plus).as_deref(), Some(plus[0]));
        assert_eq!(of("default", "testmini", &plus).as_deref(), Some(plus[1]));
        let plain = ["gsm8k_validation.jsonl", "validation.py", "train.json"];
        assert_eq!(
            of("default", "validation", &plain).as_deref(),
            Some(plain[0])
        );
        let parts = ["test-00000-of-00002.parquet", "test-00001-of-00002.parquet"];
        assert_eq!(of("default", "test", &parts), None);
    }
}
