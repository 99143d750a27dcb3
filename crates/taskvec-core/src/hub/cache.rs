//! The layout that `huggingface_hub` gives its cache, so that what one tool fetched the others find.
//!
//! ```text
//! models--org--name/blobs/ETAG                 the bytes; ETAG.incomplete while they come
//! models--org--name/snapshots/COMMIT/FILE      links to blobs
//! models--org--name/refs/REVISION              the commit that a branch or tag was last seen at
//! .locks/models--org--name/ETAG.lock           held by whoever fetches the blob
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::HubError;
use super::repository::Repository;

/// The part of the cache that one repository has.
pub(super) struct RepositoryCache {
    root: PathBuf,
    locks: PathBuf,
}

impl RepositoryCache {
    pub(super) fn new(cache: &Path, repository: &Repository) -> Self {
        let name = repository.folder();
        Self {
            root: cache.join(&name),
            locks: cache.join(".locks").join(name),
        }
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    pub(super) fn incomplete(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(format!("{etag}.incomplete"))
    }

    /// The commit that `revision` was last seen at, with its snapshot there.
    pub(super) fn known(&self, revision: &str) -> Option<String> {
        let commit = if is_commit(revision) {
            revision.to_owned()
        } else {
            let text = fs::read_to_string(self.root.join("refs").join(revision)).ok()?;
            text.trim().to_owned()
        };
        (is_commit(&commit) && self.snapshot(&commit).is_dir()).then_some(commit)
    }

    /// Remembers where `revision` was seen.
    pub(super) fn remember(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if is_commit(revision) {
            return Ok(());
        }
        let path = self.root.join("refs").join(revision);
        make_parent(&path)?;
        fs::write(&path, commit).map_err(HubError::disk("write", &path))
    }

    /// Makes `name` in a snapshot stand for a blob.
    pub(super) fn link(&self, etag: &str, commit: &str, name: &str) -> Result<(), HubError> {
        let path = self.snapshot(commit).join(name);
        make_parent(&path)?;
        // A link whose blob was deleted is in the way.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(HubError::disk("replace", &path)(error));
            }
            _ => {}
        }
        // Links are relative, so that the cache may be moved: one step up for each directory that the file lies in.
        let up = "../".repeat(2 + name.matches('/').count());
        link(
            &self.blob(etag),
            PathBuf::from(format!("{up}blobs/{etag}")),
            &path,
        )
        .map_err(HubError::disk("create", &path))
    }

    /// Waits until no other process fetches the blob. None where the filesystem has no locks.
    pub(super) fn lock(&self, etag: &str) -> Result<Option<File>, HubError> {
        let path = self.locks.join(format!("{etag}.lock"));
        make_parent(&path)?;
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(HubError::disk("create", &path))?;
        match file.lock() {
            Ok(()) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(HubError::disk("lock", &path)(error)),
        }
    }
}

#[cfg(unix)]
fn link(_blob: &Path, relative: PathBuf, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(relative, path)
}

/// Links need a privilege that few users have: without it `huggingface_hub` moves the blob too.
#[cfg(windows)]
fn link(blob: &Path, relative: PathBuf, path: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(relative, path).or_else(|_| fs::rename(blob, path))
}

pub(super) fn make_parent(path: &Path) -> Result<(), HubError> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(HubError::disk("create", parent)),
        None => Ok(()),
    }
}

/// Whether `text` is the full name of a commit.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
