//! Sums whose order is fixed by the length of a slice alone.

use multiversion::multiversion;

use crate::execute::{FloatFormat, widen_f16};

/// Independent partial sums: enough for the widest registers, and fixed so that all processors add in one order.
pub(super) const LANES: usize = 16;

/// `Σ term(index)` over `0..count`, in double precision and in one fixed order.
#[inline(always)]
pub(crate) fn sum(count: usize, term: impl Fn(usize) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let whole = count - count % LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(start + lane);
        }
    }
    for (lane, index) in (whole..count).enumerate() {
        lanes[lane] += term(index);
    }
    lanes.iter().sum()
}

/// `Σ x²`.
#[multiversion(targets("x86_64+avx2"))]
pub(crate) fn sum_of_squares(values: &[f32]) -> f64 {
    squares(values, |value| value)
}

/// The same of stored elements, taken as singles.
#[multiversion(targets("x86_64+avx2"))]
pub(crate) fn sum_of_stored_squares(format: FloatFormat, stored: &[u8]) -> f64 {
    match format {
        FloatFormat::Bf16 => squares(stored.as_chunks::<2>().0, |bytes| {
            f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
        }),
        FloatFormat::F16 => squares(stored.as_chunks::<2>().0, |bytes| {
            widen_f16(u16::from_le_bytes(bytes))
        }),
        FloatFormat::F32 => squares(stored.as_chunks::<4>().0, f32::from_le_bytes),
        FloatFormat::F64 => squares(stored.as_chunks::<8>().0, |bytes| {
            f64::from_le_bytes(bytes) as f32
        }),
    }
}

#[inline(always)]
fn squares<T: Copy>(values: &[T], single: impl Fn(T) -> f32) -> f64 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    let square = |value: T| {
        let value = f64::from(single(value));
        value * value
    };
    for chunk in chunks {
        for (sum, &value) in lanes.iter_mut().zip(chunk) {
            *sum += square(value);
        }
    }
    for (sum, &value) in lanes.iter_mut().zip(rest) {
        *sum += square(value);
    }
    lanes.iter().sum()
}

/// What two runs of values have to do with one another.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Products {
    /// `Σ x·y`.
    pub(crate) dot: f64,
    /// Elements where neither is zero or NaN.
    pub(crate) nonzero_in_both: u64,
    /// Of those, the ones of one sign.
    pub(crate) agreeing: u64,
}

/// [`Products`] of two runs of stored singles of one length, in one fixed order.
#[multiversion(targets("x86_64+avx2"))]
pub(crate) fn products(first: &[[u8; 4]], second: &[[u8; 4]]) -> Products {
    const SIGN: u32 = 1 << 31;
    let mut found = Products::default();
    for (first, second) in first.chunks(LANES << 24).zip(second.chunks(LANES << 24)) {
        let (mut dot, mut both, mut agreeing) = ([0f64; LANES], [0u32; LANES], [0u32; LANES]);
        let mut count = |one: &[[u8; 4]; LANES], two: &[[u8; 4]; LANES]| {
            for lane in 0..LANES {
                let [one, two] = [one[lane], two[lane]].map(f32::from_le_bytes);
                dot[lane] += f64::from(one) * f64::from(two);
                let (one, two) = (one.to_bits(), two.to_bits());
                // Zero wraps to the top, above infinity, where NaN is already.
                let counts = |bits: u32| (bits & !SIGN).wrapping_sub(1) < INFINITY;
                let is_both = u32::from(counts(one) & counts(two));
                both[lane] += is_both;
                agreeing[lane] += is_both & !((one ^ two) >> 31);
            }
        };
        let ((ones, one), (twos, two)) = (first.as_chunks::<LANES>(), second.as_chunks::<LANES>());
        for (one, two) in ones.iter().zip(twos) {
            count(one, two);
        }
        // Padded with zeros, which add nothing.
        let mut last = [[[0; 4]; LANES]; 2];
        last[0][..one.len()].copy_from_slice(one);
        last[1][..two.len()].copy_from_slice(two);
        count(&last[0], &last[1]);
        let sum = |lanes: [u32; LANES]| lanes.into_iter().map(u64::from).sum::<u64>();
        found.dot += dot.iter().sum::<f64>();
        found.nonzero_in_both += sum(both);
        found.agreeing += sum(agreeing);
    }
    found
}

/// What is special about some values.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Census {
    pub(crate) zeros: u64,
    pub(crate) nan: u64,
    pub(crate) infinite: u64,
    /// Largest magnitude of what is finite.
    pub(crate) largest: f32,
}

