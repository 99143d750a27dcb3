//! Two models asked the same questions.
//!
//! Questions that both get right, or both wrong, say little about which is better; pairing makes use of
//! that and is far sharper than two intervals side by side.

use super::bootstrap::bootstrap_mean;
use super::interval::{Interval, wilson};

/// How two models, a first and a second, did on the same documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PairedCounts {
    /// Both right.
    pub both: u64,
    /// Only the first right.
    pub only_first: u64,
    /// Only the second right.
    pub only_second: u64,
    /// Both wrong.
    pub neither: u64,
}

impl PairedCounts {
    /// Counts pairs of (first right, second right).
    #[must_use]
    pub fn count(pairs: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut counts = Self::default();
        for pair in pairs {
            match pair {
                (true, true) => counts.both += 1,
                (true, false) => counts.only_first += 1,
                (false, true) => counts.only_second += 1,
                (false, false) => counts.neither += 1,
            }
        }
        counts
    }

    /// How many documents there are.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.both + self.only_first + self.only_second + self.neither
    }

    /// Share that the first gets right; 0 where there are no documents.
    #[must_use]
    pub fn first_accuracy(&self) -> f64 {
        (self.both + self.only_first) as f64 / self.n().max(1) as f64
    }

    /// Share that the second gets right; 0 where there are no documents.
    #[must_use]
    pub fn second_accuracy(&self) -> f64 {
        (self.both + self.only_second) as f64 / self.n().max(1) as f64
    }

    /// Accuracy of the first less accuracy of the second; 0 where there are no documents.
    #[must_use]
    pub fn difference(&self) -> f64 {
        (self.only_first as f64 - self.only_second as f64) / self.n().max(1) as f64
    }
}

/// The interval of the difference first − second of two paired proportions; [−1, 1] where there are none.
///
/// Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based on
/// paired data", method 10: Wilson intervals of both proportions, joined by the continuity-corrected
/// correlation φ. It keeps its width where the two models never differ, which bootstrap and textbook
/// intervals do not.
#[must_use]
pub fn newcombe_paired(counts: PairedCounts, z: f64) -> Interval {
    let n = counts.n();
    if n == 0 {
        return Interval {
            low: -1.0,
            high: 1.0,
        };
    }
    let (first, second) = (
        counts.both + counts.only_first,
        counts.both + counts.only_second,
    );
    let (wilson_first, wilson_second) = (wilson(first, n, z), wilson(second, n, z));
    let (p1, p2) = (first as f64 / n as f64, second as f64 / n as f64);
    let (below_first, above_first) = (p1 - wilson_first.low, wilson_first.high - p1);
    let (below_second, above_second) = (p2 - wilson_second.low, wilson_second.high - p2);

    let [a, b, c, d] = [
        counts.both,
        counts.only_first,
        counts.only_second,
        counts.neither,
    ]
    .map(|count| count as f64);
    let margins = ((a + b) * (c + d) * (a + c) * (b + d)).sqrt();
    let half = n as f64 / 2.0;
    let determinant = match a * d - b * c {
        positive if positive > half => positive - half,
        small if small >= 0.0 => 0.0,
        negative => negative,
    };
    let phi = if margins == 0.0 {
        0.0
    } else {
        determinant / margins
    };
    let distance = |x: f64, y: f64| (x * x - 2.0 * phi * x * y + y * y).max(0.0).sqrt();

    let difference = counts.difference();
    Interval {
        low: (difference - distance(below_first, above_second)).max(-1.0),
        high: (difference + distance(above_first, below_second)).min(1.0),
    }
}

/// The exact two-sided p value that two paired proportions are equal; 1 where the models never differ.
///
/// McNemar 1947, in the exact binomial form (Agresti, "Categorical Data Analysis", section 11.1): under the
/// null hypothesis each discordant pair falls either way like a fair coin, and p is twice the smaller tail.
#[must_use]
pub fn mcnemar_exact(counts: PairedCounts) -> f64 {
    let discordant = counts.only_first + counts.only_second;
    let smaller = counts.only_first.min(counts.only_second);
    if 2 * smaller == discordant {
        return 1.0;
    }
    // ln of C(n, k)·2⁻ⁿ at k = smaller, then the tail below it relative to that term: nothing underflows.
    let n = discordant as f64;
    let log_largest: f64 = (1..=smaller)
        .map(|i| ((n - smaller as f64 + i as f64) / i as f64).ln())
        .sum::<f64>()
        - n * std::f64::consts::LN_2;
    let mut term = 1.0;
    let mut tail = 1.0;
    for k in (1..=smaller).rev() {
        term *= k as f64 / (n - k as f64 + 1.0);
        tail += term;
        if term < 1e-18 {
            break;
        }
    }
    (2.0 * tail * log_largest.exp()).min(1.0)
}

