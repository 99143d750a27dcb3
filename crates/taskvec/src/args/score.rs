use std::path::PathBuf;

use clap::Args;
use taskvec_eval::Condition;

use super::number;

/// Score completions that were made elsewhere: no model is needed
#[derive(Debug, Args)]
#[command(
    before_help = "Example: two answers to questions of GSM8K\n  \
                   printf '%s\\n' '{\"doc_id\": 0, \"completion\": \"#### 18\"}' \\\n    \
                   '{\"doc_id\": 1, \"completion\": \"#### 4\"}' > made.jsonl\n  \
                   taskvec score gsm8k made.jsonl --partial",
    after_help = "Each line is a JSON object: `doc_id` (a document's id, or its number counted from 0), `completion`, and \
                  `sample` where a document has several. One JSON array of such objects will do too, and so will the \
                  samples_TASK_….jsonl that lm-evaluation-harness writes with --log_samples. Completions are cut at the \
                  task's stop strings."
)]
pub(crate) struct ScoreArgs {
    /// The benchmark; `taskvec tasks` lists them
    #[arg(value_name = "TASK")]
    pub(crate) task: String,
    /// The completions, as JSON lines; `-` reads them from stdin
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Write every completion's score to this file, as JSON lines in the order of FILE
    #[arg(long, value_name = "PATH")]
    pub(crate) samples: Option<PathBuf>,
    /// Score what there is where documents have no completion
    #[arg(long)]
    pub(crate) partial: bool,
    /// Perturbation under which the questions were asked
    #[arg(long, value_name = "NAME", default_value = "clean")]
    pub(crate) condition: Condition,
    /// Seed of synthetic questions and of perturbations
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Questions of the task [default: as many as the task says]
    #[arg(long, value_name = "N", value_parser = number::questions)]
    pub(crate) limit: Option<usize>,
    /// Directory of questions that do not ship with taskvec, or `hf` to fetch them from the Hub; `taskvec tasks` says
    /// which file belongs where
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}
