//! The inner loops of linear combinations: plain arithmetic on short blocks, written so that the compiler vectorises it.
//!
//! Nothing here checks anything. [`linear`](super::linear) calls these loops only for blocks on which it has proved
//! that they are exact.

use super::float::{FloatFormat, narrow_bf16, narrow_f16, narrow_to_odd, widen_f16};

/// Elements that are proved, and then computed, together. Small enough that one outlier spoils little and that
/// the accumulators stay in the first-level cache.
pub(crate) const BLOCK: usize = 512;

/// What a scan over the stored bits of a block tells about its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Largest magnitude, as bits.
    pub(crate) largest: u64,
    /// Smallest magnitude that is not zero, as bits; all ones when every element is zero.
    pub(crate) smallest: u64,
    /// The union of all bits: its trailing zeros are common to every fraction.
    pub(crate) union: u64,
}

/// What a scan over BF16 inputs that are added up tells about them, element by element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spread {
    /// Largest magnitude of all, as bits.
    pub(crate) largest: u16,
    /// One less than the smallest magnitude that is not zero, as bits; all ones when every element is zero.
    pub(crate) below_smallest: u16,
    /// The most by which, in the inputs of any one element, the bits of the largest magnitude exceed one less than those
    /// of the smallest that is not zero.
    pub(crate) widest: u16,
}

/// Elements that [`spread`] scans together. In loops of a length that is known, the compiler leaves no remainder to be done
/// one by one.
const SCANNED: usize = 32;
/// Pairs of elements, or elements, that [`Fused`] stores together.
const PAIRS: usize = 16;

/// Scans one block of inputs.
#[inline(always)]
pub(crate) fn spread<const TERMS: usize>(inputs: [&[u8]; TERMS]) -> Spread {
    let mut lanes = Lanes {
        largest: [0; SCANNED],
        below_smallest: [u16::MAX; SCANNED],
        widest: [0; SCANNED],
    };
    let (whole, rest) = in_pieces::<TERMS, 2, SCANNED>(inputs);
    for index in 0..whole[0].len() {
        lanes.scan(whole.map(|pieces| &pieces[index]));
    }
    if !rest[0].is_empty() {
        lanes.scan(rest.map(padded).each_ref());
    }
    Spread {
        largest: lanes.largest.into_iter().fold(0, u16::max),
        below_smallest: lanes.below_smallest.into_iter().fold(u16::MAX, u16::min),
        widest: lanes.widest.into_iter().fold(0, u16::max),
    }
}

/// As [`Spread`], of every so many-th element.
struct Lanes {
    largest: [u16; SCANNED],
    below_smallest: [u16; SCANNED],
    widest: [u16; SCANNED],
}

impl Lanes {
    #[inline(always)]
    fn scan<const TERMS: usize>(&mut self, elements: [&[[u8; 2]; SCANNED]; TERMS]) {
        for lane in 0..SCANNED {
            let (mut most, mut least) = (0, u16::MAX);
            for elements in elements {
                let magnitude = u16::from_le_bytes(elements[lane]) & 0x7fff;
                most = magnitude.max(most);
                // Zero wraps to the maximum and so never is the smallest.
                least = magnitude.wrapping_sub(1).min(least);
            }
            self.largest[lane] = most.max(self.largest[lane]);
            self.below_smallest[lane] = least.min(self.below_smallest[lane]);
            self.widest[lane] = most.saturating_sub(least).max(self.widest[lane]);
        }
    }
}

/// Inputs of one length as pieces of `LANES` times `SIZE` bytes, and what is left over.
#[inline(always)]
#[expect(clippy::type_complexity, reason = "pieces and the rest, of each input")]
pub(super) fn in_pieces<const TERMS: usize, const SIZE: usize, const LANES: usize>(
    inputs: [&[u8]; TERMS],
) -> ([&[[[u8; SIZE]; LANES]]; TERMS], [&[[u8; SIZE]]; TERMS]) {
    let pieces = inputs.map(|bytes| bytes.as_chunks::<SIZE>().0.as_chunks::<LANES>());
    // Slices of one known length need no further checks.
    let whole = pieces[0].0.len();
    (
        pieces.map(|(pieces, _)| &pieces[..whole]),
        pieces.map(|(_, rest)| rest),
    )
}

