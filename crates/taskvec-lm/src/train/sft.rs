//! Supervised fine-tuning: next-token cross-entropy on given text.
//!
//! Names and meanings of the settings are those of TRL's `SFTConfig`, except where a field says otherwise.
//! Pretraining a small model is the same loop with loss on all tokens.

use std::ops::ControlFlow;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::batch::{self, Batch, Example, Order};
use super::learner::Learner;
use super::loss;
use super::metrics::{JsonLines, Observer, Warning};
use super::optimizer::{AdamWConfig, Numbers, Schedule};
use super::parallel::Workers;
use super::resume::{self, Fingerprint, Identity, METRICS_FILE, RunDirectory};
use crate::decoder::Decoder;
use crate::{Error, Result};

/// Settings of supervised fine-tuning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SftConfig {
    /// Peak learning rate. TRL's default; a model of under a million weights wants 3e-4 to 2e-3.
    pub learning_rate: f64,
    /// Optimiser steps; if absent, `num_train_epochs` decides.
    pub max_steps: Option<u64>,
    /// Passes over the data, where `max_steps` is absent.
    pub num_train_epochs: f64,
    /// Examples in one micro-batch. An optimiser step learns from this times `gradient_accumulation_steps`.
    pub per_device_train_batch_size: usize,
    /// Micro-batches whose gradients are added up for one optimiser step: less memory, same result.
    pub gradient_accumulation_steps: usize,
    /// Steps over which the learning rate rises from 0.
    pub warmup_steps: u64,
    /// The learning rate at the end as a share of the peak (`min_lr_rate` of transformers' cosine schedule).
    pub min_lr_rate: f64,
    /// Gradients longer than this are scaled down to it.
    pub max_grad_norm: f64,
    /// λ of AdamW, on matrices only.
    pub weight_decay: f64,
    /// β₁ of AdamW.
    pub adam_beta1: f64,
    /// β₂ of AdamW. TRL's default is 0.999.
    pub adam_beta2: f64,
    /// ε of AdamW.
    pub adam_epsilon: f64,
    /// Longer examples are cut to this many tokens.
    pub max_length: usize,
    /// Loss on the completion only (assistant turns, in a conversation), rather than on every token. Heeded
    /// where rows become examples.
    pub completion_only_loss: bool,
    /// Decides the order of the examples.
    pub seed: u64,
    /// Parts into which a micro-batch is cut for parallel workers. A setting, not the number of cores, so
    /// that a run gives the same bits on every machine of one kind. Not in TRL.
    pub slices: usize,
    /// Steps between saves of the state.
    pub save_steps: u64,
}

impl Default for SftConfig {
    fn default() -> Self {
        let adam = AdamWConfig::default();
        Self {
            learning_rate: 2e-5,
            max_steps: None,
            num_train_epochs: 3.0,
            per_device_train_batch_size: 8,
            gradient_accumulation_steps: 1,
            warmup_steps: 0,
            min_lr_rate: 0.1,
            max_grad_norm: 1.0,
            weight_decay: adam.weight_decay,
            adam_beta1: adam.adam_beta1,
            adam_beta2: adam.adam_beta2,
            adam_epsilon: adam.adam_epsilon,
            max_length: 1024,
            completion_only_loss: true,
            seed: 42,
            slices: 2,
            save_steps: 100,
        }
    }
}

/// A loss so many times that of guessing is the loss of a model that is being lost.
const LOST: f64 = 3.0;

/// Settings that a resumed run may change: they touch nothing that is learned.
const INCIDENTAL: &[&str] = &["save_steps"];

impl SftConfig {
    fn optimizer(&self) -> AdamWConfig {
        AdamWConfig {
            adam_beta1: self.adam_beta1,
            adam_beta2: self.adam_beta2,
            adam_epsilon: self.adam_epsilon,
            weight_decay: self.weight_decay,
        }
    }

