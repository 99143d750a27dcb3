use clap::Args;
use taskvec_core::Coefficient;
use taskvec_core::Reference;

use super::over::Values;
use super::weights::{DestinationArgs, ThreadArgs};

/// Add a vector to a model and write the model
#[derive(Debug, Args)]
#[command(
    before_help = "Example: extract a reasoning vector, then add half of it\n  \
                   taskvec extract --tuned micro:grpo --base micro:sft -o reason\n  \
                   taskvec apply --model micro:target --vector reason --scale 0.5 -o enhanced\n  \
                   taskvec apply --model micro:target --vector reason --scales 0.25,0.5,1 -o scaled",
    after_help = "The same as: taskvec write 'model + SCALE*vector' --let model=REF --let vector=REF -o PATH"
)]
pub(crate) struct ApplyArgs {
    /// The model to add to: a directory, a .safetensors file, `hf:ORG/NAME[@REVISION]` or `micro:NAME`
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
    /// Several scales, each an output of its own from one reading of the inputs: 0.25,0.5,1 or FROM:TO:STEP. PATH is then
    /// the directory in which each scale becomes a name (PATH/0.25), or a path whose `{}` stands for the scale
    #[arg(
        long,
        value_name = "NUMBERS",
        conflicts_with = "scale",
        allow_hyphen_values = true
    )]
    pub(crate) scales: Option<Values>,
    #[command(flatten)]
    pub(crate) destination: DestinationArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}