/// Counts zeros, NaN and infinities among stored singles, and finds the largest magnitude.
///
/// Magnitudes are compared as bits: numbers, infinity and NaN follow one another there. So the largest tells whether there
/// is anything but numbers, and only then are values looked at for what they are.
#[multiversion(targets("x86_64+avx2"))]
pub(crate) fn census(values: &[[u8; 4]]) -> Census {
    let mut found = Census::default();
    let (runs, rest) = values.as_chunks::<RUN>();
    let rest = (!rest.is_empty()).then_some(rest);
    for run in runs.iter().map(<[_; RUN]>::as_slice).chain(rest) {
        // Counters as wide as the values are what registers like; short runs keep them from overflowing.
        let (zeros, mut largest) = match <&[[u8; 4]; RUN]>::try_from(run) {
            Ok(whole) => zeros_and_largest(whole),
            Err(_) => zeros_and_largest(run),
        };
        found.zeros += u64::from(zeros);
        if largest >= INFINITY {
            let (mut nan, mut infinite) = (0, 0);
            largest = 0;
            for magnitude in run.iter().copied().map(magnitude) {
                nan += u64::from(magnitude > INFINITY);
                infinite += u64::from(magnitude == INFINITY);
                let finite = if magnitude < INFINITY { magnitude } else { 0 };
                largest = finite.max(largest);
            }
            found.nan += nan;
            found.infinite += infinite;
        }
        found.largest = found.largest.max(f32::from_bits(largest));
    }
    found
}

const INFINITY: u32 = f32::INFINITY.to_bits();

/// Values whose census is taken together: a fixed number, and one so large that the compiler makes vectors of the loop and
/// does not unroll it.
const RUN: usize = 512;

/// How many are zero, and the largest magnitude.
#[inline(always)]
fn zeros_and_largest<'a>(values: impl IntoIterator<Item = &'a [u8; 4]>) -> (u32, u32) {
    values.into_iter().fold((0, 0), |(zeros, largest), stored| {
        let magnitude = magnitude(*stored);
        (zeros + u32::from(magnitude == 0), magnitude.max(largest))
    })
}

/// The bits of a stored single without its sign.
#[inline(always)]
fn magnitude(stored: [u8; 4]) -> u32 {
    u32::from_le_bytes(stored) & (u32::MAX >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::widen;

    fn stored(values: &[f32]) -> Vec<[u8; 4]> {
        values.iter().map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn every_element_counts_once() {
        for count in [0, 1, 15, 16, 17, 100] {
            assert_eq!(
                sum(count, |index| index as f64),
                (0..count).sum::<usize>() as f64
            );
        }
        assert_eq!(sum_of_squares(&[3.0, 4.0]), 25.0);
        for count in [0u16, 1, 15, 16, 17, 100] {
            let values: Vec<f32> = (0..count).map(f32::from).collect();
            let square = |index: usize| f64::from(values[index]).powi(2);
            assert_eq!(sum_of_squares(&values), sum(values.len(), square));
            let found = sum_of_stored_squares(FloatFormat::F32, stored(&values).as_flattened());
            assert_eq!(found, sum(values.len(), square));
        }
    }

    #[test]
    fn squares_of_every_format_are_those_of_its_singles() {
        for (format, size) in [
            (FloatFormat::Bf16, 2),
            (FloatFormat::F16, 2),
            (FloatFormat::F32, 4),
            (FloatFormat::F64, 8),
        ] {
            for count in [0, 1, 16, 77] {
                // Thirds have no end in binary, so that every order of adding their squares gives other bits.
                let bits = (0..count).map(|index| format.round_f64(f64::from(index) / 3.0));
                let stored: Vec<u8> = bits
                    .flat_map(|bits| bits.to_le_bytes()[..size].to_vec())
                    .collect();
                let mut singles = vec![0.0; stored.len() / size];
                widen(format, &stored, &mut singles);
                assert_eq!(
                    sum_of_stored_squares(format, &stored),
                    sum_of_squares(&singles)
                );
            }
        }
    }

    #[test]
    fn products_count_signs_where_neither_is_zero() {
        for padding in [0, 5, 16, 37] {
            let mut one = vec![0.5f32; padding];
            let mut two = vec![-2.0f32; padding];
            one.extend([0.0, -0.0, 3.0, -3.0, f32::MIN_POSITIVE, 1.0]);
            two.extend([1.0, 1.0, 2.0, -2.0, -1.0, -0.0]);
            let found = products(&stored(&one), &stored(&two));
            let expected = 12.0 - f64::from(f32::MIN_POSITIVE) - padding as f64;
            assert_eq!(found.dot, expected);
            assert_eq!(found.nonzero_in_both, 3 + padding as u64);
            assert_eq!(found.agreeing, 2);
        }
        let (nan, infinity) = (f32::NAN, f32::INFINITY);
        let (one, two) = ([nan, 1.0, infinity, -infinity], [1.0, nan, 1.0, 1.0]);
        let found = products(&stored(&one), &stored(&two));
        assert_eq!((found.nonzero_in_both, found.agreeing), (2, 1));
        assert!(found.dot.is_nan());
    }

    #[test]
    fn the_census_misses_nothing() {
        // The last five in what is left over, at the end of a whole run, and in the second.
        for count in [0, 5, 16, 37, RUN - 5, RUN, RUN + 90] {
            let mut values = vec![0.5f32; count];
            values.extend([0.0, -0.0, f32::NAN, f32::NEG_INFINITY, -3.0]);
            let found = census(&stored(&values));
            assert_eq!((found.zeros, found.nan, found.infinite), (2, 1, 1));
            assert_eq!(found.largest, 3.0);
        }
    }
}
