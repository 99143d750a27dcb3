//! Linear combinations, correctly rounded.
//!
//! Every output element is the exact value of `Σ cᵢ·xᵢ` on the stored inputs and the exact rational coefficients, rounded
//! once to nearest even. Three ways lead there; all give the same bits, and each block takes the first that it may:
//!
//! 1. **Proof.** Over a common denominator the sum is `Σ nᵢ·xᵢ / (d·2ᵏ)` with whole `nᵢ` and odd `d`. A scan over the stored
//!    bits of a block gives the largest magnitude and a power of two, `2^Q`, of which every term is a multiple. If every
//!    partial sum is below `2^(Q+24)`, single precision holds each of them exactly; below `2^(Q+53)`, double precision.
//!    Of a few BF16 inputs both powers are known for each element, and only the widest distance between them counts: a
//!    block of weights is hardly ever without a value near zero, but the models' values beside it are near zero too.
//!    The division by `d` then rounds once more than allowed, but harmlessly: with one spare bit a quotient that is not
//!    itself halfway between two output values keeps more than half an ulp of distance from all halfway points, so its
//!    rounding cannot reach one.
//! 2. **Bound.** The sum in double precision with a bound on its error: when both ends of the interval round to the same
//!    output, that is the answer. Taken by blocks whose range is too wide for a proof.
//! 3. **Exact.** Integers of any size, for elements whose interval holds a halfway point, and where values leave the
//!    normal range.
//!
//! NaN and infinities propagate as IEEE 754 says and are counted. Zeros: a sum that is exactly zero is +0 unless each of
//! its terms is −0; a value that underflows to zero keeps its sign.

use std::array::from_fn;

use num_bigint::{BigInt, BigUint};
use num_rational::BigRational;
use num_traits::{One, ToPrimitive, Zero};

use super::block::{Accumulator, BLOCK, BlockTerm, Extent, Fused, Spread, combine, extent, spread};
use super::direct::DirectSum;
use super::exact::{ExactSum, round_quotient};
use super::float::{Decoded, FloatFormat};
use crate::coefficient::Coefficient;

/// Non-finite elements among those written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Elements that are NaN.
    pub nan: u64,
    /// Elements that are infinite.
    pub infinite: u64,
    /// Of the infinite ones, those whose inputs were all finite: the sum is beyond the range of the output dtype.
    pub overflowed: u64,
}

impl Tally {
    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: Self) {
        self.nan += other.nan;
        self.infinite += other.infinite;
        self.overflowed += other.overflowed;
    }

    /// Whether every element is finite.
    pub fn is_finite(&self) -> bool {
        *self == Self::default()
    }

    fn count(&mut self, format: FloatFormat, bits: u64) {
        if !format.is_finite(bits) {
            let nan = format.is_nan(bits);
            self.nan += u64::from(nan);
            self.infinite += u64::from(!nan);
        }
    }

    /// Counts the elements of stored bytes that are passed on unchanged.
    pub(crate) fn count_stored(&mut self, format: FloatFormat, bytes: &[u8]) {
        for block in bytes.chunks(BLOCK * format.size_bytes()) {
            if scan(format, block).largest >= format.infinity_bits() {
                for index in 0..block.len() / format.size_bytes() {
                    self.count(format, format.load(block, index));
                }
            }
        }
    }
}

/// A linear combination made ready for blocks of elements.
#[derive(Debug, Clone)]
pub(crate) struct LinearKernel {
    terms: Vec<Term>,
    output: FloatFormat,
    exact: ExactSum,
    /// Where nothing has to be proved.
    direct: Option<DirectSum>,
    /// `d`, where it and every numerator are small enough for the proof in single or double precision.
    odd_denominator: f64,
    /// `k`.
    denominator_twos: i32,
    /// Whether `d` and all `nᵢ` are such that the proof may be tried, for the two precisions.
    provable_single: bool,
    provable_double: bool,
    /// Whether all inputs are BF16 and few enough for loops of their own.
    is_fusible: bool,
    /// The largest [`Term::ceiling`] and the smallest [`Term::twos`].
    ceiling: i32,
    twos: i32,
    /// Whether each `cᵢ` as an `f64` is within half an ulp.
    boundable: bool,
}

