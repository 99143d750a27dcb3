use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use taskvec_core::Dtype;

use super::weights::{BindingArgs, FitArgs, ThreadArgs, dtype};

/// Write a vector as a LoRA adapter that PEFT loads, and say how much of it the rank keeps
#[derive(Debug, Args)]
#[command(
    before_help = "Example: a reasoning vector as an adapter of rank 16\n  \
                   taskvec lora 'micro:grpo - micro:sft' --rank 16 -o reason-lora",
    after_help = "Each module's change is replaced by the nearest matrix of the rank (singular value decomposition; large \
                  matrices by a seeded random search that no number of threads changes). Norms and biases are no \
                  matrices and are left out; what that loses is said."
)]
pub(crate) struct LoraArgs {
    /// What to write: an expression that is a vector
    #[arg(value_name = "EXPR")]
    pub(crate) expression: String,
    /// Rank of every module's factors
    #[arg(long, value_name = "R")]
    pub(crate) rank: NonZeroUsize,
    /// Directory to make
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Factor the embeddings and the output head as well
    #[arg(long)]
    pub(crate) embeddings: bool,
    /// What `base_model_name_or_path` says [default: the model that the vector was told apart from]
    #[arg(long, value_name = "MODEL")]
    pub(crate) base_model: Option<String>,
    /// Type of the factors
    #[arg(long, value_name = "DTYPE", value_parser = dtype, default_value = "f32")]
    pub(crate) dtype: Dtype,
    /// Seed of the search for singular vectors
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Replace what an earlier run wrote there
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Write even where models do not descend from one initialisation; recorded in `taskvec.json`
    #[arg(long)]
    pub(crate) allow_strangers: bool,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) fit: FitArgs,
    #[command(flatten)]
    pub(crate) bindings: BindingArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}
