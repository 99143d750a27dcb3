//! Linear combinations in exact arithmetic, whatever it costs.
//!
//! The last resort of [`linear`](super::linear) and the definition of what its fast paths must return: integers of any
//! size, one rounding at the end.

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::{ToPrimitive, Zero};

use super::float::{Decoded, FloatFormat};

/// `Σ numeratorᵢ·xᵢ / denominator`.
#[derive(Debug, Clone)]
pub(crate) struct ExactSum {
    pub(crate) numerators: Vec<BigInt>,
    pub(crate) denominator: BigUint,
}

impl ExactSum {
    /// The combination of `inputs`, one per numerator, rounded once to `output`.
    ///
    /// NaN and infinite inputs give what IEEE 754 gives. An exact zero is +0 unless every term is −0.
    pub(crate) fn round(&self, inputs: &[Decoded], output: FloatFormat) -> u64 {
        let (mut positive_infinity, mut negative_infinity) = (false, false);
        let mut all_negative_zero = true;
        let mut least = i32::MAX;
        for (numerator, input) in self.numerators.iter().zip(inputs) {
            let flipped = numerator.sign() == Sign::Minus;
            match *input {
                Decoded::NotANumber => return output.nan_bits(),
                Decoded::Infinite { negative } if negative != flipped => negative_infinity = true,
                Decoded::Infinite { .. } => positive_infinity = true,
                Decoded::Finite {
                    negative,
                    mantissa,
                    exponent,
                } => {
                    all_negative_zero &= mantissa == 0 && negative != flipped;
                    if mantissa != 0 {
                        least = least.min(exponent);
                    }
                }
            }
        }
        let sign = output.infinity_bits() + (1 << (output.precision() - 1));
        match (positive_infinity, negative_infinity) {
            (true, true) => return output.nan_bits(),
            (true, false) => return output.infinity_bits(),
            (false, true) => return output.infinity_bits() | sign,
            (false, false) => {}
        }
        let mut sum = BigInt::zero();
        for (numerator, input) in self.numerators.iter().zip(inputs) {
            if let Decoded::Finite {
                negative,
                mantissa,
                exponent,
            } = *input
                && mantissa != 0
            {
                let term = (numerator * mantissa) << (exponent - least).unsigned_abs();
                if negative { sum -= term } else { sum += term }
            }
        }
        if sum.is_zero() {
            return if all_negative_zero && !inputs.is_empty() {
                sign
            } else {
                0
            };
        }
        round_quotient(&sum, &self.denominator, least.into(), output)
    }
}

/// `numerator / denominator · 2^exponent`, rounded once; neither number is zero.
pub(crate) fn round_quotient(
    numerator: &BigInt,
    denominator: &BigUint,
    exponent: i64,
    output: FloatFormat,
) -> u64 {
    let length = |number: &BigUint| i64::try_from(number.bits()).unwrap_or(i64::MAX);
    // Shifted so that the quotient has 63 or 64 bits; what the division leaves over is the sticky bit.
    let shift = 63 - (length(numerator.magnitude()) - length(denominator));
    let (dividend, divisor) = if shift >= 0 {
        (
            numerator.magnitude() << shift.unsigned_abs(),
            denominator.clone(),
        )
    } else {
        (
            numerator.magnitude().clone(),
            denominator << shift.unsigned_abs(),
        )
    };
    let quotient = &dividend / &divisor;
    let sticky = &quotient * &divisor != dividend;
    let mantissa = quotient.to_u64().unwrap_or(u64::MAX);
    output.round(
        numerator.sign() == Sign::Minus,
        mantissa,
        exponent - shift,
        sticky,
    )
}
