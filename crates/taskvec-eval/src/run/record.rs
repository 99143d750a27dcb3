//! One sample: what was asked, what was answered, what that was worth.

use crate::condition::Condition;
use crate::generator::{Finish, Prompt, Sampling};
use crate::task::{Document, Metric, SampleScore};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// How the engine was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// For a completion.
    Generate {
        /// The limit on new tokens.
        max_new_tokens: usize,
        /// The stop strings.
        stop: Vec<String>,
        /// How tokens were chosen, the sample's own seed included.
        sampling: Sampling,
    },
    /// For the likelihood of each of these continuations.
    Likelihood {
        /// The continuations.
        continuations: Vec<String>,
    },
}

/// One line of a record file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The model's label in reports.
    pub model: String,
    /// The expression that made the model, as printed.
    pub expression: String,
    /// What names in it stand for; nothing where it has none, and in records of older versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bindings: BTreeMap<String, String>,
    /// Hash of what the expression's value depends on: the same fingerprint is the same weights.
    pub fingerprint: String,
    /// The engine, in its own words.
    pub engine: String,
    /// Task name.
    pub task: String,
    /// Task version.
    pub task_version: String,
    /// What the score means.
    pub metric: Metric,
    /// How the text was perturbed.
    pub condition: Condition,
    /// The document; the same under every condition.
    pub doc_id: String,
    /// Subtask, or empty.
    pub kind: String,
    /// Which sample of the document, from 0.
    pub sample: u32,
    /// Seed of documents and perturbations.
    pub seed: u64,
    /// How many answers of this model to this task under this condition the run wanted that asked this one: fewer records than
    /// that are those of an interrupted run. 0 in records of older versions, which do not say.
    #[serde(default, skip_serializing_if = "is_unsaid")]
    pub planned: usize,
    /// [`prompt_hash`] of the prompt.
    pub prompt_sha256: String,
    /// The prompt itself.
    pub prompt: Prompt,
    /// How the engine was asked.
    pub request: Request,
    /// What the model wrote; for multiple choice, the likeliest choice.
    pub completion: String,
    /// Why the completion ended; nothing for multiple choice.
    pub finish: Option<Finish>,
    /// Tokens generated or scored.
    pub token_count: usize,
    /// Mean of ln p over the tokens of a completion, to four decimals: how a batch is put together changes what comes after
    /// them. Nothing for multiple choice, and where the engine does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_log_probability: Option<f64>,
    /// Summed log-probability of each continuation; empty for completions.
    pub log_probabilities: Vec<f64>,
    /// The reference answer.
    pub reference: String,
    /// Hash of the whole document, with all that an answer is scored by; empty in records of older versions, which are
    /// read and not used again.
    #[serde(default)]
    pub document_sha256: String,
    /// Readings of the answer and what they are worth.
    #[serde(flatten)]
    pub score: SampleScore,
}

/// What determines a sample; its hash is the identity under which results are used again.
#[derive(Serialize)]
struct Determinants<'a> {
    fingerprint: &'a str,
    engine: &'a str,
    task: &'a str,
    task_version: &'a str,
    condition: Condition,
    doc_id: &'a str,
    document_sha256: &'a str,
    sample: u32,
    prompt: &'a Prompt,
    request: &'a Request,
}

fn is_unsaid(planned: &usize) -> bool {
    *planned == 0
}

impl Record {
    /// Whether the sample counts as right: by the reading that the metric names.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.metric.is_right(&self.score)
    }

    /// SHA-256 (hexadecimal) of all that determines the answer and its score: the expression's
    /// fingerprint, the engine, task, version, condition, document with its reference answer, sample, prompt and
    /// request. Neither the model's label nor the expression's wording is part of it.
    #[must_use]
    pub fn key(&self) -> String {
        let determinants = Determinants {
            fingerprint: &self.fingerprint,
            engine: &self.engine,
            task: &self.task,
            task_version: &self.task_version,
            condition: self.condition,
            doc_id: &self.doc_id,
            document_sha256: &self.document_sha256,
            sample: self.sample,
            prompt: &self.prompt,
            request: &self.request,
        };
        // Plain data with string keys: serialisation has no way to fail.
        hexadecimal(&serde_json::to_vec(&determinants).unwrap_or_default())
    }
}

/// SHA-256 (hexadecimal) of a prompt: of its UTF-8 bytes for plain text, of the compact JSON array of its
/// messages for a conversation.
#[must_use]
pub fn prompt_hash(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Text(text) => hexadecimal(text.as_bytes()),
        Prompt::Chat(messages) => hexadecimal(&serde_json::to_vec(messages).unwrap_or_default()),
    }
}

/// SHA-256 (hexadecimal) of a document's compact JSON.
pub(super) fn document_hash(document: &Document) -> String {
    // Plain data with string keys: serialisation has no way to fail.
    hexadecimal(&serde_json::to_vec(document).unwrap_or_default())
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