#[derive(Debug, Clone)]
struct Term {
    format: FloatFormat,
    /// `nᵢ`, exact when the proof may be tried.
    numerator: f64,
    /// `|nᵢ| ≤ 2^ceiling`.
    ceiling: i32,
    /// `nᵢ` is a multiple of `2^twos`.
    twos: i32,
    /// `cᵢ`, to nearest.
    coefficient: f64,
}

/// What the extents of a block's inputs say together.
struct Range {
    /// Every partial sum is at most `2^above` in magnitude.
    above: i32,
    /// Every term is a multiple of `2^quantum`.
    quantum: i32,
    /// Of no element are the two powers, if only its own terms are looked at, further apart.
    width: i32,
}

impl Range {
    const NOTHING: Self = Self {
        above: i32::MIN,
        quantum: i32::MAX,
        width: 0,
    };
    /// Any range will do.
    const OF_ZEROS: Self = Self {
        above: 0,
        quantum: 0,
        width: 0,
    };
}

impl LinearKernel {
    /// Prepares `Σ cᵢ·xᵢ` over inputs stored in the given formats.
    pub(crate) fn new(terms: &[(Coefficient, FloatFormat)], output: FloatFormat) -> Self {
        debug_assert!(terms.iter().all(|(coefficient, _)| !coefficient.is_zero()));
        let direct_sum = DirectSum::of(terms, output);
        let denominator = common_denominator(terms.iter().map(|(coefficient, _)| coefficient));
        let numerators: Vec<BigInt> = terms
            .iter()
            .map(|(coefficient, _)| {
                coefficient.numerator()
                    * BigInt::from(&denominator / coefficient.denominator().magnitude())
            })
            .collect();
        let denominator_twos = denominator.trailing_zeros().unwrap_or(0);
        let odd = &denominator >> denominator_twos;
        let terms: Vec<Term> = terms
            .iter()
            .zip(&numerators)
            .map(|((coefficient, format), numerator)| Term::new(*format, numerator, coefficient))
            .collect();
        let significant =
            |term: &Term, number: &BigInt| number.bits() as i64 - i64::from(term.twos);
        let fits = |precision: i64, largest: i32| {
            terms.iter().zip(&numerators).all(|(term, number)| {
                significant(term, number) <= precision && term.ceiling <= largest
            })
        };
        // A halfway point has one bit more than the output's precision; see the module's first item.
        let spare = |precision: i32| u64::try_from(precision - output.precision() - 3).unwrap_or(0);
        let direct = |precision: i32| {
            if output.precision() == precision {
                precision as u64
            } else {
                spare(precision)
            }
        };
        Self {
            provable_single: fits(24, 100)
                && output != FloatFormat::F64
                && odd.bits() <= direct(24).max(1)
                && denominator_twos <= 100,
            provable_double: fits(53, 900)
                && odd.bits() <= direct(53).max(1)
                && denominator_twos <= 900,
            is_fusible: (2..=4).contains(&terms.len())
                && terms.iter().all(|term| term.format == FloatFormat::Bf16),
            ceiling: terms.iter().map(|term| term.ceiling).max().unwrap_or(0),
            twos: terms.iter().map(|term| term.twos).min().unwrap_or(0),
            boundable: terms
                .iter()
                .all(|term| (1e-250..1e250).contains(&term.coefficient.abs())),
            odd_denominator: odd.to_f64().unwrap_or(f64::INFINITY),
            denominator_twos: denominator_twos.to_i32().unwrap_or(i32::MAX),
            exact: ExactSum {
                numerators,
                denominator,
            },
            direct: direct_sum,
            terms,
            output,
        }
    }

