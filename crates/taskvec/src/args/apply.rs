use clap::Args;
use taskvec_core::Coefficient;
use taskvec_core::Reference;

use super::weights::{DestinationArgs, ThreadArgs};

/// Add a vector to a model and write the model
#[derive(Debug, Args)]
#[command(
    before_help = "Example: extract a reasoning vector, then add half of it\n  \
                   taskvec extract --tuned micro:grpo --base micro:sft -o reason\n  \
                   taskvec apply --model micro:target --vector reason --scale 0.5 -o enhanced",
    after_help = "The same as: taskvec write 'model + SCALE*vector' --let model=REF --let vector=REF -o PATH"
)]
pub(crate) struct ApplyArgs {
    /// The model to add to: a directory, a .safetensors file, hf:ORG/NAME[@REVISION] or micro:NAME
    #[arg(long, value_name = "REF")]
    pub(crate) model: Reference,
    /// The vector to add
    #[arg(long, value_name = "REF")]
    pub(crate) vector: Reference,
    /// What the vector is multiplied by: a decimal, taken exactly; -1 subtracts it
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "1",
        allow_hyphen_values = true
    )]
    pub(crate) scale: Coefficient,
    #[command(flatten)]
    pub(crate) destination: DestinationArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}
