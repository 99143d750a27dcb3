//! Confidence intervals for one proportion.

use serde::{Deserialize, Serialize};

/// The 0.975 quantile of the standard normal distribution: the `z` of 95 % intervals.
pub const Z_95: f64 = 1.959_963_984_540_054;

/// A closed interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// Of a difference of shares of which nothing is known.
    pub const UNKNOWN: Self = Self {
        low: -1.0,
        high: 1.0,
    };

    /// Whether every value in it is greater than `value`.
    #[must_use]
    pub fn is_above(self, value: f64) -> bool {
        self.low > value
    }

    /// Whether every value in it is less than `value`.
    #[must_use]
    pub fn is_below(self, value: f64) -> bool {
        self.high < value
    }
}

/// The score interval of a proportion of `successes` in `n` trials; [0, 1] where `n` is 0.
///
/// Wilson 1927, "Probable inference, the law of succession, and statistical inference"; equation (4) of
/// Brown, Cai and DasGupta 2001, "Interval estimation for a binomial proportion". Never empty and never
/// outside [0, 1], at 0 and at `n` successes too, where the textbook interval has no width.
#[must_use]
pub fn wilson(successes: u64, n: u64, z: f64) -> Interval {
    if n == 0 {
        return Interval {
            low: 0.0,
            high: 1.0,
        };
    }
    let interval = wilson_share(successes.min(n) as f64 / n as f64, n, z);
    Interval {
        // The ends are 0 and 1 exactly there; rounding must not say otherwise.
        low: if successes == 0 { 0.0 } else { interval.low },
        high: if successes >= n { 1.0 } else { interval.high },
    }
}

/// As [`wilson`], of a share that need not be a whole number of trials: the mean of `n` shares, such as those of the right
/// answers to each of `n` questions, whose spread is at most that of answers that are right or wrong. [0, 1] where `n` is 0.
#[must_use]
pub fn wilson_share(share: f64, n: u64, z: f64) -> Interval {
    if n == 0 {
        return Interval {
            low: 0.0,
            high: 1.0,
        };
    }
    let trials = n as f64;
    let z2 = z * z;
    let center = (share + z2 / (2.0 * trials)) / (1.0 + z2 / trials);
    let half = z / (1.0 + z2 / trials)
        * (share * (1.0 - share) / trials + z2 / (4.0 * trials * trials)).sqrt();
    Interval {
        low: (center - half).max(0.0),
        high: (center + half).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equals_statsmodels() {
        // statsmodels 0.15.0, proportion_confint(k, n, method="wilson").
        let cases = [
            (0, 10, 0.0, 0.277_532_799_862_889_26),
            (10, 10, 0.722_467_200_137_110_6, 1.0),
            (7, 20, 0.181_191_824_101_082_03, 0.567_145_723_314_763_8),
            (127, 300, 0.368_738_522_810_727_1, 0.479_866_732_777_036_56),
            (293, 300, 0.952_628_027_731_724_6, 0.988_652_339_700_874_7),
            (1, 1, 0.206_549_314_377_237_4, 1.0),
        ];
        for (successes, n, low, high) in cases {
            let interval = wilson(successes, n, Z_95);
            assert!(
                (interval.low - low).abs() < 1e-12,
                "{successes}/{n}: {interval:?}"
            );
            assert!(
                (interval.high - high).abs() < 1e-12,
                "{successes}/{n}: {interval:?}"
            );
        }
        assert_eq!(
            wilson(0, 0, Z_95),
            Interval {
                low: 0.0,
                high: 1.0
            }
        );
    }

    proptest! {
        #[test]
        fn holds_the_share_and_is_symmetric(n in 1u64..5_000, part in 0.0f64..=1.0) {
            let successes = (part * n as f64) as u64;
            let share = successes as f64 / n as f64;
            let interval = wilson(successes, n, Z_95);
            prop_assert!(0.0 <= interval.low && interval.low <= share && share <= interval.high && interval.high <= 1.0);
            let mirrored = wilson(n - successes, n, Z_95);
            prop_assert!((interval.low - (1.0 - mirrored.high)).abs() < 1e-12);
        }
    }
}
