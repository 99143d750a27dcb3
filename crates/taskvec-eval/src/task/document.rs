//! One question of a benchmark, and which questions are asked.

use crate::condition::Condition;
use crate::split::Split;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One question with everything needed to ask and to score it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Unique within the task; the same under every condition, so that conditions can be paired.
    pub id: String,
    /// Subtask, or empty.
    pub kind: String,
    /// How the text was perturbed.
    pub condition: Condition,
    /// Text to read before the question, or empty.
    pub support: String,
    /// What is asked.
    pub question: String,
    /// The choices of a multiple-choice question, or empty.
    pub choices: Vec<String>,
    /// The reference answer; for multiple choice, the right choice.
    pub reference: String,
    /// What else a task needs to score an answer, such as the tests of a programming problem.
    pub fields: BTreeMap<String, String>,
}

/// Which documents are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Problems to learn from, or to be measured on.
    pub split: Split,
    /// Perturbation of the text.
    pub condition: Condition,
    /// At most so many; `None` for the task's own default.
    pub limit: Option<usize>,
    /// Seed of synthetic documents and of perturbations.
    pub seed: u64,
}

impl Selection {
    /// The test documents that a report is made from: clean, default limit, seed 0.
    #[must_use]
    pub fn test() -> Self {
        Self {
            split: Split::Test,
            condition: Condition::Clean,
            limit: None,
            seed: 0,
        }
    }
}

/// In what form a question is put to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptForm {
    /// Plain text that a base model continues.
    Base,
    /// A conversation, rendered by the model's chat template.
    Chat,
}
