//! Several comparisons at once.

/// Holm's adjusted p values, in the order of the input.
///
/// Holm 1979, "A simple sequentially rejective multiple test procedure": with the values in ascending order
/// p₁ ≤ … ≤ pₘ, the i-th becomes max over j ≤ i of min(1, (m − j + 1)·pⱼ). Comparing them with α keeps the
/// probability of any false finding in the family below α, however the tests depend on each other.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0f64;
    for (rank, &index) in order.iter().enumerate() {
        let factor = (p_values.len() - rank) as f64;
        largest = largest.max((factor * p_values[index]).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_statsmodels() {
        // statsmodels 0.15.0, multipletests([0.01, 0.04, 0.03, 0.005, 0.9], method="holm").
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005, 0.9]);
        for (got, expected) in adjusted.iter().zip([0.04, 0.09, 0.09, 0.025, 0.9]) {
            assert!((got - expected).abs() < 1e-15, "{adjusted:?}");
        }
        assert_eq!(holm(&[]), Vec::<f64>::new());
        assert_eq!(holm(&[0.3]), [0.3]);
        assert_eq!(holm(&[0.8, 0.7]), [1.0, 1.0]);
    }
}
