//! The safetensors file format: eight bytes of header length (little-endian), a JSON header, the data.
//!
//! A header read here is wholly validated: names are unique, every tensor has exactly the bytes its shape and
//! dtype ask for, and the tensors cover the data without overlap, hole or remainder. What is accepted is a
//! subset of what the `safetensors` crate accepts; what that crate writes is accepted.
//!
//! Not covered: the data itself. Any bit pattern is a legal element.

mod encode;
mod error;
mod header;
#[cfg(test)]
mod tests;

pub(crate) use encode::encode_header_of;
pub use encode::{EncodedHeader, TensorSpec, encode_header, shard_file_name};
pub use error::HeaderError;
pub(crate) use header::Pairs;
pub use header::{Header, HeaderTensor, header_length};

use crate::dtype::Dtype;

/// Bytes of the field that states the header's length.
pub const LENGTH_BYTES: u64 = 8;
/// The longest header the format allows.
pub const MAX_HEADER_BYTES: u64 = 100_000_000;
/// The most dimensions a tensor may have here: PyTorch's own limit.
pub const MAX_DIMENSIONS: usize = 64;
/// Header key under which free text about the file is kept.
pub const METADATA_KEY: &str = "__metadata__";

/// What is known of a tensor without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Type of its elements.
    pub dtype: Dtype,
    /// Its dimensions, outermost first; empty for a single number.
    pub shape: Vec<usize>,
    pub(crate) location: Location,
}

/// Where a tensor's bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// Index of the file among the checkpoint's files.
    pub(crate) file: usize,
    /// First byte, counted from the start of the file.
    pub(crate) begin: u64,
    /// How many bytes.
    pub(crate) bytes: u64,
}

impl TensorInfo {
    /// Number of elements: the product of the shape.
    pub fn element_count(&self) -> u64 {
        // The product was checked when the header was validated.
        self.shape
            .iter()
            .map(|&dimension| dimension as u64)
            .product()
    }

    /// Bytes the tensor takes on disk.
    pub fn byte_len(&self) -> u64 {
        self.location.bytes
    }
}

/// Bytes a tensor of this shape and dtype takes.
fn tensor_bytes(tensor: &str, dtype: Dtype, shape: &[usize]) -> Result<u64, HeaderError> {
    let overflow = || HeaderError::SizeOverflow {
        tensor: tensor.to_owned(),
        shape: shape.to_vec(),
        dtype,
    };
    let elements = shape
        .iter()
        .try_fold(1u64, |product, &dimension| {
            product.checked_mul(dimension as u64)
        })
        .ok_or_else(overflow)?;
    let bits = elements.checked_mul(dtype.bits()).ok_or_else(overflow)?;
    if !bits.is_multiple_of(8) {
        return Err(HeaderError::PartialByte {
            tensor: tensor.to_owned(),
            shape: shape.to_vec(),
            dtype,
        });
    }
    Ok(bits / 8)
}
