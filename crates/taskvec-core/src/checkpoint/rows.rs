//! Checkpoints of which some tensors have another number of rows than they are stored with.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Checkpoint;
use crate::error::Result;
use crate::safetensors::TensorInfo;

/// The rows that a tensor is to have.
#[derive(Clone)]
pub(crate) struct Rows {
    /// How many.
    pub(crate) rows: usize,
    /// Those at the beginning that are the checkpoint's own.
    pub(crate) own: usize,
    /// Whose the others are, in the same type; they are zero where nobody's.
    pub(crate) rest: Option<Checkpoint>,
}

/// The tensors of a checkpoint with other rows.
pub(super) struct Fitted {
    pub(super) tensors: BTreeMap<String, TensorInfo>,
    /// Of each that was changed, how many of its bytes are its own, and whose the others are.
    rest: BTreeMap<String, (u64, Option<Checkpoint>)>,
}

impl Checkpoint {
    /// This checkpoint with other numbers of rows in these tensors, which it must have.
    pub(crate) fn with_rows(&self, changes: BTreeMap<String, Rows>) -> Checkpoint {
        let mut fitted = Fitted {
            tensors: self.tensors().clone(),
            rest: BTreeMap::new(),
        };
        for (name, Rows { rows, own, rest }) in changes {
            let Some(info) = fitted.tensors.get_mut(&name) else {
                continue;
            };
            let Some(first) = info.shape.first_mut() else {
                continue;
            };
            let row_bytes = info.location.bytes / (*first).max(1) as u64;
            *first = rows;
            info.location.bytes = row_bytes * rows as u64;
            fitted.rest.insert(name, (row_bytes * own as u64, rest));
        }
        Checkpoint {
            fitted: Some(Arc::new(fitted)),
            ..self.clone()
        }
    }
}

impl Fitted {
    /// Whether a tensor has other rows than are stored.
    pub(super) fn changes(&self, name: &str) -> bool {
        self.rest.contains_key(name)
    }

    /// Fills `buffer` as [`Checkpoint::read_at`] does, with `read` for what is the checkpoint's own. False where the tensor
    /// is as it is stored.
    pub(super) fn read_at(
        &self,
        name: &str,
        byte_offset: u64,
        buffer: &mut [u8],
        read: &dyn Fn(u64, &mut [u8]) -> Result<()>,
    ) -> Result<bool> {
        let Some((own, rest)) = self.rest.get(name) else {
            return Ok(false);
        };
        let split = own.saturating_sub(byte_offset).min(buffer.len() as u64);
        let (first, others) = buffer.split_at_mut(split as usize);
        if !first.is_empty() {
            read(byte_offset, first)?;
        }
        match rest {
            _ if others.is_empty() => {}
            Some(rest) => rest.read_at(name, byte_offset + split, others)?,
            None => others.fill(0),
        }
        Ok(true)
    }
}
