use std::path::PathBuf;

use clap::Args;
use taskvec_eval::Condition;

use super::eval::Form;
use super::over::Over;
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
    /// Directory of questions that do not ship with taskvec; `taskvec tasks` says which file belongs where
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
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
