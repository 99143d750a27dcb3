use clap::{Args, ValueEnum};
use taskvec_core::Dtype;

use super::weights::{BindingArgs, RowArgs, ThreadArgs, dtype};

/// Show what an expression stands for: sizes, norms, zeros, and what storing it loses
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
    /// Measure what storing the result in this type would lose [default: what `write` would store]
    #[arg(long, value_name = "DTYPE", value_parser = dtype)]
    pub(crate) dtype: Option<Dtype>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) rows: RowArgs,
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
