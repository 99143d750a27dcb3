use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::staging::free_bytes;
use crate::checkpoint::read_file_exact_at;
use crate::content_hash::{ContentHash, hash_by_position};
use crate::error::{Error, Result};
use crate::safetensors::EncodedHeader;

/// A weight file of an output, written by position from any number of threads.
#[derive(Clone, Debug)]
pub struct ShardWriter(Arc<Shard>);

#[derive(Debug)]
struct Shard {
    /// Where the file will be once committed, for messages.
    shown: PathBuf,
    file: File,
    bytes: u64,
    written: AtomicU64,
}

impl ShardWriter {
    pub(super) fn create(path: &Path, shown: PathBuf, header: &EncodedHeader) -> Result<Self> {
        // `create_new`: the staging directory was empty, so an existing file means a name given twice.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(Error::io("create", &shown))?;
        let writer = ShardWriter::over(file, shown, header.file_bytes());
        let shard = &writer.0;
        // Its full length first: a filesystem that cannot hold so long a file says so now, and threads writing
        // at different offsets do not keep extending it.
        shard
            .file
            .set_len(shard.bytes)
            .map_err(|error| shard.refused("extend", error))?;
        writer.write_at(0, header.bytes())?;
        Ok(writer)
    }

    fn over(file: File, shown: PathBuf, bytes: u64) -> Self {
        ShardWriter(Arc::new(Shard {
            shown,
            file,
            bytes,
            written: AtomicU64::new(0),
        }))
    }

    /// Writes `bytes` at `offset`, counted from the start of the file as in
    /// [`EncodedHeader::offsets`](crate::safetensors::EncodedHeader::offsets).
    ///
    /// Every byte must be written once: a shard counts as complete when as many bytes were written as it has.
    ///
    /// # Errors
    ///
    /// [`Error::NoSpace`] when the disk is full, [`Error::Io`] when it refuses otherwise,
    /// [`Error::WriteOutOfRange`] when the bytes lie outside the file.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let shard = &self.0;
        let length = bytes.len() as u64;
        let fits = offset
            .checked_add(length)
            .is_some_and(|end| end <= shard.bytes);
        if !fits {
            return Err(Error::WriteOutOfRange {
                file: shard.shown.clone(),
                offset,
                length,
                bytes: shard.bytes,
            });
        }
        write_file_all_at(&shard.file, bytes, offset)
            .map_err(|error| shard.refused("write", error))?;
        shard.written.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }

    /// Writes a header of the same length over the one the file was created with.
    ///
    /// # Errors
    ///
    /// As [`ShardWriter::write_at`]; [`Error::WriteOutOfRange`] when the length is another.
    pub fn replace_header(&self, before: &EncodedHeader, header: &EncodedHeader) -> Result<()> {
        let shard = &self.0;
        if before.bytes().len() != header.bytes().len() {
            return Err(Error::WriteOutOfRange {
                file: shard.shown.clone(),
                offset: 0,
                length: header.bytes().len() as u64,
                bytes: before.bytes().len() as u64,
            });
        }
        write_file_all_at(&shard.file, header.bytes(), 0)
            .map_err(|error| shard.refused("write", error))
    }

    /// Hashes what was written so far. Bytes that are yet to be written count as zeros.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the file cannot be read back.
    pub fn content_hash(&self) -> Result<ContentHash> {
        let shard = &self.0;
        hash_by_position(shard.bytes, |buffer, offset| {
            read_file_exact_at(&shard.file, buffer, offset).map_err(Error::io("read", &shard.shown))
        })
    }

    /// Length of the whole file.
    pub fn byte_len(&self) -> u64 {
        self.0.bytes
    }

    /// Waits until what was written is on the disk. Committing does it for every shard; doing it as soon as a
    /// shard is complete lets the disk work while the next is computed.
    ///
    /// # Errors
    ///
    /// As [`ShardWriter::write_at`].
    pub fn sync(&self) -> Result<()> {
        self.0
            .file
            .sync_data()
            .map_err(|error| self.0.refused("sync", error))
    }

    pub(super) fn verify_complete(&self) -> Result<()> {
        let written = self.0.written.load(Ordering::Relaxed);
        if written == self.0.bytes {
            return Ok(());
        }
        Err(Error::IncompleteShard {
            file: self.0.shown.clone(),
            written,
            expected: self.0.bytes,
        })
    }
}

impl Shard {
    fn refused(&self, action: &'static str, error: io::Error) -> Error {
        refused(action, &self.shown, self.bytes, error)
    }
}

/// The error of a write of `needed` bytes that the system refused.
pub(crate) fn refused(action: &'static str, path: &Path, needed: u64, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::NoSpace {
            path: path.to_path_buf(),
            needed,
            // The output's own directory does not exist yet; one further up does.
            available: path.ancestors().skip(1).find_map(free_bytes),
        },
        _ => Error::io(action, path)(error),
    }
}

#[cfg(unix)]
fn write_file_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_file_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_write(file, bytes, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_names_the_file_and_what_it_needed() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let writer = ShardWriter::over(full, "/out/model.safetensors".into(), 4096);
        let error = writer.write_at(0, &[1; 16]).unwrap_err();
        match &error {
            Error::NoSpace { path, needed, .. } => {
                assert_eq!(path, Path::new("/out/model.safetensors"));
                assert_eq!(*needed, 4096);
            }
            other => panic!("{other:?}"),
        }
        assert!(error.hint().is_some());
        // Nothing counts as written.
        assert!(matches!(
            writer.verify_complete(),
            Err(Error::IncompleteShard {
                written: 0,
                expected: 4096,
                ..
            })
        ));
    }
}
