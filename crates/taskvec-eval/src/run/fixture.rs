//! A record for tests, to be changed where a test looks.

use super::{Record, Request, prompt_hash};
use crate::condition::Condition;
use crate::generator::{Finish, Prompt, Sampling};
use crate::task::{Metric, SampleScore};

/// `model`'s answer to the question `doc_id` of `task`: greedy, in plain text, one token long.
pub(crate) fn record(model: &str, task: &str, doc_id: &str, correct: bool) -> Record {
    let prompt = Prompt::Text(format!("Q: {doc_id}?\nA:"));
    Record {
        model: model.to_owned(),
        expression: format!("\"{model}\""),
        bindings: Default::default(),
        fingerprint: model.to_owned(),
        engine: "made up".to_owned(),
        task: task.to_owned(),
        task_version: "1".to_owned(),
        metric: Metric::ExactMatch,
        condition: Condition::Clean,
        doc_id: doc_id.to_owned(),
        kind: String::new(),
        sample: 0,
        seed: 0,
        planned: 0,
        prompt_sha256: prompt_hash(&prompt),
        prompt,
        request: Request::Generate {
            max_new_tokens: 4,
            stop: Vec::new(),
            sampling: Sampling::greedy(),
        },
        completion: String::new(),
        finish: Some(Finish::EndOfSequence),
        token_count: 1,
        mean_log_probability: None,
        log_probabilities: Vec::new(),
        reference: String::new(),
        document_sha256: String::new(),
        score: SampleScore {
            correct,
            flexible_correct: correct,
            strict: None,
            flexible: None,
        },
    }
}
