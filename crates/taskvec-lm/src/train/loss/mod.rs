//! Losses as plain functions on tensors.
//!
//! N = rows that carry loss, V = vocabulary. Functions work on N rows, not on (B, T): the learner gathers
//! the hidden states of those rows first, so prompts and padding never meet the output projection.
//!
//! GRPO is Shao et al. 2024, "DeepSeekMath", arXiv 2402.03300, equations 3 and 4; its surrogate is PPO's
//! (Schulman et al. 2017, arXiv 1707.06347, equation 7).

mod likelihood;

pub use likelihood::log_probabilities;

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

/// Entropy of each row's distribution: logits `[N, V]`, result `[N]`, in nats.
#[must_use]
pub fn entropy(logits: Tensor<2>) -> Tensor<1> {
    let log_probabilities = activation::log_softmax(logits, 1);
    let products = log_probabilities.clone().exp() * log_probabilities;
    products.sum_dim(1).squeeze_dim(1).neg()
}

/// Next-token cross-entropy, −Σ ln p / `total`: log-probabilities `[N]`, result `[1]`.
///
/// `total` counts the loss tokens of the whole optimiser step, not of this slice: then the sum over slices
/// is the mean over the step however the step was cut.
#[must_use]
pub fn cross_entropy(log_probabilities: Tensor<1>, total: usize) -> Tensor<1> {
    log_probabilities.sum() * (-1.0 / total.max(1) as f64)
}

/// What divides a group's centred rewards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardScale {
    /// The standard deviation of the group (DeepSeekMath, section 4.1.2).
    #[default]
    Group,
    /// The standard deviation of the whole batch (Liu et al. 2025, "Lite PPO", arXiv 2508.08221).
    Batch,
    /// Nothing: plain r − mean, as Dr. GRPO (Liu et al. 2025, arXiv 2503.20783, section 3.2), since dividing
    /// favours questions that are almost always or almost never solved.
    None,
}

/// Added to a standard deviation before dividing, as TRL does.
const DEVIATION_FLOOR: f64 = 1e-4;

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The sample standard deviation (n − 1), which is what `torch.std` and so TRL use; exactly 0 where all
/// are equal, a single value included.
pub(super) fn deviation(values: &[f64]) -> f64 {
    if values.iter().all(|value| *value == values[0]) {
        return 0.0;
    }
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// Advantages of completions relative to their group: Âᵢ = (rᵢ − mean r) / (std r + 10⁻⁴).
///
/// `rewards` holds groups of `group` completions of one prompt, one group after another.
#[must_use]
pub fn advantages(rewards: &[f64], group: usize, scale: RewardScale) -> Vec<f64> {
    let whole = deviation(rewards);
    let mut advantages = Vec::with_capacity(rewards.len());
    for rewards in rewards.chunks(group.max(1)) {
        if rewards.iter().all(|reward| *reward == rewards[0]) {
            // Exactly nothing to learn; the mean of equal values may differ from them by rounding.
            advantages.resize(advantages.len() + rewards.len(), 0.0);
            continue;
        }
        let mean = mean(rewards);
        let divisor = match scale {
            RewardScale::Group => deviation(rewards) + DEVIATION_FLOOR,
            RewardScale::Batch => whole + DEVIATION_FLOOR,
            RewardScale::None => 1.0,
        };
        advantages.extend(rewards.iter().map(|reward| (reward - mean) / divisor));
    }
    advantages
}

/// How the losses of tokens become one number. Names are TRL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossType {
    /// Mean over each completion's tokens, then over completions (DeepSeekMath, equation 3): a token of a
    /// short completion weighs more.
    Grpo,
    /// Mean over all tokens (DAPO, Yu et al. 2025, arXiv 2503.14476, equation 8). TRL tells `bnpo` from
    /// `dapo` by whether the mean is taken per device or over all; here it is always over all.
    #[default]
    #[serde(alias = "dapo")]
    Bnpo,
    /// Sum over all tokens divided by completions × the largest length (Dr. GRPO, arXiv 2503.20783,
    /// appendix A): no term depends on the lengths that were drawn.
    DrGrpo,
}

impl LossType {
    /// The weight of every token of each completion, so that loss = Σ weight · token loss.
    ///
    /// `lengths` are the loss tokens of all completions of the optimiser step.
    #[must_use]
    pub fn token_weights(self, lengths: &[usize], max_completion_length: usize) -> Vec<f64> {
        let completions = lengths.len().max(1) as f64;
        let tokens = lengths.iter().sum::<usize>().max(1) as f64;
        let weight = |&length: &usize| match self {
            Self::Grpo => 1.0 / (completions * length.max(1) as f64),
            Self::Bnpo => 1.0 / tokens,
            Self::DrGrpo => 1.0 / (completions * max_completion_length.max(1) as f64),
        };
        lengths.iter().map(weight).collect()
    }
}

/// PPO's clipped surrogate, negated to be minimised: −min(ρ Â, clip(ρ, 1 − ε, 1 + ε′) Â) with
/// ρ = exp(ln p − ln p_old). All `[N]`.
///
/// `epsilon_high` is ε′: ε in PPO, larger in DAPO's "clip higher".
#[must_use]
pub fn clipped_surrogate(
    log_probabilities: Tensor<1>,
    old: Tensor<1>,
    advantages: Tensor<1>,
    epsilon: f64,
    epsilon_high: f64,
) -> Tensor<1> {
    let ratio = (log_probabilities - old).exp();
    let clipped = ratio.clone().clamp(1.0 - epsilon, 1.0 + epsilon_high);
    (ratio * advantages.clone())
        .min_pair(clipped * advantages)
        .neg()
}