    /// Refuses what no run can have.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] for the first setting out of range.
    pub fn validate(&self) -> Result<()> {
        let refuse = |setting, value: String, expected| {
            Err(Error::InvalidSetting {
                setting,
                value,
                expected,
            })
        };
        for (setting, value) in [
            (
                "per_device_train_batch_size",
                self.per_device_train_batch_size,
            ),
            (
                "gradient_accumulation_steps",
                self.gradient_accumulation_steps,
            ),
            ("slices", self.slices),
        ] {
            if value == 0 {
                return refuse(setting, "0".to_owned(), "1 or more");
            }
        }
        if self.max_length < 2 {
            return refuse("max_length", self.max_length.to_string(), "2 or more");
        }
        if self.save_steps == 0 {
            return refuse("save_steps", "0".to_owned(), "1 or more");
        }
        let epochs = self.num_train_epochs;
        if !(epochs.is_finite() && epochs > 0.0) {
            return refuse("num_train_epochs", epochs.to_string(), "a number above 0");
        }
        Numbers {
            learning_rate: self.learning_rate,
            min_lr_rate: self.min_lr_rate,
            max_grad_norm: self.max_grad_norm,
            adam: &self.optimizer(),
        }
        .check()
    }
}

/// What is measured at each optimiser step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SftMetrics {
    /// The step, counted from 0.
    pub step: u64,
    /// Passes over the data after this step.
    pub epoch: f64,
    /// Mean cross-entropy of the step's loss tokens before the update, in nats.
    pub loss: f64,
    /// The learning rate of the update.
    pub learning_rate: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Tokens of the step's examples, padding not counted.
    pub tokens: usize,
    /// Tokens per second of wall time.
    pub tokens_per_second: f64,
    /// Whether the model looks as if it were being lost: it is far worse than guessing.
    #[serde(default)]
    pub collapse: bool,
}

/// What a run ends with.
#[derive(Debug)]
pub struct SftOutcome {
    /// The trained decoder.
    pub decoder: Decoder,
    /// Optimiser steps made in all.
    pub steps: u64,
    /// Whether all steps were made; false where the observer stopped the run.
    pub finished: bool,
}

/// Trains a copy of `decoder` on `examples`.
///
/// With a `directory`, metrics go to `metrics.jsonl` there and the state is saved every `save_steps` and at
/// the end; without, nothing is written. Equal inputs give equal bits on one machine, whatever the number of
/// workers and however often the run was interrupted.
///
/// # Errors
///
/// Settings out of range, no example to learn from, a token outside the vocabulary, a state of another run,
/// a diverged gradient, files that cannot be read or written.
pub fn train(
    decoder: &Decoder,
    examples: &[Example],
    config: &SftConfig,
    workers: Workers,
    directory: Option<&RunDirectory>,
    observer: &mut dyn Observer<SftMetrics>,
) -> Result<SftOutcome> {
    config.validate()?;
    let examples = prepare(examples, config, decoder.config.vocab_size, observer)?;
    let lengths = examples
        .iter()
        .map(|example| example.tokens.len())
        .collect();
    let per_step = config.per_device_train_batch_size * config.gradient_accumulation_steps;
    let mut order = Order::new(lengths, per_step, config.seed);
    let steps_per_epoch = order.steps_per_epoch() as f64;
    let total_steps = config
        .max_steps
        .unwrap_or((config.num_train_epochs * steps_per_epoch).ceil() as u64);
    let schedule = Schedule {
        peak: config.learning_rate,
        warmup_steps: config.warmup_steps,
        total_steps,
        floor: config.min_lr_rate,
    };
    let mut learner = Learner::new(decoder, config.optimizer(), workers, config.max_length)?;
    let identity = Identity::new("sft", config, INCIDENTAL, fingerprint(&examples), &learner);
    let resumed = directory
        .map(|directory| resume::load::<()>(directory, &identity, &mut learner))
        .transpose()?
        .flatten();
    let first = resumed.map_or(0, |(step, ())| step);
    let mut log = directory
        .map(|directory| JsonLines::open(&directory.file(METRICS_FILE), first))
        .transpose()?;

    let guessing = (decoder.config.vocab_size as f64).ln();
    let mut is_lost = false;
    let mut steps = first;
    while steps < total_steps {
        let started = Instant::now();
        let chosen: Vec<&Example> = order
            .step(steps)
            .iter()
            .map(|&index| &examples[index])
            .collect();
        let learning_rate = schedule.rate(steps);
        let update = step(&mut learner, &chosen, config, learning_rate)?;
        if !update.loss.is_finite() {
            return Err(Error::Diverged {
                step: steps,
                what: "loss",
                value: update.loss,
            });
        }
        let metrics = SftMetrics {
            step: steps,
            epoch: (steps + 1) as f64 / steps_per_epoch,
            loss: update.loss,
            learning_rate,
            grad_norm: update.grad_norm,
            tokens: update.tokens,
            tokens_per_second: update.tokens as f64 / started.elapsed().as_secs_f64(),
            collapse: update.loss > LOST * guessing,
        };
        if metrics.collapse && !is_lost {
            observer.warn(&Warning::Diverging {
                step: steps,
                loss: update.loss,
                guessing,
            });
        }
        is_lost = metrics.collapse;
        steps += 1;
        if let Some(log) = &mut log {
            log.write(&metrics)?;
        }
        let flow = observer.step(&metrics, total_steps);
        let last = steps == total_steps || flow == ControlFlow::Break(());
        if let Some(directory) = directory
            && (last || steps % config.save_steps == 0)
        {
            resume::save(directory, &identity, &learner, steps, &())?;
        }
        if flow.is_break() {
            break;
        }
    }
    Ok(SftOutcome {
        decoder: learner.decoder().clone(),
        steps,
        finished: steps >= total_steps,
    })
}

