use std::path::PathBuf;

use clap::Args;

/// Hold two evaluations against one another: what changed, sample by sample
#[derive(Debug, Args)]
#[command(
    before_help = "Example: does half the vector help, and on which questions?\n  \
                   taskvec eval micro:target --tasks micro-gsm --limit 50 --out before\n  \
                   taskvec eval 'micro:target + 0.5*(micro:grpo - micro:sft)' \\\n    \
                   --tasks micro-gsm --limit 50 --out after\n  \
                   taskvec compare before after --examples 2"
)]
pub(crate) struct CompareArgs {
    /// Records of the run to compare with: a file, or the directory that --out named
    #[arg(value_name = "FIRST")]
    pub(crate) first: PathBuf,
    /// Records of the run that is judged
    #[arg(value_name = "SECOND")]
    pub(crate) second: PathBuf,
    /// The model of the first run, where it has several
    #[arg(long, value_name = "LABEL")]
    pub(crate) first_model: Option<String>,
    /// The model of the second run, where it has several
    #[arg(long, value_name = "LABEL")]
    pub(crate) second_model: Option<String>,
    /// Show so many samples gained and lost, for each task and condition
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) examples: usize,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}
