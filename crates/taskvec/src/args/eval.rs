use std::path::PathBuf;

use clap::{Args, ValueEnum};
use taskvec_eval::Condition;

use super::engine::EngineArgs;
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
    /// Benchmarks, separated by commas; `taskvec tasks` lists them, `micro` is all of the micro world
    #[arg(long, value_name = "NAMES")]
    pub(crate) tasks: String,
    /// Perturbations of the text, separated by commas: clean, distractor, noise, reordered, adversarial
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "clean"
    )]
    pub(crate) conditions: Vec<Condition>,
    /// Questions of each task and condition [default: as many as the task says]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Seed of synthetic questions and of perturbations
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// How questions are put: in the model's chat template where it has one, or as one of the two
    #[arg(long, value_name = "FORM", default_value = "auto")]
    pub(crate) prompt_form: Form,
    /// Keep a record of every sample in this file, or in a file in this directory; run again to resume
    #[arg(long, value_name = "PATH")]
    pub(crate) out: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Directory of questions that do not ship with taskvec; `taskvec tasks` says which file belongs where
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) bindings: BindingArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// How questions are put to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    Auto,
    Base,
    Chat,
}
