//! From a reference to validated headers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::index::is_plain_file_name;
use super::index::{Index, IndexError};
use super::side_file::is_side_file;
use super::sparse;
use super::storage::{Folder, Storage};
use super::{Checkpoint, CheckpointKind, KIND_KEY, Library, Opened, WeightFile, WeightFormat};
use crate::adapter::{self, Adapter, AdapterError};
use crate::content_hash::ContentHash;
use crate::error::{Error, Result};
use crate::provenance::PROVENANCE_FILE;
use crate::reference::Reference;
use crate::safetensors::{
    Header, HeaderError, LENGTH_BYTES, Location, MAX_HEADER_BYTES, TensorInfo, header_length,
};
use crate::spelling::near_names;

/// The longest `config.json` or `taskvec.json` that is read.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

pub(super) fn open(reference: &Reference, library: &Library) -> Result<Checkpoint> {
    let mut opening = Opening {
        name: reference.to_string(),
        reference: reference.clone(),
        commit: None,
    };
    match reference {
        Reference::Hub {
            repository,
            revision,
        } => {
            let Some(hub) = library.hub() else {
                return Err(Error::HubReference {
                    repository: repository.clone(),
                    revision: revision.clone(),
                });
            };
            let pinned = library.commit(reference).or(revision.as_deref());
            let snapshot = hub.fetch(repository, pinned)?;
            opening.commit = Some(snapshot.commit);
            opening.directory(Folder::Disk(snapshot.path))
        }
        Reference::Embedded { scheme, name } => {
            let directory = Arc::new(library.resolve(scheme, name)?);
            let label = PathBuf::from(reference.to_string());
            opening.directory(Folder::Embedded { label, directory })
        }
        Reference::Path(path) => match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => opening.directory(Folder::Disk(path.clone())),
            Ok(_) => opening.file(path),
            Err(error) if is_absence(error.kind()) => Err(Error::NotFound {
                path: path.clone(),
                near: near_siblings(path),
            }),
            Err(error) => Err(Error::io("read", path)(error)),
        },
    }
}

/// A file used as a directory (`model.safetensors/x`) is absent too.
fn is_absence(kind: std::io::ErrorKind) -> bool {
    matches!(
        kind,
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
    )
}

/// Paths beside `path` with a name near its own.
pub(crate) fn near_siblings(path: &Path) -> Vec<String> {
    let Some(wanted) = path.file_name().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    let parent = path.parent().unwrap_or(Path::new(""));
    let listed = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let names: Vec<String> = fs::read_dir(listed)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    near_names(wanted, names.iter().map(String::as_str))
        .into_iter()
        .map(|name| parent.join(name).display().to_string())
        .collect()
}

struct Opening {
    name: String,
    reference: Reference,
    /// On the Hub.
    commit: Option<String>,
}

impl Opening {
    fn directory(self, folder: Folder) -> Result<Checkpoint> {
        let files = folder.file_names()?;
        let has = |name: &str| files.iter().any(|file| file == name);
        let (weights, by_name) = match contents(folder.path(), &files)? {
            Contents::Adapter => return self.adapter(folder),
            Contents::Weights(weights, kind) => (weights, kind),
        };

        let stated = if has(PROVENANCE_FILE) {
            stated_kind(&read_object(&folder, PROVENANCE_FILE)?)
        } else {
            None
        };
        let config = if has("config.json") {
            Some(read_object(&folder, "config.json")?)
        } else {
            None
        };
        let (headers, files) = match &weights {
            Weights::Single(name) => {
                let (header, file) = open_file(folder.open(name)?, name)?;
                (vec![header], vec![file])
            }
            Weights::Sharded(name) => open_shards(&folder, name, &files)?,
        };
        let kind = header_kind(&headers).or(stated).unwrap_or(by_name);
        if kind == CheckpointKind::Model && config.is_none() {
            return Err(Error::MissingConfig {
                path: folder.path().to_path_buf(),
            });
        }
        let opened = self.finish(Some(folder), kind, headers, files, config);
        Ok(Checkpoint::of(with_sparse(opened)?))
    }

