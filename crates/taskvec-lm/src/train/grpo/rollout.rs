//! Rollouts: prompts, sampled completions, rewards, advantages.

use std::time::Instant;

use taskvec_eval::random::Random;

use super::{Batch, Example, GrpoConfig, GrpoMetrics, LoggedCompletion, Slice, batch, loss};
use crate::decoder::Decoder;
use crate::train::learner::Learner;
use crate::train::resume::Fingerprint;
use crate::{Error, Result};

/// A sampled completion.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// Its tokens, the one that ended it included: ending is an action like any other.
    pub tokens: Vec<u32>,
    /// ln p of each under the sampling distribution; as long as `tokens`.
    pub log_probabilities: Vec<f32>,
    /// Whether it ended by itself, rather than at the longest length.
    pub ended: bool,
}

/// What an environment says of a completion.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The reward.
    pub reward: f64,
    /// Whether it was worked out step by step; measured, never rewarded.
    pub step_by_step: bool,
    /// The completion as text, for the record.
    pub text: String,
}

/// Prompts and what becomes of their completions.
pub trait Environment: Sync {
    /// How many prompts there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens of prompt `index`.
    fn prompt(&self, index: usize) -> &[u32];

    /// Prompt `index` as text, for the record.
    fn prompt_text(&self, index: usize) -> String;

    /// Rewards a completion of prompt `index`.
    ///
    /// # Errors
    ///
    /// What kept the completion from being scored: that is no reward of 0.
    fn judge(&self, index: usize, completion: &Rollout) -> Result<Judgement>;
}

/// Samples completions from a decoder.
pub trait Sampler: Sync {
    /// One completion for each prompt, sampled at `temperature` from the whole distribution, each from its
    /// own seed: equal prompts with equal seeds give equal completions.
    ///
    /// # Errors
    ///
    /// Whatever keeps the engine from sampling.
    fn sample(
        &self,
        decoder: &Decoder,
        prompts: &[&[u32]],
        seeds: &[u64],
        temperature: f64,
        max_completion_length: usize,
    ) -> Result<Vec<Rollout>>;
}

/// Checks all prompts; returns the longest one's length and a fingerprint.
pub(super) fn survey(
    environment: &dyn Environment,
    vocab_size: usize,
) -> Result<(usize, Fingerprint)> {
    let mut fingerprint = Fingerprint::new();
    let mut longest = 0;
    for index in 0..environment.len() {
        let prompt = environment.prompt(index);
        if let Some(&token) = prompt.iter().find(|&&token| token as usize >= vocab_size) {
            return Err(Error::TokenOutOfRange { token, vocab_size });
        }
        if prompt.is_empty() {
            return Err(Error::EmptyPrompt { index });
        }
        fingerprint.add([prompt.len() as u32]);
        fingerprint.add(prompt.iter().copied());
        longest = longest.max(prompt.len());
    }
    if environment.is_empty() {
        return Err(Error::NothingToLearn { examples: 0 });
    }
    Ok((longest, fingerprint))
}

/// One completion, rewarded.
struct Member {
    prompt: usize,
    example: Example,
    rollout: Rollout,
    judgement: Judgement,
    advantage: f64,
}

/// All completions of one rollout, the groups one after another.
pub(super) struct Group {
    members: Vec<Member>,
    seconds: f64,
}

