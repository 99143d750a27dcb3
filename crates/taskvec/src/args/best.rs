use std::path::PathBuf;

use clap::Args;
use taskvec_eval::Condition;

/// Choose the best point of a sweep, and measure it on questions that had no say
#[derive(Debug, Args)]
#[command(
    before_help = "Example: of a sweep that has been run\n  \
                   taskvec sweep 'micro:target + a*(micro:grpo - micro:sft)' --over a=0:1:0.5 \\\n    \
                   --tasks micro-chat --limit 20 --out strength\n  \
                   taskvec best strength",
    after_help = "The questions of the sweep are divided: on one part the point with the most right answers is chosen, on the \
                  other it is measured. Nothing is asked again."
)]
pub(crate) struct BestArgs {
    /// The sweep's directory
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Tasks that the choice is made for, separated by commas [default: all of the sweep's]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) tasks: Vec<String>,
    /// The condition under which their questions count
    #[arg(long, value_name = "NAME", default_value = "clean")]
    pub(crate) condition: Condition,
    /// Share of the questions on which the point is chosen
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share)]
    pub(crate) validation: f64,
    /// Beside it, choose without looking at right answers, by self-consistency: the directory of the same sweep with several
    /// answers to each question, `--samples 5 --temperature 0.7`
    #[arg(long, value_name = "DIR")]
    pub(crate) drawn: Option<PathBuf>,
    /// Beside it, choose by perplexity: the lowest negative log-likelihood of the tokens that the point itself generated, in
    /// the sweep of `--drawn` where one is named
    #[arg(long)]
    pub(crate) perplexity: bool,
    /// Seed of the division
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("expected a number between 0 and 1, such as 0.5".to_owned()),
    }
}
