use std::path::PathBuf;

use clap::Args;

use super::weights::{BindingArgs, ThreadArgs};

/// Compare what was written with its record: files, parents, and weights computed again
#[derive(Debug, Args)]
#[command(
    before_help = "Example: write a vector, then verify it\n  \
                   taskvec extract --tuned micro:grpo --base micro:sft -o reason\n  \
                   taskvec verify reason",
    after_help = "Exits 1 on any difference. Of the output and its parents the content is compared with the hashes that \
                  `write` recorded; where a parent was read in part, that part. A sample of the elements is computed \
                  again. Parents are looked for where the record says, seen from the current directory."
)]
pub(crate) struct VerifyArgs {
    /// A directory with a `taskvec.json`, or a single file that `write` wrote
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// Compute every element again instead of, in a large model, about 1 in 64
    #[arg(long)]
    pub(crate) all: bool,
    /// Which elements are computed again
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "all")]
    pub(crate) seed: u64,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) bindings: BindingArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}
