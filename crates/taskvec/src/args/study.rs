use std::path::PathBuf;

use clap::Args;

use super::engine::EngineArgs;
use super::number;
use super::weights::{BindingArgs, ThreadArgs};

/// Carry out the study that a recipe describes, and print its tables
#[derive(Debug, Args)]
#[command(
    before_help = "Example: the study of `taskvec demo`, its records kept\n  \
                   taskvec study micro --limit 20 --out micro-study",
    after_help = "Everything is planned before the first question is asked. Run again, a study goes on where it was. \
                  `taskvec report DIR -o report.html` shows it as a page; docs/studies.md says what stands in a recipe."
)]
pub(crate) struct StudyArgs {
    /// The recipe: a TOML file, or `micro` for the one of `taskvec demo`
    #[arg(value_name = "RECIPE")]
    pub(crate) recipe: String,
    /// Directory for the records of every sample and for what was asked, with one below it for each target and seed where
    /// there are several; run again to resume
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Questions of each task and condition [default: as the recipe says]
    #[arg(long, value_name = "N", value_parser = number::questions)]
    pub(crate) limit: Option<usize>,
    /// Seeds, separated by commas, for each of which all is repeated [default: as the recipe says]
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    pub(crate) seeds: Option<Vec<u64>>,
    /// Directory of questions that do not ship with taskvec, or `hf` to fetch them from the Hub; `taskvec tasks` says
    /// which file belongs where
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) bindings: BindingArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}
