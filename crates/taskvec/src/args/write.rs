use clap::Args;

use super::weights::{BindingArgs, DestinationArgs, ThreadArgs};

/// Write the model or vector that an expression stands for
#[derive(Debug, Args)]
#[command(
    before_help = "Example: add half a reasoning vector to a chat model\n  \
                   taskvec write 'micro:target + 0.5*(micro:grpo - micro:sft)' -o enhanced"
)]
pub(crate) struct WriteArgs {
    /// What to write: names, "quoted references" and micro:NAME, joined by + - * and functions
    #[arg(value_name = "EXPR")]
    pub(crate) expression: String,
    #[command(flatten)]
    pub(crate) destination: DestinationArgs,
    #[command(flatten)]
    pub(crate) bindings: BindingArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}
