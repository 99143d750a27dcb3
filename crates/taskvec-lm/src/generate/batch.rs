//! Decoding one batch: prefill, then a token for every live row at each step.

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor, TensorData};
use taskvec_eval::generator::{Finish, Sampling};

use super::sampling::{Sampler, log_probability};
use crate::decoder::{Decoder, DecoderConfig, KeyValueCache, RotaryTable};
use crate::tokenizer::{Detokenizer, Tokenizer};
use crate::{Error, Result};

/// Tokens of all sequences together that are prefilled in one pass: bounds the memory of activations, whatever the
/// prompts' length. More would not fit what allocators keep for the next pass.
const PREFILL_TOKENS: usize = 1024;
/// Positions of one sequence prefilled in one pass.
const PREFILL_POSITIONS: usize = 512;

/// A sequence to be generated.
pub(super) struct Job<'a> {
    /// Its place among the caller's requests.
    pub(super) index: usize,
    pub(super) prompt: &'a [u32],
    /// At most this many tokens, at least one.
    pub(super) max_new_tokens: usize,
    pub(super) sampling: Sampling,
    pub(super) stop: &'a [String],
}

impl Job<'_> {
    /// Positions of the prompt and the longest answer.
    pub(super) fn positions(&self) -> usize {
        self.prompt.len().saturating_add(self.max_new_tokens)
    }
}

/// What became of a [`Job`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Generated {
    /// The tokens, the one that ended the sequence included.
    pub(super) tokens: Vec<u32>,
    /// ln p of each.
    pub(super) log_probabilities: Vec<f32>,
    pub(super) finish: Finish,
    /// Their text, special tokens and what a stop string cut off left out; empty without tokenizer.
    pub(super) text: String,
}

/// What all batches share.
pub(super) struct Engine<'a> {
    pub(super) decoder: &'a Decoder,
    pub(super) rotary: &'a RotaryTable,
    pub(super) device: &'a Device,
    /// Tokens that end a sequence.
    pub(super) end_tokens: &'a [u32],
    /// For stop strings and text; without it there are neither.
    pub(super) tokenizer: Option<&'a Tokenizer>,
    pub(super) log_probabilities: LogProbabilities,
}

/// Under which distribution a token's probability is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogProbabilities {
    /// The one that it was drawn from.
    OfDraw,
    /// The model's own: temperature 1, nothing cut off.
    OfModel,
}

/// Bytes of keys and values of `positions` positions of one sequence.
pub(super) fn cache_bytes(config: &DecoderConfig, positions: usize) -> u64 {
    let width = (config.num_key_value_heads as u64).saturating_mul(config.head_dim as u64);
    // Keys and values, four bytes each.
    width
        .saturating_mul(8 * config.num_hidden_layers as u64)
        .saturating_mul(positions as u64)
}

/// A row of the batch that still grows.
struct Row {
    job: usize,
    sampler: Sampler,
    detokenizer: Detokenizer,
    tokens: Vec<u32>,
    log_probabilities: Vec<f32>,
}

