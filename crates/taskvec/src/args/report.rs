use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Show runs as one HTML page that needs nothing else
#[derive(Debug, Args)]
#[command(
    before_help = "Example: a page of one run\n  \
                   taskvec eval 'micro:target' --tasks micro-chat --limit 20 --out run\n  \
                   taskvec report run -o report.html",
    after_help = "RUN is a record file of `taskvec eval --out`, a directory with one, or the directory of `taskvec sweep`, `search` or `study`; or the \
                  directory NAME.training of `taskvec sft` or `taskvec grpo`, of which several are compared. The page holds \
                  every answer, or every step, and fetches nothing."
)]
pub(crate) struct ReportArgs {
    /// Record files, or directories with them; or directories of training
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// File to write; an older report is replaced, no other file is [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The whole page, its tables as Markdown, or the headline model's results for a model card
    #[arg(long, value_name = "FORMAT", default_value = "html")]
    pub(crate) format: Format,
    /// Model that the others are compared with [default: a sweep's point with coefficients 0, else the first model]
    #[arg(long, value_name = "LABEL")]
    pub(crate) baseline: Option<String>,
    /// Model that the headline is about [default: the one with the highest mean accuracy]
    #[arg(long, value_name = "LABEL")]
    pub(crate) model: Option<String>,
    /// Title of the page
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// What `taskvec inspect --json` found of a vector: shown by layer and module
    #[arg(long, value_name = "FILE")]
    pub(crate) vector: Vec<PathBuf>,
    /// Write every figure as SVG and its data as CSV into this directory too
    #[arg(long, value_name = "DIR")]
    pub(crate) figures: Option<PathBuf>,
}

/// What a report is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Html,
    Markdown,
    ModelIndex,
}
