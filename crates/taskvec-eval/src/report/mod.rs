//! From records to a table of results, and to a page that shows them.
//!
//! Every number of a [`Report`] is computed from [`Record`](crate::run::Record)s: accuracies with Wilson intervals, and for each
//! row the difference to a baseline on the same documents, with Newcombe's paired interval, McNemar's exact
//! test and Holm's correction over all comparisons of the report.

mod build;
mod conclusion;
mod figure;
mod html;
mod inspection;
mod model_index;
pub mod page;
pub(crate) mod render;
mod robustness;
mod table;
pub mod training;
mod visible;

#[cfg(test)]
mod tests;

pub use conclusion::Study;
pub use figure::Figure;
pub use inspection::{Found, Group, Inspection};
pub use page::{Page, PageData, PageOptions, Run};
pub use render::shown_ks;
pub use robustness::{Robustness, robustness};
pub use table::Table;

use crate::condition::Condition;
use crate::statistics::PassAtK;
use crate::task::Metric;
use serde::{Deserialize, Serialize};

/// The version of the JSON form; raised when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// Below this adjusted p value a difference is called one.
pub const SIGNIFICANCE: f64 = 0.05;

/// Results of several models on several tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Coverage of every interval in the report: 0.95.
    pub confidence: f64,
    /// The label of the model that the others are compared with, if any.
    pub baseline: Option<String>,
    /// One row for each model, task and condition: by model, then task and condition, in the order of the
    /// records.
    pub rows: Vec<Row>,
    /// What the numbers show, in one sentence, where somebody asked for it ([`Report::conclude`]).
    pub conclusion: Option<String>,
}

/// One model on one task under one condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The model's label.
    pub model: String,
    /// The expression that made it.
    pub expression: String,
    /// Task name.
    pub task: String,
    /// Task version.
    pub task_version: String,
    /// What is counted as correct.
    pub metric: Metric,
    /// How the text was perturbed.
    pub condition: Condition,
    /// Samples.
    pub n: u64,
    /// Questions that these answer; as many, where each is asked once.
    pub questions: u64,
    /// Samples that are right, by the reading that `metric` names.
    pub correct: u64,
    /// `correct / n`, from 0 to 1.
    pub accuracy: f64,
    /// Lower end of the interval of the accuracy: Wilson's, or by bootstrap over questions that have several answers, where
    /// there are enough of them.
    pub ci_low: f64,
    /// Upper end of it.
    pub ci_high: f64,
    /// Samples that are right, flexibly read.
    pub flexible_correct: u64,
    /// `flexible_correct / n`.
    pub flexible_accuracy: f64,
    /// Mean tokens of a completion (of all choices together, for multiple choice): step-by-step answers
    /// show here.
    pub mean_tokens: f64,
    /// Completions cut off by the limit on tokens.
    pub truncated: u64,
    /// The chance that one of k answers is right, where questions have several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_at_k: Vec<PassAtK>,
    /// Comparison with the baseline; `None` in the baseline's own rows, and without one.
    pub difference: Option<Difference>,
}

/// A row's accuracy less the baseline's, on the same documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Label of the baseline.
    pub baseline: String,
    /// Accuracy less the baseline's accuracy, from −1 to 1.
    pub value: f64,
    /// Lower end of the paired interval; −1 to 1, which says nothing, where too few questions have several answers.
    pub ci_low: f64,
    /// Upper end of it.
    pub ci_high: f64,
    /// Samples that only this model got right.
    pub gained: u64,
    /// Samples that only the baseline got right.
    pub lost: u64,
    /// McNemar's exact two-sided p value; of questions with several answers, the sign test's.
    pub p_value: f64,
    /// The same, corrected over all comparisons of the report (Holm).
    pub p_value_adjusted: f64,
}

/// What a difference allows one to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Better than the baseline.
    Higher,
    /// Worse than the baseline.
    Lower,
    /// The samples do not tell.
    Undecided,
}

impl Verdict {
    /// Of a difference with this interval, and an adjusted p value where there is one.
    pub(crate) fn of(p_value_adjusted: Option<f64>, ci_low: f64, ci_high: f64) -> Self {
        if p_value_adjusted.is_some_and(|p| p >= SIGNIFICANCE) {
            Self::Undecided
        } else if ci_low > 0.0 {
            Self::Higher
        } else if ci_high < 0.0 {
            Self::Lower
        } else {
            Self::Undecided
        }
    }
}

impl Difference {
    /// A difference is called one if its interval excludes 0 and its adjusted p value is below
    /// [`SIGNIFICANCE`]. Undecided is not equal: the interval says how much may be hidden.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(Some(self.p_value_adjusted), self.ci_low, self.ci_high)
    }
}

impl Report {
    /// The row of a model on a task under a condition.
    #[must_use]
    pub fn row(&self, model: &str, task: &str, condition: Condition) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.model == model && row.task == task && row.condition == condition)
    }

    /// The report as one JSON object, indented.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Plain data with string keys and finite numbers: serialisation has no way to fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}
