use clap::Args;
use taskvec_core::Reference;

use super::weights::{DestinationArgs, ThreadArgs};

/// Subtract one model from another and write the vector
#[derive(Debug, Args)]
#[command(
    before_help = "Example: what reinforcement learning added beyond supervised fine-tuning\n  \
                   taskvec extract --tuned micro:grpo --base micro:sft -o reason",
    after_help = "The same as: taskvec write 'tuned - base' --let tuned=REF --let base=REF -o PATH"
)]
pub(crate) struct ExtractArgs {
    /// The model that has learned: a directory, a .safetensors file, `hf:ORG/NAME[@REVISION]` or `micro:NAME`
    #[arg(long, value_name = "REF")]
    pub(crate) tuned: Reference,
    /// The model to subtract
    #[arg(long, value_name = "REF")]
    pub(crate) base: Reference,
    #[command(flatten)]
    pub(crate) destination: DestinationArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}