    /// Computes one output element per input element. `inputs` holds the stored bytes of each term in order.
    pub(crate) fn evaluate(&self, inputs: &[&[u8]], output: &mut [u8], tally: &mut Tally) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has the feature that the function is compiled for, as just checked.
            return unsafe { self.evaluate_avx2(inputs, output, tally) };
        }
        self.evaluate_blocks(inputs, output, tally);
    }

    /// The same loops, compiled for registers twice as wide.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn evaluate_avx2(&self, inputs: &[&[u8]], output: &mut [u8], tally: &mut Tally) {
        self.evaluate_blocks(inputs, output, tally);
    }

    #[inline(always)]
    fn evaluate_blocks(&self, inputs: &[&[u8]], output: &mut [u8], tally: &mut Tally) {
        debug_assert_eq!(inputs.len(), self.terms.len());
        if self.terms.is_empty() {
            return output.fill(0);
        }
        let elements = output.len() / self.output.size_bytes();
        let (mut singles, mut doubles) = ([0f32; BLOCK], [0f64; BLOCK]);
        for start in (0..elements).step_by(BLOCK) {
            let count = BLOCK.min(elements - start);
            let size = self.output.size_bytes();
            let output = &mut output[start * size..][..count * size];
            let term = |index: usize| {
                let size = self.terms[index].format.size_bytes();
                &inputs[index][start * size..][..count * size]
            };
            if let Some(direct) = &self.direct
                && direct.store(term, &mut singles[..count], output)
            {
                continue;
            }
            match self.range(term) {
                Some(range) if self.provable_single && self.proves::<24>(&range, -126, 127) => {
                    self.combine(term, |value| value as f32, &mut singles[..count], output);
                }
                Some(range) if self.provable_double && self.proves::<53>(&range, -1022, 1023) => {
                    self.combine(term, |value| value, &mut doubles[..count], output);
                }
                _ => self.evaluate_bounded(term, count, output, tally),
            }
        }
    }

    #[inline(always)]
    fn combine<'a, A: Accumulator>(
        &self,
        term: impl Fn(usize) -> &'a [u8],
        convert: impl Fn(f64) -> A,
        sums: &mut [A],
        output: &mut [u8],
    ) {
        let scale = convert(power_of_two(-self.denominator_twos));
        let divisor = convert(self.odd_denominator);
        let numerator = |index: usize| convert(self.terms[index].numerator);
        match (self.is_fusible, self.terms.len(), self.output) {
            (true, 2, FloatFormat::Bf16 | FloatFormat::F32) => {
                self.fuse::<A, 2>(from_fn(numerator), from_fn(term), divisor, scale, output);
            }
            (true, 3, FloatFormat::Bf16 | FloatFormat::F32) => {
                self.fuse::<A, 3>(from_fn(numerator), from_fn(term), divisor, scale, output);
            }
            (true, 4, FloatFormat::Bf16 | FloatFormat::F32) => {
                self.fuse::<A, 4>(from_fn(numerator), from_fn(term), divisor, scale, output);
            }
            _ => {
                let terms = self
                    .terms
                    .iter()
                    .enumerate()
                    .map(|(index, each)| BlockTerm {
                        format: each.format,
                        numerator: numerator(index),
                        bytes: term(index),
                    });
                combine(terms, divisor, scale, sums, self.output, output);
            }
        }
    }

    #[inline(always)]
    fn fuse<A: Accumulator, const TERMS: usize>(
        &self,
        numerators: [A; TERMS],
        inputs: [&[u8]; TERMS],
        divisor: A,
        scale: A,
        output: &mut [u8],
    ) {
        // A division costs as much as all the rest, and most coefficients need none.
        let scaled = |sum: A| sum.scaled(scale);
        let divided = |sum: A| sum.divided(divisor).scaled(scale);
        match (divisor == A::ONE, self.output) {
            (true, FloatFormat::F32) => Fused(numerators, scaled).store_wide(inputs, output),
            (true, _) => Fused(numerators, scaled).store(inputs, output),
            (false, FloatFormat::F32) => Fused(numerators, divided).store_wide(inputs, output),
            (false, _) => Fused(numerators, divided).store(inputs, output),
        }
    }

    /// Bounds on the block, or `None` when an input is not finite.
    #[inline(always)]
    fn range<'a>(&self, term: impl Fn(usize) -> &'a [u8]) -> Option<Range> {
        match (self.is_fusible, self.terms.len()) {
            (true, 2) => return self.range_of_elements(spread::<2>(from_fn(term))),
            (true, 3) => return self.range_of_elements(spread::<3>(from_fn(term))),
            (true, 4) => return self.range_of_elements(spread::<4>(from_fn(term))),
            _ => {}
        }
        let mut range = Range::NOTHING;
        for (index, each) in self.terms.iter().enumerate() {
            let format = each.format;
            let extent = extent(format, term(index));
            if extent.largest >= format.infinity_bits() {
                return None;
            }
            if extent.largest == 0 {
                continue;
            }
            let fraction = format.precision() - 1;
            let field = |bits: u64| i32::try_from(bits >> fraction).unwrap_or(i32::MAX).max(1);
            let common_zeros = i32::try_from(extent.union.trailing_zeros())
                .unwrap_or(0)
                .min(fraction);
            let above = format.minimum_exponent() + field(extent.largest);
            let quantum = format.quantum_exponent() + field(extent.smallest) - 1 + common_zeros;
            range.above = range.above.max(above + each.ceiling);
            range.quantum = range.quantum.min(quantum + each.twos);
        }
        if range.quantum == i32::MAX {
            return Some(Range::OF_ZEROS);
        }
        range.above += ceiling_log2(self.terms.len() as u64);
        range.width = range.above - range.quantum;
        Some(range)
    }

    /// The bounds that a scan of BF16 inputs gives.
    #[inline(always)]
    fn range_of_elements(&self, spread: Spread) -> Option<Range> {
        const FORMAT: FloatFormat = FloatFormat::Bf16;
        if u64::from(spread.largest) >= FORMAT.infinity_bits() {
            return None;
        }
        if spread.largest == 0 {
            return Some(Range::OF_ZEROS);
        }
        let fraction = FORMAT.precision() - 1;
        // Exponent fields differ by no more than the whole bits do, rounded up; subnormal numbers have the field of the
        // smallest normal ones, which only brings them nearer.
        let fields = (i32::from(spread.widest) - 1 + (1 << fraction) - 1) >> fraction;
        let field = |bits: u16| i32::from(bits >> fraction).max(1);
        let growth = self.ceiling + ceiling_log2(self.terms.len() as u64);
        Some(Range {
            above: FORMAT.minimum_exponent() + field(spread.largest) + growth,
            quantum: FORMAT.quantum_exponent() + field(spread.below_smallest + 1) - 1 + self.twos,
            width: fields + FORMAT.precision() + growth - self.twos,
        })
    }

    /// Whether arithmetic with `PRECISION` bits and exponents in the given range returns the correct rounding.
    #[inline(always)]
    fn proves<const PRECISION: i32>(&self, range: &Range, minimum: i32, maximum: i32) -> bool {
        let odd_bits = ceiling_log2(self.odd_denominator as u64);
        let spare = i32::from(odd_bits > 0);
        // Rounding to BF16 goes through singles, which must be normal too.
        let least_normal = if self.output == FloatFormat::Bf16 {
            minimum.max(-126)
        } else {
            minimum
        };
        range.width + spare <= PRECISION
            && range.quantum >= minimum
            && range.above <= maximum
            && range.quantum - self.denominator_twos - odd_bits >= least_normal
            && range.above - self.denominator_twos - (odd_bits - 1).max(0)
                <= self.output.maximum_exponent()
    }

    /// The second and third way.
    #[inline(never)]
    fn evaluate_bounded<'a>(
        &self,
        term: impl Fn(usize) -> &'a [u8],
        count: usize,
        output: &mut [u8],
        tally: &mut Tally,
    ) {
        let unit = (self.terms.len() + 2) as f64 * f64::EPSILON;
        // Only products of doubles can fall below the normal range; the coefficients alone cannot take them there.
        let has_doubles = self
            .terms
            .iter()
            .any(|term| term.format == FloatFormat::F64);
        let underflow = if has_doubles { 1e-300 } else { 0.0 };
        let mut decoded = Vec::with_capacity(self.terms.len());
        for element in 0..count {
            let (mut sum, mut magnitude) = (-0.0, 0.0);
            for (index, each) in self.terms.iter().enumerate() {
                let product =
                    each.coefficient * each.format.to_f64(each.format.load(term(index), element));
                sum += product;
                magnitude += product.abs();
            }
            // Twice the classical bound, which also covers the rounding of the two ends.
            let error = magnitude * unit + underflow;
            let (low, high) = (
                self.output.round_f64(sum - error),
                self.output.round_f64(sum + error),
            );
            let finite = magnitude < f64::INFINITY;
            let bits = if self.boundable && finite && low == high && self.output.is_finite(low) {
                low
            } else {
                decoded.clear();
                decoded.extend(self.terms.iter().enumerate().map(|(index, each)| {
                    each.format.decode(each.format.load(term(index), element))
                }));
                let bits = self.exact.round(&decoded, self.output);
                tally.count(self.output, bits);
                let all_finite = decoded
                    .iter()
                    .all(|input| matches!(input, Decoded::Finite { .. }));
                tally.overflowed += u64::from(all_finite && !self.output.is_finite(bits));
                bits
            };
            self.output.store(output, element, bits);
        }
    }
}

