use clap::Args;

use super::engine::EngineArgs;
use super::number;
use super::weights::{BindingArgs, ThreadArgs};

/// Let a model answer a prompt
#[derive(Debug, Args)]
#[command(
    before_help = "Example: ask a chat model that a reasoning vector was added to\n  \
                   taskvec generate 'micro:target + 0.5*(micro:grpo - micro:sft)' \\\n    \
                   --prompt 'Ben has 4 figs. He buys 5 more. He gives away 3. How many figs does Ben have now?'"
)]
pub(crate) struct GenerateArgs {
    /// The model
    #[arg(value_name = "EXPR")]
    pub(crate) expression: Option<String>,
    /// What to answer; `-` reads it from stdin
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) prompt: String,
    /// A system message that stands before the prompt; implies --chat
    #[arg(long, value_name = "TEXT", conflicts_with = "no_chat")]
    pub(crate) system: Option<String>,
    /// Put the prompt into the model's chat template [default: if it has one]
    #[arg(long, overrides_with = "no_chat")]
    pub(crate) chat: bool,
    /// Continue the prompt as plain text
    #[arg(long)]
    pub(crate) no_chat: bool,
    /// End after this many tokens at the latest
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = number::tokens)]
    pub(crate) max_new_tokens: usize,
    /// Softmax temperature; 0 always takes the likeliest token
    #[arg(long, value_name = "T", default_value_t = 0.0, value_parser = number::temperature, allow_negative_numbers = true)]
    pub(crate) temperature: f64,
    /// Sample from the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", default_value_t = 1.0, value_parser = number::top_p, allow_negative_numbers = true)]
    pub(crate) top_p: f64,
    /// Sample from this many of the likeliest tokens
    #[arg(long, value_name = "K", value_parser = number::tokens)]
    pub(crate) top_k: Option<usize>,
    /// Seed of the draw
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// End before this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
    #[command(flatten)]
    pub(crate) bindings: BindingArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}
