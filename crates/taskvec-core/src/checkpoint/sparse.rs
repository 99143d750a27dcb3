//! Matrices of which only the elements that are not zero are stored, in the layout `sparse-bitmask` of the
//! [compressed-tensors](https://github.com/vllm-project/compressed-tensors) library.
//!
//! For a matrix `NAME.weight` a file holds:
//!
//! | tensor | type and shape | what |
//! |---|---|---|
//! | `NAME.shape` | I64 `[2]` | rows and columns |
//! | `NAME.row_offsets` | I64 `[rows]` | elements stored before those of the row |
//! | `NAME.bitmask` | U8 `[rows, ⌈columns/8⌉]` | one bit for each element, the lowest first: whether it is stored |
//! | `NAME.compressed` | any float, `[stored]` | the elements, row by row |
//!
//! A reader finds any row without those before it. What the file says is checked against itself when it is read: each row
//! must have as many bits as its offsets say elements.

use std::collections::BTreeMap;

use crate::dtype::Dtype;
use crate::error::Result;
use crate::execute::FloatFormat;
use crate::safetensors::{Location, TensorInfo};

/// Endings of the four tensors that stand for `NAME.weight`.
pub(crate) const SHAPE: &str = ".shape";
pub(crate) const ROW_OFFSETS: &str = ".row_offsets";
pub(crate) const BITMASK: &str = ".bitmask";
pub(crate) const COMPRESSED: &str = ".compressed";
/// The ending of what they stand for.
pub(crate) const WEIGHT: &str = ".weight";
/// Longer rows are not stored so, and not read: a row is held whole.
pub(crate) const MAX_COLUMNS: usize = 1 << 20;
/// Elements that are read together, where rows are short.
const BATCH: usize = 1 << 16;

/// Where the parts of a matrix lie.
#[derive(Debug)]
pub(super) struct SparseTensor {
    rows: usize,
    columns: usize,
    format: FloatFormat,
    stored: u64,
    row_offsets: Location,
    bitmask: Location,
    values: Location,
}

/// Fills a buffer with bytes of a stored tensor from an offset on.
pub(super) type ReadAt<'a> = &'a dyn Fn(Location, u64, &mut [u8]) -> Result<()>;

/// Why a matrix cannot be read: its name, and a sentence.
pub(super) type Fault = (String, String);

/// Replaces the parts in `tensors` by the matrices they stand for.
pub(super) fn gather(
    tensors: &mut BTreeMap<String, TensorInfo>,
    read: ReadAt<'_>,
) -> Result<Result<BTreeMap<String, SparseTensor>, Fault>> {
    let stems: Vec<String> = tensors
        .keys()
        .filter_map(|name| name.strip_suffix(BITMASK))
        .filter(|stem| tensors.contains_key(&format!("{stem}{COMPRESSED}")))
        .map(str::to_owned)
        .collect();
    let mut found = BTreeMap::new();
    for stem in stems {
        let name = format!("{stem}{WEIGHT}");
        let parts = [SHAPE, ROW_OFFSETS, BITMASK, COMPRESSED]
            .map(|ending| tensors.remove(&format!("{stem}{ending}")));
        let [Some(shape), Some(row_offsets), Some(bitmask), Some(values)] = parts else {
            let reason = format!("`{stem}{SHAPE}` or `{stem}{ROW_OFFSETS}` is missing");
            return Ok(Err((name, reason)));
        };
        let mut dimensions = [0; 16];
        if shape.dtype == Dtype::I64 && shape.shape == [2] {
            read(shape.location, 0, &mut dimensions)?;
        }
        match matrix(&shape, &row_offsets, &bitmask, &values, dimensions) {
            Err(reason) => return Ok(Err((name, reason))),
            Ok((info, sparse)) => {
                if tensors.insert(name.clone(), info).is_some() {
                    return Ok(Err((name, "it is stored a second time, whole".to_owned())));
                }
                found.insert(name, sparse);
            }
        }
    }
    Ok(Ok(found))
}

