//! Checkpoints: named tensors on disk or embedded, known by their headers before anything is read.
//!
//! Opening validates everything that can be known without reading data: headers, index, shards. Reading is by
//! position, from any number of threads, into the caller's buffers.
//!
//! A PEFT adapter is a checkpoint too: a vector whose tensors are computed from its factors when they are read.
//!
//! Not covered: formats other than safetensors.

mod config_text;
mod embedded;
mod format;
mod index;
mod layers;
mod open;
mod rows;
mod side_file;
pub(crate) mod sparse;
mod storage;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use config_text::Configured;
pub(crate) use config_text::{ConfigChange, with_value};
pub use embedded::{EmbeddedDirectory, Library};
pub use format::WeightFormat;
pub(crate) use index::is_plain_file_name;
pub use index::{IndexError, encode_index};
use layers::Layered;
pub(crate) use layers::{LayerMap, stands_before_layers};
pub(crate) use open::{fetch_needed, near_siblings};
use rows::Fitted;
pub(crate) use rows::Rows;
pub use side_file::SideFile;
use sparse::SparseTensor;
pub(crate) use storage::read_file_exact_at;
use storage::{Folder, Storage};

use crate::adapter::Adapter;
use crate::content_hash::{ContentHash, hash_by_position};
use crate::error::{Error, Result};
use crate::provenance::FileRecord;
use crate::reference::Reference;
use crate::safetensors::{Location, TensorInfo};

/// Header metadata key whose value, `model` or `vector`, says what a file holds.
pub const KIND_KEY: &str = "taskvec_kind";

/// Header metadata key of a vector whose value is `part` where tensors that it does not have are zero in it, as in the adapters
/// that it was made of.
pub const COVERAGE_KEY: &str = "taskvec_covers";
/// See [`COVERAGE_KEY`].
pub(crate) const COVERS_PART: &str = "part";

/// What a checkpoint's tensors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckpointKind {
    /// Weights of a model.
    Model,
    /// A difference of weights.
    Vector,
}

impl CheckpointKind {
    /// `model` or `vector`; also the stem of the weight files' names.
    pub const fn name(self) -> &'static str {
        match self {
            CheckpointKind::Model => "model",
            CheckpointKind::Vector => "vector",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        match name {
            "model" => Some(CheckpointKind::Model),
            "vector" => Some(CheckpointKind::Vector),
            _ => None,
        }
    }
}

impl fmt::Display for CheckpointKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An opened checkpoint. Cloning it is cheap; its files stay open until the last clone is dropped.
#[derive(Clone)]
pub struct Checkpoint {
    opened: Arc<Opened>,
    /// Tensors that have other rows than are stored.
    fitted: Option<Arc<Fitted>>,
    /// Tensors that stand under other names than they are stored with.
    layered: Option<Arc<Layered>>,
    /// Values of the config that are others than are stored.
    config: Option<Arc<Configured>>,
}

struct Opened {
    name: String,
    reference: Reference,
    commit: Option<String>,
    /// `None` for a bare file, whose neighbours are not taken to belong to it.
    folder: Option<Folder>,
    kind: CheckpointKind,
    files: Vec<WeightFile>,
    tensors: BTreeMap<String, TensorInfo>,
    /// What computes the tensors, where they are not stored.
    adapter: Option<Adapter>,
    /// Matrices of which only what is not zero is stored.
    sparse: BTreeMap<String, SparseTensor>,
    metadata: BTreeMap<String, String>,
    config: Option<Map<String, Value>>,
}

struct WeightFile {
    name: String,
    data_begin: u64,
    header_sha256: ContentHash,
    /// Names of its tensors in the order of their data.
    order: Vec<String>,
    storage: Storage,
}

/// Tells the content of one tensor apart from that of others, whatever views of its checkpoint there are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ContentKey {
    /// Addresses of what was opened, and of the rows that it was given.
    opened: usize,
    fitted: usize,
    /// On disk.
    name: String,
}

/// One weight file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard<'a> {
    /// Its name in the directory.
    pub file_name: &'a str,
    /// Length of the whole file.
    pub bytes: u64,
    /// Names of its tensors in the order of their data.
    pub tensors: &'a [String],
}

impl Checkpoint {
    fn of(opened: Opened) -> Self {
        Self {
            opened: Arc::new(opened),
            fitted: None,
            layered: None,
            config: None,
        }
    }

