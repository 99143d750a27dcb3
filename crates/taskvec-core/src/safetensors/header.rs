use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    HeaderError, LENGTH_BYTES, MAX_DIMENSIONS, MAX_HEADER_BYTES, METADATA_KEY, tensor_bytes,
};
use crate::dtype::Dtype;

/// A validated header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    tensors: Vec<HeaderTensor>,
    metadata: BTreeMap<String, String>,
}

/// A tensor as a header lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderTensor {
    /// Its name.
    pub name: String,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Its dimensions, outermost first.
    pub shape: Vec<usize>,
    /// First byte, counted from the end of the header.
    pub begin: u64,
    /// One past the last byte, counted likewise.
    pub end: u64,
}

/// Length of the JSON header of a file of `file_bytes` bytes that begins with `field`.
///
/// Called before anything of that length is allocated, so a hostile file cannot ask for more memory than it
/// has bytes.
///
/// # Errors
///
/// When the length exceeds the format's limit or the file.
pub fn header_length(field: [u8; 8], file_bytes: u64) -> Result<u64, HeaderError> {
    let available = file_bytes
        .checked_sub(LENGTH_BYTES)
        .ok_or(HeaderError::FileTooShort { bytes: file_bytes })?;
    let header_bytes = u64::from_le_bytes(field);
    if header_bytes > MAX_HEADER_BYTES {
        return Err(HeaderError::TooLarge {
            bytes: header_bytes,
            limit: MAX_HEADER_BYTES,
        });
    }
    if header_bytes > available {
        return Err(HeaderError::BeyondFile {
            header_bytes,
            available,
        });
    }
    Ok(header_bytes)
}

impl Header {
    /// Parses and validates the JSON of a header that `data_bytes` bytes of data follow.
    ///
    /// # Errors
    ///
    /// One variant of [`HeaderError`] for each way to be wrong. Never panics, whatever the input.
    pub fn parse(json: &[u8], data_bytes: u64) -> Result<Header, HeaderError> {
        let text = std::str::from_utf8(json).map_err(HeaderError::NotUtf8)?;
        let raw: RawHeader = serde_json::from_str(text).map_err(HeaderError::Json)?;

        let mut metadata = BTreeMap::new();
        for (key, value) in raw.metadata {
            match metadata.entry(key) {
                Entry::Vacant(vacant) => {
                    vacant.insert(value);
                }
                Entry::Occupied(occupied) => {
                    return Err(HeaderError::DuplicateMetadata {
                        key: occupied.key().clone(),
                    });
                }
            }
        }
        if raw.metadata_objects > 1 {
            return Err(HeaderError::DuplicateMetadata {
                key: METADATA_KEY.to_owned(),
            });
        }

        let mut tensors = raw
            .tensors
            .into_iter()
            .map(|(name, tensor)| tensor.known(name))
            .collect::<Result<Vec<_>, _>>()?;
        tensors.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = tensors.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(HeaderError::DuplicateTensor {
                tensor: pair[0].name.clone(),
            });
        }
        // Stable, so tensors without bytes that share a place are ordered by name.
        tensors.sort_by_key(|tensor| (tensor.begin, tensor.end));
        validate_layout(&tensors, data_bytes)?;
        Ok(Header { tensors, metadata })
    }

    /// Parses and validates a whole file held in memory.
    ///
    /// # Errors
    ///
    /// As [`Header::parse`] and [`header_length`].
    pub fn from_file_bytes(file: &[u8]) -> Result<Header, HeaderError> {
        let file_bytes = file.len() as u64;
        let Some((field, rest)) = file.split_first_chunk::<8>() else {
            return Err(HeaderError::FileTooShort { bytes: file_bytes });
        };
        let length = header_length(*field, file_bytes)?;
        // `header_length` has compared it with the file.
        let (json, data) = rest.split_at(length as usize);
        Header::parse(json, data.len() as u64)
    }

    /// The tensors in the order of their data.
    pub fn tensors(&self) -> &[HeaderTensor] {
        &self.tensors
    }

    /// The free text of `__metadata__`.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    pub(crate) fn into_parts(self) -> (Vec<HeaderTensor>, BTreeMap<String, String>) {
        (self.tensors, self.metadata)
    }
}

