//! Which samples a cell has, and which of them are still to be asked.

use super::record::{document_hash, prompt_hash};
use super::{Record, RecordLog, Request, RunOptions, Subject};
use crate::generator::Sampling;
use crate::random::Random;
use crate::task::{Document, Protocol, SampleScore, Task};

/// The samples of one cell, as records that lack their answers.
pub(super) struct Samples {
    /// In the order of documents and samples.
    pub(super) drafts: Vec<Record>,
    /// [`Record::key`] of each draft.
    pub(super) keys: Vec<String>,
    /// Index into the documents.
    pub(super) documents: Vec<usize>,
    /// Positions of the samples that have to be asked.
    pub(super) open: Vec<usize>,
}

impl Samples {
    pub(super) fn plan(
        engine: &str,
        subject: &Subject,
        task: &dyn Task,
        documents: &[Document],
        options: &RunOptions,
        log: &RecordLog,
    ) -> Self {
        let protocol = task.protocol();
        let mut samples = Self {
            drafts: Vec::new(),
            keys: Vec::new(),
            documents: Vec::new(),
            open: Vec::new(),
        };
        for (index, document) in documents.iter().enumerate() {
            let repeats = match protocol {
                Protocol::Generative(_) => options.samples.max(1),
                Protocol::MultipleChoice(_) => 1,
            };
            let document_hash = document_hash(document);
            let planned = documents.len() * repeats as usize;
            for sample in 0..repeats {
                let (prompt, request) = match protocol {
                    Protocol::Generative(generative) => (
                        generative.prompt(document, options.form),
                        Request::Generate {
                            max_new_tokens: generative.max_new_tokens(),
                            stop: generative.stop(options.form),
                            sampling: sampling_of(options.sampling, &document.id, sample),
                        },
                    ),
                    Protocol::MultipleChoice(choice) => (
                        choice.prompt(document, options.form),
                        Request::Likelihood {
                            continuations: choice.continuations(document, options.form),
                        },
                    ),
                };
                let draft = Record {
                    model: subject.model.clone(),
                    expression: subject.expression.clone(),
                    bindings: subject.bindings.clone(),
                    fingerprint: subject.fingerprint.clone(),
                    engine: engine.to_owned(),
                    task: task.name().to_owned(),
                    task_version: task.version().to_owned(),
                    metric: task.metric(),
                    condition: document.condition,
                    doc_id: document.id.clone(),
                    kind: document.kind.clone(),
                    sample,
                    seed: options.selection.seed,
                    planned,
                    prompt_sha256: prompt_hash(&prompt),
                    prompt,
                    request,
                    completion: String::new(),
                    finish: None,
                    token_count: 0,
                    mean_log_probability: None,
                    log_probabilities: Vec::new(),
                    reference: document.reference.clone(),
                    document_sha256: document_hash.clone(),
                    score: SampleScore {
                        correct: false,
                        flexible_correct: false,
                        strict: None,
                        flexible: None,
                    },
                };
                let key = draft.key();
                if log.find(&key, &subject.model).is_none() {
                    samples.open.push(samples.drafts.len());
                }
                samples.keys.push(key);
                samples.drafts.push(draft);
                samples.documents.push(index);
            }
        }
        samples
    }
}

/// Greedy requests stay as they are; drawn ones get a seed that no other sample has.
fn sampling_of(sampling: Sampling, doc_id: &str, sample: u32) -> Sampling {
    if sampling.temperature == 0.0 {
        return sampling;
    }
    let document = Random::key(doc_id);
    Sampling {
        seed: Random::derive(&[sampling.seed, document, u64::from(sample)]).next_u64(),
        ..sampling
    }
}
