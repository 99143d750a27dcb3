use std::path::PathBuf;

use clap::Args;

use super::over::Over;
use super::questions::QuestionArgs;
use super::sampling::SamplingArgs;
use super::weights::{BindingArgs, ThreadArgs};

/// Measure an expression at many values of its coefficients
#[derive(Debug, Args)]
#[command(
    before_help = "Example: how much of the reasoning vector is best\n  \
                   taskvec sweep 'micro:target + a*(micro:grpo - micro:sft)' --over a=0:1:0.5 \\\n    \
                   --tasks micro-chat --limit 20 --out strength",
    after_help = "Every point is computed in memory; no checkpoint is written. Run again, a sweep goes on where it was, and \
                  the ends of the range come first, then the middle, then the quarters. `taskvec best` chooses a point, \
                  `taskvec report` draws the curves."
)]
pub(crate) struct SweepArgs {
    /// The model, with a name for each coefficient
    #[arg(value_name = "EXPR")]
    pub(crate) expression: String,
    /// Numbers that a name in EXPR stands for: NAME=0.25,0.5,1 or NAME=FROM:TO:STEP; given again, a grid
    #[arg(long, value_name = "NAME=NUMBERS", required = true)]
    pub(crate) over: Vec<Over>,
    #[command(flatten)]
    pub(crate) questions: QuestionArgs,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    /// Directory for the records of every sample and for what was asked; run again to resume
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) bindings: BindingArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}
