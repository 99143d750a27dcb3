//! Group relative policy optimisation: reinforcement learning from rewards that can be checked.
//!
//! GRPO (Shao et al. 2024, arXiv 2402.03300, algorithm 1): sample a group of completions of each prompt,
//! reward them, call each one's distance from the group's mean its advantage, and make better ones likelier
//! by PPO's clipped surrogate. There is no value network and, with `beta` 0, no reference model.
//!
//! What it leaves out of the paper: a learned reward model, and refreshing the reference between iterations.

mod collapse;
mod config;
mod rollout;
mod task;

pub use config::{GrpoConfig, GrpoMetrics};
pub use rollout::{Environment, Judgement, Rollout, Sampler};
pub use task::{DecoderSampler, TaskEnvironment, generative};

use std::ops::ControlFlow;
use std::time::Instant;

use burn::tensor::{Tensor, TensorData};
use serde::Serialize;

use super::batch::{self, Batch, Example, Order};
use super::learner::{Forward, Learner};
use super::loss;
use super::metrics::{JsonLines, Observer};
use super::optimizer::Schedule;
use super::parallel::Workers;
use super::resume::{self, Identity, METRICS_FILE, RunDirectory};
use crate::decoder::Decoder;
use crate::{Error, Result};
use collapse::CollapseWatch;
use config::INCIDENTAL;
use rollout::Group;

/// File of sampled completions in a run's directory.
pub const COMPLETIONS_FILE: &str = "completions.jsonl";

/// What a run ends with.
#[derive(Debug)]
pub struct GrpoOutcome {
    /// The trained decoder.
    pub decoder: Decoder,
    /// Rollouts made in all.
    pub steps: u64,
    /// Whether all were made; false where the observer stopped the run.
    pub finished: bool,
}

#[derive(Serialize)]
struct LoggedCompletion<'a> {
    step: u64,
    /// Its number among the prompts of the run.
    prompt: usize,
    prompt_text: String,
    completion: &'a str,
    reward: f64,
    advantage: f64,
    ended: bool,
    step_by_step: bool,
}

/// Trains a copy of `decoder` on the prompts and rewards of `environment`, sampling through `sampler`.
///
/// With a `directory`, metrics go to `metrics.jsonl` and samples to `completions.jsonl` there, and the state
/// is saved every `save_steps` and at the end. Equal inputs give equal bits on one machine, whatever the
/// number of workers and however often the run was interrupted, provided the sampler does.
///
/// # Errors
///
/// Settings out of range, no prompts, a token outside the vocabulary, a state of another run, a diverged
/// gradient, the sampler's errors, files that cannot be read or written.
pub fn train(
    decoder: &Decoder,
    environment: &dyn Environment,
    sampler: &dyn Sampler,
    config: &GrpoConfig,
    workers: Workers,
    directory: Option<&RunDirectory>,
    observer: &mut dyn Observer<GrpoMetrics>,
) -> Result<GrpoOutcome> {
    config.validate()?;
    let (longest, data) = rollout::survey(environment, decoder.config.vocab_size)?;
    let positions = longest + config.max_completion_length;
    let mut learner = Learner::new(decoder, config.optimizer(), workers, positions)?;
    let reference = (config.beta > 0.0).then(|| learner.decoder().clone());
    let identity = Identity::new("grpo", config, INCIDENTAL, data, &learner);
    let resumed = directory
        .map(|directory| resume::load::<(u64, CollapseWatch)>(directory, &identity, &mut learner))
        .transpose()?
        .flatten();
    let (first, mut watch) = resumed.map_or_else(Default::default, |(_, extra)| extra);
    let log = |name| {
        directory
            .map(|directory| JsonLines::open(&directory.file(name), first))
            .transpose()
    };
    let (mut metrics_log, mut completions_log) = (log(METRICS_FILE)?, log(COMPLETIONS_FILE)?);
    // Lengths all equal: the order is a plain shuffle.
    let mut order = Order::new(
        vec![0; environment.len()],
        config.prompts_per_step,
        config.seed,
    );

    let mut steps = first;
    while steps < config.max_steps {
        let group = Group::sample(
            &learner,
            environment,
            sampler,
            config,
            order.step(steps),
            steps,
        )?;
        let mut metrics = learn(&mut learner, reference.as_ref(), &group, config, steps)?;
        for (what, value) in [("loss", metrics.loss), ("entropy", metrics.entropy)] {
            if !value.is_finite() {
                return Err(Error::Diverged {
                    step: steps,
                    what,
                    value,
                });
            }
        }
        let warnings = watch.observe(&mut metrics);
        if let Some(log) = &mut metrics_log {
            log.write(&metrics)?;
        }
        let sampled = config.log_completions_steps;
        if let Some(log) = &mut completions_log
            && sampled > 0
            && steps % sampled == 0
        {
            for logged in group.logged(environment, steps, config.num_completions_to_log) {
                log.write(&logged)?;
            }
        }
        steps += 1;
        warnings.iter().for_each(|warning| observer.warn(warning));
        let flow = observer.step(&metrics, config.max_steps);
        let last = steps == config.max_steps || flow == ControlFlow::Break(());
        if let Some(directory) = directory
            && (last || steps % config.save_steps == 0)
        {
            let made = learner.optimizer.steps;
            resume::save(directory, &identity, &learner, made, &(steps, &watch))?;
        }
        if flow.is_break() {
            break;
        }
    }
    Ok(GrpoOutcome {
        decoder: learner.decoder().clone(),
        steps,
        finished: steps >= config.max_steps,
    })
}

