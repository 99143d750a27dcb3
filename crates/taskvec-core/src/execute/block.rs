//! The inner loops of linear combinations: plain arithmetic on short blocks, written so that the compiler vectorises it.
//!
//! Nothing here checks anything. [`linear`](super::linear) calls these loops only for blocks on which it has proved
//! that they are exact.

use multiversion::multiversion;

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

/// A stored format as the loops see it.
trait Stored {
    type Bytes: Copy;
    fn split(bytes: &[u8]) -> &[Self::Bytes];
    fn single(bytes: Self::Bytes) -> f32;
    fn double(bytes: Self::Bytes) -> f64;
    fn extent(elements: &[Self::Bytes]) -> Extent;
}

macro_rules! stored {
    ($name:ident, $bits:ty, $size:literal, $single:expr, $double:expr) => {
        struct $name;
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
#[multiversion(targets("x86_64+avx2"))]
pub(crate) fn widen(format: FloatFormat, bytes: &[u8], output: &mut [f32]) {
    f32::accumulate(output, format, 1.0, bytes, true);
}

/// Stores singles as little-endian bytes.
pub(crate) fn store_singles(values: &[f32], output: &mut [u8]) {
    f32::narrow(values, FloatFormat::F32, output);
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
    /// The commonest sums in one go: `Σ numerator·x · scale` of BF16 numbers, narrowed. The sums stay in registers.
    fn fuse<const TERMS: usize, const SIZE: usize>(
        numerators: [Self; TERMS],
        inputs: [&[u8]; TERMS],
        scale: Self,
        output: &mut [u8],
        narrow: impl Fn(Self) -> [u8; SIZE],
    );
    /// Rounds to BF16, and to a single.
    fn to_bf16(self) -> [u8; 2];
    fn to_single(self) -> [u8; 4];
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
    ($real:ty, $widen:ident, $bf16:expr, { $($format:ident => $narrow:expr),+ $(,)? }) => {
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
            fn fuse<const TERMS: usize, const SIZE: usize>(
                numerators: [Self; TERMS],
                inputs: [&[u8]; TERMS],
                scale: Self,
                output: &mut [u8],
                narrow: impl Fn(Self) -> [u8; SIZE],
            ) {
                let (output, _) = output.as_chunks_mut::<SIZE>();
                // Slices of one known length need no further checks.
                let inputs = inputs.map(|bytes| &Bf16::split(bytes)[..output.len()]);
                for (index, stored) in output.iter_mut().enumerate() {
                    let mut sum = Bf16::$widen(inputs[0][index]) * numerators[0];
                    for term in 1..TERMS {
                        sum += Bf16::$widen(inputs[term][index]) * numerators[term];
                    }
                    *stored = narrow(sum * scale);
                }
            }

            #[inline(always)]
            fn to_bf16(self) -> [u8; 2] {
                $bf16(self)
            }

            #[inline(always)]
            fn to_single(self) -> [u8; 4] {
                (self as f32).to_le_bytes()
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

accumulator!(f32, single, |sum| narrow_bf16(sum).to_le_bytes(), {
    Bf16 => |sum| narrow_bf16(sum).to_le_bytes(),
    F16 => |sum| narrow_f16(sum).to_le_bytes(),
    F32 => f32::to_le_bytes,
    F64 => |sum| f64::from(sum).to_le_bytes(),
});
accumulator!(f64, double, |sum| narrow_bf16(narrow_to_odd(sum)).to_le_bytes(), {
    Bf16 => |sum| narrow_bf16(narrow_to_odd(sum)).to_le_bytes(),
    F16 => |sum| narrow_f16(narrow_to_odd(sum)).to_le_bytes(),
    F32 => |sum| (sum as f32).to_le_bytes(),
    F64 => f64::to_le_bytes,
});

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
