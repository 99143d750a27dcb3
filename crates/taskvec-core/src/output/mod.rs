//! Output that appears whole or not at all.
//!
//! Everything is written into a hidden sibling of the destination, `.NAME.taskvec-partial`, on the same
//! filesystem; committing syncs it and renames it into place. Killed at any moment, a write leaves at most that
//! sibling, which no tool takes for a model and which the next write to the same destination clears.
//!
//! A lock file in the sibling, held for as long as the write lasts and released by the system when the process
//! dies, keeps two writers of one destination apart.

mod shard;
mod staging;

use std::path::{Path, PathBuf};

pub use shard::ShardWriter;
pub(crate) use shard::refused;
pub(crate) use staging::free_bytes;
use staging::{Shape, Staging};

use crate::checkpoint::SideFile;
use crate::error::Result;
use crate::provenance::Provenance;
use crate::safetensors::EncodedHeader;

/// How an output is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputOptions {
    /// Replace what an earlier run wrote at the destination, in one step at the end.
    pub overwrite: bool,
    /// Bytes that will be written, where known: refused at once when the filesystem has not so many left.
    pub expected_bytes: Option<u64>,
    /// Wait for the disk before the output appears, so that it survives a power failure. Without it an output
    /// survives the death of the process only.
    pub sync: bool,
}

impl Default for OutputOptions {
    fn default() -> Self {
        OutputOptions {
            overwrite: false,
            expected_bytes: None,
            sync: true,
        }
    }
}

/// An output directory in the making.
///
/// Dropped without [`commit`](OutputDirectory::commit), it removes what it wrote.
#[derive(Debug)]
pub struct OutputDirectory {
    staging: Staging,
    index: Option<(String, Vec<u8>)>,
    provenance: Option<Vec<u8>>,
    complete: bool,
}

impl OutputDirectory {
    /// Prepares to make the directory `destination`, which must be absent or empty unless
    /// [`OutputOptions::overwrite`] is set; then it may be a directory that has a `taskvec.json`.
    ///
    /// # Errors
    ///
    /// When the destination exists, is being written by another process, has no parent directory, or has too
    /// little space.
    pub fn create(destination: &Path, options: &OutputOptions) -> Result<Self> {
        Ok(OutputDirectory {
            staging: Staging::create(destination, Shape::Directory, options)?,
            index: None,
            provenance: None,
            complete: false,
        })
    }

    /// Where the output will appear.
    pub fn destination(&self) -> &Path {
        self.staging.destination()
    }

    /// Creates a weight file of its full length and writes its header; the tensors follow through
    /// [`ShardWriter::write_at`], each byte once.
    ///
    /// # Errors
    ///
    /// When the name is not a plain file name or the file cannot be made.
    pub fn create_shard(&self, file_name: &str, header: &EncodedHeader) -> Result<ShardWriter> {
        self.staging.create_shard(file_name, header)
    }

    /// Writes a small file.
    ///
    /// # Errors
    ///
    /// As [`OutputDirectory::create_shard`].
    pub fn put_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.staging.put_file(name, bytes)
    }

    /// Copies a file that lies beside the weights of a checkpoint, byte for byte.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written.
    pub fn put_side_file(&self, file: &SideFile) -> Result<()> {
        self.put_file(file.name(), &file.read()?)
    }

    /// Sets the shard index, to be written after all shards are complete.
    pub fn set_index(&mut self, name: &str, bytes: Vec<u8>) {
        self.index = Some((name.to_owned(), bytes));
    }

    /// Sets the provenance record, to be written last of all.
    pub fn set_provenance(&mut self, provenance: &Provenance) {
        self.provenance = Some(provenance.to_json());
    }

    /// Does everything but let the output appear: checks that every shard is complete, writes index and
    /// `taskvec.json`, syncs. Of several outputs each can be made complete before the first appears.
    ///
    /// # Errors
    ///
    /// When a shard is incomplete or the disk refuses.
    pub fn complete(&mut self) -> Result<()> {
        if self.complete {
            return Ok(());
        }
        self.staging.finish_shards()?;
        if let Some((name, bytes)) = &self.index {
            self.staging.put_file(name, bytes)?;
        }
        if let Some(bytes) = &self.provenance {
            self.staging
                .put_file(crate::provenance::PROVENANCE_FILE, bytes)?;
        }
        self.complete = true;
        Ok(())
    }

    /// Makes the output complete, where it is not yet, and appear by a rename. Returns the destination.
    ///
    /// # Errors
    ///
    /// As [`OutputDirectory::complete`], and when something has appeared at the destination meanwhile.
    /// Then nothing has appeared, and what an overwrite would have replaced is still there.
    pub fn commit(mut self) -> Result<PathBuf> {
        self.complete()?;
        self.staging.commit()
    }
}

/// A single `.safetensors` file in the making.
///
/// Dropped without [`commit`](OutputFile::commit), it removes what it wrote.
#[derive(Debug)]
pub struct OutputFile {
    staging: Staging,
}

impl OutputFile {
    /// Prepares to make the file `destination`, which must be absent unless [`OutputOptions::overwrite`] is
    /// set, and creates it under a temporary name, in its full length and with its header.
    ///
    /// # Errors
    ///
    /// As [`OutputDirectory::create`].
    pub fn create(
        destination: &Path,
        header: &EncodedHeader,
        options: &OutputOptions,
    ) -> Result<(Self, ShardWriter)> {
        let staging = Staging::create(destination, Shape::File, options)?;
        let shard = staging.create_single_file(header)?;
        Ok((OutputFile { staging }, shard))
    }

    /// Checks that the file is complete and syncs it.
    ///
    /// # Errors
    ///
    /// As [`OutputDirectory::complete`].
    pub fn complete(&mut self) -> Result<()> {
        self.staging.finish_shards()
    }

    /// Makes the file complete and appear. Returns the destination.
    ///
    /// # Errors
    ///
    /// As [`OutputDirectory::commit`].
    pub fn commit(mut self) -> Result<PathBuf> {
        self.complete()?;
        self.staging.commit()
    }
}
