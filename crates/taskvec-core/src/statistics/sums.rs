//! Sums whose order is fixed by the length of a slice alone.

/// Independent partial sums: enough for the widest registers, and fixed so that all processors add in one order.
const LANES: usize = 16;

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
pub(crate) fn sum_of_squares(values: &[f32]) -> f64 {
    sum(values.len(), |index| {
        f64::from(values[index]) * f64::from(values[index])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_counts_once() {
        for count in [0, 1, 15, 16, 17, 100] {
            assert_eq!(
                sum(count, |index| index as f64),
                (0..count).sum::<usize>() as f64
            );
        }
        assert_eq!(sum_of_squares(&[3.0, 4.0]), 25.0);
    }
}
