//! Tensors into the parts of which a sparse one is made; [`checkpoint::sparse`](crate::checkpoint::sparse) has the layout.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::output::ShardWriter;
use crate::statistics::BLOCK_ELEMENTS;

/// Elements that are written together where a tensor is sparse: whole blocks of those whose elements were counted.
pub(super) const CHUNK_ELEMENTS: u64 = 8 * BLOCK_ELEMENTS;

/// Where the parts of a sparse matrix go in the file, and how much is stored before each block of it.
#[derive(Clone)]
pub(super) struct SparseForm<'a> {
    pub(super) shape: Vec<u64>,
    /// Bytes of an element.
    pub(super) size: usize,
    pub(super) before: &'a [u64],
    pub(super) shape_at: u64,
    pub(super) offsets_at: u64,
    pub(super) bitmask_at: u64,
    pub(super) values_at: u64,
}

impl SparseForm<'_> {
    /// Writes what is to be stored of the elements whose bytes begin at `byte_offset` of the dense tensor.
    pub(super) fn write(
        &self,
        name: &str,
        byte_offset: u64,
        bytes: &[u8],
        writer: &ShardWriter,
    ) -> Result<()> {
        let size = self.size as u64;
        let first = byte_offset / size;
        let columns = self.shape.last().copied().unwrap_or(1).max(1);
        let block = (first / BLOCK_ELEMENTS) as usize;
        let end = (first + bytes.len() as u64 / size).div_ceil(BLOCK_ELEMENTS) as usize;
        let (Some(&before), Some(&after)) = (self.before.get(block), self.before.get(end)) else {
            return Err(changed(name));
        };
        let count = bytes.len() / self.size;
        let mut values = Vec::with_capacity((after - before) as usize * self.size);
        let mut mask = vec![0u8; count.div_ceil(8)];
        let mut offsets = Vec::new();
        let first_row = first.div_ceil(columns);
        let mut row_at = first_row * columns - first;
        for (index, element) in bytes.chunks_exact(self.size).enumerate() {
            if index as u64 == row_at {
                let stored = before + (values.len() / self.size) as u64;
                offsets.extend_from_slice(&stored.to_le_bytes());
                row_at += columns;
            }
            if element.iter().any(|byte| *byte != 0) {
                mask[index / 8] |= 1 << (index % 8);
                values.extend_from_slice(element);
            }
        }
        // The parts have the lengths that an earlier pass over the inputs found.
        if values.len() as u64 != (after - before) * size {
            return Err(changed(name));
        }
        if first == 0 {
            let shape: Vec<u8> = self
                .shape
                .iter()
                .flat_map(|size| size.to_le_bytes())
                .collect();
            writer.write_at(self.shape_at, &shape)?;
        }
        writer.write_at(self.values_at + before * size, &values)?;
        writer.write_at(self.bitmask_at + first / 8, &mask)?;
        writer.write_at(self.offsets_at + first_row * 8, &offsets)
    }
}

fn changed(name: &str) -> Error {
    Error::FileChanged {
        file: PathBuf::from(name),
        change: "it has other zeros than the pass before found".to_owned(),
    }
}
