//! Settings and measurements of GRPO.

use serde::{Deserialize, Serialize};

use crate::train::loss::{LossType, RewardScale};
use crate::train::optimizer::{AdamWConfig, Numbers};
use crate::{Error, Result};

/// Settings of group relative policy optimisation. Names and meanings are those of TRL's `GRPOConfig`, except
/// where a field says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpoConfig {
    /// Rollouts: each is followed by `num_iterations` optimiser steps.
    pub max_steps: u64,
    /// Prompts in one rollout. TRL's `generation_batch_size` is this times `num_generations`.
    pub prompts_per_step: usize,
    /// Completions sampled for each prompt: the group. At least 2.
    pub num_generations: usize,
    /// Most tokens of a completion.
    pub max_completion_length: usize,
    /// Softmax temperature, in sampling and in the loss alike. Above 0.
    pub temperature: f64,
    /// Peak learning rate. TRL's default; a model of under a million weights wants about 1e-4, and at ten
    /// times that collapses.
    pub learning_rate: f64,
    /// Weight of the KL divergence to the initial policy. 0, TRL's default, needs no reference at all.
    pub beta: f64,
    /// ε, the clipping range below 1.
    pub epsilon: f64,
    /// ε′, the clipping range above 1; as `epsilon` if absent. DAPO recommends 0.28.
    pub epsilon_high: Option<f64>,
    /// Optimiser steps on each rollout (μ in DeepSeekMath, algorithm 1). At 1 every ratio is 1 and nothing is
    /// ever clipped.
    pub num_iterations: usize,
    /// What divides the centred rewards of a group.
    pub scale_rewards: RewardScale,
    /// How the losses of tokens become one number.
    pub loss_type: LossType,
    /// Whether completions that did not end by themselves give no loss (DAPO, section 3.4). Their reward
    /// still counts in the group.
    pub mask_truncated_completions: bool,
    /// Parts in which gradients are added up: less memory, same result.
    pub gradient_accumulation_steps: usize,
    /// Parts into which each of those is cut for parallel workers. A setting, not the number of cores, so
    /// that a run gives the same bits on every machine of one kind. Not in TRL.
    pub slices: usize,
    /// Optimiser steps over which the learning rate rises from 0.
    pub warmup_steps: u64,
    /// The learning rate at the end as a share of the peak.
    pub min_lr_rate: f64,
    /// Gradients longer than this are scaled down to it.
    pub max_grad_norm: f64,
    /// λ of AdamW, on matrices only.
    pub weight_decay: f64,
    /// β₁ of AdamW.
    pub adam_beta1: f64,
    /// β₂ of AdamW. TRL's default is 0.999.
    pub adam_beta2: f64,
    /// ε of AdamW.
    pub adam_epsilon: f64,
    /// Decides the order of prompts and every sampled token.
    pub seed: u64,
    /// Rollouts between saves of the state.
    pub save_steps: u64,
    /// Rollouts between samples in `completions.jsonl`; 0 keeps none. Not in TRL.
    pub log_completions_steps: u64,
    /// Completions in each such sample.
    pub num_completions_to_log: usize,
}

impl Default for GrpoConfig {
    fn default() -> Self {
        let adam = AdamWConfig::default();
        Self {
            max_steps: 100,
            prompts_per_step: 16,
            num_generations: 8,
            max_completion_length: 256,
            temperature: 1.0,
            learning_rate: 1e-6,
            beta: 0.0,
            epsilon: 0.2,
            epsilon_high: None,
            num_iterations: 1,
            scale_rewards: RewardScale::Group,
            loss_type: LossType::Bnpo,
            mask_truncated_completions: false,
            gradient_accumulation_steps: 1,
            slices: 2,
            warmup_steps: 0,
            min_lr_rate: 0.1,
            max_grad_norm: 1.0,
            weight_decay: adam.weight_decay,
            adam_beta1: adam.adam_beta1,
            adam_beta2: adam.adam_beta2,
            adam_epsilon: adam.adam_epsilon,
            seed: 42,
            save_steps: 20,
            log_completions_steps: 10,
            num_completions_to_log: 4,
        }
    }
}