    fn file(self, path: &Path) -> Result<Checkpoint> {
        if let Some(format) = WeightFormat::of(path) {
            return Err(Error::UnsupportedFormat {
                path: path.to_path_buf(),
                format,
            });
        }
        let file_name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let (Some(file_name), true) = (
            file_name,
            path.extension()
                .is_some_and(|extension| extension == "safetensors"),
        ) else {
            return Err(Error::NotACheckpoint {
                path: path.to_path_buf(),
            });
        };
        if file_name == adapter::WEIGHTS_FILE {
            return Err(Error::Adapter {
                file: path.to_path_buf(),
                source: AdapterError::WeightsAlone,
            });
        }
        let (header, file) = open_file(Storage::open(path)?, &file_name)?;
        let headers = vec![header];
        let by_name = if file_name == "vector.safetensors" {
            CheckpointKind::Vector
        } else {
            CheckpointKind::Model
        };
        let kind = header_kind(&headers).unwrap_or(by_name);
        let opened = self.finish(None, kind, headers, vec![file], None);
        Ok(Checkpoint::of(with_sparse(opened)?))
    }

    fn finish(
        self,
        folder: Option<Folder>,
        kind: CheckpointKind,
        headers: Vec<Header>,
        mut files: Vec<WeightFile>,
        config: Option<Map<String, Value>>,
    ) -> Opened {
        let mut tensors = BTreeMap::new();
        let mut metadata = BTreeMap::new();
        for (file_index, (header, file)) in headers.into_iter().zip(&mut files).enumerate() {
            let (header_tensors, header_metadata) = header.into_parts();
            // Shards repeat their metadata; the first to say something is believed.
            for (key, value) in header_metadata {
                metadata.entry(key).or_insert(value);
            }
            for tensor in header_tensors {
                file.order.push(tensor.name.clone());
                let location = Location {
                    file: file_index,
                    begin: file.data_begin + tensor.begin,
                    bytes: tensor.end - tensor.begin,
                };
                let info = TensorInfo {
                    dtype: tensor.dtype,
                    shape: tensor.shape,
                    location,
                };
                tensors.insert(tensor.name, info);
            }
        }
        Opened {
            name: self.name,
            reference: self.reference,
            commit: self.commit,
            folder,
            kind,
            files,
            tensors,
            adapter: None,
            sparse: BTreeMap::new(),
            metadata,
            config,
        }
    }

    /// A directory with both files of an adapter.
    fn adapter(self, folder: Folder) -> Result<Checkpoint> {
        let invalid = |name: &str, source| Error::Adapter {
            file: folder.path().join(name),
            source,
        };
        let config_bytes = folder.read(adapter::CONFIG_FILE, MAX_CONFIG_BYTES)?;
        let config = parse_object(&folder, adapter::CONFIG_FILE, &config_bytes)?;
        let (header, file) = open_file(folder.open(adapter::WEIGHTS_FILE)?, adapter::WEIGHTS_FILE)?;
        // Its config is a weight file as well, one without tensors: the weights depend on it.
        let config_file = WeightFile {
            name: adapter::CONFIG_FILE.to_owned(),
            data_begin: 0,
            header_sha256: ContentHash::of(&config_bytes),
            order: Vec::new(),
            storage: folder.open(adapter::CONFIG_FILE)?,
        };
        let mut opened = self.finish(None, CheckpointKind::Vector, vec![header], vec![file], None);
        let found = Adapter::new(&config, &opened.tensors).map_err(|source| {
            let name = if source.is_of_config() {
                adapter::CONFIG_FILE
            } else {
                adapter::WEIGHTS_FILE
            };
            invalid(name, source)
        })?;
        opened.tensors = found.tensors();
        opened.files[0].order = opened.tensors.keys().cloned().collect();
        opened.files.push(config_file);
        opened.adapter = Some(found);
        opened.metadata.clear();
        Ok(Checkpoint::of(opened))
    }
}

