//! The loop: documents to requests, results to records.

use super::record::prompt_hash;
use super::{Record, RecordLog, Request};
use crate::condition::Condition;
use crate::error::{Error, Result};
use crate::generator::{
    Completion, GenerateRequest, Generator, Likelihood, LikelihoodRequest, Sampling,
};
use crate::random::Random;
use crate::task::{
    Document, Generative, MultipleChoice, PromptForm, Protocol, SampleScore, Selection, Task,
};
use std::sync::Arc;

/// Which model is asked, for records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The model's label in reports, such as `target + 0.5 v`.
    pub model: String,
    /// The expression that made it, as printed.
    pub expression: String,
    /// Hash of what the expression's value depends on; the same fingerprint must mean the same weights.
    pub fingerprint: String,
}

/// One task under one condition: one column of a report.
#[derive(Clone)]
pub struct Cell {
    /// What is asked.
    pub task: Arc<dyn Task>,
    /// Under which perturbation.
    pub condition: Condition,
}

/// The cells of `tasks` under those of `conditions` that each of them has.
#[must_use]
pub fn cells(tasks: &[Arc<dyn Task>], conditions: &[Condition]) -> Vec<Cell> {
    tasks
        .iter()
        .flat_map(|task| {
            conditions
                .iter()
                .filter(|condition| task.conditions().contains(condition))
                .map(|&condition| Cell {
                    task: Arc::clone(task),
                    condition,
                })
        })
        .collect()
}

/// How a model is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunOptions {
    /// Plain text or conversation.
    pub form: PromptForm,
    /// Which documents; the condition is each cell's own.
    pub selection: Selection,
    /// How tokens are chosen. With a temperature, every sample gets a seed of its own, derived from this
    /// one, the document and the number of the sample.
    pub sampling: Sampling,
    /// Completions per document, for pass@k. Multiple choice always takes one.
    pub samples: u32,
}

impl RunOptions {
    /// Greedy, one sample, the test documents.
    #[must_use]
    pub fn greedy(form: PromptForm) -> Self {
        Self {
            form,
            selection: Selection::test(),
            sampling: Sampling::greedy(),
            samples: 1,
        }
    }
}

/// How far a cell has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Task name.
    pub task: &'a str,
    /// Its condition.
    pub condition: Condition,
    /// Samples finished, reused ones included.
    pub done: usize,
    /// Samples in the cell.
    pub total: usize,
    /// How many of the finished ones are right.
    pub correct: usize,
    /// How many of the finished ones were in the records already.
    pub reused: usize,
}