/// Settings that a resumed run may change: they touch nothing that is learned.
pub(super) const INCIDENTAL: &[&str] = &[
    "save_steps",
    "log_completions_steps",
    "num_completions_to_log",
];

impl GrpoConfig {
    pub(super) fn optimizer(&self) -> AdamWConfig {
        AdamWConfig {
            adam_beta1: self.adam_beta1,
            adam_beta2: self.adam_beta2,
            adam_epsilon: self.adam_epsilon,
            weight_decay: self.weight_decay,
        }
    }

    /// Refuses what no run can have.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] for the first setting out of range.
    pub fn validate(&self) -> Result<()> {
        let refuse = |setting, value: String, expected| {
            Err(Error::InvalidSetting {
                setting,
                value,
                expected,
            })
        };
        if self.num_generations < 2 {
            // A group of one has no spread, so nothing would ever be learned.
            return refuse(
                "num_generations",
                self.num_generations.to_string(),
                "2 or more",
            );
        }
        for (setting, value) in [
            ("prompts_per_step", self.prompts_per_step),
            ("max_completion_length", self.max_completion_length),
            ("num_iterations", self.num_iterations),
            (
                "gradient_accumulation_steps",
                self.gradient_accumulation_steps,
            ),
            ("slices", self.slices),
            ("save_steps", usize::from(self.save_steps > 0)),
        ] {
            if value == 0 {
                return refuse(setting, "0".to_owned(), "1 or more");
            }
        }
        for (setting, value) in [
            ("temperature", self.temperature),
            ("epsilon", self.epsilon),
            ("epsilon_high", self.epsilon_high()),
        ] {
            if !(value.is_finite() && value > 0.0) {
                return refuse(setting, value.to_string(), "a number above 0");
            }
        }
        if !(self.beta.is_finite() && self.beta >= 0.0) {
            return refuse("beta", self.beta.to_string(), "0 or more");
        }
        Numbers {
            learning_rate: self.learning_rate,
            min_lr_rate: self.min_lr_rate,
            max_grad_norm: self.max_grad_norm,
            adam: &self.optimizer(),
        }
        .check()
    }

    pub(super) fn epsilon_high(&self) -> f64 {
        self.epsilon_high.unwrap_or(self.epsilon)
    }
}

/// What is measured at each rollout and the steps made on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GrpoMetrics {
    /// The rollout, counted from 0.
    pub step: u64,
    /// The loss of its last optimiser step. Near 0 by construction; look at the reward.
    pub loss: f64,
    /// The learning rate of the last optimiser step.
    pub learning_rate: f64,
    /// Norm of its gradient before clipping.
    pub grad_norm: f64,
    /// Mean reward.
    pub reward: f64,
    /// Standard deviation of the reward within a group, averaged over groups.
    pub reward_std: f64,
    /// Share of groups whose rewards are all equal, which therefore teach nothing.
    pub frac_reward_zero_std: f64,
    /// Share of completions that the environment calls worked out step by step.
    pub step_by_step: f64,
    /// Mean tokens of a completion, its end included.
    pub completion_length: f64,
    /// Share of completions cut off at the longest length.
    pub truncated: f64,
    /// Mean of −ln p over sampled tokens: an unbiased estimate of the policy's entropy at the sampling
    /// temperature, in nats.
    pub entropy: f64,
    /// Mean k3 estimate of the KL divergence to the initial policy, in nats; absent where `beta` is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kl: Option<f64>,
    /// Share of tokens whose ratio left the clipping range, at the last optimiser step.
    pub clip_ratio: f64,
    /// Mean |Δ ln p| between sampler and learner over the tokens learned from. More than rounding means that
    /// they do not compute the same model.
    pub sampling_logp_difference: f64,
    /// Whether the policy looks as if it were being lost.
    pub collapse: bool,
    /// Tokens of prompts and completions.
    pub tokens: usize,
    /// Wall seconds of sampling.
    pub rollout_seconds: f64,
    /// Wall seconds of all of it.
    pub seconds: f64,
}
