use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{HeaderError, LENGTH_BYTES, MAX_HEADER_BYTES, METADATA_KEY, tensor_bytes};
use crate::dtype::Dtype;

/// A tensor to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorSpec<'a> {
    /// Its name.
    pub name: &'a str,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Its dimensions, outermost first.
    pub shape: &'a [usize],
}

/// The beginning of a safetensors file, and where in that file each tensor goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedHeader {
    bytes: Vec<u8>,
    offsets: Vec<u64>,
    file_bytes: u64,
}

impl EncodedHeader {
    /// The length field and the padded JSON.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The padded JSON alone: what a header's hash is of.
    pub(crate) fn json(&self) -> &[u8] {
        self.bytes.get(LENGTH_BYTES as usize..).unwrap_or_default()
    }

    /// For each tensor in the order given, its first byte counted from the start of the file.
    pub fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// Length of the whole file.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Bytes of the tensors alone, which an index counts as `total_size`.
    pub fn data_bytes(&self) -> u64 {
        self.file_bytes - self.bytes.len() as u64
    }
}

/// Encodes the header of a file that holds `tensors` one after another in the order given.
///
/// The form is that of the `safetensors` library: compact JSON, metadata first, padded with spaces to a
/// multiple of eight bytes so that the data is aligned.
///
/// # Errors
///
/// [`HeaderError`] when a name occurs twice or is reserved, a size overflows or is not of whole bytes, or the
/// header exceeds the format's limit.
pub fn encode_header(
    tensors: &[TensorSpec<'_>],
    metadata: &BTreeMap<String, String>,
) -> Result<EncodedHeader, HeaderError> {
    encode_header_of(tensors, metadata, 0)
}

/// As [`encode_header`], padded until length field and JSON together take at least `header_bytes`.
pub(crate) fn encode_header_of(
    tensors: &[TensorSpec<'_>],
    metadata: &BTreeMap<String, String>,
    header_bytes: usize,
) -> Result<EncodedHeader, HeaderError> {
    let mut names = BTreeSet::new();
    let mut json = String::from("{");
    if !metadata.is_empty() {
        json.push_str(&format!("{}:{}", json!(METADATA_KEY), json!(metadata)));
    }
    let mut offsets = Vec::with_capacity(tensors.len());
    let mut end = 0u64;
    for tensor in tensors {
        // `__metadata__` is taken whether or not there is any metadata.
        if tensor.name == METADATA_KEY || !names.insert(tensor.name) {
            return Err(HeaderError::DuplicateTensor {
                tensor: tensor.name.to_owned(),
            });
        }
        let begin = end;
        end = begin
            .checked_add(tensor_bytes(tensor.name, tensor.dtype, tensor.shape)?)
            .ok_or_else(|| HeaderError::SizeOverflow {
                tensor: tensor.name.to_owned(),
                shape: tensor.shape.to_vec(),
                dtype: tensor.dtype,
            })?;
        offsets.push(begin);
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(&format!(
            r#"{}:{{"dtype":"{}","shape":{},"data_offsets":[{begin},{end}]}}"#,
            json!(tensor.name),
            tensor.dtype,
            json!(tensor.shape),
        ));
    }
    json.push('}');

    let padded = json
        .len()
        .max(header_bytes.saturating_sub(LENGTH_BYTES as usize))
        .next_multiple_of(LENGTH_BYTES as usize);
    if padded as u64 > MAX_HEADER_BYTES {
        return Err(HeaderError::TooLarge {
            bytes: padded as u64,
            limit: MAX_HEADER_BYTES,
        });
    }
    let mut bytes = Vec::with_capacity(LENGTH_BYTES as usize + padded);
    bytes.extend_from_slice(&(padded as u64).to_le_bytes());
    bytes.extend_from_slice(json.as_bytes());
    bytes.resize(LENGTH_BYTES as usize + padded, b' ');

    let data_begin = bytes.len() as u64;
    for offset in &mut offsets {
        *offset = offset.saturating_add(data_begin);
    }
    let file_bytes = match (end.checked_add(data_begin), tensors.last()) {
        (Some(file_bytes), _) => file_bytes,
        (None, Some(last)) => {
            return Err(HeaderError::SizeOverflow {
                tensor: last.name.to_owned(),
                shape: last.shape.to_vec(),
                dtype: last.dtype,
            });
        }
        (None, None) => data_begin,
    };
    Ok(EncodedHeader {
        bytes,
        offsets,
        file_bytes,
    })
}

/// Name of shard `index` (from 0) of `count`: `model-00001-of-00002.safetensors`, or `model.safetensors` when
/// it is the only one.
pub fn shard_file_name(stem: &str, index: usize, count: usize) -> String {
    if count <= 1 {
        format!("{stem}.safetensors")
    } else {
        format!("{stem}-{:05}-of-{count:05}.safetensors", index + 1)
    }
}