/// One slice of a rollout. Vectors are as long as the slice's loss positions, N.
struct Slice {
    batch: Batch,
    advantages: Vec<f32>,
    weights: Vec<f32>,
    sampled: Vec<f32>,
    /// ln p under the policy that sampled, as the learner computes it; known after the first iteration.
    old: Option<Vec<f32>>,
    /// ln p under the initial policy, where there is a KL term.
    reference: Option<Vec<f32>>,
}

/// What the objective reports of a slice.
struct Report {
    loss: f64,
    log_probabilities: Vec<f32>,
}

fn vector(values: &[f32], like: &Tensor<1>) -> Tensor<1> {
    Tensor::from_data(
        TensorData::new(values.to_vec(), [values.len()]),
        &like.device(),
    )
}

fn values(tensor: Tensor<1>) -> Result<Vec<f32>> {
    let unreadable = |reason| Error::ReadTensor {
        tensor: "log-probabilities".to_owned(),
        reason,
    };
    let data = tensor
        .try_into_data()
        .map_err(|error| unreadable(format!("{error:?}")))?;
    let values = data
        .as_slice::<f32>()
        .map_err(|error| unreadable(format!("{error:?}")))?;
    Ok(values.to_vec())
}

impl Slice {
    fn log_probabilities(&self, forward: Forward<'_>, temperature: f64) -> Tensor<1> {
        let (logits, targets) = forward.logits(&self.batch);
        // Dividing by 1 would copy the largest tensor of the pass for nothing.
        let logits = match temperature == 1.0 {
            true => logits,
            false => logits / temperature,
        };
        loss::log_probabilities(logits, targets)
    }

    fn objective(&self, forward: Forward<'_>, config: &GrpoConfig) -> Result<(Tensor<1>, Report)> {
        let current = self.log_probabilities(forward, config.temperature);
        // On the first step after sampling the old policy is the current one: ratio 1, gradient −Â ∇ln p.
        // The sampler's own values would differ from these by rounding, and the ratio with them.
        let old = match &self.old {
            Some(old) => vector(old, &current),
            None => current.clone().detach(),
        };
        let advantages = vector(&self.advantages, &current);
        let mut token_loss = loss::clipped_surrogate(
            current.clone(),
            old,
            advantages,
            config.epsilon,
            config.epsilon_high(),
        );
        if let Some(reference) = &self.reference {
            let reference = vector(reference, &current);
            token_loss = token_loss + loss::kl_divergence(current.clone(), reference) * config.beta;
        }
        let loss = (token_loss * vector(&self.weights, &current)).sum();
        let report = Report {
            loss: f64::from(loss.clone().into_scalar::<f32>()),
            log_probabilities: values(current.detach().without_autodiff())?,
        };
        Ok((loss, report))
    }

