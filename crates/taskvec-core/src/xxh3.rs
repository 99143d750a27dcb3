//! XXH3-128 of tensors, taken from whatever pieces of them pass by.
//!
//! Whoever computes on a tensor reads it in chunks, with several threads, and where chunks begin depends on how many there
//! are. So what is hashed are pieces at fixed places: a tensor is cut at every multiple of 16 KiB of its bytes, each piece is
//! hashed with its number as the seed, and the hashes are added modulo 2^128. The hash of several tensors is that of a text:
//! for each, in the order of the names, the name, a zero byte, and the sixteen bytes of its hash, the lowest first.
//!
//! Such a hash tells by accident one time in 2^128 that nothing has changed. Not covered: intent. Other weights with the same
//! hash can be made by whoever wants to; [`ContentHash`](crate::ContentHash) is for that.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use twox_hash::XxHash3_128;

/// Bytes of a piece: so few that chunks of any run hold many, so many that beginning one costs nothing.
pub(crate) const PIECE_BYTES: u64 = 16 << 10;

/// An XXH3 of 128 bits; prints and serialises as 32 lowercase hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xxh3(u128);

impl Xxh3 {
    /// The hash of several tensors by name.
    pub(crate) fn of_tensors(tensors: &BTreeMap<&str, Xxh3>) -> Self {
        let mut text = Vec::new();
        for (name, Xxh3(hash)) in tensors {
            text.extend(name.as_bytes());
            text.push(0);
            text.extend(hash.to_le_bytes());
        }
        Xxh3(XxHash3_128::oneshot(&text))
    }

    fn parse(text: &str) -> Option<Self> {
        let is_hash = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok();
        number.filter(|_| is_hash).map(Xxh3)
    }
}

impl fmt::Display for Xxh3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Xxh3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Xxh3({self})")
    }
}

impl Serialize for Xxh3 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Xxh3 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Xxh3::parse(&text).ok_or_else(|| serde::de::Error::custom("expected 32 hexadecimal digits"))
    }
}

/// Hashes one tensor, whose bytes come once each, from any thread and in any order.
#[derive(Debug)]
pub(crate) struct TensorHasher {
    bytes: u64,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    sum: u128,
    /// Bytes of whole pieces.
    hashed: u64,
    /// Pieces of which a part has come, by number. There are never many: chunks come nearly in order.
    begun: BTreeMap<u64, Begun>,
}

#[derive(Debug)]
struct Begun {
    bytes: Vec<u8>,
    missing: usize,
}

impl TensorHasher {
    /// For a tensor of so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            bytes,
            found: Mutex::default(),
        }
    }

    /// Takes the tensor's bytes from `offset` on; what lies beyond its end is not of it.
    pub(crate) fn take(&self, offset: u64, bytes: &[u8]) {
        let (mut sum, mut hashed) = (0u128, 0);
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() && at < self.bytes {
            let number = at / PIECE_BYTES;
            let begin = number * PIECE_BYTES;
            let whole = PIECE_BYTES.min(self.bytes - begin);
            let length = (begin + whole - at).min(rest.len() as u64);
            let (now, later) = rest.split_at(length as usize);
            if length == whole {
                sum = sum.wrapping_add(XxHash3_128::oneshot_with_seed(number, now));
                hashed += whole;
            } else {
                self.take_part(number, (at - begin) as usize, now, whole as usize);
            }
            at += length;
            rest = later;
        }
        if hashed > 0 {
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            found.sum = found.sum.wrapping_add(sum);
            found.hashed += hashed;
        }
    }

    /// Takes a part of a piece of `whole` bytes, from its byte `place` on.
    fn take_part(&self, number: u64, place: usize, part: &[u8], whole: usize) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = found.begun.entry(number).or_insert_with(|| Begun {
            bytes: vec![0; whole],
            missing: whole,
        });
        begun.bytes[place..place + part.len()].copy_from_slice(part);
        begun.missing = begun.missing.saturating_sub(part.len());
        if begun.missing == 0
            && let Some(piece) = found.begun.remove(&number)
        {
            let hash = XxHash3_128::oneshot_with_seed(number, &piece.bytes);
            found.sum = found.sum.wrapping_add(hash);
            found.hashed += whole as u64;
        }
    }

    /// The hash; none where not all bytes have come.
    pub(crate) fn finish(&self) -> Option<Xxh3> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        (found.hashed == self.bytes).then_some(Xxh3(found.sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(bytes: usize) -> Vec<u8> {
        (0..bytes as u64)
            .map(|index| (index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
            .collect()
    }

    fn in_order(bytes: &[u8]) -> Xxh3 {
        let hasher = TensorHasher::new(bytes.len() as u64);
        hasher.take(0, bytes);
        hasher.finish().unwrap()
    }

    #[test]
    fn chunks_of_any_size_in_any_order_have_one_hash() {
        for length in [0, 1, 16_383, 16_384, 16_385, 100_000] {
            let bytes = tensor(length);
            for chunk in [1000, 16_384, 40_961, 1 << 20] {
                let hasher = TensorHasher::new(length as u64);
                let chunks: Vec<_> = bytes.chunks(chunk).enumerate().collect();
                for (index, part) in chunks
                    .iter()
                    .step_by(2)
                    .chain(chunks.iter().skip(1).step_by(2))
                {
                    hasher.take((index * chunk) as u64, part);
                }
                assert_eq!(hasher.finish(), Some(in_order(&bytes)), "{length} {chunk}");
                assert!(hasher.found.lock().unwrap().begun.is_empty());
            }
        }
    }

    #[test]
    fn a_bit_a_place_and_a_name_change_the_hash_and_a_part_has_none() {
        let bytes = tensor(50_000);
        let hash = in_order(&bytes);
        for place in [0, 16_384, 49_999] {
            let mut other = bytes.clone();
            other[place] ^= 1;
            assert_ne!(in_order(&other), hash);
        }
        let mut exchanged = bytes.clone();
        exchanged[..16_384].copy_from_slice(&bytes[16_384..32_768]);
        exchanged[16_384..32_768].copy_from_slice(&bytes[..16_384]);
        assert_ne!(in_order(&exchanged), hash);
        let named = |name| Xxh3::of_tensors(&BTreeMap::from([(name, hash)]));
        assert_ne!(named("a"), named("b"));

        let hasher = TensorHasher::new(50_000);
        hasher.take(0, &bytes[..49_999]);
        assert_eq!(hasher.finish(), None);
    }

    #[test]
    fn hashes_are_those_of_the_reference_and_return_from_text() {
        // XXH3-128 of nothing, as `xxhsum -H2` prints it.
        let nothing = Xxh3::of_tensors(&BTreeMap::new());
        assert_eq!(nothing.to_string(), "99aa06d3014798d86001c324468d497f");
        assert_eq!(in_order(b"").to_string(), "0".repeat(32));
        let json = serde_json::to_string(&nothing).unwrap();
        assert_eq!(serde_json::from_str::<Xxh3>(&json).unwrap(), nothing);
        for wrong in ["\"99aa\"", "\"+9aa06d3014798d86001c324468d497f\""] {
            assert!(serde_json::from_str::<Xxh3>(wrong).is_err());
        }
    }
}
