//! `model.safetensors.index.json`: which tensor lies in which shard.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::Deserialize;
use serde_json::json;

use crate::safetensors::{Header, Pairs};

/// Every way in which a shard index can be wrong.
///
/// The index file is named by the [`Error`](crate::Error) that this is the source of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// Not the JSON of an index.
    #[error("the index is not a JSON object with a `weight_map` of tensor names to file names")]
    Json(#[source] serde_json::Error),
    /// The index names no tensor at all.
    #[error("the index names no tensor")]
    Empty,
    /// A tensor is listed twice.
    #[error("tensor `{tensor}` is listed twice")]
    DuplicateTensor {
        /// Name of the tensor.
        tensor: String,
    },
    /// A shard that is not a plain file name, and so might lie outside the directory.
    #[error("tensor `{tensor}` is placed in `{shard}`, which is not a plain file name")]
    ShardPath {
        /// Name of the tensor.
        tensor: String,
        /// What the index gives as its shard.
        shard: String,
    },
    /// A shard that is not there.
    #[error("tensor `{tensor}` is placed in `{shard}`, which does not exist")]
    MissingShard {
        /// The first tensor placed there.
        tensor: String,
        /// The shard.
        shard: String,
    },
    /// The index names a tensor that its shard does not hold.
    #[error("tensor `{tensor}` is placed in `{shard}`, which does not hold it")]
    TensorNotInShard {
        /// Name of the tensor.
        tensor: String,
        /// The shard.
        shard: String,
    },
    /// A shard holds a tensor that the index does not name.
    #[error("`{shard}` holds tensor `{tensor}`, which the index does not name")]
    TensorNotInIndex {
        /// Name of the tensor.
        tensor: String,
        /// The shard.
        shard: String,
    },
    /// A tensor lies in another shard than the index says.
    #[error("tensor `{tensor}` is placed in `{indexed}` but lies in `{shard}`")]
    TensorElsewhere {
        /// Name of the tensor.
        tensor: String,
        /// Where the index places it.
        indexed: String,
        /// Where it lies.
        shard: String,
    },
    /// A tensor lies in two shards.
    #[error("tensor `{tensor}` lies both in `{first}` and in `{second}`")]
    TensorInTwoShards {
        /// Name of the tensor.
        tensor: String,
        /// One shard.
        first: String,
        /// The other.
        second: String,
    },
}

impl IndexError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            IndexError::MissingShard { shard, .. } => Some(format!(
                "the download is probably incomplete; fetch `{shard}` from where the index came from"
            )),
            IndexError::TensorNotInShard { .. }
            | IndexError::TensorNotInIndex { .. }
            | IndexError::TensorElsewhere { .. }
            | IndexError::TensorInTwoShards { .. } => Some(
                "index and shards seem to come from different versions; fetch them together again"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// A parsed index, not yet compared with its shards.
#[derive(Debug)]
pub(super) struct Index {
    /// Shard of each tensor.
    weight_map: BTreeMap<String, String>,
    /// Shards and the first tensor placed in each, by name.
    shards: BTreeMap<String, String>,
}

impl Index {
    pub(super) fn parse(json: &[u8]) -> Result<Index, IndexError> {
        #[derive(Deserialize)]
        struct RawIndex {
            weight_map: Pairs,
        }
        let raw: RawIndex = serde_json::from_slice(json).map_err(IndexError::Json)?;
        let mut weight_map = BTreeMap::new();
        for (tensor, shard) in raw.weight_map.0 {
            if !is_plain_file_name(&shard) {
                return Err(IndexError::ShardPath { tensor, shard });
            }
            match weight_map.entry(tensor) {
                Entry::Vacant(vacant) => {
                    vacant.insert(shard);
                }
                Entry::Occupied(occupied) => {
                    return Err(IndexError::DuplicateTensor {
                        tensor: occupied.key().clone(),
                    });
                }
            }
        }
        if weight_map.is_empty() {
            return Err(IndexError::Empty);
        }
        let mut shards = BTreeMap::new();
        for (tensor, shard) in &weight_map {
            shards
                .entry(shard.clone())
                .or_insert_with(|| tensor.clone());
        }
        Ok(Index { weight_map, shards })
    }

    /// The shards, sorted, each with the first tensor placed in it.
    pub(super) fn shards(&self) -> impl Iterator<Item = (&str, &str)> {
        self.shards
            .iter()
            .map(|(shard, tensor)| (shard.as_str(), tensor.as_str()))
    }

    /// Compares the index with the headers of its shards, given in the order of [`Index::shards`].
    pub(super) fn verify(&self, headers: &[Header]) -> Result<(), IndexError> {
        let mut found: BTreeMap<&str, &str> = BTreeMap::new();
        for (shard, header) in self.shards.keys().zip(headers) {
            for tensor in header.tensors() {
                if let Some(first) = found.insert(&tensor.name, shard) {
                    return Err(IndexError::TensorInTwoShards {
                        tensor: tensor.name.clone(),
                        first: first.to_owned(),
                        second: shard.clone(),
                    });
                }
            }
        }
        for (tensor, indexed) in &self.weight_map {
            match found.remove(tensor.as_str()) {
                Some(shard) if shard == indexed => {}
                Some(shard) => {
                    return Err(IndexError::TensorElsewhere {
                        tensor: tensor.clone(),
                        indexed: indexed.clone(),
                        shard: shard.to_owned(),
                    });
                }
                None => {
                    return Err(IndexError::TensorNotInShard {
                        tensor: tensor.clone(),
                        shard: indexed.clone(),
                    });
                }
            }
        }
        match found.into_iter().next() {
            Some((tensor, shard)) => Err(IndexError::TensorNotInIndex {
                tensor: tensor.to_owned(),
                shard: shard.to_owned(),
            }),
            None => Ok(()),
        }
    }
}

/// Whether `name` can only mean a file directly in the directory it is looked for in, on any system.
pub(crate) fn is_plain_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', ':', '\0'])
}

/// Encodes an index in the form `transformers` writes: sorted, indented by two, ending in a newline.
///
/// `shards` gives each shard's file name and the names of its tensors; `total_size` is the number of bytes of
/// all tensors.
pub fn encode_index<'a>(
    shards: impl IntoIterator<Item = (&'a str, &'a [String])>,
    total_size: u64,
) -> Vec<u8> {
    let mut weight_map: BTreeMap<&str, &str> = BTreeMap::new();
    for (file_name, tensors) in shards {
        weight_map.extend(tensors.iter().map(|tensor| (tensor.as_str(), file_name)));
    }
    let index = json!({ "metadata": { "total_size": total_size }, "weight_map": weight_map });
    format!("{index:#}\n").into_bytes()
}
