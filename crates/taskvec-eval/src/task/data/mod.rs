//! The questions of benchmarks: those that ship with taskvec, and those that a user brings.
//!
//! GSM8K, HumanEval and BIG-Bench Hard are embedded (MIT; see `data/README.md` of this crate). What is under a
//! licence that does not let it be passed on freely is read from a directory, or fetched from the Hub where the user
//! says so.

mod bbh;
mod foreign;
mod parquet;
mod records;

pub(super) use bbh::{CotPrompt, bbh, cot_prompts};
pub use foreign::DataSource;
pub(super) use foreign::Foreign;
pub(super) use records::Embedded;

use serde::Deserialize;
use std::sync::Arc;

/// What tasks need besides their own code.
#[derive(Clone, Default)]
pub struct Resources {
    /// Where data is that does not ship with taskvec.
    pub data: Option<DataSource>,
    /// Who runs generated programs.
    pub judge: Option<Arc<dyn super::Judge>>,
    /// Who runs those of `micro-code`, which need less.
    pub micro_judge: Option<Arc<dyn super::Judge>>,
}

/// Every embedded question.
pub(super) fn embedded_texts() -> Vec<&'static str> {
    let gsm = [&GSM8K_TEST, &GSM8K_TRAIN];
    let questions = gsm
        .into_iter()
        .filter_map(|file| file.records().ok())
        .flatten()
        .map(|item| item.question.as_str());
    questions.chain(bbh::inputs()).collect()
}

/// One question of GSM8K: `question` and a worked solution that ends with `#### N`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct GsmQuestion {
    pub(super) question: String,
    #[serde(alias = "solution")]
    pub(super) answer: String,
}

/// One problem of HumanEval.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Program {
    pub(super) task_id: String,
    pub(super) prompt: String,
    pub(super) entry_point: String,
    pub(super) canonical_solution: String,
    pub(super) test: String,
}

pub(super) static GSM8K_TEST: Embedded<GsmQuestion> = Embedded::new(
    "gsm8k/test.jsonl.gz",
    include_bytes!("../../../data/gsm8k/test.jsonl.gz"),
);
pub(super) static GSM8K_TRAIN: Embedded<GsmQuestion> = Embedded::new(
    "gsm8k/train.jsonl.gz",
    include_bytes!("../../../data/gsm8k/train.jsonl.gz"),
);
pub(super) static HUMANEVAL: Embedded<Program> = Embedded::new(
    "humaneval/HumanEval.jsonl.gz",
    include_bytes!("../../../data/humaneval/HumanEval.jsonl.gz"),
);
