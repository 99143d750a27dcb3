//! Generation: prompts to completions, continuations to likelihoods.
//!
//! Sequences are sorted by length into batches, padded on the left, decoded with a key-value cache;
//! those that finish leave their batch. Batches are spread over threads, each in a pool of its own,
//! because at small sizes tensor operations gain nothing from a second core.
//!
//! Guarantees: greedy tokens do not depend on batch size, padding, order, cache or threads, except
//! where two logits are equal to within rounding; sampled tokens depend besides on the request's own
//! seed alone.
//!
//! Not covered: beams, speculative decoding, prompts longer than the model's context (refused).

mod batch;
mod likelihood;
mod sampling;
mod schedule;
mod tokens;

use taskvec_eval::generator::{
    Completion, EngineError, Finish, GenerateRequest, Generator, Likelihood, LikelihoodRequest,
    Prompt,
};

pub use tokens::{GeneratedTokens, TokenOptions, generate_tokens};

use crate::chat::ChatTemplate;
use crate::model::Model;
use crate::train::parallel::Workers;
use crate::{Error, Result};
use batch::{Engine, Job, LogProbabilities};
use likelihood::Scored;

/// Sequences decoded together unless told otherwise.
pub const DEFAULT_BATCH_SIZE: usize = 64;

/// The engine that runs a [`Model`] in this process.
#[derive(Debug)]
pub struct LocalGenerator {
    model: Model,
    workers: Workers,
    batch_size: usize,
}

impl LocalGenerator {
    /// An engine with as many workers as suit the model on this machine.
    ///
    /// # Errors
    ///
    /// [`Error::Threads`] where the system grants no threads.
    pub fn new(model: Model) -> Result<Self> {
        let workers = Workers::fitting(&model.decoder().config)?;
        Ok(Self {
            model,
            workers,
            batch_size: DEFAULT_BATCH_SIZE,
        })
    }

    /// With another number of sequences decoded together, at least one.
    #[must_use]
    pub fn with_batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size.max(1);
        self
    }

    /// With other workers.
    #[must_use]
    pub fn with_workers(mut self, workers: Workers) -> Self {
        self.workers = workers;
        self
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Completes every prompt; `on_done` hears of each as soon as it is complete.
    ///
    /// # Errors
    ///
    /// Before anything is generated: numbers by which no token can be chosen, prompts that cannot be rendered, are empty
    /// or leave no room for an answer. After that only what the device says.
    pub fn complete(
        &self,
        requests: &[GenerateRequest],
        on_done: &mut dyn FnMut(usize, &Completion),
    ) -> Result<Vec<Completion>> {
        for request in requests {
            request.sampling.check()?;
        }
        let mut texts = PromptTexts::new(&self.model);
        let prompts: Vec<Vec<u32>> = requests
            .iter()
            .map(|request| self.model.tokenizer().encode(&texts.of(&request.prompt)?))
            .collect::<Result<_>>()?;
        let mut jobs: Vec<Job<'_>> = requests
            .iter()
            .zip(&prompts)
            .enumerate()
            .map(|(index, (request, prompt))| Job {
                index,
                prompt,
                max_new_tokens: request.max_new_tokens,
                sampling: request.sampling,
                stop: &request.stop,
            })
            .collect();
        tokens::fit(
            &mut jobs,
            self.model.decoder().config.vocab_size,
            self.model.config().max_positions,
        )?;
        let rotary = tokens::rotary_for(self.model.decoder(), jobs.iter().map(Job::positions))?;

        let mut completions: Vec<Option<Completion>> = vec![None; requests.len()];
        // Asked for nothing, given nothing.
        for job in jobs.iter().filter(|job| job.max_new_tokens == 0) {
            let nothing = Completion {
                text: String::new(),
                token_count: 0,
                mean_log_probability: None,
                finish: Finish::Length,
            };
            on_done(job.index, &nothing);
            completions[job.index] = Some(nothing);
        }
        tokens::run(
            &self.engine(&rotary),
            jobs,
            self.batch_size,
            &self.workers,
            |index, generated| {
                let completion = Completion {
                    text: generated.text,
                    token_count: generated.tokens.len(),
                    mean_log_probability: mean(&generated.log_probabilities),
                    finish: generated.finish,
                };
                on_done(index, &completion);
                completions[index] = Some(completion);
            },
        )?;
        all(completions)
    }

    /// Scores every continuation; `on_done` hears of each as soon as it is known.
    ///
    /// # Errors
    ///
    /// As [`complete`](Self::complete).
    pub fn score(
        &self,
        requests: &[LikelihoodRequest],
        on_done: &mut dyn FnMut(usize, &Likelihood),
    ) -> Result<Vec<Likelihood>> {
        let tokenizer = self.model.tokenizer();
        let limit = self.model.config().max_positions;
        let vocab_size = self.model.decoder().config.vocab_size;
        let mut texts = PromptTexts::new(&self.model);
        let mut scored = Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            let prompt = texts.of(&request.prompt)?;
            let whole = format!("{prompt}{}", request.continuation);
            let item = Scored::new(&tokenizer.encode(&prompt)?, &tokenizer.encode(&whole)?);
            tokens::check_prompt(index, &item.prefix, vocab_size)?;
            if item.positions() > limit {
                return Err(Error::PromptTooLong {
                    index,
                    tokens: item.positions(),
                    limit,
                });
            }
            scored.push(item);
        }
        let rotary =
            tokens::rotary_for(self.model.decoder(), scored.iter().map(Scored::positions))?;
        let mut likelihoods: Vec<Option<Likelihood>> = vec![None; requests.len()];
        likelihood::run(
            &self.engine(&rotary),
            &scored,
            self.batch_size,
            &self.workers,
            |index, likelihood| {
                on_done(index, &likelihood);
                likelihoods[index] = Some(likelihood);
            },
        )?;
        all(likelihoods)
    }

    fn engine<'a>(&'a self, rotary: &'a crate::decoder::RotaryTable) -> Engine<'a> {
        Engine {
            decoder: self.model.decoder(),
            rotary,
            device: self.model.device(),
            end_tokens: &self.model.config().eos_token_ids,
            tokenizer: Some(self.model.tokenizer()),
            log_probabilities: LogProbabilities::OfModel,
        }
    }
}

