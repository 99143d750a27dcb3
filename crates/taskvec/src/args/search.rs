use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::Args;
use taskvec_core::Coefficient;

use super::best::share;
use super::questions::QuestionArgs;
use super::weights::{BindingArgs, ThreadArgs, is_name};

/// Find a coefficient for each group of layers and modules, and what each group is worth
#[derive(Debug, Args)]
#[command(
    before_help = "Example: which parts of the reasoning vector help\n  \
                   taskvec search 'micro:target + a*(micro:grpo - micro:sft)' --over a \\\n    \
                   --layer-groups 1 --tasks micro-chat --limit 20 --budget 8 --out found",
    after_help = "A group is attention, MLP or norms of some consecutive layers, or the embeddings; where the vector is zero \
                  there is no group. First each group is left out by itself, which says what it is worth; then the \
                  coefficients are moved one at a time, and what has more right answers is kept. All of that sees the \
                  validation questions alone, under the first of the conditions; what was found is then measured, beside \
                  the start and the best single coefficient, on test questions that had no say. Run again, a search goes \
                  on where it was, and with a larger budget further."
)]
pub(crate) struct SearchArgs {
    /// The model, with a name for the coefficient
    #[arg(value_name = "EXPR")]
    pub(crate) expression: String,
    /// The name in EXPR that becomes a number for each group
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) over: String,
    /// Bands that the layers are divided into, from first to last
    #[arg(long, value_name = "N", default_value = "3")]
    pub(crate) layer_groups: NonZeroU32,
    /// How many points may be measured on the validation questions, those of an earlier run among them
    #[arg(long, value_name = "N", default_value = "40")]
    pub(crate) budget: NonZeroUsize,
    /// The coefficient of every group at the start
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = start, allow_hyphen_values = true)]
    pub(crate) start: Coefficient,
    /// By how much a coefficient is moved at first
    #[arg(long, value_name = "NUMBER", default_value = "0.5", value_parser = step, allow_hyphen_values = true)]
    pub(crate) step: Coefficient,
    /// How often that is halved when no move is better
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=20))]
    pub(crate) halvings: u32,
    #[command(flatten)]
    pub(crate) questions: QuestionArgs,
    /// Share of the questions on which points are chosen
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share)]
    pub(crate) validation: f64,
    /// Seed of the division into validation and test questions
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) division_seed: u64,
    /// Directory for the records of every sample and for what was asked; run again to resume
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) bindings: BindingArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}

fn name(text: &str) -> Result<String, String> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    Err(match text.split_once('=') {
        Some((name, _)) => {
            format!("expected a name alone, such as {name}: a search finds the numbers itself")
        }
        None => "expected a name: letters, digits and `_`, no digit first".to_owned(),
    })
}

fn start(text: &str) -> Result<Coefficient, String> {
    let number: Coefficient = text.parse().map_err(|error| format!("{error}"))?;
    if number.is_zero() {
        return Err(
            "at 0 there is nothing to leave out; expected another number, such as 1".to_owned(),
        );
    }
    Ok(number)
}

fn step(text: &str) -> Result<Coefficient, String> {
    let number: Coefficient = text.parse().map_err(|error| format!("{error}"))?;
    if number.is_zero() || number.is_negative() {
        return Err("expected a number above 0, such as 0.5".to_owned());
    }
    Ok(number)
}