/// The 95 % interval of the mean of first − second, by resampling documents: [`bootstrap_mean`] of the differences.
///
/// For scores that are not just right or wrong, where [`newcombe_paired`] does not apply. `None` where
/// that is.
#[must_use]
pub fn paired_bootstrap(pairs: &[(f64, f64)], resamples: usize, seed: u64) -> Option<Interval> {
    let differences: Vec<f64> = pairs.iter().map(|(first, second)| first - second).collect();
    bootstrap_mean(&differences, resamples, seed)
}

#[cfg(test)]
mod tests {
    use super::super::interval::Z_95;
    use super::*;
    use proptest::prelude::*;

    fn counts(both: u64, only_first: u64, only_second: u64, neither: u64) -> PairedCounts {
        PairedCounts {
            both,
            only_first,
            only_second,
            neither,
        }
    }

    #[test]
    fn mcnemar_equals_statsmodels() {
        // statsmodels 0.15.0, mcnemar([[10, b], [c, 10]], exact=True), equal to scipy 1.17.1 binomtest.
        let cases = [
            (12, 2, 0.012_939_453_125),
            (2, 12, 0.012_939_453_125),
            (5, 5, 1.0),
            (0, 8, 0.007_812_5),
            (1, 0, 1.0),
            (170, 3, 1.441_786_172_344_471_2e-46),
            (60, 45, 0.171_564_697_154_242_4),
            (3_000, 2_800, 0.008_969_436_001_193_57),
        ];
        for (first, second, expected) in cases {
            let p = mcnemar_exact(counts(10, first, second, 10));
            assert!((p / expected - 1.0).abs() < 1e-9, "{first}, {second}: {p}");
        }
        assert_eq!(mcnemar_exact(counts(10, 0, 0, 10)), 1.0);
    }

    #[test]
    fn newcombe_equals_an_independent_computation() {
        // Method 10 written out in Python over statsmodels' Wilson intervals.
        let cases = [
            (
                counts(36, 12, 2, 0),
                0.056_929_584_003_238_75,
                0.340_427_602_974_940_8,
            ),
            (
                counts(20, 12, 2, 16),
                0.056_156_424_841_748_21,
                0.329_206_995_400_140_53,
            ),
            (
                counts(53, 0, 0, 1),
                -0.072_938_145_478_577_23,
                0.072_938_145_478_577_23,
            ),
            (
                counts(120, 173, 3, 4),
                0.505_180_892_907_170_2,
                0.622_220_967_172_461_7,
            ),
            (
                counts(0, 0, 0, 10),
                -0.277_532_799_862_889_26,
                0.277_532_799_862_889_26,
            ),
        ];
        for (counts, low, high) in cases {
            let interval = newcombe_paired(counts, Z_95);
            assert!(
                (interval.low - low).abs() < 1e-12 && (interval.high - high).abs() < 1e-12,
                "{interval:?}"
            );
        }
    }

    #[test]
    fn the_bootstrap_agrees_with_theory_and_with_itself() {
        // 200 pairs, 30 gained and 10 lost: mean 0.1, standard error sqrt((0.2 − 0.01) / 200) = 0.0308.
        let pairs: Vec<(f64, f64)> = (0..200)
            .map(|index| match index {
                0..30 => (1.0, 0.0),
                30..40 => (0.0, 1.0),
                _ => (1.0, 1.0),
            })
            .collect();
        let interval = paired_bootstrap(&pairs, 4_000, 1).unwrap();
        assert!(
            (interval.low - (0.1 - 1.96 * 0.0308)).abs() < 0.008,
            "{interval:?}"
        );
        assert!(
            (interval.high - (0.1 + 1.96 * 0.0308)).abs() < 0.008,
            "{interval:?}"
        );
        assert_eq!(paired_bootstrap(&pairs, 4_000, 1), Some(interval));
        assert_eq!(paired_bootstrap(&[], 100, 0), None);
        assert_eq!(paired_bootstrap(&pairs, 0, 0), None);
        assert_eq!(paired_bootstrap(&pairs[..3], 100, 0), None);
    }

    proptest! {
        #[test]
        fn newcombe_turns_round_with_its_models(a in 0u64..200, b in 0u64..200, c in 0u64..200, d in 0u64..200) {
            prop_assume!(a + b + c + d > 0);
            let forth = newcombe_paired(counts(a, b, c, d), Z_95);
            let back = newcombe_paired(counts(a, c, b, d), Z_95);
            prop_assert!((forth.low + back.high).abs() < 1e-12 && (forth.high + back.low).abs() < 1e-12);
            let difference = counts(a, b, c, d).difference();
            prop_assert!(forth.low <= difference && difference <= forth.high);
            let p = mcnemar_exact(counts(a, b, c, d));
            prop_assert!((0.0..=1.0).contains(&p));
            prop_assert_eq!(p, mcnemar_exact(counts(a, c, b, d)));
        }
    }
}
