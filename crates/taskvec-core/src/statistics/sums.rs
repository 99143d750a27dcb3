//! Sums whose order is fixed by the length of a slice alone.

use multiversion::multiversion;

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

/// The same of stored singles.
#[multiversion(targets("x86_64+avx2"))]
pub(crate) fn sum_of_stored_squares(values: &[[u8; 4]]) -> f64 {
    squares(values, f32::from_le_bytes)
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
    const INFINITY: u32 = f32::INFINITY.to_bits();
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

/// Counts zeros, NaN and infinities among stored singles, and finds the largest magnitude. In a loop of its own: with the
/// sum of squares in it there are too few registers, and it takes twice the time of both.
///
/// Magnitudes are compared as bits: numbers, infinity and NaN follow one another there.
#[multiversion(targets("x86_64+avx2"))]
pub(crate) fn census(values: &[[u8; 4]]) -> Census {
    const INFINITY: u32 = f32::INFINITY.to_bits();
    let mut found = Census::default();
    // Counters as wide as the values are what registers like; short runs keep them from overflowing.
    for run in values.chunks(LANES << 24) {
        let (mut zeros, mut nan, mut infinite, mut largest) =
            ([0u32; LANES], [0u32; LANES], [0u32; LANES], [0u32; LANES]);
        let mut count = |chunk: &[[u8; 4]; LANES]| {
            for lane in 0..LANES {
                let magnitude = u32::from_le_bytes(chunk[lane]) & (u32::MAX >> 1);
                zeros[lane] += u32::from(magnitude == 0);
                nan[lane] += u32::from(magnitude > INFINITY);
                infinite[lane] += u32::from(magnitude == INFINITY);
                let finite = if magnitude < INFINITY { magnitude } else { 0 };
                largest[lane] = largest[lane].max(finite);
            }
        };
        let (chunks, rest) = run.as_chunks::<LANES>();
        chunks.iter().for_each(&mut count);
        // Padded with zeros, which are not counted in the end.
        let mut last = [[0; 4]; LANES];
        last[..rest.len()].copy_from_slice(rest);
        count(&last);
        let sum = |lanes: [u32; LANES]| lanes.into_iter().map(u64::from).sum::<u64>();
        found.zeros += sum(zeros) - (LANES - rest.len()) as u64;
        found.nan += sum(nan);
        found.infinite += sum(infinite);
        let largest = largest.into_iter().max().map_or(0.0, f32::from_bits);
        found.largest = found.largest.max(largest);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let found = sum_of_stored_squares(&stored(&values));
            assert_eq!(found, sum(values.len(), square));
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
        for count in [0, 5, 16, 37] {
            let mut values = vec![0.5f32; count];
            values.extend([0.0, -0.0, f32::NAN, f32::NEG_INFINITY, -3.0]);
            let found = census(&stored(&values));
            assert_eq!((found.zeros, found.nan, found.infinite), (2, 1, 1));
            assert_eq!(found.largest, 3.0);
        }
    }
}
