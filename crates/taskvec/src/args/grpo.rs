use std::path::PathBuf;

use clap::{Args, ValueEnum};
use taskvec_core::Dtype;
use taskvec_lm::train::grpo::GrpoConfig;
use taskvec_lm::train::loss::{LossType, RewardScale};

use super::sft::OptimizerArgs;
use super::weights::{BindingArgs, ThreadArgs, dtype};

/// Train a model on rewards that can be checked (group relative policy optimisation)
#[derive(Debug, Args)]
#[command(
    before_help = "Example: a few steps on synthetic word problems\n  \
                   taskvec grpo --model micro:base --task micro-gsm -o my-grpo \\\n    \
                   --learning-rate 1.5e-4 --max-completion-length 64 --max-steps 2",
    after_help = "Flags have TRL's names and meanings; the reward is the scorer of a benchmark. The run lives in \
                  DIR.training until DIR can be made: metrics.jsonl and completions.jsonl there are kept, and an \
                  interrupted run goes on where it was when the same command is given again."
)]
pub(crate) struct GrpoArgs {
    /// The model to start from
    #[arg(long, value_name = "EXPR")]
    pub(crate) model: String,
    /// The task whose training problems are asked and whose scorer rewards
    #[arg(long, value_name = "TASK")]
    pub(crate) task: String,
    /// Directory for the trained model
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Replace a model that an earlier run wrote there
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Type to store weights as; half precision rounds small changes away
    #[arg(long, value_name = "DTYPE", value_parser = dtype, default_value = "f32")]
    pub(crate) dtype: Dtype,
    /// Peak learning rate; a model of under a million weights wants about 1e-4
    #[arg(long, value_name = "RATE", default_value_t = defaults().learning_rate)]
    pub(crate) learning_rate: f64,
    /// Rollouts
    #[arg(long, value_name = "N", default_value_t = defaults().max_steps, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_steps: u64,
    /// Prompts in one rollout
    #[arg(long, value_name = "N", default_value_t = defaults().prompts_per_step)]
    pub(crate) prompts_per_step: usize,
    /// Completions of each prompt: the group
    #[arg(long, value_name = "N", default_value_t = defaults().num_generations)]
    pub(crate) num_generations: usize,
    /// Most tokens of a completion
    #[arg(long, value_name = "N", default_value_t = defaults().max_completion_length)]
    pub(crate) max_completion_length: usize,
    /// Softmax temperature of sampling
    #[arg(long, value_name = "T", default_value_t = defaults().temperature)]
    pub(crate) temperature: f64,
    /// Weight of the KL divergence to the initial model
    #[arg(long, value_name = "X", default_value_t = defaults().beta)]
    pub(crate) beta: f64,
    /// Clipping range of the probability ratio
    #[arg(long, value_name = "X", default_value_t = defaults().epsilon)]
    pub(crate) epsilon: f64,
    /// Clipping range above 1 [default: that of --epsilon]
    #[arg(long, value_name = "X")]
    pub(crate) epsilon_high: Option<f64>,
    /// Optimiser steps on each rollout
    #[arg(long, value_name = "N", default_value_t = defaults().num_iterations)]
    pub(crate) num_iterations: usize,
    /// By what centred rewards are divided: the deviation of the group, of the batch, or nothing
    #[arg(long, value_name = "WHAT", default_value = "group")]
    pub(crate) scale_rewards: Scale,
    /// How the losses of tokens become one number: the mean over each completion and then over completions, the
    /// mean over all tokens, or their sum divided by a constant
    #[arg(long, value_name = "TYPE", default_value = "bnpo")]
    pub(crate) loss_type: Loss,
    /// Learn nothing from completions that were cut off
    #[arg(long)]
    pub(crate) mask_truncated_completions: bool,
    /// Problems to draw prompts from
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub(crate) num_prompts: usize,
    /// Rollouts between saves of the state
    #[arg(long, value_name = "N", default_value_t = defaults().save_steps)]
    pub(crate) save_steps: u64,
    #[command(flatten)]
    pub(crate) bindings: BindingArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
    #[command(flatten)]
    pub(crate) optimizer: OptimizerArgs,
}

/// [`RewardScale`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scale {
    Group,
    Batch,
    None,
}

/// [`LossType`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Loss {
    Grpo,
    #[value(alias = "dapo")]
    Bnpo,
    #[value(name = "dr_grpo")]
    DrGrpo,
}

fn defaults() -> GrpoConfig {
    GrpoConfig::default()
}

impl GrpoArgs {
    /// The settings of the run.
    pub(crate) fn config(&self) -> GrpoConfig {
        let optimizer = &self.optimizer;
        GrpoConfig {
            max_steps: self.max_steps,
            prompts_per_step: self.prompts_per_step,
            num_generations: self.num_generations,
            max_completion_length: self.max_completion_length,
            temperature: self.temperature,
            learning_rate: self.learning_rate,
            beta: self.beta,
            epsilon: self.epsilon,
            epsilon_high: self.epsilon_high,
            num_iterations: self.num_iterations,
            scale_rewards: match self.scale_rewards {
                Scale::Group => RewardScale::Group,
                Scale::Batch => RewardScale::Batch,
                Scale::None => RewardScale::None,
            },
            loss_type: match self.loss_type {
                Loss::Grpo => LossType::Grpo,
                Loss::Bnpo => LossType::Bnpo,
                Loss::DrGrpo => LossType::DrGrpo,
            },
            mask_truncated_completions: self.mask_truncated_completions,
            gradient_accumulation_steps: optimizer.gradient_accumulation_steps,
            warmup_steps: optimizer.warmup_steps,
            min_lr_rate: optimizer.min_lr_rate,
            max_grad_norm: optimizer.max_grad_norm,
            weight_decay: optimizer.weight_decay,
            adam_beta1: optimizer.adam_beta1,
            adam_beta2: optimizer.adam_beta2,
            adam_epsilon: optimizer.adam_epsilon,
            seed: optimizer.seed,
            save_steps: self.save_steps,
            ..GrpoConfig::default()
        }
    }
}