/// Asks `subject` every cell, and returns its records in the order of cells, documents and samples.
///
/// Samples that `log` holds already are not asked again: of an earlier run, or of a model of another name
/// with the same fingerprint. Call [`RecordLog::finish`] when all models are through.
///
/// # Errors
///
/// Those of [`Task::documents`] and of the log; [`Error::Engine`] and [`Error::ResultCount`] when the engine
/// fails, with what it had finished kept; [`Error::Likelihood`] for a likelihood that is no finite number.
pub fn evaluate(
    generator: &mut dyn Generator,
    subject: &Subject,
    cells: &[Cell],
    options: &RunOptions,
    log: &mut RecordLog,
    on_progress: &mut dyn FnMut(&Progress<'_>),
) -> Result<Vec<Record>> {
    let mut all = Vec::new();
    for cell in cells {
        let task = &*cell.task;
        let selection = Selection {
            condition: cell.condition,
            ..options.selection
        };
        let documents = task.documents(&selection)?;
        if documents.is_empty() {
            return Err(Error::NoDocuments {
                task: task.name().to_owned(),
                limit: selection.limit,
            });
        }
        let samples = Samples::plan(
            &generator.describe(),
            subject,
            task,
            &documents,
            options,
            log,
        );
        let mut ledger = Ledger::new(task.name(), cell.condition, samples, log, on_progress);
        ledger.reuse()?;
        match task.protocol() {
            Protocol::Generative(protocol) => ledger.generate(generator, protocol, &documents)?,
            Protocol::MultipleChoice(protocol) => {
                ledger.compare(generator, protocol, &documents)?
            }
        }
        let keys = ledger.samples.keys;
        for key in &keys {
            log.ask(key, &subject.model);
        }
        all.extend(
            keys.iter()
                .filter_map(|key| log.find(key, &subject.model))
                .cloned(),
        );
    }
    Ok(all)
}

/// The samples of one cell, as records that lack their answers.
struct Samples {
    drafts: Vec<Record>,
    keys: Vec<String>,
    /// Index into the documents.
    documents: Vec<usize>,
    /// Positions of the samples that have to be asked.
    open: Vec<usize>,
}

impl Samples {
    fn plan(
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
                    fingerprint: subject.fingerprint.clone(),
                    engine: engine.to_owned(),
                    task: task.name().to_owned(),
                    task_version: task.version().to_owned(),
                    metric: protocol.metric(),
                    condition: document.condition,
                    doc_id: document.id.clone(),
                    kind: document.kind.clone(),
                    sample,
                    seed: options.selection.seed,
                    prompt_sha256: prompt_hash(&prompt),
                    prompt,
                    request,
                    completion: String::new(),
                    finish: None,
                    token_count: 0,
                    log_probabilities: Vec::new(),
                    reference: document.reference.clone(),
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

/// Turns results into records as they come, and counts them.
struct Ledger<'a> {
    task: &'a str,
    condition: Condition,
    samples: Samples,
    recorded: Vec<bool>,
    log: &'a mut RecordLog,
    on_progress: &'a mut dyn FnMut(&Progress<'_>),
    done: usize,
    correct: usize,
    reused: usize,
    /// The first failure inside a callback, which has no way to return it.
    failure: Option<Error>,
}

impl<'a> Ledger<'a> {
    fn new(
        task: &'a str,
        condition: Condition,
        samples: Samples,
        log: &'a mut RecordLog,
        on_progress: &'a mut dyn FnMut(&Progress<'_>),
    ) -> Self {
        let recorded = vec![false; samples.open.len()];
        Self {
            task,
            condition,
            samples,
            recorded,
            log,
            on_progress,
            done: 0,
            correct: 0,
            reused: 0,
            failure: None,
        }
    }

    /// Takes over what the log has; a record of another label gets a copy under this one.
    fn reuse(&mut self) -> Result<()> {
        let mut copies = Vec::new();
        for (draft, key) in self.samples.drafts.iter().zip(&self.samples.keys) {
            if let Some(known) = self.log.find(key, &draft.model) {
                self.done += 1;
                self.reused += 1;
                self.correct += usize::from(known.score.correct);
                if known.model != draft.model {
                    copies.push(Record {
                        model: draft.model.clone(),
                        expression: draft.expression.clone(),
                        ..known.clone()
                    });
                }
            }
        }
        for copy in copies {
            self.log.append(copy)?;
        }
        self.report();
        Ok(())
    }

    fn report(&mut self) {
        (self.on_progress)(&Progress {
            task: self.task,
            condition: self.condition,
            done: self.done,
            total: self.samples.drafts.len(),
            correct: self.correct,
            reused: self.reused,
        });
    }

    /// Records the answer to the open sample `position`, once.
    fn record(&mut self, position: usize, fill: impl FnOnce(Record) -> Result<Record>) {
        if self.failure.is_some() || self.recorded.get(position).is_none_or(|&recorded| recorded) {
            return;
        }
        self.recorded[position] = true;
        let draft = self.samples.drafts[self.samples.open[position]].clone();
        let outcome = fill(draft).and_then(|record| {
            self.correct += usize::from(record.score.correct);
            self.log.append(record)
        });
        match outcome {
            Ok(()) => {
                self.done += 1;
                self.report();
            }
            Err(error) => self.failure = Some(error),
        }
    }

    fn document(&self, position: usize) -> usize {
        self.samples.documents[self.samples.open[position]]
    }

    /// Every open sample has its answer, or the reason why not.
    fn close(&mut self, engine: String, expected: usize, got: usize) -> Result<()> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if expected != got || self.recorded.contains(&false) {
            return Err(Error::ResultCount {
                engine,
                expected,
                got,
            });
        }
        Ok(())
    }

    fn generate(
        &mut self,
        generator: &mut dyn Generator,
        protocol: &dyn Generative,
        documents: &[Document],
    ) -> Result<()> {
        if self.samples.open.is_empty() {
            return Ok(());
        }
        let requests: Vec<GenerateRequest> = self
            .samples
            .open
            .iter()
            .filter_map(|&index| match &self.samples.drafts[index] {
                Record {
                    prompt,
                    request:
                        Request::Generate {
                            max_new_tokens,
                            stop,
                            sampling,
                        },
                    ..
                } => Some(GenerateRequest {
                    prompt: prompt.clone(),
                    max_new_tokens: *max_new_tokens,
                    stop: stop.clone(),
                    sampling: *sampling,
                }),
                _ => None,
            })
            .collect();
        let take = |ledger: &mut Self, position: usize, completion: &Completion| {
            if position < requests.len() {
                let document = &documents[ledger.document(position)];
                ledger.record(position, |draft| {
                    Ok(Record {
                        completion: completion.text.clone(),
                        finish: Some(completion.finish),
                        token_count: completion.token_count,
                        score: protocol.score(document, completion),
                        ..draft
                    })
                });
            }
        };
        let results = generator.generate(&requests, &mut |position, completion| {
            take(self, position, completion)
        });
        let results = self.engine_result(generator, results)?;
        for (position, completion) in results.iter().enumerate() {
            take(self, position, completion);
        }
        self.close(generator.describe(), requests.len(), results.len())
    }

    fn compare(
        &mut self,
        generator: &mut dyn Generator,
        protocol: &dyn MultipleChoice,
        documents: &[Document],
    ) -> Result<()> {
        if self.samples.open.is_empty() {
            return Ok(());
        }
        let mut requests = Vec::new();
        // For every request, the sample it belongs to; for every sample, its likelihoods so far.
        let mut owners = Vec::new();
        let mut gathered: Vec<Vec<Option<Likelihood>>> = Vec::new();
        let mut first_request = Vec::new();
        for (position, &index) in self.samples.open.iter().enumerate() {
            let draft = &self.samples.drafts[index];
            let Request::Likelihood { continuations } = &draft.request else {
                continue;
            };
            first_request.push(requests.len());
            gathered.push(vec![None; continuations.len()]);
            for continuation in continuations {
                requests.push(LikelihoodRequest {
                    prompt: draft.prompt.clone(),
                    continuation: continuation.clone(),
                });
                owners.push(position);
            }
        }
        let mut take = |ledger: &mut Self, request: usize, likelihood: &Likelihood| {
            let Some(&position) = owners.get(request) else {
                return;
            };
            gathered[position][request - first_request[position]] = Some(*likelihood);
            let Some(likelihoods) = gathered[position]
                .iter()
                .copied()
                .collect::<Option<Vec<_>>>()
            else {
                return;
            };
            let document = &documents[ledger.document(position)];
            let task = ledger.task;
            ledger.record(position, |draft| {
                chosen(draft, task, protocol, document, &likelihoods)
            });
        };
        let results = generator.log_likelihood(&requests, &mut |request, likelihood| {
            take(self, request, likelihood)
        });
        let results = self.engine_result(generator, results)?;
        for (request, likelihood) in results.iter().enumerate() {
            take(self, request, likelihood);
        }
        self.close(generator.describe(), requests.len(), results.len())
    }

    /// A failure of ours inside the callback explains more than what the engine made of it.
    fn engine_result<T>(
        &mut self,
        generator: &dyn Generator,
        results: Result<T, crate::generator::EngineError>,
    ) -> Result<T> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        results.map_err(|source| Error::Engine {
            engine: generator.describe(),
            task: self.task.to_owned(),
            source,
        })
    }
}

/// The record of a multiple-choice sample.
fn chosen(
    draft: Record,
    task: &str,
    protocol: &dyn MultipleChoice,
    document: &Document,
    likelihoods: &[Likelihood],
) -> Result<Record> {
    if let Some(index) = likelihoods
        .iter()
        .position(|likelihood| !likelihood.log_probability.is_finite())
    {
        return Err(Error::Likelihood {
            task: task.to_owned(),
            document: document.id.clone(),
            continuation: document.choices.get(index).cloned().unwrap_or_default(),
            got: likelihoods[index].log_probability,
        });
    }
    let score = protocol.score(document, likelihoods);
    Ok(Record {
        completion: score.strict.clone().unwrap_or_default(),
        token_count: likelihoods
            .iter()
            .map(|likelihood| likelihood.token_count)
            .sum(),
        log_probabilities: likelihoods
            .iter()
            .map(|likelihood| likelihood.log_probability)
            .collect(),
        score,
        ..draft
    })
}