    /// Opens a checkpoint: reads and validates headers, index and config, no data.
    ///
    /// A directory must hold `model.safetensors`, `model.safetensors.index.json` and its shards, or the same
    /// with `vector`; a model's directory also `config.json`. Or it holds a PEFT adapter, which is a vector:
    /// `adapter_config.json` and `adapter_model.safetensors`. A bare `.safetensors` file has neither config nor
    /// side files.
    ///
    /// # Errors
    ///
    /// When nothing lies there, when what lies there is no checkpoint, or when any of it is not valid.
    pub fn open(reference: &Reference, library: &Library) -> Result<Checkpoint> {
        open::open(reference, library)
    }

    /// Whether this is a model or a vector: by header metadata, else `taskvec.json`, else the file's name.
    pub fn kind(&self) -> CheckpointKind {
        self.opened.kind
    }

    /// Whether a tensor that it lacks counts as zero: an adapter holds only what it changes, and so does a vector that was
    /// made of adapters alone.
    pub fn covers_part(&self) -> bool {
        let coverage = self.opened.metadata.get(COVERAGE_KEY);
        let is_part = coverage.is_some_and(|coverage| coverage == COVERS_PART);
        self.opened.adapter.is_some() || (self.kind() == CheckpointKind::Vector && is_part)
    }

    /// The reference as printed, for messages.
    pub fn name(&self) -> &str {
        &self.opened.name
    }

    /// Where it was found.
    pub fn reference(&self) -> &Reference {
        &self.opened.reference
    }

    /// The commit that it was found at, where it came from the Hub.
    pub fn commit(&self) -> Option<&str> {
        self.opened.commit.as_deref()
    }

    /// The directory or file on disk; `None` when embedded.
    pub fn path(&self) -> Option<&Path> {
        match (&self.opened.reference, &self.opened.folder) {
            (Reference::Path(path), _) => Some(path),
            (_, Some(Folder::Disk(path))) => Some(path),
            _ => None,
        }
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        match (&self.layered, &self.fitted) {
            (Some(layered), _) => &layered.tensors,
            (None, Some(fitted)) => &fitted.tensors,
            (None, None) => &self.opened.tensors,
        }
    }