/// Cuts, drops what carries no loss, and checks tokens against the vocabulary.
fn prepare(
    examples: &[Example],
    config: &SftConfig,
    vocab_size: usize,
    observer: &mut dyn Observer<SftMetrics>,
) -> Result<Vec<Example>> {
    let max_length = config.max_length;
    let mut prepared = examples.to_vec();
    let mut cut = 0;
    for example in &mut prepared {
        if let Some(&token) = example
            .tokens
            .iter()
            .find(|&&token| token as usize >= vocab_size)
        {
            return Err(Error::TokenOutOfRange { token, vocab_size });
        }
        cut += usize::from(example.tokens.len() > max_length);
        example.truncate(max_length);
    }
    let given = prepared.len();
    prepared.retain(|example| example.loss_tokens() > 0);
    if prepared.is_empty() {
        return Err(Error::NothingToLearn { examples: given });
    }
    if cut > 0 {
        observer.warn(&Warning::Truncated {
            examples: cut,
            max_length,
        });
    }
    if prepared.len() < given {
        let examples = given - prepared.len();
        observer.warn(&Warning::NothingToLearn { examples });
    }
    Ok(prepared)
}

fn fingerprint(examples: &[Example]) -> Fingerprint {
    let mut fingerprint = Fingerprint::new();
    for example in examples {
        fingerprint.add([example.tokens.len() as u32]);
        fingerprint.add(example.tokens.iter().copied());
        fingerprint.add(example.loss.iter().map(|&carries| u32::from(carries)));
    }
    fingerprint
}

/// What one optimiser step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SftUpdate {
    /// Mean cross-entropy before the update, in nats.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Tokens of the examples.
    pub tokens: usize,
}

/// One optimiser step on `examples`, cut into `gradient_accumulation_steps` × `slices`.
///
/// # Errors
///
/// As [`Learner::gradient`] and [`Learner::apply`].
pub fn step(
    learner: &mut Learner,
    examples: &[&Example],
    config: &SftConfig,
    learning_rate: f64,
) -> Result<SftUpdate> {
    let lengths: Vec<usize> = examples
        .iter()
        .map(|example| example.tokens.len())
        .collect();
    let cuts = batch::cut(&lengths, config.gradient_accumulation_steps, config.slices);
    let slices: Vec<Batch> = cuts
        .iter()
        .flatten()
        .map(|members| Batch::new(members.iter().map(|&index| examples[index])))
        .filter(|slice| !slice.positions.is_empty())
        .collect();
    let total = slices.iter().map(|slice| slice.positions.len()).sum();
    let (gradient, losses) = learner.gradient(&slices, |forward, slice| {
        let (logits, targets) = forward.logits(slice);
        let loss = loss::cross_entropy(loss::log_probabilities(logits, targets), total);
        let value = loss.clone().into_scalar::<f32>();
        Ok((loss, f64::from(value)))
    })?;
    let grad_norm = learner.apply(gradient, learning_rate, config.max_grad_norm)?;
    Ok(SftUpdate {
        loss: losses.iter().sum(),
        grad_norm,
        tokens: lengths.iter().sum(),
    })
}