/// Elements and then zeros.
#[inline(always)]
pub(super) fn padded<const SIZE: usize, const LANES: usize>(
    rest: &[[u8; SIZE]],
) -> [[u8; SIZE]; LANES] {
    let mut padded = [[0; SIZE]; LANES];
    for (padded, element) in padded.iter_mut().zip(rest) {
        *padded = *element;
    }
    padded
}

/// A stored format as the loops see it.
pub(super) trait Stored {
    type Bytes: Copy;
    fn split(bytes: &[u8]) -> &[Self::Bytes];
    fn single(bytes: Self::Bytes) -> f32;
    fn double(bytes: Self::Bytes) -> f64;
    fn extent(elements: &[Self::Bytes]) -> Extent;
}

macro_rules! stored {
    ($name:ident, $bits:ty, $size:literal, $single:expr, $double:expr) => {
        pub(super) struct $name;
        impl Stored for $name {
            type Bytes = [u8; $size];

            #[inline(always)]
            fn split(bytes: &[u8]) -> &[Self::Bytes] {
                bytes.as_chunks().0
            }

            #[inline(always)]
            fn single(bytes: Self::Bytes) -> f32 {
                $single(<$bits>::from_le_bytes(bytes))
            }

            #[inline(always)]
            fn double(bytes: Self::Bytes) -> f64 {
                $double(<$bits>::from_le_bytes(bytes))
            }

            #[inline(always)]
            fn extent(elements: &[Self::Bytes]) -> Extent {
                let (mut largest, mut below_smallest, mut union) = (0, <$bits>::MAX, 0);
                for element in elements {
                    let bits = <$bits>::from_le_bytes(*element);
                    let magnitude = bits & (<$bits>::MAX >> 1);
                    largest = magnitude.max(largest);
                    // Zero wraps to the maximum and so never is the smallest.
                    below_smallest = magnitude.wrapping_sub(1).min(below_smallest);
                    union |= bits;
                }
                Extent {
                    largest: largest.into(),
                    smallest: if below_smallest == <$bits>::MAX {
                        u64::MAX
                    } else {
                        u64::from(below_smallest) + 1
                    },
                    union: union.into(),
                }
            }
        }
    };
}

stored!(
    Bf16,
    u16,
    2,
    |bits| f32::from_bits(u32::from(bits) << 16),
    |bits| f64::from(f32::from_bits(u32::from(bits) << 16))
);
stored!(F16, u16, 2, widen_f16, |bits| f64::from(widen_f16(bits)));
stored!(F32, u32, 4, f32::from_bits, |bits| f64::from(
    f32::from_bits(bits)
));
stored!(
    F64,
    u64,
    8,
    |bits| f64::from_bits(bits) as f32,
    f64::from_bits
);

/// Scans one block of stored elements.
#[inline(always)]
pub(crate) fn extent(format: FloatFormat, bytes: &[u8]) -> Extent {
    match format {
        FloatFormat::Bf16 => Bf16::extent(Bf16::split(bytes)),
        FloatFormat::F16 => F16::extent(F16::split(bytes)),
        FloatFormat::F32 => F32::extent(F32::split(bytes)),
        FloatFormat::F64 => F64::extent(F64::split(bytes)),
    }
}

/// Widens stored elements to singles; doubles are rounded to nearest.
pub(crate) fn widen(format: FloatFormat, bytes: &[u8], output: &mut [f32]) {
    f32::accumulate(output, format, 1.0, bytes, true);
}

/// A format in which sums are held.
pub(crate) trait Accumulator: Copy + PartialEq {
    const ONE: Self;
    fn add_scaled(self, numerator: Self, value: Self) -> Self;
    fn scaled(self, factor: Self) -> Self;
    fn divided(self, divisor: Self) -> Self;
    /// Adds `numerator · x` for each stored `x`, or starts the sum with it.
    fn accumulate(
        sum: &mut [Self],
        format: FloatFormat,
        numerator: Self,
        bytes: &[u8],
        first: bool,
    );
    fn from_single(value: f32) -> Self;
    /// Narrowed such that rounding to BF16 afterwards rounds once.
    fn to_odd_single(self) -> f32;
    fn to_nearest_single(self) -> f32;
    /// Rounds the sums to `format`.
    fn narrow(sum: &[Self], format: FloatFormat, output: &mut [u8]);
}