/// The matrix that four parts stand for, if they fit one another.
fn matrix(
    shape: &TensorInfo,
    row_offsets: &TensorInfo,
    bitmask: &TensorInfo,
    values: &TensorInfo,
    dimensions: [u8; 16],
) -> Result<(TensorInfo, SparseTensor), String> {
    let [rows, columns] = [&dimensions[..8], &dimensions[8..]].map(|bytes| {
        let mut number = [0; 8];
        number.copy_from_slice(bytes);
        usize::try_from(i64::from_le_bytes(number)).unwrap_or(usize::MAX)
    });
    let expect = |part: &str, info: &TensorInfo, dtype: Dtype, expected: &[usize]| {
        if info.dtype == dtype && info.shape == expected {
            return Ok(());
        }
        Err(format!(
            "its part `{part}` is {} {:?}, expected {dtype} {expected:?}",
            info.dtype, info.shape
        ))
    };
    expect(SHAPE, shape, Dtype::I64, &[2])?;
    if columns > MAX_COLUMNS || rows > isize::MAX as usize / MAX_COLUMNS / 8 {
        return Err(format!("a matrix of {rows} by {columns} is too large"));
    }
    expect(ROW_OFFSETS, row_offsets, Dtype::I64, &[rows])?;
    expect(BITMASK, bitmask, Dtype::U8, &[rows, columns.div_ceil(8)])?;
    let format = FloatFormat::of(values.dtype);
    let (Some(format), &[stored]) = (format, values.shape.as_slice()) else {
        return Err(format!(
            "its part `{COMPRESSED}` is {} {:?}, expected a list of floats",
            values.dtype, values.shape
        ));
    };
    let elements = rows * columns;
    if stored > elements {
        return Err(format!("{stored} elements are stored of {elements}"));
    }
    let info = TensorInfo {
        dtype: values.dtype,
        shape: vec![rows, columns],
        location: Location {
            bytes: (elements * format.size_bytes()) as u64,
            ..values.location
        },
    };
    let sparse = SparseTensor {
        rows,
        columns,
        format,
        stored: stored as u64,
        row_offsets: row_offsets.location,
        bitmask: bitmask.location,
        values: values.location,
    };
    Ok((info, sparse))
}

impl SparseTensor {
    /// Fills `output` with the bytes of the dense matrix from `byte_offset` on.
    pub(super) fn read_at(
        &self,
        byte_offset: u64,
        output: &mut [u8],
        read: ReadAt<'_>,
    ) -> Result<Result<(), String>> {
        output.fill(0);
        let row_bytes = self.columns * self.format.size_bytes();
        let mut at = byte_offset as usize;
        let mut rest = output;
        while !rest.is_empty() {
            let row = at / row_bytes;
            let skipped = at - row * row_bytes;
            let rows = (skipped + rest.len())
                .div_ceil(row_bytes)
                .min((BATCH / self.columns).max(1));
            let length = (rows * row_bytes - skipped).min(rest.len());
            let (now, later) = rest.split_at_mut(length);
            let filled = match self.format.size_bytes() {
                2 => self.rows::<2>(row, rows, skipped, now, read)?,
                4 => self.rows::<4>(row, rows, skipped, now, read)?,
                _ => self.rows::<8>(row, rows, skipped, now, read)?,
            };
            if let Err(reason) = filled {
                return Ok(Err(reason));
            }
            at += length;
            rest = later;
        }
        Ok(Ok(()))
    }

    /// Puts the stored elements of some rows where they belong in `output`, which begins `skipped` bytes after the first
    /// of them.
    fn rows<const SIZE: usize>(
        &self,
        first: usize,
        rows: usize,
        skipped: usize,
        output: &mut [u8],
        read: ReadAt<'_>,
    ) -> Result<Result<(), String>> {
        let width = self.columns.div_ceil(8);
        let mut mask = vec![0; rows * width];
        read(self.bitmask, (first * width) as u64, &mut mask)?;
        let known = rows + usize::from(first + rows < self.rows);
        let mut offsets = vec![0; known * 8];
        read(self.row_offsets, first as u64 * 8, &mut offsets)?;
        let mut offsets: Vec<u64> = offsets
            .as_chunks()
            .0
            .iter()
            .map(|bytes| u64::from_le_bytes(*bytes))
            .collect();
        if known == rows {
            offsets.push(self.stored);
        }
        if (first == 0 && offsets[0] != 0) || offsets.iter().any(|offset| *offset > self.stored) {
            let stored = self.stored;
            return Ok(Err(format!(
                "the offsets of rows {first} to {} do not lie among the {stored} stored elements",
                first + rows
            )));
        }
        for (index, mask) in mask.chunks_exact(width).enumerate() {
            let bits: u64 = mask.iter().map(|byte| u64::from(byte.count_ones())).sum();
            let last = self.columns % 8;
            let beyond = last != 0 && mask[width - 1] >> last != 0;
            if beyond || offsets[index].checked_add(bits) != Some(offsets[index + 1]) {
                let row = first + index;
                return Ok(Err(format!(
                    "row {row} has {bits} bits in its mask, its offsets are {} and {}",
                    offsets[index],
                    offsets[index + 1]
                )));
            }
        }
        let mut values = vec![0; (offsets[rows] - offsets[0]) as usize * SIZE];
        read(self.values, offsets[0] * SIZE as u64, &mut values)?;
        let (output, _) = output.as_chunks_mut::<SIZE>();
        let skipped = skipped / SIZE;
        let mut values = values.as_chunks::<SIZE>().0.iter();
        for (index, mask) in mask.chunks_exact(width).enumerate() {
            for (byte, mask) in mask.iter().enumerate() {
                let mut bits = *mask;
                while bits != 0 {
                    let place = index * self.columns + byte * 8 + bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    // Those before the first that is wanted, and after the last, are passed over.
                    let wanted = place.checked_sub(skipped).and_then(|at| output.get_mut(at));
                    if let (Some(value), Some(wanted)) = (values.next(), wanted) {
                        *wanted = *value;
                    }
                }
            }
        }
        Ok(Ok(()))
    }
}
