use clap::Args;

use super::over::Over;
use super::weights::{BindingArgs, DestinationArgs, ThreadArgs};

/// Write the model or vector that an expression stands for
#[derive(Debug, Args)]
#[command(
    before_help = "Example: add half a reasoning vector to a chat model\n  \
                   taskvec write 'micro:target + 0.5*(micro:grpo - micro:sft)' -o enhanced\n  \
                   taskvec write 'micro:target + a*(micro:grpo - micro:sft)' --over a=0.25,0.5,1 -o scaled"
)]
pub(crate) struct WriteArgs {
    /// What to write: names, "quoted references" and micro:NAME, joined by + - * and functions
    #[arg(value_name = "EXPR")]
    pub(crate) expression: String,
    /// Let NAME stand for each of several numbers in turn (0.25,0.5,1 or FROM:TO:STEP), each an output of its own from one
    /// reading of the inputs. PATH is then the directory in which each number becomes a name (PATH/0.25), or a path whose
    /// `{}` stands for the number
    #[arg(long, value_name = "NAME=NUMBERS")]
    pub(crate) over: Option<Over>,
    #[command(flatten)]
    pub(crate) destination: DestinationArgs,
    #[command(flatten)]
    pub(crate) bindings: BindingArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}