fn mean(values: &[f32]) -> Option<f64> {
    let sum: f64 = values.iter().copied().map(f64::from).sum();
    (!values.is_empty()).then(|| sum / values.len() as f64)
}

/// Every result, each of which the engine has handed over.
fn all<T>(results: Vec<Option<T>>) -> Result<Vec<T>> {
    let count = results.len();
    let results: Vec<T> = results.into_iter().flatten().collect();
    if results.len() == count {
        Ok(results)
    } else {
        Err(Error::Unanswered {
            requests: count - results.len(),
        })
    }
}

/// Turns prompts into text; parses the chat template when the first chat comes.
struct PromptTexts<'a> {
    model: &'a Model,
    template: Option<ChatTemplate>,
}

impl<'a> PromptTexts<'a> {
    fn new(model: &'a Model) -> Self {
        Self {
            model,
            template: None,
        }
    }

    fn of(&mut self, prompt: &Prompt) -> Result<String> {
        let messages = match prompt {
            Prompt::Text(text) => return Ok(text.clone()),
            Prompt::Chat(messages) => messages,
        };
        let template = match self.template.take() {
            Some(template) => template,
            None => self.model.chat_template()?,
        };
        self.template.insert(template).prompt(messages)
    }
}

impl Generator for LocalGenerator {
    fn describe(&self) -> String {
        format!("taskvec {} local (burn, f32)", env!("CARGO_PKG_VERSION"))
    }

    fn generate(
        &mut self,
        requests: &[GenerateRequest],
        on_done: &mut dyn FnMut(usize, &Completion),
    ) -> Result<Vec<Completion>, EngineError> {
        Ok(self.complete(requests, on_done)?)
    }

    fn log_likelihood(
        &mut self,
        requests: &[LikelihoodRequest],
        on_done: &mut dyn FnMut(usize, &Likelihood),
    ) -> Result<Vec<Likelihood>, EngineError> {
        Ok(self.score(requests, on_done)?)
    }
}
