//! Results as the Hub reads them: the `model-index` of a model card's front matter.
//!
//! The form is that of the Hub's model card metadata (`model-index`, with `task`, `dataset` and `metrics`). Values are
//! shares from 0 to 1, as the evaluation harness has them; the interval and the number of questions stand in `args`, for
//! which the form has no place of its own.

use super::{Report, Row};
use crate::task::Metric;

impl Report {
    /// The results of the model with this label as the `model-index` of a model card: lines of YAML, with one entry for each
    /// task and condition.
    #[must_use]
    pub fn to_model_index(&self, label: &str) -> String {
        let mut text = format!("model-index:\n- name: {}\n  results:\n", quoted(label));
        for row in self.rows.iter().filter(|row| row.model == label) {
            text.push_str(&entry(row));
        }
        text
    }
}

fn entry(row: &Row) -> String {
    let (metric, name, task) = match row.metric {
        Metric::ExactMatch => ("exact_match", "exact match", "text-generation"),
        Metric::FlexibleExactMatch => (
            "exact_match",
            "exact match, flexible-extract",
            "text-generation",
        ),
        Metric::PassAtOne => ("pass@1", "pass@1", "text-generation"),
        Metric::Accuracy => ("accuracy", "accuracy", "multiple-choice"),
    };
    let mut text = format!(
        "  - task:\n      type: {task}\n    dataset:\n      name: {}\n      type: {}\n      config: {}\n      split: test\n      revision: {}\n    metrics:\n    - type: {metric}\n      name: {name}\n      value: {}\n      verified: false\n      args:\n        questions: {}\n        confidence: 0.95\n        ci_low: {}\n        ci_high: {}\n",
        quoted(&row.task),
        quoted(&row.task),
        row.condition,
        quoted(&row.task_version),
        float(row.accuracy),
        row.questions,
        float(row.ci_low),
        float(row.ci_high),
    );
    for pass in row.pass_at_k.iter().filter(|pass| pass.k > 1) {
        text.push_str(&format!(
            "    - type: pass@{0}\n      name: pass@{0}\n      value: {1}\n      verified: false\n      args:\n        questions: {2}\n        answers: {3}\n",
            pass.k,
            float(pass.value),
            row.questions,
            row.n,
        ));
    }
    text
}

/// A number that YAML reads as a real one.
fn float(value: f64) -> String {
    format!("{value:?}")
}

/// A JSON string, which is a YAML string too.
fn quoted(text: &str) -> String {
    // A string has no way to fail.
    serde_json::to_string(text).unwrap_or_default()
}
