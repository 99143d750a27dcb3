use std::path::PathBuf;

use clap::{ArgAction, Args};
use taskvec_core::Dtype;
use taskvec_lm::train::sft::SftConfig;

use super::weights::{BindingArgs, ThreadArgs, dtype};

/// Fine-tune a model on examples (supervised fine-tuning)
#[derive(Debug, Args)]
#[command(
    before_help = "Example: a few steps on synthetic word problems\n  \
                   taskvec sft --model micro:base --data micro-gsm -o my-sft \\\n    \
                   --learning-rate 3e-4 --max-steps 5",
    after_help = "Flags have TRL's names and meanings. The run lives in DIR.training until DIR can be made: \
                  metrics.jsonl there is kept, and an interrupted run goes on where it was when the same command \
                  is given again."
)]
pub(crate) struct SftArgs {
    /// The model to start from
    #[arg(long, value_name = "EXPR")]
    pub(crate) model: String,
    /// A .jsonl file whose rows have `prompt` and `completion`, `messages`, or `text`; or a micro task, whose
    /// training problems come with step-by-step solutions
    #[arg(long, value_name = "FILE|TASK")]
    pub(crate) data: String,
    /// Directory for the trained model
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Replace a model that an earlier run wrote there
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Type to store weights as; half precision rounds small changes away
    #[arg(long, value_name = "DTYPE", value_parser = dtype, default_value = "f32")]
    pub(crate) dtype: Dtype,
    /// Peak learning rate; a model of under a million weights wants 3e-4 to 2e-3
    #[arg(long, value_name = "RATE", default_value_t = defaults().learning_rate)]
    pub(crate) learning_rate: f64,
    /// Optimiser steps [default: what --num-train-epochs comes to]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_steps: Option<u64>,
    /// Passes over the data
    #[arg(long, value_name = "X", default_value_t = defaults().num_train_epochs)]
    pub(crate) num_train_epochs: f64,
    /// Examples whose gradients are computed at once
    #[arg(long, value_name = "N", default_value_t = defaults().per_device_train_batch_size)]
    pub(crate) per_device_train_batch_size: usize,
    /// Longer examples are cut to this many tokens
    #[arg(long, value_name = "N", default_value_t = defaults().max_length)]
    pub(crate) max_length: usize,
    /// Learn from completions only, not from prompts
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, default_value_t = defaults().completion_only_loss)]
    pub(crate) completion_only_loss: bool,
    /// Examples to take from a micro task
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub(crate) num_examples: u64,
    /// Steps between saves of the state
    #[arg(long, value_name = "N", default_value_t = defaults().save_steps)]
    pub(crate) save_steps: u64,
    #[command(flatten)]
    pub(crate) bindings: BindingArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
    #[command(flatten)]
    pub(crate) optimizer: OptimizerArgs,
}

/// Settings of the optimiser that both ways of training have.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Optimiser")]
pub(crate) struct OptimizerArgs {
    /// Parts in which gradients are added up: less memory, same result
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) gradient_accumulation_steps: usize,
    /// Steps over which the learning rate rises from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) warmup_steps: u64,
    /// The learning rate at the end, as a share of the peak
    #[arg(long, value_name = "SHARE", default_value_t = defaults().min_lr_rate)]
    pub(crate) min_lr_rate: f64,
    /// Longer gradients are scaled down to this norm
    #[arg(long, value_name = "NORM", default_value_t = defaults().max_grad_norm)]
    pub(crate) max_grad_norm: f64,
    /// Weight decay of matrices
    #[arg(long, value_name = "X", default_value_t = defaults().weight_decay)]
    pub(crate) weight_decay: f64,
    /// First decay rate of AdamW
    #[arg(long, value_name = "X", default_value_t = defaults().adam_beta1)]
    pub(crate) adam_beta1: f64,
    /// Second decay rate of AdamW
    #[arg(long, value_name = "X", default_value_t = defaults().adam_beta2)]
    pub(crate) adam_beta2: f64,
    /// Added to AdamW's denominator
    #[arg(long, value_name = "X", default_value_t = defaults().adam_epsilon)]
    pub(crate) adam_epsilon: f64,
    /// Decides the order of data and every draw
    #[arg(long, value_name = "N", default_value_t = defaults().seed)]
    pub(crate) seed: u64,
}

fn defaults() -> SftConfig {
    SftConfig::default()
}

impl SftArgs {
    /// The settings of the run.
    pub(crate) fn config(&self) -> SftConfig {
        let optimizer = &self.optimizer;
        SftConfig {
            learning_rate: self.learning_rate,
            max_steps: self.max_steps,
            num_train_epochs: self.num_train_epochs,
            per_device_train_batch_size: self.per_device_train_batch_size,
            gradient_accumulation_steps: optimizer.gradient_accumulation_steps,
            warmup_steps: optimizer.warmup_steps,
            min_lr_rate: optimizer.min_lr_rate,
            max_grad_norm: optimizer.max_grad_norm,
            weight_decay: optimizer.weight_decay,
            adam_beta1: optimizer.adam_beta1,
            adam_beta2: optimizer.adam_beta2,
            adam_epsilon: optimizer.adam_epsilon,
            max_length: self.max_length,
            completion_only_loss: self.completion_only_loss,
            seed: optimizer.seed,
            save_steps: self.save_steps,
            ..SftConfig::default()
        }
    }
}
