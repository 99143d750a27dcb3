//! How much is said, and in what colours.

use clap::{Args, ValueEnum};

/// Flags that every command has.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Say more
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    /// Say nothing but data and failures
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// When to use colours; `auto` heeds NO_COLOR and where output goes
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub(crate) color: When,
}

/// When something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}
