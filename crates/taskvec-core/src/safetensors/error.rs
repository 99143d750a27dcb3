use std::str::Utf8Error;

use crate::dtype::Dtype;

/// Every way in which a safetensors header can be wrong.
///
/// The file is named by the [`Error`](crate::Error) that this is the source of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The file cannot even hold the header's length.
    #[error("the file has {bytes} bytes, fewer than the 8 that state the header's length")]
    FileTooShort {
        /// Length of the file.
        bytes: u64,
    },
    /// The header claims more than the format allows.
    #[error("the header claims {bytes} bytes; the format allows {limit}")]
    TooLarge {
        /// Length the file claims.
        bytes: u64,
        /// Length the format allows.
        limit: u64,
    },
    /// The header does not fit the file.
    #[error("the header claims {header_bytes} bytes, but only {available} follow in the file")]
    BeyondFile {
        /// Length the file claims.
        header_bytes: u64,
        /// Bytes of the file after the length field.
        available: u64,
    },
    /// The header is not text.
    #[error("the header is not UTF-8")]
    NotUtf8(#[source] Utf8Error),
    /// The header is not the JSON of a safetensors header.
    #[error("the header is not a JSON object of tensors")]
    Json(#[source] serde_json::Error),
    /// A tensor is listed twice.
    #[error("tensor `{tensor}` is listed twice")]
    DuplicateTensor {
        /// Name of the tensor.
        tensor: String,
    },
    /// A key of `__metadata__`, or that object itself, is listed twice.
    #[error("metadata key `{key}` is listed twice")]
    DuplicateMetadata {
        /// The key.
        key: String,
    },
    /// The element type is none of the format's.
    #[error("tensor `{tensor}` has unknown dtype `{dtype}`")]
    UnknownDtype {
        /// Name of the tensor.
        tensor: String,
        /// What the header names.
        dtype: String,
    },
    /// More dimensions than any framework can hold.
    #[error("tensor `{tensor}` has {dimensions} dimensions; at most {limit} are supported")]
    TooManyDimensions {
        /// Name of the tensor.
        tensor: String,
        /// Length of the shape.
        dimensions: usize,
        /// The most that is supported.
        limit: usize,
    },
    /// The number of bytes that shape and dtype ask for cannot be represented.
    #[error("tensor `{tensor}` of shape {shape:?} and dtype {dtype} has a size that overflows")]
    SizeOverflow {
        /// Name of the tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Its element type.
        dtype: Dtype,
    },
    /// Elements smaller than a byte that do not fill whole bytes.
    #[error("tensor `{tensor}` of shape {shape:?} and dtype {dtype} does not fill whole bytes")]
    PartialByte {
        /// Name of the tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Its element type.
        dtype: Dtype,
    },
    /// A tensor ends before it begins.
    #[error("tensor `{tensor}` begins at byte {begin} but ends at byte {end}")]
    OffsetsReversed {
        /// Name of the tensor.
        tensor: String,
        /// First byte, counted from the end of the header.
        begin: u64,
        /// One past the last byte.
        end: u64,
    },
    /// A tensor ends after the file does: the file is cut short or the offsets are wrong.
    #[error(
        "tensor `{tensor}` ends at byte {end} of the data, but the file holds {data_bytes} bytes of data"
    )]
    OffsetsBeyondFile {
        /// Name of the tensor.
        tensor: String,
        /// One past the last byte.
        end: u64,
        /// Bytes of the file after the header.
        data_bytes: u64,
    },
    /// Two tensors share bytes.
    #[error(
        "tensor `{tensor}` begins at byte {begin}, inside tensor `{other}`, which ends at byte {other_end}"
    )]
    Overlap {
        /// Name of the tensor.
        tensor: String,
        /// Its first byte.
        begin: u64,
        /// The tensor before it.
        other: String,
        /// One past that tensor's last byte.
        other_end: u64,
    },
    /// Bytes that belong to no tensor lie before a tensor.
    #[error("tensor `{tensor}` begins at byte {begin}, leaving a hole after byte {expected}")]
    Hole {
        /// Name of the tensor.
        tensor: String,
        /// Its first byte.
        begin: u64,
        /// Where the tensor before it ended.
        expected: u64,
    },
    /// The bytes a tensor takes are not those that its shape and dtype ask for.
    #[error(
        "tensor `{tensor}` of shape {shape:?} and dtype {dtype} needs {expected} bytes but has {got}"
    )]
    LengthMismatch {
        /// Name of the tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Its element type.
        dtype: Dtype,
        /// Bytes that shape and dtype ask for.
        expected: u64,
        /// Bytes between the offsets.
        got: u64,
    },
    /// Bytes follow the last tensor.
    #[error("{bytes} bytes follow the last tensor")]
    TrailingBytes {
        /// How many.
        bytes: u64,
    },
}