/// Schulman's estimator k3 of KL(π ‖ π_ref) at tokens drawn from π: r − ln r − 1 with
/// ln r = ln p_ref − ln p (DeepSeekMath, equation 4). Unbiased and never negative. All `[N]`.
#[must_use]
pub fn kl_divergence(log_probabilities: Tensor<1>, reference: Tensor<1>) -> Tensor<1> {
    let log_ratio = reference - log_probabilities;
    log_ratio.clone().exp() - log_ratio - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().as_slice::<f32>().unwrap().to_vec()
    }

    fn vector(values: &[f32]) -> Tensor<1> {
        Tensor::from_data(values, &Device::flex())
    }

    #[track_caller]
    fn assert_close(found: &[f32], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            // A handful of f32 operations on values near 1.
            assert!(
                (f64::from(*found) - expected).abs() < 2e-6,
                "{found} is not {expected}"
            );
        }
    }

    #[test]
    fn log_probabilities_and_entropy_of_known_distributions() {
        // Rows are logarithms of (1/2, 1/4, 1/4), up to a constant, and of the even distribution.
        let logits = [[2f32.ln() + 100.0, 100.0, 100.0], [-7.0, -7.0, -7.0]];
        let logits = Tensor::<2>::from_data(logits, &Device::flex());
        let found = floats(log_probabilities(logits.clone(), &[0, 2]));
        // 100 + ln 2 is rounded to a multiple of 2⁻¹⁷, hence the coarser bound on the first row.
        assert!((found[0] - 0.5f32.ln()).abs() < 8e-6, "{found:?}");
        assert_close(&found[1..], &[-(3f64.ln())]);
        let found = floats(entropy(logits));
        assert!(
            (f64::from(found[0]) - 1.5 * 2f64.ln()).abs() < 8e-6,
            "{found:?}"
        );
        assert_close(&found[1..], &[3f64.ln()]);
    }

    #[test]
    fn cross_entropy_divides_by_the_tokens_of_the_step() {
        let loss = cross_entropy(vector(&[-1.0, -2.5, 0.0]), 10);
        assert_close(&floats(loss), &[0.35]);
    }

    #[test]
    fn advantages_by_hand() {
        // Group one: mean 1/4, sample deviation 1/2. Group two has no spread.
        let rewards = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0];
        let grouped = advantages(&rewards, 4, RewardScale::Group);
        assert_eq!(grouped[0], 0.75 / 0.5001);
        assert_eq!(grouped[1], -0.25 / 0.5001);
        assert_eq!(grouped[4..], [0.0; 4]);
        let plain = advantages(&rewards, 4, RewardScale::None);
        assert_eq!(plain[..4], [0.75, -0.25, -0.25, -0.25]);
        // All eight: mean 5/8, Σ(r − mean)² = 15/8, over 7.
        let batch = advantages(&rewards, 4, RewardScale::Batch);
        assert_eq!(batch[0], 0.75 / ((15.0f64 / 8.0 / 7.0).sqrt() + 1e-4));
        assert_eq!(advantages(&[1.0], 1, RewardScale::Group), [0.0]);
    }

    #[test]
    fn token_weights_by_hand() {
        let lengths = [1, 4];
        assert_eq!(LossType::Grpo.token_weights(&lengths, 10), [0.5, 0.125]);
        assert_eq!(LossType::Bnpo.token_weights(&lengths, 10), [0.2, 0.2]);
        assert_eq!(LossType::DrGrpo.token_weights(&lengths, 10), [0.05, 0.05]);
        assert_eq!(LossType::Grpo.token_weights(&[0], 0), [1.0]);
    }

    #[test]
    fn the_surrogate_clips_only_what_would_move_further_away() {
        // Ratios 1.5, 1.5, 0.5, 0.5 with advantages of both signs, ε = 0.2: a gain beyond the range is cut
        // off (first, last), a loss is not.
        let ratio = [1.5f32.ln(), 1.5f32.ln(), 0.5f32.ln(), 0.5f32.ln()];
        let advantages = vector(&[2.0, -2.0, 2.0, -2.0]);
        let loss = clipped_surrogate(vector(&ratio), vector(&[0.0; 4]), advantages, 0.2, 0.2);
        assert_close(&floats(loss), &[-2.4, 3.0, -1.0, 1.6]);
    }

    #[test]
    fn the_surrogate_of_an_unchanged_policy_is_the_policy_gradient() {
        let device = Device::flex().autodiff();
        let current = Tensor::<1>::from_data([-0.3f32, -2.0], &device).require_grad();
        let advantages = Tensor::from_data([1.5f32, -0.5], &device);
        let loss = clipped_surrogate(
            current.clone(),
            current.clone().detach(),
            advantages,
            0.2,
            0.2,
        );
        assert_close(&floats(loss.clone()), &[-1.5, 0.5]);
        // d loss / d ln p = −Â at ratio 1.
        let gradient = current.grad(&loss.sum().backward()).unwrap();
        assert_close(&floats(gradient), &[-1.5, 0.5]);
    }

    #[test]
    fn k3_by_hand() {
        let kl = kl_divergence(vector(&[-1.0, -1.0, -2.0]), vector(&[-1.0, -2.0, -1.0]));
        let e = std::f64::consts::E;
        assert_close(&floats(kl), &[0.0, 1.0 / e, e - 2.0]);
    }
}
