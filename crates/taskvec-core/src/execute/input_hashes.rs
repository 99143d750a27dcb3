//! Content of inputs, hashed as a run reads them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use crate::checkpoint::{Checkpoint, ContentKey};
use crate::error::{Error, Result};
use crate::plan::{Plan, Reads};
use crate::provenance::{Provenance, ReadRecord};
use crate::xxh3::{PIECE_BYTES, TensorHasher, Xxh3};

/// Bytes that are read at once where nothing but their hash is wanted.
const READ_BYTES: u64 = 16 * PIECE_BYTES;

/// The tensors that a run reads of checkpoints, each hashed once however often it is read.
#[derive(Debug, Default)]
pub(crate) struct InputHashes {
    tensors: Mutex<BTreeMap<ContentKey, Arc<TensorHasher>>>,
}

impl InputHashes {
    /// The hasher of a tensor for the first who is about to read all of it; none for others.
    pub(super) fn claim(&self, checkpoint: &Checkpoint, name: &str) -> Option<Arc<TensorHasher>> {
        let bytes = checkpoint.tensors().get(name)?.byte_len();
        let mut tensors = self.tensors.lock().unwrap_or_else(PoisonError::into_inner);
        match tensors.entry(checkpoint.content_key(name)) {
            Entry::Occupied(_) => None,
            Entry::Vacant(place) => {
                let hasher = Arc::new(TensorHasher::new(bytes));
                Some(Arc::clone(place.insert(hasher)))
            }
        }
    }

    /// The hash of a tensor; none where it was not read whole.
    fn of(&self, checkpoint: &Checkpoint, name: &str) -> Option<Xxh3> {
        let tensors = self.tensors.lock().unwrap_or_else(PoisonError::into_inner);
        match tensors.get(&checkpoint.content_key(name)) {
            Some(hasher) => hasher.finish(),
            // Nobody reads what has no bytes.
            None => TensorHasher::new(checkpoint.tensors().get(name)?.byte_len()).finish(),
        }
    }

    /// Says in a plan's record what was read of its inputs.
    pub(crate) fn record(&self, plan: &Plan, record: &mut Provenance) {
        note_reads(plan, record, &|reads| {
            let mut hashes = BTreeMap::new();
            for (name, read) in reads {
                hashes.insert(
                    name.as_str(),
                    self.of(&plan.view(read.view).checkpoint, &read.name)?,
                );
            }
            Some(Xxh3::of_tensors(&hashes))
        });
    }
}

/// Says the same with a hash of the same length in the place of each that is not known yet.
pub(super) fn record_lengths(plan: &Plan, record: &mut Provenance) {
    note_reads(plan, record, &|_| Some(Xxh3::default()));
}

fn note_reads(plan: &Plan, record: &mut Provenance, hash: &dyn Fn(&Reads) -> Option<Xxh3>) {
    for (input, reads) in record.inputs.iter_mut().zip(plan.reads()) {
        for (number, reads) in &reads {
            if let Some(file) = input.files.get_mut(*number) {
                file.read = hash(reads).map(|xxh3| ReadRecord {
                    tensors: reads.len(),
                    xxh3,
                });
            }
        }
    }
}

/// Hashes a tensor for nothing but its hash.
///
/// # Errors
///
/// When reading fails, or whatever `proceed` says between two reads.
pub(crate) fn hash_tensor(
    checkpoint: &Checkpoint,
    name: &str,
    proceed: &dyn Fn() -> Result<()>,
) -> Result<Xxh3> {
    let bytes = checkpoint
        .tensors()
        .get(name)
        .map_or(0, |info| info.byte_len());
    let hasher = TensorHasher::new(bytes);
    let mut buffer = vec![0; READ_BYTES.min(bytes) as usize];
    let mut at = 0;
    while at < bytes {
        proceed()?;
        let piece = &mut buffer[..READ_BYTES.min(bytes - at) as usize];
        checkpoint.read_at(name, at, piece)?;
        hasher.take(at, piece);
        at += piece.len() as u64;
    }
    hasher.finish().ok_or_else(|| Error::UnknownTensor {
        checkpoint: checkpoint.name().to_owned(),
        tensor: name.to_owned(),
    })
}
