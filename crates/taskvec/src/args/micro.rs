use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The embedded models: list them, train them again, write them out
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    before_help = "Example: what there is\n  taskvec micro list"
)]
pub(crate) struct MicroArgs {
    #[command(subcommand)]
    pub(crate) command: MicroCommand,
}

/// What can be done with the micro world.
#[derive(Debug, Subcommand)]
pub(crate) enum MicroCommand {
    List(MicroListArgs),
    Train(MicroTrainArgs),
    Export(MicroExportArgs),
}

/// List the embedded models
#[derive(Debug, Args)]
#[command(before_help = "Example:\n  taskvec micro list")]
pub(crate) struct MicroListArgs {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// Train the four models from nothing
#[derive(Debug, Args)]
#[command(
    before_help = "Example: make what the binary embeds\n  taskvec micro train --out my-micro --seed 0",
    after_help = "Base first, from random weights; then sft and grpo from base on the same problems, and target \
                  from base on conversations. Takes under 45 minutes on two cores. Interrupted, it goes on where \
                  it was when run again."
)]
pub(crate) struct MicroTrainArgs {
    /// Directory for the four models and the state of their training
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Seed of weights, data and sampling
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
}

/// Write the embedded models as Hugging Face directories
#[derive(Debug, Args)]
#[command(
    before_help = "Example: for AutoModelForCausalLM.from_pretrained(\"micro/target\")\n  \
                   taskvec micro export --out micro"
)]
pub(crate) struct MicroExportArgs {
    /// Models to write [default: all]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Directory in which one directory per model is made
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Replace what an earlier run wrote there
    #[arg(long)]
    pub(crate) overwrite: bool,
}
