use clap::Args;

/// List the benchmarks: what they ask, under which conditions, and whose questions they are
#[derive(Debug, Args)]
#[command(before_help = "Example: every benchmark there is\n  taskvec tasks")]
pub(crate) struct TasksArgs {
    /// Also the single subtasks of BIG-Bench Hard
    #[arg(long)]
    pub(crate) all: bool,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}