impl Group {
    /// Samples and rewards `num_generations` completions of each of `chosen`.
    pub(super) fn sample(
        learner: &Learner,
        environment: &dyn Environment,
        sampler: &dyn Sampler,
        config: &GrpoConfig,
        chosen: &[usize],
        step: u64,
    ) -> Result<Self> {
        let started = Instant::now();
        let generations = config.num_generations;
        let prompts: Vec<usize> = chosen
            .iter()
            .flat_map(|&prompt| std::iter::repeat_n(prompt, generations))
            .collect();
        let tokens: Vec<&[u32]> = prompts
            .iter()
            .map(|&index| environment.prompt(index))
            .collect();
        let seeds: Vec<u64> = (0..prompts.len() as u64)
            .map(|sequence| Random::derive(&[config.seed, step, sequence]).next_u64())
            .collect();
        let rollouts = sampler.sample(
            learner.decoder(),
            &tokens,
            &seeds,
            config.temperature,
            config.max_completion_length,
        )?;
        let judgements: Vec<Judgement> = prompts
            .iter()
            .zip(&rollouts)
            .map(|(&prompt, rollout)| environment.judge(prompt, rollout))
            .collect::<Result<_>>()?;
        let rewards: Vec<f64> = judgements
            .iter()
            .map(|judgement| judgement.reward)
            .collect();
        if let Some(index) = rewards.iter().position(|reward| !reward.is_finite()) {
            return Err(Error::Reward {
                prompt: prompts[index],
                reward: rewards[index],
            });
        }
        let advantages = loss::advantages(&rewards, generations, config.scale_rewards);
        let members = prompts
            .iter()
            .zip(rollouts)
            .zip(judgements.into_iter().zip(advantages))
            .map(|((&prompt, rollout), (judgement, advantage))| Member {
                prompt,
                example: Example::completion(environment.prompt(prompt), &rollout.tokens),
                rollout,
                judgement,
                advantage,
            })
            .collect();
        Ok(Self {
            members,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// The completions that have something to teach, as slices.
    pub(super) fn slices(&self, config: &GrpoConfig) -> Vec<Slice> {
        let counts = |member: &Member| member.rollout.ended || !config.mask_truncated_completions;
        let lengths: Vec<usize> = self
            .members
            .iter()
            .map(|member| member.rollout.tokens.len() * usize::from(counts(member)))
            .collect();
        let weights = config
            .loss_type
            .token_weights(&lengths, config.max_completion_length);
        // Without a KL term a completion of advantage 0 adds nothing to any gradient: late in a run most
        // groups are solved, and this is most of the work. It still counts in what is averaged over.
        let teaches = |&index: &usize| {
            lengths[index] > 0 && (config.beta > 0.0 || self.members[index].advantage != 0.0)
        };
        let teaching: Vec<usize> = (0..self.members.len()).filter(teaches).collect();
        let lengths: Vec<usize> = teaching
            .iter()
            .map(|&index| self.members[index].example.tokens.len())
            .collect();
        batch::cut(&lengths, config.gradient_accumulation_steps, config.slices)
            .iter()
            .flatten()
            .map(|rows| {
                let rows: Vec<usize> = rows.iter().map(|&row| teaching[row]).collect();
                self.slice(&rows, &weights)
            })
            .collect()
    }

    fn slice(&self, rows: &[usize], weights: &[f64]) -> Slice {
        let batch = Batch::new(rows.iter().map(|&row| &self.members[row].example));
        let per_token = |value: &dyn Fn(usize) -> f64| {
            let value = |&owner: &usize| value(rows[owner]) as f32;
            batch.owners.iter().map(value).collect()
        };
        Slice {
            advantages: per_token(&|row| self.members[row].advantage),
            weights: per_token(&|row| weights[row]),
            sampled: rows
                .iter()
                .flat_map(|&row| &self.members[row].rollout.log_probabilities)
                .copied()
                .collect(),
            old: None,
            reference: None,
            batch,
        }
    }

    /// What can be said before learning.
    pub(super) fn metrics(&self, config: &GrpoConfig, step: u64) -> GrpoMetrics {
        let count = self.members.len().max(1) as f64;
        let mean =
            |value: &dyn Fn(&Member) -> f64| self.members.iter().map(value).sum::<f64>() / count;
        let groups: Vec<Vec<f64>> = self
            .members
            .chunks(config.num_generations)
            .map(|group| group.iter().map(|member| member.judgement.reward).collect())
            .collect();
        let group_count = groups.len().max(1) as f64;
        let deviations: Vec<f64> = groups
            .iter()
            .map(|rewards| loss::deviation(rewards))
            .collect();
        let surprise: f64 = self
            .members
            .iter()
            .flat_map(|member| &member.rollout.log_probabilities)
            .map(|&log_probability| -f64::from(log_probability))
            .sum();
        let sampled: usize = self
            .members
            .iter()
            .map(|member| member.rollout.tokens.len())
            .sum();
        GrpoMetrics {
            step,
            reward: mean(&|member| member.judgement.reward),
            reward_std: deviations.iter().sum::<f64>() / group_count,
            frac_reward_zero_std: deviations
                .iter()
                .filter(|&&deviation| deviation == 0.0)
                .count() as f64
                / group_count,
            step_by_step: mean(&|member| f64::from(u8::from(member.judgement.step_by_step))),
            completion_length: sampled as f64 / count,
            truncated: mean(&|member| f64::from(u8::from(!member.rollout.ended))),
            entropy: surprise / sampled.max(1) as f64,
            tokens: self
                .members
                .iter()
                .map(|member| member.example.tokens.len())
                .sum(),
            rollout_seconds: self.seconds,
            ..GrpoMetrics::default()
        }
    }

    /// Completions for the record, evenly spread over the rollout.
    pub(super) fn logged(
        &self,
        environment: &dyn Environment,
        step: u64,
        count: usize,
    ) -> impl Iterator<Item = LoggedCompletion<'_>> {
        let stride = self.members.len().div_ceil(count.max(1)).max(1);
        let shown = self.members.iter().step_by(stride).take(count);
        shown.map(move |member| LoggedCompletion {
            step,
            prompt: member.prompt,
            prompt_text: environment.prompt_text(member.prompt),
            completion: &member.judgement.text,
            reward: member.judgement.reward,
            advantage: member.advantage,
            ended: member.rollout.ended,
            step_by_step: member.judgement.step_by_step,
        })
    }
}
