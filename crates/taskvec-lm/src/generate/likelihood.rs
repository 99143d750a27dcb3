//! How likely given continuations are.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use taskvec_eval::generator::Likelihood;

use super::batch::Engine;
use super::sampling::{argmax, log_probability};
use super::schedule;
use super::tokens::room;
use crate::Result;
use crate::decoder::KeyValueCache;
use crate::train::parallel::Workers;

/// Logits that are held at once.
const LOGIT_VALUES: usize = 16 << 20;

/// A continuation to be scored: what comes before, and its own tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scored {
    pub(super) prefix: Vec<u32>,
    pub(super) continuation: Vec<u32>,
}

impl Scored {
    /// Splits the tokens of a prompt with its continuation where they cease to be the prompt's own.
    ///
    /// The two are tokenized together, because apart they may give tokens that never stand together
    /// in text: a space that ends the prompt belongs to the first word of the continuation.
    pub(super) fn new(prompt: &[u32], whole: &[u32]) -> Self {
        let common = prompt.iter().zip(whole).take_while(|(a, b)| a == b).count();
        Self {
            prefix: whole[..common].to_vec(),
            continuation: whole[common..].to_vec(),
        }
    }

    pub(super) fn positions(&self) -> usize {
        self.prefix.len() + self.continuation.len()
    }
}

