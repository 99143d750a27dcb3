//! Element types of stored tensors.
//!
//! Every type that a safetensors header may name is known, so that a tensor of any of them can be carried
//! through byte for byte. Arithmetic is done on [`Dtype::Bf16`], [`Dtype::F16`] and [`Dtype::F32`] only.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The element type of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// Truth value, one byte.
    Bool,
    /// MXFP4 element, four bits.
    F4,
    /// MXFP6 element with two exponent bits, six bits.
    F6E2m3,
    /// MXFP6 element with three exponent bits, six bits.
    F6E3m2,
    /// Unsigned byte.
    U8,
    /// Signed byte.
    I8,
    /// Eight-bit float, five exponent bits.
    F8E5m2,
    /// Eight-bit float, four exponent bits.
    F8E4m3,
    /// Eight-bit scale of the microscaling formats: an exponent alone.
    F8E8m0,
    /// Eight-bit float, four exponent bits, no infinities and one zero.
    F8E4m3Fnuz,
    /// Eight-bit float, five exponent bits, no infinities and one zero.
    F8E5m2Fnuz,
    /// Signed 16-bit integer.
    I16,
    /// Unsigned 16-bit integer.
    U16,
    /// IEEE half precision.
    F16,
    /// Brain float: the upper half of an `F32`.
    Bf16,
    /// Signed 32-bit integer.
    I32,
    /// Unsigned 32-bit integer.
    U32,
    /// IEEE single precision.
    F32,
    /// Complex number of two single precision parts.
    C64,
    /// IEEE double precision.
    F64,
    /// Signed 64-bit integer.
    I64,
    /// Unsigned 64-bit integer.
    U64,
}

impl Dtype {
    /// Every type, in the order of the variants.
    pub const ALL: [Dtype; 22] = [
        Dtype::Bool,
        Dtype::F4,
        Dtype::F6E2m3,
        Dtype::F6E3m2,
        Dtype::U8,
        Dtype::I8,
        Dtype::F8E5m2,
        Dtype::F8E4m3,
        Dtype::F8E8m0,
        Dtype::F8E4m3Fnuz,
        Dtype::F8E5m2Fnuz,
        Dtype::I16,
        Dtype::U16,
        Dtype::F16,
        Dtype::Bf16,
        Dtype::I32,
        Dtype::U32,
        Dtype::F32,
        Dtype::C64,
        Dtype::F64,
        Dtype::I64,
        Dtype::U64,
    ];