#[inline(always)]
fn add_all<S: Stored, A: Accumulator>(
    sum: &mut [A],
    numerator: A,
    bytes: &[u8],
    first: bool,
    widen: impl Fn(S::Bytes) -> A,
) {
    // The first term is not added to a zero: that would turn −0 into +0.
    if first {
        for (sum, element) in sum.iter_mut().zip(S::split(bytes)) {
            *sum = widen(*element).scaled(numerator);
        }
    } else {
        for (sum, element) in sum.iter_mut().zip(S::split(bytes)) {
            *sum = sum.add_scaled(numerator, widen(*element));
        }
    }
}

/// Stores `narrow(sum)` as little-endian elements of `N` bytes.
#[inline(always)]
fn store_all<A: Copy, const N: usize>(sum: &[A], output: &mut [u8], narrow: impl Fn(A) -> [u8; N]) {
    for (sum, stored) in sum.iter().zip(output.as_chunks_mut::<N>().0) {
        *stored = narrow(*sum);
    }
}

macro_rules! accumulator {
    ($real:ty, $widen:ident, $to_odd:expr, { $($format:ident => $narrow:expr),+ $(,)? }) => {
        impl Accumulator for $real {
            const ONE: Self = 1.0;

            #[inline(always)]
            fn add_scaled(self, numerator: Self, value: Self) -> Self {
                self + numerator * value
            }

            #[inline(always)]
            fn scaled(self, factor: Self) -> Self {
                self * factor
            }

            #[inline(always)]
            fn divided(self, divisor: Self) -> Self {
                self / divisor
            }

            #[inline(always)]
            fn accumulate(sum: &mut [Self], format: FloatFormat, numerator: Self, bytes: &[u8], first: bool) {
                match format {
                    FloatFormat::Bf16 => add_all::<Bf16, _>(sum, numerator, bytes, first, Bf16::$widen),
                    FloatFormat::F16 => add_all::<F16, _>(sum, numerator, bytes, first, F16::$widen),
                    FloatFormat::F32 => add_all::<F32, _>(sum, numerator, bytes, first, F32::$widen),
                    FloatFormat::F64 => add_all::<F64, _>(sum, numerator, bytes, first, F64::$widen),
                }
            }

            #[inline(always)]
            fn from_single(value: f32) -> Self {
                value.into()
            }

            #[inline(always)]
            fn to_odd_single(self) -> f32 {
                $to_odd(self)
            }

            #[inline(always)]
            fn to_nearest_single(self) -> f32 {
                self as f32
            }

            #[inline(always)]
            fn narrow(sum: &[Self], format: FloatFormat, output: &mut [u8]) {
                match format {
                    $(FloatFormat::$format => store_all(sum, output, $narrow),)+
                }
            }
        }
    };
}

accumulator!(f32, single, |sum| sum, {
    Bf16 => |sum| narrow_bf16(sum).to_le_bytes(),
    F16 => |sum| narrow_f16(sum).to_le_bytes(),
    F32 => f32::to_le_bytes,
    F64 => |sum| f64::from(sum).to_le_bytes(),
});
accumulator!(f64, double, narrow_to_odd, {
    Bf16 => |sum| narrow_bf16(narrow_to_odd(sum)).to_le_bytes(),
    F16 => |sum| narrow_f16(narrow_to_odd(sum)).to_le_bytes(),
    F32 => |sum| (sum as f32).to_le_bytes(),
    F64 => f64::to_le_bytes,
});

/// The half of a single that BF16 keeps.
const HIGH_HALF: u32 = 0xffff_0000;

/// Rounds a finite single to BF16, nearest even, in the upper half of its bits; the lower half is left over.
#[inline(always)]
fn round_to_high_half(value: f32) -> u32 {
    let bits = value.to_bits();
    bits.wrapping_add(0x7fff + (bits >> 16 & 1))
}

/// `finish(Σ numerator·x)` of a few BF16 numbers, in registers: the numerators, and what is done with the sum.
pub(crate) struct Fused<A, F, const TERMS: usize>(pub(crate) [A; TERMS], pub(crate) F);

impl<A: Accumulator, F: Fn(A) -> A, const TERMS: usize> Fused<A, F, TERMS> {
    #[inline(always)]
    fn sum(&self, values: [f32; TERMS]) -> A {
        let mut sum = A::from_single(values[0]).scaled(self.0[0]);
        for (numerator, value) in self.0.iter().zip(values).skip(1) {
            sum = sum.add_scaled(*numerator, A::from_single(value));
        }
        self.1(sum)
    }