/// Puts matrices in the place of the parts in which they are stored.
fn with_sparse(mut opened: Opened) -> Result<Opened> {
    let files = &opened.files;
    let gathered = sparse::gather(&mut opened.tensors, &|location, offset, bytes| {
        let storage = &files[location.file].storage;
        storage.read_exact_at(bytes, location.begin + offset)
    })?;
    opened.sparse = gathered.map_err(|(tensor, reason)| Error::Sparse {
        file: PathBuf::from(&opened.name),
        tensor,
        reason,
    })?;
    if opened.sparse.is_empty() {
        return Ok(opened);
    }
    let tensors = &opened.tensors;
    for file in &mut opened.files {
        let stored = std::mem::take(&mut file.order);
        let names = stored.into_iter().filter_map(|name| {
            let whole = name
                .strip_suffix(sparse::COMPRESSED)
                .map(|stem| format!("{stem}{}", sparse::WEIGHT))
                .unwrap_or(name);
            tensors.contains_key(&whole).then_some(whole)
        });
        file.order = names.collect();
    }
    Ok(opened)
}

enum Weights {
    Single(String),
    Sharded(String),
}

/// What a directory holds, by the names of its files.
enum Contents {
    Weights(Weights, CheckpointKind),
    Adapter,
}

/// Finds out what the directory at `path` holds that has these `files`.
fn contents(path: &Path, files: &[String]) -> Result<Contents> {
    let has = |name: &str| files.iter().any(|file| file == name);
    let adapter_error = |file: &Path, source| {
        let file = file.to_path_buf();
        Err(Error::Adapter { file, source })
    };
    // Where a whole file and an index both lie, `transformers` takes the whole file.
    let weights = |stem: &str| {
        let single = format!("{stem}.safetensors");
        let index = format!("{single}.index.json");
        if has(&single) {
            Some(Weights::Single(single))
        } else {
            has(&index).then_some(Weights::Sharded(index))
        }
    };
    let (has_factors, has_config) = (has(adapter::WEIGHTS_FILE), has(adapter::CONFIG_FILE));
    match (weights("model"), weights("vector")) {
        (None, None) if has_factors && has_config => Ok(Contents::Adapter),
        (None, None) if has_factors => adapter_error(
            &path.join(adapter::WEIGHTS_FILE),
            AdapterError::MissingConfig,
        ),
        (None, None) if has_config && has(adapter::OLD_WEIGHTS_FILE) => {
            Err(Error::UnsupportedFormat {
                path: path.join(adapter::OLD_WEIGHTS_FILE),
                format: WeightFormat::PyTorch,
            })
        }
        (None, None) if has_config => adapter_error(
            &path.join(adapter::CONFIG_FILE),
            AdapterError::MissingWeights,
        ),
        _ if has_factors || has_config => adapter_error(path, AdapterError::BesideWeights),
        (Some(_), Some(_)) => Err(Error::AmbiguousWeights {
            path: path.to_path_buf(),
        }),
        (Some(weights), None) => Ok(Contents::Weights(weights, CheckpointKind::Model)),
        (None, Some(weights)) => Ok(Contents::Weights(weights, CheckpointKind::Vector)),
        (None, None) => Err(no_weights(path, files)),
    }
}

/// Fetches those of the `listed` files that a checkpoint needs into `directory`: first what is known by name, then the
/// shards that an index names. `path` is for messages.
pub(crate) fn fetch_needed(
    path: &Path,
    listed: &[String],
    directory: &Path,
    fetch: &mut dyn FnMut(&[String]) -> Result<()>,
) -> Result<()> {
    let mut files: Vec<String> = listed
        .iter()
        .filter(|name| is_plain_file_name(name))
        .cloned()
        .collect();
    files.sort_unstable();
    let (weights, index) = match contents(path, &files)? {
        Contents::Adapter => {
            let both = [adapter::CONFIG_FILE, adapter::WEIGHTS_FILE];
            (both.map(str::to_owned).to_vec(), None)
        }
        Contents::Weights(Weights::Single(name), _) => (vec![name], None),
        Contents::Weights(Weights::Sharded(name), _) => (vec![name.clone()], Some(name)),
    };
    let needed: Vec<String> = files
        .iter()
        .filter(|name| is_side_file(name) || *name == PROVENANCE_FILE || weights.contains(name))
        .cloned()
        .collect();
    fetch(&needed)?;
    let Some(name) = index else { return Ok(()) };
    let folder = Folder::Disk(directory.to_path_buf());
    let index = parse_index(&folder, &name)?;
    // What is not there is refused by name when the directory is opened.
    let shards: Vec<String> = index
        .shards()
        .map(|(shard, _)| shard.to_owned())
        .filter(|shard| files.contains(shard))
        .collect();
    fetch(&shards)
}

