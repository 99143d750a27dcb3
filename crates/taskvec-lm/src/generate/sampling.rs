//! Choosing the next token from logits.

use taskvec_eval::generator::Sampling;
use taskvec_eval::random::Random;

/// One sequence's choices: its rule and its own stream of random numbers.
///
/// The stream depends on the seed alone, so neither the batch a sequence is in nor its place there
/// changes what it becomes.
#[derive(Debug, Clone)]
pub(super) struct Sampler {
    sampling: Sampling,
    random: Random,
}

/// A chosen token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    pub(super) token: u32,
    /// ln p under the distribution it was drawn from; for greedy choices that of temperature 1.
    /// 0 where it was not asked for.
    pub(super) log_probability: f32,
}

impl Sampler {
    pub(super) fn new(sampling: Sampling) -> Self {
        Self {
            sampling,
            random: Random::derive(&[Random::key("sampling"), sampling.seed]),
        }
    }

    fn is_greedy(&self) -> bool {
        self.sampling.temperature <= 0.0
    }

    /// Chooses from one row of logits; ties go to the smaller id.
    ///
    /// As transformers does: temperature first, then the `top_k` likeliest, then of these the smallest
    /// set whose probability reaches `top_p`.
    pub(super) fn choose(&mut self, logits: &[f32], with_log_probability: bool) -> Choice {
        let best = argmax(logits);
        if self.is_greedy() {
            let log_probability = if with_log_probability {
                log_probability(logits, best) as f32
            } else {
                0.0
            };
            return Choice {
                token: best as u32,
                log_probability,
            };
        }
        let highest = f64::from(logits[best]);
        let weight = |logit: f32| ((f64::from(logit) - highest) / self.sampling.temperature).exp();
        let truncated =
            self.sampling.top_k.is_some_and(|k| k < logits.len()) || self.sampling.top_p < 1.0;
        // 53 random bits: uniform on [0, 1).
        let uniform = (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        if !truncated {
            let weights: Vec<f64> = logits.iter().map(|logit| weight(*logit)).collect();
            let total: f64 = weights.iter().sum();
            let index = draw(weights.iter().copied(), uniform * total).unwrap_or(best);
            return Choice {
                token: index as u32,
                log_probability: (weights[index] / total).ln() as f32,
            };
        }
        let candidates = self.candidates(logits, weight);
        let total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
        let position = draw(
            candidates.iter().map(|(_, weight)| *weight),
            uniform * total,
        )
        .unwrap_or(0);
        let (token, weight) = candidates[position];
        Choice {
            token,
            log_probability: (weight / total).ln() as f32,
        }
    }

    /// The tokens that `top_k` and `top_p` leave, likeliest first, at least one.
    fn candidates(&self, logits: &[f32], weight: impl Fn(f32) -> f64) -> Vec<(u32, f64)> {
        if let Some(k) = self.sampling.top_k.filter(|k| *k < logits.len()) {
            let candidates = likeliest(logits, k.max(1), &weight);
            let total = candidates.iter().map(|(_, weight)| weight).sum();
            return self.nucleus(candidates, total).0;
        }
        // A nucleus is small as a rule: sorting a whole vocabulary for it is the exception.
        let total = logits.iter().map(|logit| weight(*logit)).sum();
        let mut count = 256;
        loop {
            let candidates = likeliest(logits, count.min(logits.len()), &weight);
            let (nucleus, is_reached) = self.nucleus(candidates, total);
            if is_reached || count >= logits.len() {
                return nucleus;
            }
            count *= 8;
        }
    }

    /// The first of `candidates` that together reach `top_p` of `total`, and whether they do.
    fn nucleus(&self, mut candidates: Vec<(u32, f64)>, total: f64) -> (Vec<(u32, f64)>, bool) {
        let mut reached = 0.0;
        let last = candidates.iter().position(|(_, weight)| {
            reached += weight;
            reached >= self.sampling.top_p * total
        });
        if let Some(last) = last {
            candidates.truncate(last + 1);
        }
        (candidates, last.is_some())
    }
}

/// The `count` likeliest tokens in order, with their weights; ties go to the smaller id.
fn likeliest(logits: &[f32], count: usize, weight: impl Fn(f32) -> f64) -> Vec<(u32, f64)> {
    let likelier = |a: &u32, b: &u32| {
        logits[*b as usize]
            .total_cmp(&logits[*a as usize])
            .then(a.cmp(b))
    };
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    if count < order.len() {
        order.select_nth_unstable_by(count - 1, likelier);
        order.truncate(count);
    }
    order.sort_unstable_by(likelier);
    order
        .into_iter()
        .map(|token| (token, weight(logits[token as usize])))
        .collect()
}

/// The first index whose cumulative weight exceeds `threshold`, among those with weight.
fn draw(weights: impl Iterator<Item = f64>, threshold: f64) -> Option<usize> {
    let mut reached = 0.0;
    let mut last = None;
    for (index, weight) in weights.enumerate() {
        if weight > 0.0 {
            reached += weight;
            last = Some(index);
            if reached > threshold {
                break;
            }
        }
    }
    last
}

/// Index of the largest value, the first where several are; NaN never wins.
pub(super) fn argmax(logits: &[f32]) -> usize {
    let mut best = 0;
    for (index, logit) in logits.iter().enumerate() {
        if *logit > logits[best] || logits[best].is_nan() {
            best = index;
        }
    }
    best
}

/// ln of the softmax probability of one entry.
pub(super) fn log_probability(logits: &[f32], index: usize) -> f64 {
    let highest = f64::from(logits[argmax(logits)]);
    let total: f64 = logits
        .iter()
        .map(|logit| (f64::from(*logit) - highest).exp())
        .sum();
    f64::from(logits[index]) - highest - total.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frequencies(sampling: Sampling, logits: &[f32], draws: u64) -> Vec<f64> {
        let mut counts = vec![0.0; logits.len()];
        for seed in 0..draws {
            let choice = Sampler::new(Sampling { seed, ..sampling }).choose(logits, true);
            counts[choice.token as usize] += 1.0 / draws as f64;
        }
        counts
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest() {
        let mut sampler = Sampler::new(Sampling::greedy());
        assert_eq!(sampler.choose(&[0.0, 2.0, 2.0, 1.0], false).token, 1);
        assert_eq!(
            sampler
                .choose(&[f32::NAN, -1.0, f32::NEG_INFINITY], false)
                .token,
            1
        );
        let choice = sampler.choose(&[0.0, 0.0], true);
        assert!((f64::from(choice.log_probability) + std::f64::consts::LN_2).abs() < 1e-6);
    }

    #[test]
    fn draws_follow_the_softmax() {
        // p = 1/6, 2/6, 3/6; five standard deviations of a share of 4,000 draws are below 0.04.
        let logits = [0.0, 2f32.ln(), 3f32.ln()];
        let shares = frequencies(Sampling::random(1.0, 0), &logits, 4000);
        for (share, expected) in shares.iter().zip([1.0 / 6.0, 2.0 / 6.0, 3.0 / 6.0]) {
            assert!((share - expected).abs() < 0.04, "{shares:?}");
        }
        // At temperature 1/2 the odds are squared: 1, 4, 9 of 14.
        let shares = frequencies(Sampling::random(0.5, 0), &logits, 4000);
        assert!((shares[2] - 9.0 / 14.0).abs() < 0.04, "{shares:?}");
    }

    #[test]
    fn truncation_keeps_the_likeliest_and_renormalises() {
        let logits = [0.0, 3f32.ln(), 2f32.ln(), f32::NEG_INFINITY];
        let top_k = Sampling {
            top_k: Some(2),
            ..Sampling::random(1.0, 0)
        };
        let shares = frequencies(top_k, &logits, 3000);
        assert!(
            shares[0] == 0.0 && (shares[1] - 0.6).abs() < 0.05,
            "{shares:?}"
        );
        // The likeliest has 1/2: it alone reaches 0.5, two are needed for 0.51.
        for (top_p, kept) in [(0.5, 1), (0.51, 2), (0.9, 3), (1e-9, 1)] {
            let shares = frequencies(
                Sampling {
                    top_p,
                    ..Sampling::random(1.0, 0)
                },
                &logits,
                500,
            );
            assert_eq!(
                shares.iter().filter(|share| **share > 0.0).count(),
                kept,
                "{top_p}"
            );
        }
        let mut sampler = Sampler::new(Sampling {
            top_k: Some(0),
            ..Sampling::random(1.0, 5)
        });
        assert_eq!(
            sampler.choose(&logits, true),
            Choice {
                token: 1,
                log_probability: 0.0
            }
        );
    }

    #[test]
    fn a_wide_nucleus_is_found_whole() {
        // 3,000 equal tokens: half of the probability takes half of them, the smaller ids.
        let logits = vec![0.5f32; 3000];
        let sampler = Sampler::new(Sampling {
            top_p: 0.5,
            ..Sampling::random(1.0, 0)
        });
        let tokens: Vec<u32> = (sampler
            .candidates(&logits, |_| 1.0)
            .iter()
            .map(|(token, _)| *token))
        .collect();
        assert_eq!(tokens, (0..1500).collect::<Vec<u32>>());
    }

    #[test]
    fn a_stream_is_its_seeds() {
        let logits = [0.1; 50];
        let run = |seed| {
            let mut sampler = Sampler::new(Sampling::random(1.0, seed));
            (0..8)
                .map(|_| sampler.choose(&logits, false).token)
                .collect::<Vec<_>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }

    #[test]
    fn log_probabilities_sum_to_one() {
        let logits = [1.0f32, -3.0, 500.0, 499.0];
        let total: f64 = (0..4)
            .map(|index| log_probability(&logits, index).exp())
            .sum();
        assert!((total - 1.0).abs() < 1e-12);
    }
}
