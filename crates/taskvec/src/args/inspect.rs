use std::num::NonZeroUsize;

use clap::{Args, ValueEnum};
use taskvec_core::Dtype;

use super::weights::{BindingArgs, FitArgs, ThreadArgs, dtype};

/// Measure what an expression stands for: norms, zeros, spectra; or compare two vectors
#[derive(Debug, Args)]
#[command(
    before_help = "Example: where the reasoning vector is long, and where it points as the target went\n  \
                   taskvec inspect 'micro:grpo - micro:sft'\n  \
                   taskvec inspect 'micro:grpo - micro:sft' 'micro:target - micro:base' --heatmap"
)]
pub(crate) struct InspectArgs {
    /// What to look at
    #[arg(value_name = "EXPR")]
    pub(crate) expression: String,
    /// A vector to hold it against: cosine, and the share of signs that agree where neither is zero
    #[arg(value_name = "EXPR2")]
    pub(crate) beside: Option<String>,
    /// What one row is: all tensors of one module in one layer, a tensor, a layer, a module, or a part of the network
    #[arg(long, value_name = "WHAT", default_value = "group")]
    pub(crate) by: By,
    /// Give norms relative to this model's [default: what a vector was subtracted from, what a model was made of]
    #[arg(long, value_name = "EXPR")]
    pub(crate) relative_to: Option<String>,
    /// Measure what storing the result in this type would lose [default: what `write` would store]
    #[arg(long, value_name = "DTYPE", value_parser = dtype)]
    pub(crate) dtype: Option<Dtype>,
    /// List the 16, or N, leading singular values of every matrix, its stable rank, and the energy that lower ranks keep
    #[arg(
        long,
        value_name = "N",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "16",
        conflicts_with = "heatmap"
    )]
    pub(crate) spectrum: Option<NonZeroUsize>,
    /// Spectra of embeddings and the output head too, which takes their size in memory
    #[arg(long, requires = "spectrum")]
    pub(crate) embeddings: bool,
    /// Draw layers against modules [default: the cosine of two vectors; else norms, relative where that can be]
    #[arg(
        long,
        value_name = "WHAT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "auto",
        conflicts_with_all = ["by", "json", "csv"]
    )]
    pub(crate) heatmap: Option<Heat>,
    /// Print one JSON object instead of a table
    #[arg(long, conflicts_with = "csv")]
    pub(crate) json: bool,
    /// Print comma-separated values instead of a table: a row each, or with `--spectrum` a matrix each
    #[arg(long)]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) fit: FitArgs,
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
    Layer,
    Module,
    Part,
}

impl By {
    /// The word that heads the rows' names.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Tensor => "tensor",
            Self::Layer => "layer",
            Self::Module => "module",
            Self::Part => "part",
        }
    }
}

/// What a heat map shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Heat {
    Auto,
    Norm,
    Relative,
    Zeros,
    Survival,
    Cosine,
    Signs,
}