/// Says why a directory without weights under the usual names cannot be opened.
fn no_weights(path: &Path, files: &[String]) -> Error {
    let path = path.to_path_buf();
    if let Some(shard) = files
        .iter()
        .find(|name| name.ends_with(".safetensors") && name.contains("-of-"))
    {
        let stem = shard.split('-').next().unwrap_or("model");
        return Error::MissingIndex {
            path,
            shard: shard.clone(),
            index: format!("{stem}.safetensors.index.json"),
        };
    }
    let other = files
        .iter()
        .find_map(|name| WeightFormat::of(Path::new(name)).map(|format| (name, format)));
    match other {
        Some((name, format)) if !files.iter().any(|file| file.ends_with(".safetensors")) => {
            Error::UnsupportedFormat {
                path: path.join(name),
                format,
            }
        }
        _ => Error::NoWeights {
            path,
            found: files.iter().take(6).cloned().collect(),
        },
    }
}

fn open_file(storage: Storage, name: &str) -> Result<(Header, WeightFile)> {
    let invalid = |source| Error::Header {
        file: storage.path.clone(),
        source,
    };
    if storage.bytes < LENGTH_BYTES {
        return Err(invalid(HeaderError::FileTooShort {
            bytes: storage.bytes,
        }));
    }
    let mut field = [0; LENGTH_BYTES as usize];
    storage.read_exact_at(&mut field, 0)?;
    let length = header_length(field, storage.bytes).map_err(invalid)?;
    let mut json = vec![0; length as usize];
    storage.read_exact_at(&mut json, LENGTH_BYTES)?;
    let data_begin = LENGTH_BYTES + length;
    let header = Header::parse(&json, storage.bytes - data_begin).map_err(invalid)?;
    let file = WeightFile {
        name: name.to_owned(),
        data_begin,
        header_sha256: ContentHash::of(&json),
        order: Vec::new(),
        storage,
    };
    Ok((header, file))
}

fn open_shards(
    folder: &Folder,
    index_name: &str,
    files: &[String],
) -> Result<(Vec<Header>, Vec<WeightFile>)> {
    let invalid = |source| Error::Index {
        file: folder.path().join(index_name),
        source,
    };
    let index = parse_index(folder, index_name)?;
    let mut headers = Vec::new();
    let mut opened = Vec::new();
    for (shard, tensor) in index.shards() {
        if !files.iter().any(|file| file == shard) {
            return Err(invalid(IndexError::MissingShard {
                tensor: tensor.to_owned(),
                shard: shard.to_owned(),
            }));
        }
        let (header, file) = open_file(folder.open(shard)?, shard)?;
        headers.push(header);
        opened.push(file);
    }
    index.verify(&headers).map_err(invalid)?;
    Ok((headers, opened))
}

fn parse_index(folder: &Folder, name: &str) -> Result<Index> {
    Index::parse(&folder.read(name, MAX_HEADER_BYTES)?).map_err(|source| Error::Index {
        file: folder.path().join(name),
        source,
    })
}

fn read_object(folder: &Folder, name: &str) -> Result<Map<String, Value>> {
    parse_object(folder, name, &folder.read(name, MAX_CONFIG_BYTES)?)
}

fn parse_object(folder: &Folder, name: &str, bytes: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(bytes).map_err(|source| Error::Json {
        file: folder.path().join(name),
        source,
    })
}

fn stated_kind(provenance: &Map<String, Value>) -> Option<CheckpointKind> {
    CheckpointKind::from_name(provenance.get("kind")?.as_str()?)
}

fn header_kind(headers: &[Header]) -> Option<CheckpointKind> {
    headers
        .iter()
        .find_map(|header| CheckpointKind::from_name(header.metadata().get(KIND_KEY)?))
}
