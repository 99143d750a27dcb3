//! Bytes at offsets, from a file or from memory, and the directories such files lie in.
//!
//! Files are read by position and never mapped: a file that shrinks under a mapping kills the process, under
//! a read it is an error; and pages of a mapping count as the process's own memory.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::embedded::EmbeddedDirectory;
use crate::content_hash::ContentHash;
use crate::error::{Error, Result};

/// An open file whose length and time of change are those at opening.
#[derive(Debug)]
pub(super) struct Storage {
    /// For messages: the path, or `scheme:name/file` of an embedded one.
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    File {
        file: File,
        modified: Option<SystemTime>,
    },
    Memory {
        directory: Arc<EmbeddedDirectory>,
        name: String,
    },
}

impl Storage {
    pub(super) fn open(path: &Path) -> Result<Storage> {
        // Asked before opening: opening a pipe would wait for a writer.
        let metadata = fs::metadata(path).map_err(Error::io("read", path))?;
        if !metadata.is_file() {
            return Err(Error::NotACheckpoint {
                path: path.to_path_buf(),
            });
        }
        let file = File::open(path).map_err(Error::io("open", path))?;
        let metadata = file.metadata().map_err(Error::io("read", path))?;
        Ok(Storage {
            path: path.to_path_buf(),
            bytes: metadata.len(),
            content: Content::File {
                file,
                modified: metadata.modified().ok(),
            },
        })
    }

    /// Fills `buffer` from byte `offset` on.
    pub(super) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let outcome = match &self.content {
            Content::File { file, .. } => read_file_exact_at(file, buffer, offset),
            Content::Memory { directory, name } => usize::try_from(offset)
                .ok()
                .and_then(|begin| {
                    let bytes = directory.files.get(name)?;
                    bytes.get(begin..)?.get(..buffer.len())
                })
                .map(|source| buffer.copy_from_slice(source))
                .ok_or_else(|| io::ErrorKind::UnexpectedEof.into()),
        };
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let now = match &self.content {
                    Content::File { file, .. } => file.metadata().map_or(0, |now| now.len()),
                    Content::Memory { .. } => self.bytes,
                };
                Err(Error::FileChanged {
                    file: self.path.clone(),
                    change: format!("it had {} bytes, now {now}", self.bytes),
                })
            }
            outcome => outcome.map_err(Error::io("read", &self.path)),
        }
    }

    /// The SHA-256 of the whole file by which the Hub's cache names it: a large file there is a link to
    /// `blobs/SHA-256`. Whoever fetched it compared the two; nobody does here.
    pub(super) fn hub_sha256(&self) -> Option<ContentHash> {
        let target = fs::read_link(&self.path).ok()?;
        let is_blob = target.parent()?.file_name()? == "blobs";
        let name = target.file_name()?.to_str()?;
        is_blob.then(|| ContentHash::parse(name)).flatten()
    }

    /// Checks that length and time of change are those at opening.
    pub(super) fn verify_unchanged(&self) -> Result<()> {
        let Content::File { file, modified } = &self.content else {
            return Ok(());
        };
        let now = file.metadata().map_err(Error::io("read", &self.path))?;
        let change = if now.len() != self.bytes {
            format!("it had {} bytes, now {}", self.bytes, now.len())
        } else if now.modified().ok() != *modified {
            "its modification time moved".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::FileChanged {
            file: self.path.clone(),
            change,
        })
    }
}

#[cfg(unix)]
pub(crate) fn read_file_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
pub(crate) fn read_file_exact_at(
    file: &File,
    mut buffer: &mut [u8],
    mut offset: u64,
) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                buffer = &mut buffer[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Where the files of a checkpoint lie.
#[derive(Clone, Debug)]
pub(super) enum Folder {
    Disk(PathBuf),
    Embedded {
        label: PathBuf,
        directory: Arc<EmbeddedDirectory>,
    },
}

impl Folder {
    /// For messages.
    pub(super) fn path(&self) -> &Path {
        match self {
            Folder::Disk(path) => path,
            Folder::Embedded { label, .. } => label,
        }
    }

    /// Names of the regular files in it, sorted.
    pub(super) fn file_names(&self) -> Result<Vec<String>> {
        match self {
            Folder::Embedded { directory, .. } => Ok(directory.files.keys().cloned().collect()),
            Folder::Disk(path) => {
                let mut names = Vec::new();
                for entry in fs::read_dir(path).map_err(Error::io("list", path))? {
                    let entry = entry.map_err(Error::io("list", path))?;
                    // Follows links: the Hub's cache is made of them. A broken one is no file.
                    let is_file = fs::metadata(entry.path()).is_ok_and(|target| target.is_file());
                    // A name that is not Unicode is none that is looked for.
                    if let (true, Ok(name)) = (is_file, entry.file_name().into_string()) {
                        names.push(name);
                    }
                }
                names.sort_unstable();
                Ok(names)
            }
        }
    }

    /// Opens a file known to be there.
    pub(super) fn open(&self, name: &str) -> Result<Storage> {
        match self {
            Folder::Disk(path) => Storage::open(&path.join(name)),
            Folder::Embedded { label, directory } => {
                let path = label.join(name);
                match directory.files.get(name) {
                    Some(bytes) => Ok(Storage {
                        path,
                        bytes: bytes.len() as u64,
                        content: Content::Memory {
                            directory: Arc::clone(directory),
                            name: name.to_owned(),
                        },
                    }),
                    None => Err(Error::NotFound {
                        path,
                        near: Vec::new(),
                    }),
                }
            }
        }
    }

    /// Reads a small file whole.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
        let storage = self.open(name)?;
        if storage.bytes > limit {
            return Err(Error::FileTooLarge {
                file: storage.path,
                bytes: storage.bytes,
                limit,
            });
        }
        let mut bytes = vec![0; storage.bytes as usize];
        storage.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}
