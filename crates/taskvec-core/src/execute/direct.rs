//! Sums that need no proof, because arithmetic rounds them once by itself.
//!
//! IEEE 754 rounds every single addition correctly. So where an output is stored as singles, there are no more than two
//! terms, and single precision holds each product `cᵢ·xᵢ` whatever `xᵢ` is, one addition *is* the answer. Its underflow
//! is exact, and the signs of zeros are those that [`linear`](super::linear) promises, for they are IEEE 754's.
//!
//! Where it is stored as BF16, a second rounding follows. The error of the addition is a single too (Knuth, "The Art of
//! Computer Programming", volume 2, section 4.2.2, theorem B), so that the sum can be rounded to odd instead: what is lost
//! then shows in the last bit, and rounding that to a third of the digits is as good as rounding the exact sum.
//!
//! What is left is a look at the results: only where one of them is not finite must the inputs be told apart.

use super::block::{Bf16, BlockTerm, F32 as F32s, Stored, combine, extent, in_pieces, padded};
use super::float::{FloatFormat, narrow_bf16};
use crate::coefficient::Coefficient;

/// Elements that are added together. A fixed number leaves the compiler no remainder to be done one by one; one large
/// enough makes it turn the loop into vectors, where it would unroll a short one and gather vectors element by element.
const PIECE: usize = 128;

/// A sum of one or two terms that single precision rounds once.
#[derive(Debug, Clone)]
pub(super) struct DirectSum {
    terms: Vec<(f32, FloatFormat)>,
    output: FloatFormat,
}

impl DirectSum {
    /// None where more than one rounding could happen.
    pub(super) fn of(terms: &[(Coefficient, FloatFormat)], output: FloatFormat) -> Option<Self> {
        let is_stored = match output {
            FloatFormat::F32 => true,
            // Other formats are rare enough, and two terms of BF16 are as fast with a proof.
            FloatFormat::Bf16 => {
                let (bf16, f32) = (FloatFormat::Bf16, FloatFormat::F32);
                let formats = || terms.iter().map(|(_, format)| *format);
                formats().all(|format| format == bf16 || format == f32)
                    && formats().any(|format| format == f32)
            }
            _ => false,
        };
        if !is_stored || !(1..=2).contains(&terms.len()) {
            return None;
        }
        let exact = |(coefficient, format): &(Coefficient, FloatFormat)| {
            Some((exact_factor(coefficient, *format)?, *format))
        };
        let terms = terms.iter().map(exact).collect::<Option<_>>()?;
        Some(Self { terms, output })
    }

    /// Stores the sums of one block as singles; `sums` is room for them. Returns whether all of them are finite.
    #[inline(always)]
    pub(super) fn store<'a>(
        &self,
        term: impl Fn(usize) -> &'a [u8],
        sums: &mut [f32],
        output: &mut [u8],
    ) -> bool {
        const BF16: FloatFormat = FloatFormat::Bf16;
        const F32: FloatFormat = FloatFormat::F32;
        if self.output == BF16 {
            return match *self.terms.as_slice() {
                [(factor, F32)] => narrow::<F32s, F32s>([term(0), &[]], [factor, 0.0], output),
                [(first, F32), (second, F32)] => {
                    narrow::<F32s, F32s>([term(0), term(1)], [first, second], output)
                }
                [(first, BF16), (second, F32)] => {
                    narrow::<F32s, Bf16>([term(1), term(0)], [second, first], output)
                }
                [(first, F32), (second, BF16)] => {
                    narrow::<F32s, Bf16>([term(0), term(1)], [first, second], output)
                }
                _ => false,
            };
        }
        match *self.terms.as_slice() {
            // What a task vector is: worth a loop without multiplications.
            [(1.0, BF16), (-1.0, BF16)] => {
                store_bf16([term(0), term(1)], output, |[one, two]| one - two)
            }
            [(first, BF16), (second, BF16)] => {
                store_bf16([term(0), term(1)], output, |[one, two]| {
                    first * one + second * two
                })
            }
            [(factor, BF16)] => store_bf16([term(0)], output, |[value]| factor * value),
            _ => {
                let terms = self.terms.iter().enumerate();
                let terms = terms.map(|(index, (factor, format))| BlockTerm {
                    format: *format,
                    numerator: *factor,
                    bytes: term(index),
                });
                combine(terms, 1.0, 1.0, sums, FloatFormat::F32, output);
                extent(FloatFormat::F32, output).largest < FloatFormat::F32.infinity_bits()
            }
        }
    }
}