    /// Free text from the headers' `__metadata__`; of shards that disagree the first is believed.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.opened.metadata
    }

    /// `config.json`, where there is one.
    pub fn config(&self) -> Option<&Map<String, Value>> {
        match &self.config {
            Some(configured) => Some(&configured.config),
            None => self.opened.config.as_ref(),
        }
    }

    /// The weight files, sorted by name.
    pub fn shards(&self) -> Vec<Shard<'_>> {
        self.opened
            .files
            .iter()
            .enumerate()
            .map(|(index, file)| Shard {
                file_name: &file.name,
                bytes: file.storage.bytes,
                tensors: match &self.layered {
                    Some(layered) => &layered.orders[index],
                    None => &file.order,
                },
            })
            .collect()
    }

    /// Fills `buffer` with the bytes of tensor `name` from its byte `byte_offset` on. An adapter's are computed.
    ///
    /// May be called from any number of threads at once.
    ///
    /// # Errors
    ///
    /// When there is no such tensor or it has no such bytes, when reading fails, or when the file has shrunk
    /// since it was opened.
    pub fn read_at(&self, name: &str, byte_offset: u64, buffer: &mut [u8]) -> Result<()> {
        let Some(info) = self.tensors().get(name) else {
            return Err(Error::UnknownTensor {
                checkpoint: self.opened.name.clone(),
                tensor: name.to_owned(),
            });
        };
        if let Some(layered) = &self.layered {
            let own = layered.map.own_name(name);
            return self
                .stored()
                .read_at(own.as_deref().unwrap_or(name), byte_offset, buffer);
        }
        let location = info.location;
        let storage_of = |location: Location| &self.opened.files[location.file].storage;
        let storage = storage_of(location);
        let length = buffer.len() as u64;
        let fits = byte_offset
            .checked_add(length)
            .is_some_and(|end| end <= location.bytes);
        if !fits {
            return Err(Error::ReadOutOfRange {
                file: storage.path.clone(),
                tensor: name.to_owned(),
                offset: byte_offset,
                length,
                bytes: location.bytes,
            });
        }
        let stored = |byte_offset: u64, buffer: &mut [u8]| {
            let read = |location: Location, offset: u64, bytes: &mut [u8]| {
                storage_of(location).read_exact_at(bytes, location.begin + offset)
            };
            match (&self.opened.adapter, self.opened.sparse.get(name)) {
                (Some(adapter), _) => adapter.read_at(name, byte_offset, buffer, &read),
                (None, Some(sparse)) => {
                    sparse
                        .read_at(byte_offset, buffer, &read)?
                        .map_err(|reason| Error::Sparse {
                            file: storage.path.clone(),
                            tensor: name.to_owned(),
                            reason,
                        })
                }
                (None, None) => read(location, byte_offset, buffer),
            }
        };
        match &self.fitted {
            Some(fitted) if fitted.read_at(name, byte_offset, buffer, &stored)? => Ok(()),
            _ => stored(byte_offset, buffer),
        }
    }

    /// Reads a whole tensor.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::read_at`].
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let bytes = self.tensors().get(name).map_or(0, TensorInfo::byte_len);
        let mut buffer = vec![0; bytes as usize];
        self.read_at(name, 0, &mut buffer)?;
        Ok(buffer)
    }

    /// Checks that no weight file has changed in length or modification time since it was opened.
    ///
    /// To be called after the last read and before results are relied on: reads alone notice only that a file
    /// has shrunk.
    ///
    /// # Errors
    ///
    /// [`Error::FileChanged`] naming the first file that has.
    pub fn verify_unchanged(&self) -> Result<()> {
        self.opened
            .files
            .iter()
            .try_for_each(|file| file.storage.verify_unchanged())
    }

    /// Whether this is the same checkpoint with the same rows and layers, opened once, and not only one that is equal.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let is_fitted_alike = match (&self.fitted, &other.fitted) {
            (None, None) => true,
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            _ => false,
        };
        Arc::ptr_eq(&self.opened, &other.opened)
            && is_fitted_alike
            && self.layer_map() == other.layer_map()
    }

    /// The name that a tensor has on disk.
    pub(crate) fn stored_name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match self.layer_map().and_then(|map| map.own_name(name)) {
            Some(own) => Cow::Owned(own),
            None => Cow::Borrowed(name),
        }
    }

    /// What has the same bytes under the same key, for as long as this checkpoint lives.
    pub(crate) fn content_key(&self, name: &str) -> ContentKey {
        let name = self.stored_name(name).into_owned();
        let fitted = self.fitted.as_ref().filter(|fitted| fitted.changes(&name));
        ContentKey {
            opened: Arc::as_ptr(&self.opened).addr(),
            fitted: fitted.map_or(0, |fitted| Arc::as_ptr(fitted).addr()),
            name,
        }
    }

    /// The files that belong to the model whatever its weights: config, tokenizer, chat template, licence.
    ///
    /// None for a bare file.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed.
    pub fn side_files(&self) -> Result<Vec<SideFile>> {
        match &self.opened.folder {
            Some(folder) => side_file::side_files(folder)?
                .into_iter()
                .map(|file| self.configured(file))
                .collect(),
            None => Ok(Vec::new()),
        }
    }

    /// What identifies the weight files cheaply: length and hash of the header, no hash of the data.
    pub fn file_records(&self) -> Vec<FileRecord> {
        self.opened
            .files
            .iter()
            .map(|file| FileRecord {
                name: file.name.clone(),
                bytes: file.storage.bytes,
                header_sha256: file.header_sha256,
                // An adapter's config is all header.
                sha256: (file.data_begin == 0).then_some(file.header_sha256),
                read: None,
            })
            .collect()
    }

    /// How many tensors weight file number `index` has.
    pub(crate) fn tensors_in(&self, index: usize) -> usize {
        self.opened.files[index].order.len()
    }

    /// The SHA-256 of weight file number `index` by which the Hub's cache names it, where it lies in one.
    pub(crate) fn hub_sha256(&self, index: usize) -> Option<ContentHash> {
        self.opened.files[index].storage.hub_sha256()
    }

    /// Hashes every weight file, which reads all of it; `on_bytes` is told of each piece read.
    ///
    /// # Errors
    ///
    /// When reading fails or a file has changed since it was opened.
    pub fn hashed_file_records(&self, on_bytes: &mut dyn FnMut(u64)) -> Result<Vec<FileRecord>> {
        let mut records = self.file_records();
        for (index, record) in records.iter_mut().enumerate() {
            record.sha256 = Some(self.hash_file(index, on_bytes)?);
        }
        Ok(records)
    }

    /// Hashes weight file number `index`, counted as in [`Checkpoint::file_records`].
    pub(crate) fn hash_file(
        &self,
        index: usize,
        on_bytes: &mut dyn FnMut(u64),
    ) -> Result<ContentHash> {
        let storage = &self.opened.files[index].storage;
        let hash = hash_by_position(storage.bytes, |piece, offset| {
            on_bytes(piece.len() as u64);
            storage.read_exact_at(piece, offset)
        })?;
        storage.verify_unchanged()?;
        Ok(hash)
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("name", &self.opened.name)
            .field("kind", &self.opened.kind)
            .field("tensors", &self.tensors().len())
            .finish_non_exhaustive()
    }
}
