use std::path::PathBuf;

use clap::Args;

use super::engine::EngineArgs;
use super::questions::QuestionArgs;
use super::sampling::SamplingArgs;
use super::weights::{BindingArgs, ThreadArgs};

/// Measure a model on benchmarks
#[derive(Debug, Args)]
#[command(before_help = "Example: word problems, as they are and perturbed\n  \
                   taskvec eval 'micro:target + 0.5*(micro:grpo - micro:sft)' \\\n    \
                   --tasks micro-gsm --conditions clean,adversarial --limit 100")]
pub(crate) struct EvalArgs {
    /// The model
    #[arg(value_name = "EXPR")]
    pub(crate) expression: Option<String>,
    #[command(flatten)]
    pub(crate) questions: QuestionArgs,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    /// Keep a record of every sample in this file, or in a file in this directory; run again to resume
    #[arg(long, value_name = "PATH")]
    pub(crate) out: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) bindings: BindingArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}