/// The coefficient as a single, where its product with every number of the format is one too: a power of two that leads
/// neither below the smallest single nor beyond the largest.
fn exact_factor(coefficient: &Coefficient, format: FloatFormat) -> Option<f32> {
    const SINGLE: FloatFormat = FloatFormat::F32;
    let numerator = coefficient.numerator().magnitude();
    let denominator = coefficient.denominator().magnitude();
    let power = |number: &num_bigint::BigUint| {
        let twos = number.trailing_zeros()?;
        (number.bits() == twos + 1).then(|| i32::try_from(twos).ok())?
    };
    let exponent = power(numerator)? - power(denominator)?;
    let is_exact = format.precision() <= SINGLE.precision()
        && format.quantum_exponent() + exponent >= SINGLE.quantum_exponent()
        && format.maximum_exponent() + exponent <= SINGLE.maximum_exponent();
    let magnitude = || f32::from_bits(u32::try_from(exponent + 127).unwrap_or(0) << 23);
    is_exact.then(|| match coefficient.is_negative() {
        true => -magnitude(),
        false => magnitude(),
    })
}

/// Magnitudes from here on are left to others: below, no step on the way to a sum's error leaves the range.
const LARGE: u32 = (127 + 126) << 23;

/// Stores the sum of two terms, or a term that has no other beside it, as BF16. Returns whether every one is of ordinary
/// size.
#[inline(always)]
fn narrow<S: Stored, T: Stored>(
    [first, second]: [&[u8]; 2],
    [one_factor, other_factor]: [f32; 2],
    output: &mut [u8],
) -> bool {
    let mut largest = 0;
    let firsts = S::split(first).chunks(PIECE);
    let mut seconds = T::split(second).chunks(PIECE);
    let outputs = output.as_chunks_mut::<2>().0.chunks_mut(PIECE);
    for (first, output) in firsts.zip(outputs) {
        let mut singles = [0f32; PIECE];
        let singles = &mut singles[..output.len()];
        for (single, element) in singles.iter_mut().zip(first) {
            *single = one_factor * S::single(*element);
        }
        if let Some(second) = seconds.next() {
            for (single, element) in singles.iter_mut().zip(second) {
                *single = add_to_odd(*single, other_factor * T::single(*element));
            }
        }
        for (stored, single) in output.iter_mut().zip(singles) {
            let bits = single.to_bits();
            largest = (bits & (u32::MAX >> 1)).max(largest);
            *stored = narrow_bf16(*single).to_le_bytes();
        }
    }
    largest < LARGE
}

/// `one + other`, rounded to the neighbour with an odd last bit where it is not exact.
#[inline(always)]
fn add_to_odd(one: f32, other: f32) -> f32 {
    let sum = one + other;
    let of_other = sum - one;
    let error = (one - (sum - of_other)) + (other - of_other);
    let bits = sum.to_bits();
    let is_beyond = (error.to_bits() ^ bits) >> 31;
    let odd = bits.wrapping_sub(is_beyond) | 1;
    f32::from_bits(if error == 0.0 { bits } else { odd })
}

/// Stores `sum` of the inputs' elements. Returns whether every result is finite.
#[inline(always)]
fn store_bf16<const TERMS: usize>(
    inputs: [&[u8]; TERMS],
    output: &mut [u8],
    sum: impl Fn([f32; TERMS]) -> f32,
) -> bool {
    // Magnitudes are ordered as their bits are, infinity and NaN above all numbers.
    let mut largest = 0;
    let store = |inputs: [&[[u8; 2]; PIECE]; TERMS], output: &mut [[u8; 4]; PIECE]| {
        let mut largest = 0;
        for lane in 0..PIECE {
            let bits = sum(inputs.map(|elements| Bf16::single(elements[lane]))).to_bits();
            output[lane] = bits.to_le_bytes();
            largest = (bits & (u32::MAX >> 1)).max(largest);
        }
        largest
    };
    let (pieces, rest) = output.as_chunks_mut::<4>().0.as_chunks_mut::<PIECE>();
    let (whole, left) = in_pieces::<TERMS, 2, PIECE>(inputs);
    for (index, stored) in pieces.iter_mut().enumerate() {
        largest = store(whole.map(|pieces| &pieces[index]), stored).max(largest);
    }
    if !rest.is_empty() {
        let mut stored = [[0; 4]; PIECE];
        largest = store(left.map(padded).each_ref(), &mut stored).max(largest);
        rest.copy_from_slice(&stored[..rest.len()]);
    }
    largest < f32::INFINITY.to_bits()
}
