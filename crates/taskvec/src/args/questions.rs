use std::path::PathBuf;

use clap::{Args, ValueEnum};
use taskvec_eval::Condition;

use super::number;

/// What is asked of a model, and how.
#[derive(Debug, Args)]
pub(crate) struct QuestionArgs {
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
    #[arg(long, value_name = "N", value_parser = number::questions)]
    pub(crate) limit: Option<usize>,
    /// Seed of synthetic questions and of perturbations
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// How questions are put: in the model's chat template where it has one, or as one of the two
    #[arg(long, value_name = "FORM", default_value = "auto")]
    pub(crate) prompt_form: Form,
    /// Directory of questions that do not ship with taskvec, or `hf` to fetch them from the Hub; `taskvec tasks` says
    /// which file belongs where
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// How questions are put to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    Auto,
    Base,
    Chat,
}
