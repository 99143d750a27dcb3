//! Keeping what a cell's samples were answered.

use super::sample::Samples;
use super::{Progress, Record, RecordLog, Request};
use crate::condition::Condition;
use crate::error::{Error, Result};
use crate::generator::{
    Completion, EngineError, GenerateRequest, Generator, Likelihood, LikelihoodRequest,
};
use crate::task::{Document, Generative, MultipleChoice};

/// Turns results into records as they come, and counts them.
pub(super) struct Ledger<'a> {
    task: &'a str,
    condition: Condition,
    pub(super) samples: Samples,
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
    pub(super) fn new(
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
    pub(super) fn reuse(&mut self) -> Result<()> {
        let mut copies = Vec::new();
        for (draft, key) in self.samples.drafts.iter().zip(&self.samples.keys) {
            if let Some(known) = self.log.find(key, &draft.model) {
                self.done += 1;
                self.reused += 1;
                self.correct += usize::from(known.is_right());
                if known.model != draft.model {
                    copies.push(Record {
                        model: draft.model.clone(),
                        expression: draft.expression.clone(),
                        bindings: draft.bindings.clone(),
                        planned: draft.planned,
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
            self.correct += usize::from(record.is_right());
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

    pub(super) fn generate(
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
                        mean_log_probability: completion.mean_log_probability.map(four_decimals),
                        score: protocol.score(document, completion)?,
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

    pub(super) fn compare(
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
        results: Result<T, EngineError>,
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

fn four_decimals(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
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