    /// The name a safetensors header uses, such as `BF16`.
    pub const fn name(self) -> &'static str {
        match self {
            Dtype::Bool => "BOOL",
            Dtype::F4 => "F4",
            Dtype::F6E2m3 => "F6_E2M3",
            Dtype::F6E3m2 => "F6_E3M2",
            Dtype::U8 => "U8",
            Dtype::I8 => "I8",
            Dtype::F8E5m2 => "F8_E5M2",
            Dtype::F8E4m3 => "F8_E4M3",
            Dtype::F8E8m0 => "F8_E8M0",
            Dtype::F8E4m3Fnuz => "F8_E4M3FNUZ",
            Dtype::F8E5m2Fnuz => "F8_E5M2FNUZ",
            Dtype::I16 => "I16",
            Dtype::U16 => "U16",
            Dtype::F16 => "F16",
            Dtype::Bf16 => "BF16",
            Dtype::I32 => "I32",
            Dtype::U32 => "U32",
            Dtype::F32 => "F32",
            Dtype::C64 => "C64",
            Dtype::F64 => "F64",
            Dtype::I64 => "I64",
            Dtype::U64 => "U64",
        }
    }

    /// The type a safetensors header means by `name`, if there is one.
    pub fn from_name(name: &str) -> Option<Dtype> {
        Dtype::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Bits one element takes.
    pub const fn bits(self) -> u64 {
        match self {
            Dtype::F4 => 4,
            Dtype::F6E2m3 | Dtype::F6E3m2 => 6,
            Dtype::Bool
            | Dtype::U8
            | Dtype::I8
            | Dtype::F8E5m2
            | Dtype::F8E4m3
            | Dtype::F8E8m0
            | Dtype::F8E4m3Fnuz
            | Dtype::F8E5m2Fnuz => 8,
            Dtype::I16 | Dtype::U16 | Dtype::F16 | Dtype::Bf16 => 16,
            Dtype::I32 | Dtype::U32 | Dtype::F32 => 32,
            Dtype::C64 | Dtype::F64 | Dtype::I64 | Dtype::U64 => 64,
        }
    }

    /// Bytes one element takes; 1 for the types smaller than a byte, whose storage only
    /// [`Dtype::byte_len`] can tell.
    pub const fn size_bytes(self) -> usize {
        self.bits().div_ceil(8) as usize
    }

    /// Bytes that `elements` elements take; `None` when the number overflows or is not whole, as an odd count
    /// of four-bit elements is not.
    pub const fn byte_len(self, elements: u64) -> Option<u64> {
        match elements.checked_mul(self.bits()) {
            Some(bits) if bits.is_multiple_of(8) => Some(bits / 8),
            _ => None,
        }
    }

    /// Whether elements are real floating-point numbers of any width.
    pub const fn is_float(self) -> bool {
        self.is_computed()
            || matches!(
                self,
                Dtype::F64
                    | Dtype::F4
                    | Dtype::F6E2m3
                    | Dtype::F6E3m2
                    | Dtype::F8E5m2
                    | Dtype::F8E4m3
                    | Dtype::F8E8m0
                    | Dtype::F8E4m3Fnuz
                    | Dtype::F8E5m2Fnuz
            )
    }

    /// Whether arithmetic is done on this type. All others are carried through byte for byte.
    pub const fn is_computed(self) -> bool {
        matches!(self, Dtype::Bf16 | Dtype::F16 | Dtype::F32)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no [`Dtype`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown dtype `{0}`")]
pub struct UnknownDtype(pub String);

impl FromStr for Dtype {
    type Err = UnknownDtype;

    /// Reads a header's name in either case (`BF16`, `bf16`) or the long names people type
    /// (`bfloat16`, `float16`, `float32`).
    fn from_str(text: &str) -> Result<Self, UnknownDtype> {
        let long = match text {
            "bfloat16" => Some(Dtype::Bf16),
            "float16" | "half" => Some(Dtype::F16),
            "float32" | "float" => Some(Dtype::F32),
            "float64" | "double" => Some(Dtype::F64),
            _ => None,
        };
        long.or_else(|| Dtype::from_name(&text.to_ascii_uppercase()))
            .ok_or_else(|| UnknownDtype(text.to_owned()))
    }
}

impl Serialize for Dtype {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Dtype {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Dtype::from_name(&name).ok_or_else(|| serde::de::Error::custom(UnknownDtype(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_parsing_are_inverse() {
        for dtype in Dtype::ALL {
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
            assert_eq!(dtype.name().to_lowercase().parse(), Ok(dtype));
        }
        assert_eq!("bfloat16".parse(), Ok(Dtype::Bf16));
        assert_eq!("q4_k".parse::<Dtype>(), Err(UnknownDtype("q4_k".into())));
    }

    #[test]
    fn widths_agree_with_the_reference_crate() {
        for dtype in Dtype::ALL {
            let theirs: safetensors::Dtype =
                serde_json::from_value(serde_json::Value::String(dtype.name().into())).unwrap();
            assert_eq!(theirs.bitsize() as u64, dtype.bits(), "{dtype}");
        }
    }

    #[test]
    fn byte_length_refuses_half_bytes_and_overflow() {
        assert_eq!(Dtype::F4.byte_len(4), Some(2));
        assert_eq!(Dtype::F4.byte_len(3), None);
        assert_eq!(Dtype::Bf16.byte_len(u64::MAX / 2), None);
        assert_eq!(Dtype::C64.byte_len(2), Some(16));
    }
}
