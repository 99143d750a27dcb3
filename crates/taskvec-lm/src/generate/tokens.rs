//! Generation from tokens to tokens, as reinforcement learning needs it.

use burn::tensor::Device;
use taskvec_eval::generator::{Finish, Sampling};

use super::batch::{Engine, Generated, Job, LogProbabilities, cache_bytes};
use super::schedule;
use crate::decoder::{Decoder, RotaryTable};
use crate::train::parallel::Workers;
use crate::{Error, Result};

/// How [`generate_tokens`] generates.
#[derive(Debug, Clone)]
pub struct TokenOptions<'a> {
    /// At most this many tokens are generated.
    pub max_new_tokens: usize,
    /// How tokens are chosen; its seed is replaced by that of each sequence.
    pub sampling: Sampling,
    /// Tokens that end a sequence.
    pub stop_tokens: &'a [u32],
    /// A seed for every sequence.
    pub seeds: &'a [u64],
    /// Sequences decoded together.
    pub batch_size: usize,
    /// Longest sequence the decoder may see.
    pub max_positions: usize,
}

/// A generated sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedTokens {
    /// The tokens, the one that ended the sequence included.
    pub tokens: Vec<u32>,
    /// [`Finish::EndOfSequence`] or [`Finish::Length`].
    pub finish: Finish,
    /// ln p of each token under the distribution it was drawn from.
    pub log_probabilities: Vec<f32>,
}

/// Memory for the keys and values of one batch.
pub(super) const CACHE_BYTES: u64 = 2 << 30;

/// Continues every prompt. Results are in the order of the prompts and do not depend on batch size or
/// workers, up to the rounding of sums.
///
/// # Errors
///
/// [`Error::EmptyPrompt`], [`Error::TokenOutOfRange`] and [`Error::PromptTooLong`] before anything is
/// generated; [`Error::CacheTooLarge`]; [`Error::InvalidSetting`] where there is not one seed for
/// every prompt; [`Error::ReadTensor`] where the device cannot be read.
pub fn generate_tokens<P: AsRef<[u32]> + Sync>(
    decoder: &Decoder,
    prompts: &[P],
    options: &TokenOptions<'_>,
    workers: &Workers,
    device: &Device,
) -> Result<Vec<GeneratedTokens>> {
    if options.seeds.len() != prompts.len() {
        return Err(Error::InvalidSetting {
            setting: "seeds",
            value: format!("a list of {}", options.seeds.len()),
            expected: "one for each prompt",
        });
    }
    let mut jobs = Vec::with_capacity(prompts.len());
    for (index, (prompt, seed)) in prompts.iter().zip(options.seeds).enumerate() {
        jobs.push(Job {
            index,
            prompt: prompt.as_ref(),
            max_new_tokens: options.max_new_tokens,
            sampling: Sampling {
                seed: *seed,
                ..options.sampling
            },
            stop: &[],
        });
    }
    let mut results: Vec<Option<Generated>> = vec![None; jobs.len()];
    fit(&mut jobs, decoder.config.vocab_size, options.max_positions)?;
    let rotary = rotary_for(decoder, jobs.iter().map(Job::positions))?;
    let engine = Engine {
        decoder,
        rotary: &rotary,
        device,
        end_tokens: options.stop_tokens,
        tokenizer: None,
        log_probabilities: LogProbabilities::OfDraw,
    };
    run(
        &engine,
        jobs,
        options.batch_size,
        workers,
        |index, generated| results[index] = Some(generated),
    )?;
    Ok(results
        .into_iter()
        .map(|generated| match generated {
            Some(Generated {
                tokens,
                finish,
                log_probabilities,
                ..
            }) => GeneratedTokens {
                tokens,
                finish,
                log_probabilities,
            },
            // Only where no token was asked for.
            None => GeneratedTokens {
                tokens: Vec::new(),
                finish: Finish::Length,
                log_probabilities: Vec::new(),
            },
        })
        .collect())
}

/// Checks prompts and cuts the room for answers to what the model has.
pub(super) fn fit(jobs: &mut [Job<'_>], vocab_size: usize, max_positions: usize) -> Result<()> {
    for job in jobs {
        check_prompt(job.index, job.prompt, vocab_size)?;
        let room = max_positions.saturating_sub(job.prompt.len());
        if room == 0 && job.max_new_tokens > 0 {
            return Err(Error::PromptTooLong {
                index: job.index,
                tokens: job.prompt.len(),
                limit: max_positions,
            });
        }
        job.max_new_tokens = job.max_new_tokens.min(room);
    }
    Ok(())
}

pub(super) fn check_prompt(index: usize, prompt: &[u32], vocab_size: usize) -> Result<()> {
    if prompt.is_empty() {
        return Err(Error::EmptyPrompt { index });
    }
    match prompt.iter().find(|token| **token as usize >= vocab_size) {
        Some(&token) => Err(Error::TokenOutOfRange { token, vocab_size }),
        None => Ok(()),
    }
}

/// A rotary table for the longest of the sequences, if its keys and values fit the memory set aside.
pub(super) fn rotary_for(
    decoder: &Decoder,
    lengths: impl Iterator<Item = usize>,
) -> Result<RotaryTable> {
    let positions = lengths.max().unwrap_or(0);
    let bytes = cache_bytes(&decoder.config, positions);
    if bytes > CACHE_BYTES {
        return Err(Error::CacheTooLarge {
            positions,
            bytes,
            limit: CACHE_BYTES,
        });
    }
    Ok(RotaryTable::new(positions, &decoder.config))
}

/// Positions of keys and values that fit the memory set aside for a batch.
pub(super) fn room(decoder: &Decoder) -> usize {
    usize::try_from(CACHE_BYTES / cache_bytes(&decoder.config, 1).max(1)).unwrap_or(usize::MAX)
}

/// Runs jobs in batches; `receive` gets each result with the index of its request.
pub(super) fn run(
    engine: &Engine<'_>,
    jobs: Vec<Job<'_>>,
    batch_size: usize,
    workers: &Workers,
    mut receive: impl FnMut(usize, Generated),
) -> Result<()> {
    let mut jobs: Vec<Option<Job<'_>>> = jobs
        .into_iter()
        .map(|job| Some(job).filter(|job| job.max_new_tokens > 0))
        .collect();
    let lengths: Vec<usize> = jobs
        .iter()
        .map(|job| job.as_ref().map_or(0, Job::positions))
        .collect();
    let batches: Vec<Vec<Job<'_>>> = schedule::batches(&lengths, batch_size, room(engine.decoder))
        .into_iter()
        .map(|batch| {
            batch
                .into_iter()
                .filter_map(|index| jobs[index].take())
                .collect()
        })
        .filter(|batch: &Vec<Job<'_>>| !batch.is_empty())
        .collect();
    schedule::run(
        workers,
        &batches,
        |batch, send| engine.run(batch, &mut |index, generated| send((index, generated))),
        |(index, generated)| receive(index, generated),
    )
}