impl Engine<'_> {
    /// Generates all of `jobs` together; calls `done` with each as soon as it is complete.
    pub(super) fn run(
        &self,
        jobs: &[Job<'_>],
        done: &mut dyn FnMut(usize, Generated),
    ) -> Result<()> {
        let longest = jobs.iter().map(|job| job.prompt.len()).max().unwrap_or(0);
        let capacity = longest + jobs.iter().map(|job| job.max_new_tokens).max().unwrap_or(0);
        // Samples of one prompt share its prefill: a group of eight costs one.
        let (prompts, prompt_of) = distinct(jobs);
        let starts: Vec<usize> = prompts
            .iter()
            .map(|prompt| longest - prompt.len())
            .collect();
        let config = &self.decoder.config;
        let mut cache = KeyValueCache::new(config, prompts.len(), capacity, self.device);
        let mut hidden = self.prefill(&prompts, &starts, &mut cache)?;
        if prompts.len() < jobs.len() {
            cache.select(&prompt_of);
            hidden = hidden.select(0, self.indices(&prompt_of));
        }
        let mut starts: Vec<usize> = prompt_of.iter().map(|prompt| starts[*prompt]).collect();
        let mut rows: Vec<Row> = jobs
            .iter()
            .enumerate()
            .map(|(index, job)| Row {
                job: index,
                sampler: Sampler::new(job.sampling),
                detokenizer: Detokenizer::new(job.stop),
                tokens: Vec::new(),
                log_probabilities: Vec::new(),
            })
            .collect();
        // Rows that finished stay in the tensors, fed with anything, until enough have gathered.
        let mut live: Vec<bool> = vec![true; rows.len()];
        loop {
            let logits = self.logits(hidden)?;
            for (index, (row, logits)) in rows.iter_mut().zip(logits.rows()).enumerate() {
                if !live[index] {
                    continue;
                }
                let is_of_draw = self.log_probabilities == LogProbabilities::OfDraw;
                let choice = row.sampler.choose(logits, is_of_draw);
                row.tokens.push(choice.token);
                row.log_probabilities.push(if is_of_draw {
                    choice.log_probability
                } else {
                    log_probability(logits, choice.token as usize) as f32
                });
                let job = &jobs[row.job];
                if let Some(finish) = self.finish(row, job, choice.token) {
                    live[index] = false;
                    done(job.index, self.collect(row, finish));
                }
            }
            let remaining = live.iter().filter(|live| **live).count();
            if remaining == 0 {
                return Ok(());
            }
            // Copying the cache costs about as much as a step; a quarter of the rows pays for it.
            if remaining * 4 <= rows.len() * 3 {
                let kept: Vec<usize> = (0..rows.len()).filter(|index| live[*index]).collect();
                cache.select(&kept);
                starts = kept.iter().map(|index| starts[*index]).collect();
                let mut index = 0;
                rows.retain(|_| {
                    index += 1;
                    live[index - 1]
                });
                live = vec![true; rows.len()];
            }
            let next: Vec<u32> = rows
                .iter()
                .map(|row| row.tokens.last().copied().unwrap_or(0))
                .collect();
            let tokens = self.tokens(&next, rows.len());
            hidden = self
                .decoder
                .last_hidden_cached(tokens, &starts, self.rotary, &mut cache);
        }
    }

    /// Runs left-padded prompts through the decoder; returns the hidden states of the last, `[B, C]`.
    pub(super) fn prefill(
        &self,
        prompts: &[&[u32]],
        starts: &[usize],
        cache: &mut KeyValueCache,
    ) -> Result<Tensor<2>> {
        let length = prompts.iter().map(|prompt| prompt.len()).max().unwrap_or(0);
        let mut hidden = None;
        let positions = (PREFILL_TOKENS / prompts.len().max(1)).clamp(1, PREFILL_POSITIONS);
        for from in (0..length).step_by(positions) {
            let to = length.min(from + positions);
            let mut tokens = Vec::with_capacity(prompts.len() * (to - from));
            for (prompt, start) in prompts.iter().zip(starts) {
                // Padding is token 0: any will do, its keys are never seen.
                tokens.extend(
                    (from..to)
                        .map(|index| index.checked_sub(*start).map_or(0, |index| prompt[index])),
                );
            }
            let tokens = self.tokens(&tokens, prompts.len());
            hidden = Some(
                self.decoder
                    .last_hidden_cached(tokens, starts, self.rotary, cache),
            );
        }
        hidden.ok_or(Error::EmptyPrompt { index: 0 })
    }

    /// Tokens as a tensor `[batch, T]`.
    pub(super) fn tokens(&self, tokens: &[u32], batch: usize) -> Tensor<2, Int> {
        let values: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
        let positions = values.len() / batch.max(1);
        Tensor::from_data(TensorData::new(values, [batch, positions]), self.device)
    }

    /// Row numbers as a tensor.
    fn indices(&self, rows: &[usize]) -> Tensor<1, Int> {
        let values: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
        Tensor::from_data(TensorData::new(values, [rows.len()]), self.device)
    }

    /// Logits of hidden states `[N, C]`, read back in one piece.
    pub(super) fn logits(&self, hidden: Tensor<2>) -> Result<Logits> {
        let unreadable = |reason: String| Error::ReadTensor {
            tensor: "logits".to_owned(),
            reason,
        };
        let logits = self.decoder.logits(hidden);
        let width = logits.dims()[1];
        let data = logits
            .try_into_data()
            .map_err(|error| unreadable(format!("{error:?}")))?;
        let values = data
            .try_into_vec::<f32>()
            .map_err(|error| unreadable(format!("{error:?}")))?;
        Ok(Logits { values, width })
    }

    /// Why a row ends with this token, if it does.
    fn finish(&self, row: &mut Row, job: &Job<'_>, token: u32) -> Option<Finish> {
        if self.end_tokens.contains(&token) {
            return Some(Finish::EndOfSequence);
        }
        let stopped = self
            .tokenizer
            .is_some_and(|tokenizer| row.detokenizer.push(tokenizer, token));
        if stopped {
            return Some(Finish::Stop);
        }
        (row.tokens.len() >= job.max_new_tokens).then_some(Finish::Length)
    }

    fn collect(&self, row: &mut Row, finish: Finish) -> Generated {
        Generated {
            tokens: std::mem::take(&mut row.tokens),
            log_probabilities: std::mem::take(&mut row.log_probabilities),
            finish,
            text: row.detokenizer.text(),
        }
    }
}

/// The different prompts, in order of appearance, and for every job the place of its own.
fn distinct<'a>(jobs: &[Job<'a>]) -> (Vec<&'a [u32]>, Vec<usize>) {
    let mut places: BTreeMap<&[u32], usize> = BTreeMap::new();
    let mut prompts = Vec::new();
    let prompt_of = jobs
        .iter()
        .map(|job| {
            *places.entry(job.prompt).or_insert_with(|| {
                prompts.push(job.prompt);
                prompts.len() - 1
            })
        })
        .collect();
    (prompts, prompt_of)
}

/// Logits `[N, V]` on the host.
pub(super) struct Logits {
    values: Vec<f32>,
    width: usize,
}

impl Logits {
    pub(super) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }
}