/// Checks that `tensors`, sorted by offset, tile the data and have the sizes they should.
fn validate_layout(tensors: &[HeaderTensor], data_bytes: u64) -> Result<(), HeaderError> {
    let mut previous: Option<&HeaderTensor> = None;
    for tensor in tensors {
        let HeaderTensor {
            name, begin, end, ..
        } = tensor;
        let (begin, end) = (*begin, *end);
        if end < begin {
            return Err(HeaderError::OffsetsReversed {
                tensor: name.clone(),
                begin,
                end,
            });
        }
        if end > data_bytes {
            return Err(HeaderError::OffsetsBeyondFile {
                tensor: name.clone(),
                end,
                data_bytes,
            });
        }
        let expected_begin = previous.map_or(0, |previous| previous.end);
        if begin > expected_begin {
            return Err(HeaderError::Hole {
                tensor: name.clone(),
                begin,
                expected: expected_begin,
            });
        }
        if let Some(other) = previous.filter(|other| begin < other.end) {
            return Err(HeaderError::Overlap {
                tensor: name.clone(),
                begin,
                other: other.name.clone(),
                other_end: other.end,
            });
        }
        let expected = tensor_bytes(name, tensor.dtype, &tensor.shape)?;
        if end - begin != expected {
            return Err(HeaderError::LengthMismatch {
                tensor: name.clone(),
                shape: tensor.shape.clone(),
                dtype: tensor.dtype,
                expected,
                got: end - begin,
            });
        }
        previous = Some(tensor);
    }
    let covered = previous.map_or(0, |tensor| tensor.end);
    if covered < data_bytes {
        return Err(HeaderError::TrailingBytes {
            bytes: data_bytes - covered,
        });
    }
    Ok(())
}

/// The JSON as it stands, duplicates kept: a map type would silently keep the last of them.
#[derive(Default)]
struct RawHeader {
    metadata_objects: usize,
    metadata: Vec<(String, String)>,
    tensors: Vec<(String, RawTensor)>,
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = RawHeader;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                let mut header = RawHeader::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key == METADATA_KEY {
                        header.metadata_objects += 1;
                        if let Some(Pairs(pairs)) = map.next_value()? {
                            header.metadata.extend(pairs);
                        }
                    } else {
                        header.tensors.push((key, map.next_value()?));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// A JSON object of strings, duplicates kept.
pub(crate) struct Pairs(pub(crate) Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

// Unknown fields are refused: no writer has any, and what is not understood may change what a tensor means.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    dtype: RawDtype,
    shape: RawShape,
    data_offsets: (u64, u64),
}

impl RawTensor {
    fn known(self, name: String) -> Result<HeaderTensor, HeaderError> {
        let dtype = match self.dtype {
            RawDtype::Known(dtype) => dtype,
            RawDtype::Unknown(dtype) => {
                return Err(HeaderError::UnknownDtype {
                    tensor: name,
                    dtype,
                });
            }
        };
        if self.shape.dimensions > MAX_DIMENSIONS {
            return Err(HeaderError::TooManyDimensions {
                tensor: name,
                dimensions: self.shape.dimensions,
                limit: MAX_DIMENSIONS,
            });
        }
        Ok(HeaderTensor {
            name,
            dtype,
            shape: self.shape.kept,
            begin: self.data_offsets.0,
            end: self.data_offsets.1,
        })
    }
}

enum RawDtype {
    Known(Dtype),
    Unknown(String),
}

impl<'de> Deserialize<'de> for RawDtype {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(Dtype::from_name(&name).map_or(RawDtype::Unknown(name), RawDtype::Known))
    }
}

/// A shape of which no more than the permitted dimensions are kept, so that a header of a hundred million
/// zeros does not become eight times its size in memory.
struct RawShape {
    kept: Vec<usize>,
    dimensions: usize,
}

impl<'de> Deserialize<'de> for RawShape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShapeVisitor;
        impl<'de> Visitor<'de> for ShapeVisitor {
            type Value = RawShape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<RawShape, A::Error> {
                let mut kept = Vec::new();
                while kept.len() < MAX_DIMENSIONS {
                    match sequence.next_element()? {
                        Some(dimension) => kept.push(dimension),
                        None => {
                            let dimensions = kept.len();
                            return Ok(RawShape { kept, dimensions });
                        }
                    }
                }
                let mut dimensions = kept.len();
                while sequence.next_element::<IgnoredAny>()?.is_some() {
                    dimensions += 1;
                }
                Ok(RawShape { kept, dimensions })
            }
        }
        deserializer.deserialize_seq(ShapeVisitor)
    }
}
