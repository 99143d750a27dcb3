//! Files that a command makes or replaces.
//!
//! A file appears whole or not at all: it is written beside its place and renamed. Links are followed, as `cp` and `curl` do, so that
//! what they lead to is replaced and they stay. What is no regular file, a device or a pipe, is neither read nor replaced.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::failure::Refusal;

/// The most that is read of a file to tell whether it may be replaced.
const MOST_READ: u64 = 64 << 20;

/// What is at `path` already, as far as anybody needs to know it; `None` where there is nothing, or an empty file.
///
/// # Errors
///
/// [`Refusal::NoFile`]; a directory that is not there, and a file that cannot be read.
pub(super) fn existing(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(file) = regular(path)? else {
        let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
        return match directory {
            Some(directory) if !directory.is_dir() => Err(taskvec_core::Error::DestinationParent {
                path: path.to_owned(),
            }
            .into()),
            _ => Ok(None),
        };
    };
    let mut bytes = Vec::new();
    File::open(&file)
        .and_then(|file| file.take(MOST_READ).read_to_end(&mut bytes))
        .with_context(|| format!("cannot write to `{}`", path.display()))?;
    Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
}

/// Where a file called `path` is to be written: where its links lead.
///
/// # Errors
///
/// [`Refusal::NoFile`].
pub(super) fn target(path: &Path) -> anyhow::Result<PathBuf> {
    Ok(regular(path)?.unwrap_or_else(|| path.to_owned()))
}

/// Writes a file that appears whole or not at all.
///
/// # Errors
///
/// [`Refusal::NoFile`], and whatever keeps it from being written.
pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let target = target(path)?;
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".taskvec-partial");
    let partial = target.with_file_name(name);
    fs::write(&partial, text)
        .and_then(|()| match fs::metadata(&target) {
            // Who may read it is for whoever made it to say.
            Ok(earlier) => fs::set_permissions(&partial, earlier.permissions()),
            Err(_) => Ok(()),
        })
        .and_then(|()| fs::rename(&partial, &target))
        .inspect_err(|_| {
            // The file is lost either way; what is left of it should not stay.
            let _ = fs::remove_file(&partial);
        })
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// The regular file that `path` is or leads to, if it is one.
fn regular(path: &Path) -> anyhow::Result<Option<PathBuf>> {
    let refused = |what| {
        Err(Refusal::NoFile {
            path: path.display().to_string(),
            what,
        }
        .into())
    };
    let cannot = || format!("cannot write to `{}`", path.display());
    match fs::metadata(path) {
        Ok(found) if found.is_file() => fs::canonicalize(path).map(Some).with_context(cannot),
        Ok(found) if found.is_dir() => refused("is a directory"),
        Ok(_) => refused("is a device or a pipe, and no regular file"),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(cannot),
        Err(_) if fs::symlink_metadata(path).is_ok() => refused("is a link to nothing"),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        let written = write(path, "x").unwrap_err().to_string();
        assert_eq!(existing(path).unwrap_err().to_string(), written);
        written
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_and_what_they_lead_to_is_replaced() {
        let here = tempfile::tempdir().unwrap();
        let [file, link, nothing] = ["file", "link", "nothing"].map(|it| here.path().join(it));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert_eq!(existing(&link).unwrap().unwrap(), b"old");
        write(&link, "new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        std::os::unix::fs::symlink("gone", &nothing).unwrap();
        assert!(refusal(&nothing).contains("is a link to nothing"));
        assert!(nothing.is_symlink());
        // Nothing is left beside them.
        assert_eq!(fs::read_dir(here.path()).unwrap().count(), 3);
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_directories_are_left_alone() {
        let here = tempfile::tempdir().unwrap();
        assert!(refusal(here.path()).ends_with("is a directory"));
        let zero = Path::new("/dev/zero");
        assert!(refusal(zero).contains("no regular file"));
        assert!(!zero.is_file());
        let missing = existing(&here.path().join("no/where")).unwrap_err();
        assert!(missing.to_string().contains("where"), "{missing}");
    }

    #[test]
    fn an_empty_file_is_nothing() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("file");
        assert_eq!(existing(&path).unwrap(), None);
        fs::write(&path, "").unwrap();
        assert_eq!(existing(&path).unwrap(), None);
        write(&path, "whole").unwrap();
        assert_eq!(existing(&path).unwrap().unwrap(), b"whole");
    }
}