impl Term {
    fn new(format: FloatFormat, numerator: &BigInt, coefficient: &Coefficient) -> Self {
        let magnitude = numerator.magnitude();
        let bits = magnitude.bits();
        let twos = magnitude.trailing_zeros().unwrap_or(0);
        let is_power = bits == twos + 1;
        Self {
            format,
            numerator: numerator.to_f64().unwrap_or(f64::INFINITY),
            ceiling: i32::try_from(bits - u64::from(is_power)).unwrap_or(i32::MAX / 4),
            twos: i32::try_from(twos).unwrap_or(0),
            coefficient: nearest_f64(coefficient),
        }
    }
}

/// The `f64` nearest to a coefficient; infinite beyond the range.
pub(crate) fn nearest_f64(coefficient: &Coefficient) -> f64 {
    if coefficient.numerator().is_zero() {
        return 0.0;
    }
    let denominator = coefficient.denominator().magnitude();
    f64::from_bits(round_quotient(
        coefficient.numerator(),
        denominator,
        0,
        FloatFormat::F64,
    ))
}

/// The least common multiple of the denominators.
fn common_denominator<'a>(coefficients: impl Iterator<Item = &'a Coefficient>) -> BigUint {
    let multiple = coefficients.fold(BigInt::one(), |multiple, coefficient| {
        // In lowest terms the numerator of multiple/denominator is multiple/gcd.
        let reduced = BigRational::new(multiple, coefficient.denominator().clone());
        reduced.numer() * coefficient.denominator()
    });
    multiple.into_parts().1
}

fn scan(format: FloatFormat, bytes: &[u8]) -> Extent {
    extent(format, bytes)
}

/// Least `n` with `value ≤ 2^n`.
#[inline(always)]
fn ceiling_log2(value: u64) -> i32 {
    (u64::BITS - value.saturating_sub(1).leading_zeros()) as i32
}

/// `2^exponent` for exponents of normal numbers.
#[inline(always)]
fn power_of_two(exponent: i32) -> f64 {
    let field = u64::try_from((exponent + 1023).clamp(0, 2046)).unwrap_or(0);
    f64::from_bits(field << 52)
}

#[cfg(test)]
mod tests;
