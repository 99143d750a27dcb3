//! Two runs beside one another: what was changed between them, and what that changed in the answers.
//!
//! Samples are paired by task, version, condition, document, number and reference answer. How the question was put
//! is not part of that: whether a prompt or a chat template helps is one of the questions that two runs can answer.

mod build;
mod render;

#[cfg(test)]
mod tests;

pub use build::records_of;

use crate::condition::Condition;
use crate::generator::Prompt;
use crate::report::Verdict;
use serde::Serialize;

/// The version of the JSON form; raised when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// The first run against the second.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Coverage of every interval: 0.95.
    pub confidence: f64,
    /// Label of the first run's model.
    pub first: String,
    /// Label of the second run's model.
    pub second: String,
    /// What determines answers and is not the same in both.
    pub changes: Vec<Change>,
    /// One for each task and condition, in the order of the first run.
    pub rows: Vec<Row>,
    /// Tasks that cannot be compared, a sentence each.
    pub left_out: Vec<String>,
    /// Samples that only the second run got right, as many of each row as were asked for.
    pub gained: Vec<Example>,
    /// Samples that only the first run got right.
    pub lost: Vec<Example>,
}

/// Something that determines answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it is: `model`, `weights`, `engine`, `prompts`, `sampling`, …
    pub what: &'static str,
    /// Its values in the first run.
    pub first: Vec<String>,
    /// Its values in the second run.
    pub second: Vec<String>,
}

/// One task under one condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Task name.
    pub task: String,
    /// Its version in both runs.
    pub task_version: String,
    /// How the text was perturbed.
    pub condition: Condition,
    /// Samples that both runs have.
    pub n: u64,
    /// Documents that these belong to.
    pub documents: u64,
    /// Samples that only the first run has.
    pub only_first: u64,
    /// Samples that only the second run has.
    pub only_second: u64,
    /// Samples of the n whose prompts are not the same.
    pub other_prompts: u64,
    /// Share of the n that the first run got right.
    pub first_accuracy: f64,
    /// Share of the n that the second run got right.
    pub second_accuracy: f64,
    /// Second less first.
    pub difference: f64,
    /// Lower end of the difference's interval: Newcombe's paired one; where documents have several samples, which are
    /// not independent, the bootstrap's.
    pub ci_low: f64,
    /// Upper end of it.
    pub ci_high: f64,
    /// Lower end of the interval by paired bootstrap over documents (bias-corrected and accelerated).
    pub bootstrap_low: f64,
    /// Upper end of it.
    pub bootstrap_high: f64,
    /// Samples that only the second run got right.
    pub gained: u64,
    /// Samples that only the first run got right.
    pub lost: u64,
    /// McNemar's exact two-sided p value; `None` where documents have several samples.
    pub p_value: Option<f64>,
    /// The same, corrected over all rows (Holm).
    pub p_value_adjusted: Option<f64>,
    /// pass@k of both, on the samples that both have; nothing where each document has one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pass_at_k: Vec<PairedPassAtK>,
}

/// Two estimates of pass@k.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PairedPassAtK {
    /// Samples that one may choose from.
    pub k: u64,
    /// The first run's.
    pub first: f64,
    /// The second run's.
    pub second: f64,
}

impl Row {
    /// What the row allows one to say of the second run.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(self.p_value_adjusted, self.ci_low, self.ci_high)
    }
}

/// A sample that one of the runs got right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Task name.
    pub task: String,
    /// How the text was perturbed.
    pub condition: Condition,
    /// The document.
    pub doc_id: String,
    /// Which sample of it.
    pub sample: u32,
    /// What the second run was asked.
    pub prompt: Prompt,
    /// The reference answer.
    pub reference: String,
    /// What the first run wrote.
    pub first_completion: String,
    /// What was read from it.
    pub first_answer: Option<String>,
    /// What the second run wrote.
    pub second_completion: String,
    /// What was read from it.
    pub second_answer: Option<String>,
}
