//! Intervals by resampling.

use super::interval::{Interval, Z_95};
use crate::random::Random;

/// The fewest values that are resampled. What fewer have in common says nothing of others: drawn again they are the same few,
/// and one value alone would be certain.
pub const FEWEST_RESAMPLED: usize = 10;

/// The 95 % interval of the mean of `values`, by bias-corrected and accelerated bootstrap.
///
/// Efron 1987, "Better bootstrap confidence intervals"; Efron and Tibshirani 1993, "An Introduction to the
/// Bootstrap", equations (14.9) to (14.15), with resamples equal to the mean counted half as scipy does. Unlike
/// percentiles it follows the skew of scores that are mostly zero. `None` below [`FEWEST_RESAMPLED`] values, and without
/// resamples. The ends are order statistics, the interval therefore the same on every platform.
#[must_use]
pub fn bootstrap_mean(values: &[f64], resamples: usize, seed: u64) -> Option<Interval> {
    if values.len() < FEWEST_RESAMPLED || resamples == 0 {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let mut means: Vec<f64> = (0..resamples)
        .map(|resample| {
            let mut random = Random::derive(&[seed, resample as u64]);
            let sum: f64 = (0..values.len())
                .map(|_| values[random.below(values.len())])
                .sum();
            sum / n
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let (low, high) = levels(values, mean, &means);
    let count = means.len() as f64;
    // Both ends are counted from outside, so that the interval of the mirrored values is the mirrored interval.
    let from_outside = |tail: f64| ((count * tail) as usize).min(means.len() - 1);
    Some(Interval {
        low: means[from_outside(low)],
        high: means[means.len() - 1 - from_outside(1.0 - high)],
    })
}

/// The levels α₁ and α₂ of equation (14.10).
fn levels(values: &[f64], mean: f64, means: &[f64]) -> (f64, f64) {
    let count = means.len() as f64;
    let below = means.iter().filter(|&&other| other < mean).count() as f64;
    let equal = means.iter().filter(|&&other| other == mean).count() as f64;
    // Kept off 0 and 1, where the bias would be infinite.
    let share = ((below + equal / 2.0) / count).clamp(0.5 / count, 1.0 - 0.5 / count);
    let bias = normal_quantile(share);

    // Leaving one value out moves the mean by (value − mean)/(n − 1), whose factor falls out of the ratio.
    let moments =
        |power: i32| -> f64 { values.iter().map(|value| (value - mean).powi(power)).sum() };
    let spread = moments(2).powf(1.5);
    let acceleration = if spread > 0.0 {
        moments(3) / (6.0 * spread)
    } else {
        0.0
    };

    let level = |z: f64| normal_cdf(bias + (bias + z) / (1.0 - acceleration * (bias + z)));
    (level(-Z_95), level(Z_95))
}

/// Φ.
fn normal_cdf(x: f64) -> f64 {
    libm::erfc(-x / std::f64::consts::SQRT_2) / 2.0
}

/// Φ⁻¹, by bisection: it is needed once for an interval.
fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-9.0, 9.0);
    for _ in 0..64 {
        let middle = (low + high) / 2.0;
        if normal_cdf(middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_equal_scipy() {
        // scipy 1.17.1, norm.ppf.
        let cases = [
            (1e-10, -6.361_340_902_404_056),
            (0.001, -3.090_232_306_167_813),
            (0.2, -0.841_621_233_572_914_2),
            (0.7, 0.524_400_512_708_040_7),
            (0.975, Z_95),
        ];
        for (p, expected) in cases {
            assert!(
                (normal_quantile(p) - expected).abs() < 1e-9,
                "{p}: {}",
                normal_quantile(p)
            );
        }
    }

    const SKEWED: [f64; 10] = [0.0, 0.0, 1.0, 0.0, 0.0, 2.5, 0.0, 7.0, 0.5, 0.25];

    #[test]
    fn levels_equal_an_independent_computation() {
        // The equations written out in Python over scipy's norm, jackknife and all, for the resamples 0.01 … 4.00.
        let means: Vec<f64> = (1..=400).map(|k| f64::from(k) / 100.0).collect();
        let (low, high) = levels(&SKEWED, 1.125, &means);
        assert!((low - 0.005_265_639_251_130_647).abs() < 1e-9, "{low}");
        assert!((high - 0.852_730_742_006_284_2).abs() < 1e-9, "{high}");
    }

    #[test]
    fn intervals_agree_with_scipys() {
        // scipy 1.17.1, bootstrap(method="BCa", n_resamples=100000): other draws, so that only some digits agree.
        let interval = bootstrap_mean(&SKEWED, 20_000, 1).unwrap();
        assert!((interval.low - 0.3).abs() < 0.03, "{interval:?}");
        assert!((interval.high - 3.524).abs() < 0.1, "{interval:?}");
        let paired: Vec<f64> = (0..100)
            .map(|index| match index {
                0..12 => 1.0,
                12..15 => -1.0,
                _ => 0.0,
            })
            .collect();
        let interval = bootstrap_mean(&paired, 20_000, 1).unwrap();
        assert!(
            (interval.low - 0.02).abs() < 0.011 && (interval.high - 0.17).abs() < 0.011,
            "{interval:?}"
        );
    }

    #[test]
    fn values_without_spread_have_an_interval_without_width() {
        let point = Some(Interval {
            low: 0.5,
            high: 0.5,
        });
        assert_eq!(bootstrap_mean(&[0.5; 10], 1, 0), point);
        assert_eq!(bootstrap_mean(&[0.5; 17], 1000, 0), point);
    }

    #[test]
    fn a_few_values_are_not_resampled() {
        assert_eq!(bootstrap_mean(&[], 10, 0), None);
        assert_eq!(bootstrap_mean(&[1.0], 10, 0), None);
        assert_eq!(bootstrap_mean(&[0.5; FEWEST_RESAMPLED - 1], 10, 0), None);
        assert_eq!(bootstrap_mean(&[1.0; FEWEST_RESAMPLED], 0, 0), None);
    }
}
