use std::path::PathBuf;

use clap::Args;

use super::number;
use super::weights::ThreadArgs;

/// Run the paper's study on four embedded models
#[derive(Debug, Args)]
#[command(
    before_help = "Example: the table, and report.json beside it\n  \
                   taskvec demo",
    after_help = "Adds the reasoning vector micro:grpo - micro:sft to micro:target, subtracts it, adds controls \
                  instead, and measures each on every micro task, clean and adversarial. Nothing is fetched, and \
                  every number is computed in this run."
)]
pub(crate) struct DemoArgs {
    /// Questions of each task and condition: fewer are faster, more make the intervals narrower
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = number::questions)]
    pub(crate) limit: usize,
    /// Seed of the questions and of the random control
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Where the report goes; an older report is replaced, no other file is
    #[arg(long, value_name = "FILE", default_value = "report.json")]
    pub(crate) out: PathBuf,
    /// Keep a record of every answer in this file, for `taskvec report`; run again to resume
    #[arg(long, value_name = "FILE")]
    pub(crate) records: Option<PathBuf>,
    /// Print the report as one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}
