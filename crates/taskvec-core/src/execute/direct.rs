//! Sums that need no proof, because arithmetic rounds them once by itself.
//!
//! IEEE 754 rounds every single addition correctly. So where an output is stored as singles, there are no more than two
//! terms, and single precision holds each product `cᵢ·xᵢ` whatever `xᵢ` is, one addition *is* the answer. Its underflow
//! is exact, and the signs of zeros are those that [`linear`](super::linear) promises, for they are IEEE 754's.
//!
//! What is left is a look at the results: only where one of them is not finite must the inputs be told apart.

use super::block::{Bf16, BlockTerm, Stored, combine, extent, in_pieces, padded};
use super::float::FloatFormat;
use crate::coefficient::Coefficient;

/// Elements that are added together. A fixed number leaves the compiler no remainder to be done one by one; one large
/// enough makes it turn the loop into vectors, where it would unroll a short one and gather vectors element by element.
const PIECE: usize = 128;

/// A sum of one or two terms that single precision rounds once.
#[derive(Debug, Clone)]
pub(super) struct DirectSum {
    terms: Vec<(f32, FloatFormat)>,
}

impl DirectSum {
    /// None where more than one rounding could happen.
    pub(super) fn of(terms: &[(Coefficient, FloatFormat)], output: FloatFormat) -> Option<Self> {
        if output != FloatFormat::F32 || !(1..=2).contains(&terms.len()) {
            return None;
        }
        let exact = |(coefficient, format): &(Coefficient, FloatFormat)| {
            Some((exact_factor(coefficient, *format)?, *format))
        };
        let terms = terms.iter().map(exact).collect::<Option<_>>()?;
        Some(Self { terms })
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
