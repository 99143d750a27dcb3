use clap::{Args, ValueEnum};

use super::weights::{BindingArgs, ThreadArgs};

/// Show what an expression stands for: sizes, norms, zeros and what is not finite
#[derive(Debug, Args)]
#[command(
    before_help = "Example: where in the network the reasoning vector is long\n  \
                   taskvec inspect 'micro:grpo - micro:sft'"
)]
pub(crate) struct InspectArgs {
    /// What to look at
    #[arg(value_name = "EXPR")]
    pub(crate) expression: String,
    /// What one row is: all tensors of one module in one layer, or each tensor
    #[arg(long, value_name = "WHAT", default_value = "group")]
    pub(crate) by: By,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) bindings: BindingArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}

/// What one row of an inspection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Group,
    Tensor,
}
