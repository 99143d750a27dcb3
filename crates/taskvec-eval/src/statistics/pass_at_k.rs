//! pass@k: the chance that one of k samples is right.

use serde::{Deserialize, Serialize};

/// The unbiased estimate of pass@k from `correct` right samples out of `n`.
///
/// Chen et al. 2021, "Evaluating Large Language Models Trained on Code", equation (1) in the stable form of
/// their figure 3: 1 − ∏ over i = n−c+1..n of (1 − k/i). `None` where fewer than `k` samples were drawn, or
/// `k` is 0.
#[must_use]
pub fn pass_at_k(n: u64, correct: u64, k: u64) -> Option<f64> {
    if k == 0 || n < k || correct > n {
        return None;
    }
    if n - correct < k {
        return Some(1.0);
    }
    Some(
        1.0 - (n - correct + 1..=n)
            .map(|i| 1.0 - k as f64 / i as f64)
            .product::<f64>(),
    )
}

/// The mean of pass@k over documents, each given as (samples, right samples); `None` where there are none,
/// or any of them has fewer than `k` samples.
#[must_use]
pub fn mean_pass_at_k(documents: &[(u64, u64)], k: u64) -> Option<f64> {
    let total = documents
        .iter()
        .map(|&(n, correct)| pass_at_k(n, correct, k))
        .sum::<Option<f64>>()?;
    (!documents.is_empty()).then(|| total / documents.len() as f64)
}

/// One estimate of pass@k.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PassAtK {
    /// Samples that one may choose from.
    pub k: u64,
    /// The estimate: [`mean_pass_at_k`].
    pub value: f64,
}

/// The k that are shown where there are enough samples.
const SHOWN: [u64; 4] = [1, 5, 10, 100];

/// pass@k of documents, each given as (samples, right samples), for the k that are usually shown and for the most that every
/// document has. Nothing where every document has one sample alone: that is accuracy.
#[must_use]
pub fn pass_at_some_k(documents: &[(u64, u64)]) -> Vec<PassAtK> {
    if documents.iter().all(|(n, _)| *n < 2) {
        return Vec::new();
    }
    let fewest = documents.iter().map(|(n, _)| *n).min().unwrap_or(0);
    let shown = SHOWN.into_iter().filter(|k| *k < fewest);
    shown
        .chain([fewest])
        .filter_map(|k| {
            let value = mean_pass_at_k(documents, k)?;
            Some(PassAtK { k, value })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binomial(n: u64, k: u64) -> f64 {
        (1..=k).map(|i| (n - k + i) as f64 / i as f64).product()
    }

    #[test]
    fn equals_the_definition() {
        // 1 − C(n−c, k) / C(n, k), by hand for 10 samples of which 3 are right: 1 − C(7,2)/C(10,2) = 1 − 21/45.
        assert!((pass_at_k(10, 3, 2).unwrap() - (1.0 - 21.0 / 45.0)).abs() < 1e-15);
        for n in 1..25 {
            for correct in 0..=n {
                for k in 1..=n {
                    let none_right = if n - correct < k {
                        0.0
                    } else {
                        binomial(n - correct, k) / binomial(n, k)
                    };
                    assert!((pass_at_k(n, correct, k).unwrap() - (1.0 - none_right)).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn what_every_document_has_enough_samples_for() {
        let shown = |documents: &[(u64, u64)]| -> Vec<(u64, f64)> {
            let found = pass_at_some_k(documents).into_iter();
            found.map(|pass| (pass.k, pass.value)).collect()
        };
        // (1/2 + 0/3) / 2, and of two out of three wrong ones none is right.
        assert_eq!(shown(&[(2, 1), (3, 0)]), [(1, 0.25), (2, 0.5)]);
        let ks = |n| -> Vec<u64> { shown(&[(n, 1)]).iter().map(|(k, _)| *k).collect() };
        assert_eq!(ks(5), [1, 5]);
        assert_eq!(ks(12), [1, 5, 10, 12]);
        assert_eq!(shown(&[(1, 1), (4, 2)]), [(1, 0.75)]);
        assert_eq!(shown(&[(1, 1), (1, 0)]), []);
        assert_eq!(shown(&[]), []);
    }

    #[test]
    fn too_few_samples_give_no_number() {
        assert_eq!(pass_at_k(5, 5, 10), None);
        assert_eq!(pass_at_k(5, 1, 0), None);
        assert_eq!(mean_pass_at_k(&[(10, 10), (9, 9)], 10), None);
        assert_eq!(mean_pass_at_k(&[], 1), None);
        assert_eq!(mean_pass_at_k(&[(1, 1), (1, 0)], 1), Some(0.5));
    }
}