/// Scores every continuation; `receive` gets each result with its index.
///
/// Continuations of one prefix share its keys and values: the prefix goes through the decoder once.
pub(super) fn run(
    engine: &Engine<'_>,
    scored: &[Scored],
    batch_size: usize,
    workers: &Workers,
    mut receive: impl FnMut(usize, Likelihood),
) -> Result<()> {
    let mut groups: BTreeMap<&[u32], Vec<usize>> = BTreeMap::new();
    for (index, item) in scored.iter().enumerate() {
        if item.continuation.is_empty() {
            receive(
                index,
                Likelihood {
                    log_probability: 0.0,
                    is_greedy: true,
                    token_count: 0,
                },
            );
        } else {
            groups.entry(&item.prefix).or_default().push(index);
        }
    }
    // A batch holds as many prefixes as keep its rows, one for each continuation, within the size.
    let groups: Vec<(&[u32], Vec<usize>)> = groups
        .into_iter()
        .flat_map(|(prefix, members)| {
            members
                .chunks(batch_size.max(1))
                .map(|chunk| (prefix, chunk.to_vec()))
                .collect::<Vec<_>>()
        })
        .collect();
    let widest = groups
        .iter()
        .map(|(_, members)| members.len())
        .max()
        .unwrap_or(1);
    let lengths: Vec<usize> = groups
        .iter()
        .map(|(_, members)| {
            members
                .iter()
                .map(|index| scored[*index].positions())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let batches = schedule::batches(&lengths, batch_size / widest, room(engine.decoder) / widest);
    schedule::run(
        workers,
        &batches,
        |batch, send| {
            let groups: Vec<&(&[u32], Vec<usize>)> =
                batch.iter().map(|index| &groups[*index]).collect();
            score(engine, scored, &groups, send)
        },
        |(index, likelihood)| receive(index, likelihood),
    )
}

fn score(
    engine: &Engine<'_>,
    scored: &[Scored],
    groups: &[&(&[u32], Vec<usize>)],
    send: &mut dyn FnMut((usize, Likelihood)),
) -> Result<()> {
    let prefixes: Vec<&[u32]> = groups.iter().map(|(prefix, _)| *prefix).collect();
    let longest = prefixes
        .iter()
        .map(|prefix| prefix.len())
        .max()
        .unwrap_or(0);
    let starts: Vec<usize> = prefixes
        .iter()
        .map(|prefix| longest - prefix.len())
        .collect();
    let rows: Vec<(usize, usize)> = groups
        .iter()
        .enumerate()
        .flat_map(|(group, (_, members))| members.iter().map(move |member| (group, *member)))
        .collect();
    let tail = rows
        .iter()
        .map(|(_, member)| scored[*member].continuation.len())
        .max()
        .unwrap_or(0);

    let mut cache = KeyValueCache::new(
        &engine.decoder.config,
        prefixes.len(),
        longest + tail,
        engine.device,
    );
    let last = engine.prefill(&prefixes, &starts, &mut cache)?;
    let first: Vec<FirstToken> = engine.logits(last)?.rows().map(FirstToken::of).collect();

    // The last token of a continuation predicts nothing that is asked for.
    let positions = tail - 1;
    let mut totals: Vec<(f64, bool)> = rows
        .iter()
        .map(|(group, member)| first[*group].judge(scored[*member].continuation[0]))
        .collect();
    if positions > 0 {
        let groups_of: Vec<usize> = rows.iter().map(|(group, _)| *group).collect();
        cache.select(&groups_of);
        let starts: Vec<usize> = groups_of.iter().map(|group| starts[*group]).collect();
        let mut tokens = Vec::with_capacity(rows.len() * positions);
        for (_, member) in &rows {
            let continuation = &scored[*member].continuation;
            // Padding on the right is never seen by what stands before it.
            tokens
                .extend((0..positions).map(|index| continuation.get(index).copied().unwrap_or(0)));
        }
        let tokens = engine.tokens(&tokens, rows.len());
        let hidden = engine
            .decoder
            .hidden_cached(tokens, &starts, engine.rotary, &mut cache);
        let members: Vec<&[u32]> = rows
            .iter()
            .map(|(_, member)| scored[*member].continuation.as_slice())
            .collect();
        add_rest(engine, hidden, &members, &mut totals)?;
    }
    for ((_, member), (log_probability, is_greedy)) in rows.iter().zip(totals) {
        let token_count = scored[*member].continuation.len();
        send((
            *member,
            Likelihood {
                log_probability,
                is_greedy,
                token_count,
            },
        ));
    }
    Ok(())
}

/// Adds what the hidden states `[B, T, C]` say of every continuation's tokens after its first.
fn add_rest(
    engine: &Engine<'_>,
    hidden: Tensor<3>,
    continuations: &[&[u32]],
    totals: &mut [(f64, bool)],
) -> Result<()> {
    let [batch, positions, width] = hidden.dims();
    let states = hidden.reshape([batch * positions, width]);
    let rows_at_once = (LOGIT_VALUES / engine.decoder.config.vocab_size.max(1)).max(1);
    for from in (0..batch * positions).step_by(rows_at_once) {
        let count = rows_at_once.min(batch * positions - from);
        let logits = engine.logits(states.clone().narrow(0, from, count))?;
        for (index, logits) in (from..).zip(logits.rows()) {
            let (row, position) = (index / positions, index % positions);
            if let Some(target) = continuations[row].get(position + 1) {
                totals[row].0 += log_probability(logits, *target as usize);
                totals[row].1 &= argmax(logits) == *target as usize;
            }
        }
    }
    Ok(())
}

/// The distribution of the first token, shared by all continuations of a prefix.
struct FirstToken {
    logits: Vec<f32>,
    best: usize,
}

impl FirstToken {
    fn of(logits: &[f32]) -> Self {
        Self {
            logits: logits.to_vec(),
            best: argmax(logits),
        }
    }

    fn judge(&self, token: u32) -> (f64, bool) {
        (
            log_probability(&self.logits, token as usize),
            self.best == token as usize,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_scored_begins_where_the_prompts_own_tokens_end() {
        let split = |prompt: &[u32], whole: &[u32]| {
            let scored = Scored::new(prompt, whole);
            (scored.prefix, scored.continuation)
        };
        assert_eq!(split(&[1, 2], &[1, 2, 3, 4]), (vec![1, 2], vec![3, 4]));
        assert_eq!(split(&[1, 2, 9], &[1, 2, 3]), (vec![1, 2], vec![3]));
        assert_eq!(split(&[1, 2], &[1, 2]), (vec![1, 2], vec![]));
    }
}