    /// Stores the sums as BF16.
    #[inline(always)]
    pub(crate) fn store(&self, inputs: [&[u8]; TERMS], output: &mut [u8]) {
        let (pairs, last) = output.as_chunks_mut::<4>();
        let (pieces, rest) = pairs.as_chunks_mut::<PAIRS>();
        let (whole, left) = in_pieces::<TERMS, 4, PAIRS>(inputs);
        for (index, stored) in pieces.iter_mut().enumerate() {
            self.store_pairs(whole.map(|pieces| &pieces[index]), stored);
        }
        if !rest.is_empty() {
            let mut stored = [[0; 4]; PAIRS];
            self.store_pairs(left.map(padded).each_ref(), &mut stored);
            rest.copy_from_slice(&stored[..rest.len()]);
        }
        if let Some(stored) = last.first_chunk_mut() {
            let element = |bytes: &[u8]| bytes.last_chunk().map_or(0.0, |last| Bf16::single(*last));
            let sum = self.sum(inputs.map(element)).to_odd_single();
            *stored = narrow_bf16(sum).to_le_bytes();
        }
    }

    /// Two elements of a word at a time. One is the upper half of a single already, so that neither widening nor
    /// narrowing moves anything between the lanes of a register.
    #[inline(always)]
    fn store_pairs(&self, words: [&[[u8; 4]; PAIRS]; TERMS], output: &mut [[u8; 4]; PAIRS]) {
        for (pair, stored) in output.iter_mut().enumerate() {
            let word = words.map(|words| u32::from_le_bytes(words[pair]));
            let low = self.sum(word.map(|bits| f32::from_bits(bits << 16)));
            let high = self.sum(word.map(|bits| f32::from_bits(bits & HIGH_HALF)));
            let low = round_to_high_half(low.to_odd_single());
            let high = round_to_high_half(high.to_odd_single());
            *stored = (low >> 16 | high & HIGH_HALF).to_le_bytes();
        }
    }

    /// Stores the sums as singles.
    #[inline(always)]
    pub(crate) fn store_wide(&self, inputs: [&[u8]; TERMS], output: &mut [u8]) {
        let (pieces, rest) = output.as_chunks_mut::<4>().0.as_chunks_mut::<PAIRS>();
        let (whole, left) = in_pieces::<TERMS, 2, PAIRS>(inputs);
        for (index, stored) in pieces.iter_mut().enumerate() {
            self.store_singles(whole.map(|pieces| &pieces[index]), stored);
        }
        if !rest.is_empty() {
            let mut stored = [[0; 4]; PAIRS];
            self.store_singles(left.map(padded).each_ref(), &mut stored);
            rest.copy_from_slice(&stored[..rest.len()]);
        }
    }

    #[inline(always)]
    fn store_singles(&self, inputs: [&[[u8; 2]; PAIRS]; TERMS], output: &mut [[u8; 4]; PAIRS]) {
        for (lane, stored) in output.iter_mut().enumerate() {
            let sum = self.sum(inputs.map(|elements| Bf16::single(elements[lane])));
            *stored = sum.to_nearest_single().to_le_bytes();
        }
    }
}

/// One term of a block: its storage and the factor it is multiplied by.
pub(crate) struct BlockTerm<'a, A> {
    pub(crate) format: FloatFormat,
    pub(crate) numerator: A,
    pub(crate) bytes: &'a [u8],
}

/// `(Σ numerator·x) / divisor · scale`, narrowed to `format`.
#[inline(always)]
pub(crate) fn combine<'a, A: Accumulator>(
    terms: impl Iterator<Item = BlockTerm<'a, A>>,
    divisor: A,
    scale: A,
    sum: &mut [A],
    format: FloatFormat,
    output: &mut [u8],
) {
    for (index, term) in terms.enumerate() {
        A::accumulate(sum, term.format, term.numerator, term.bytes, index == 0);
    }
    if divisor != A::ONE {
        sum.iter_mut().for_each(|sum| *sum = sum.divided(divisor));
    }
    if scale != A::ONE {
        sum.iter_mut().for_each(|sum| *sum = sum.scaled(scale));
    }
    A::narrow(sum, format, output);
}
