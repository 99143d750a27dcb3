use clap::Args;
use taskvec_core::Dtype;

use super::weights::{BindingArgs, FitArgs, ThreadArgs, dtype};

/// Say what `write` would do, and what stands in its way
#[derive(Debug, Args)]
#[command(
    before_help = "Example: do these models fit together?\n  \
                   taskvec check 'micro:target + (micro:grpo - micro:sft)'",
    after_help = "Reads headers, configurations and tokenizers, and of a large model's weights a sample of 1 in 500. Exits 1 \
                  where `write` would refuse."
)]
pub(crate) struct CheckArgs {
    /// What would be written
    #[arg(value_name = "EXPR")]
    pub(crate) expression: String,
    /// Type that computed tensors would be rounded to
    #[arg(long, value_name = "DTYPE", value_parser = dtype)]
    pub(crate) dtype: Option<Dtype>,
    /// Let models pass that do not descend from one initialisation, as `write` would with this flag
    #[arg(long)]
    pub(crate) allow_strangers: bool,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) fit: FitArgs,
    #[command(flatten)]
    pub(crate) bindings: BindingArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}