    /// Tokens whose ratio left the clipping range.
    fn clipped(&self, log_probabilities: &[f32], config: &GrpoConfig) -> usize {
        let Some(old) = &self.old else { return 0 };
        let range = 1.0 - config.epsilon..=1.0 + config.epsilon_high();
        log_probabilities
            .iter()
            .zip(old)
            .filter(|(now, old)| !range.contains(&f64::from(*now - *old).exp()))
            .count()
    }
}

/// The optimiser steps on one rollout.
fn learn(
    learner: &mut Learner,
    reference: Option<&Decoder>,
    group: &Group,
    config: &GrpoConfig,
    step: u64,
) -> Result<GrpoMetrics> {
    let started = Instant::now();
    let schedule = Schedule {
        peak: config.learning_rate,
        warmup_steps: config.warmup_steps,
        total_steps: config.max_steps * config.num_iterations as u64,
        floor: config.min_lr_rate,
    };
    let mut slices = group.slices(config);
    if let Some(reference) = reference {
        let forward = learner.forward_through(reference);
        let all = learner.workers().fold(
            &slices,
            Vec::new(),
            |slice| values(slice.log_probabilities(forward, config.temperature)),
            Vec::push,
        )?;
        for (slice, reference) in slices.iter_mut().zip(all) {
            slice.reference = Some(reference);
        }
    }
    let mut metrics = group.metrics(config, step);
    for iteration in 0..config.num_iterations as u64 {
        let (gradient, reports) =
            learner.gradient(&slices, |forward, slice| slice.objective(forward, config))?;
        metrics.learning_rate = schedule.rate(step * config.num_iterations as u64 + iteration);
        metrics.grad_norm = learner.apply(gradient, metrics.learning_rate, config.max_grad_norm)?;
        metrics.loss = reports.iter().map(|report| report.loss).sum();
        let tokens = slices
            .iter()
            .map(|slice| slice.weights.len())
            .sum::<usize>()
            .max(1) as f64;
        if iteration == 0 {
            let sampled = slices.iter().flat_map(|slice| &slice.sampled);
            let computed = reports.iter().flat_map(|report| &report.log_probabilities);
            let differences = sampled.zip(computed).map(|(a, b)| f64::from((a - b).abs()));
            metrics.sampling_logp_difference = differences.sum::<f64>() / tokens;
            metrics.kl = reference.is_some().then(|| {
                let initial = slices
                    .iter()
                    .filter_map(|slice| slice.reference.as_ref())
                    .flatten();
                let computed = reports.iter().flat_map(|report| &report.log_probabilities);
                let terms = initial.zip(computed).map(|(reference, now)| {
                    let log_ratio = f64::from(reference - now);
                    log_ratio.exp_m1() - log_ratio
                });
                terms.sum::<f64>() / tokens
            });
        }
        let clipped: usize = slices
            .iter()
            .zip(&reports)
            .map(|(slice, report)| slice.clipped(&report.log_probabilities, config))
            .sum();
        metrics.clip_ratio = clipped as f64 / tokens;
        if iteration == 0 && config.num_iterations > 1 {
            for (slice, report) in slices.iter_mut().zip(reports) {
                slice.old = Some(report.log_probabilities);
            }
        }
    }
    metrics.seconds = metrics.rollout_seconds + started.elapsed().as_secs_f64();
    Ok(metrics)
}

#[cfg(test)]
mod tests;
