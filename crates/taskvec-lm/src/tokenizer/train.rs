//! Training a byte-level BPE of Qwen2's kind (Sennrich et al. 2016, arXiv 1508.07909).
//!
//! The `tokenizers` library has a trainer too. It keeps several queue entries for one pair, in the
//! order of a randomly seeded hash map, and so does not promise the same vocabulary twice; here ties
//! go to the pair with the smaller ids and everything is counted in sorted order.

use std::collections::{BTreeMap, BTreeSet};

use tokenizers::{OffsetReferential, OffsetType, PreTokenizer as _};

use super::{Tokenizer, byte_alphabet, qwen2};
use crate::{Error, Result};

/// The vocabulary no training can go below: 256 bytes and the special tokens.
pub const MIN_VOCABULARY: usize = 256 + qwen2::SPECIAL_TOKENS.len();

/// Trains a tokenizer on `corpus`.
///
/// The vocabulary has `vocab_size` entries: ids 0 to 255 are bytes, then come merges in the order in
/// which they were made, then `<|endoftext|>`, `<|im_start|>` and `<|im_end|>`. It has fewer where
/// the corpus runs out of pairs that occur twice. Special tokens written out in the corpus
/// separate words and are not learned. The result depends on the corpus' words and their counts
/// alone, not on the order of its texts.
///
/// # Errors
///
/// [`Error::VocabularyTooSmall`] below [`MIN_VOCABULARY`]; [`Error::Encode`] where a text cannot
/// be split.
pub fn train_bpe(corpus: impl Iterator<Item = String>, vocab_size: usize) -> Result<Tokenizer> {
    if vocab_size < MIN_VOCABULARY {
        return Err(Error::VocabularyTooSmall {
            expected: MIN_VOCABULARY,
            got: vocab_size,
        });
    }
    let alphabet: Vec<String> = byte_alphabet::in_id_order()
        .iter()
        .map(char::to_string)
        .collect();
    let splitter = Tokenizer::from_vocabulary(&alphabet, &[])?;

    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for text in corpus {
        count_words(&splitter, &text, &mut counts)?;
    }
    let (vocabulary, merges) = learn(alphabet, &counts, vocab_size - qwen2::SPECIAL_TOKENS.len());
    Tokenizer::from_vocabulary(&vocabulary, &merges)
}

/// Counts the words of a text, spelled in the byte alphabet.
fn count_words(splitter: &Tokenizer, text: &str, counts: &mut BTreeMap<String, u64>) -> Result<()> {
    let library = &splitter.inner;
    let mut pieces = library
        .get_added_vocabulary()
        .extract_and_normalize(library.get_normalizer(), text);
    if let Some(pre_tokenizer) = library.get_pre_tokenizer() {
        pre_tokenizer
            .pre_tokenize(&mut pieces)
            .map_err(|source| Error::Encode { source })?;
    }
    for (word, _, token) in pieces.get_splits(OffsetReferential::Original, OffsetType::None) {
        if token.is_none() && !word.is_empty() {
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(word.to_owned(), 1);
                }
            }
        }
    }
    Ok(())
}

/// A word as the ids it is spelled with at this point of training.
struct Word {
    ids: Vec<u32>,
    count: u64,
}

/// The learned vocabulary in id order and the merges in rank order.
fn learn(
    mut vocabulary: Vec<String>,
    counts: &BTreeMap<String, u64>,
    target_len: usize,
) -> (Vec<String>, Vec<(String, String)>) {
    let ids: BTreeMap<char, u32> = vocabulary
        .iter()
        .zip(0..)
        .filter_map(|(token, id)| Some((token.chars().next()?, id)))
        .collect();
    let mut words: Vec<Word> = counts
        .iter()
        .map(|(word, count)| Word {
            ids: word
                .chars()
                .filter_map(|character| ids.get(&character).copied())
                .collect(),
            count: *count,
        })
        .collect();

    // How often each pair occurs, and in which words.
    let mut pairs: BTreeMap<(u32, u32), (u64, BTreeSet<usize>)> = BTreeMap::new();
    for (index, word) in words.iter().enumerate() {
        add_pairs(&mut pairs, word, index);
    }
    // Two spellings of one string cannot both be tokens: `ab`+`c` after `a`+`bc` keeps the first id.
    let mut known: BTreeMap<String, u32> = vocabulary.iter().cloned().zip(0..).collect();
    let mut merges = Vec::new();
    while vocabulary.len() < target_len {
        // The most frequent pair, and of those the one with the smallest ids.
        let best = pairs
            .iter()
            .filter(|(_, (count, _))| *count >= 2)
            .max_by(|(pair_a, (count_a, _)), (pair_b, (count_b, _))| {
                count_a.cmp(count_b).then_with(|| pair_b.cmp(pair_a))
            })
            .map(|(pair, (_, members))| (*pair, members.clone()));
        let Some((pair, members)) = best else { break };
        let (left, right) = (
            vocabulary[pair.0 as usize].clone(),
            vocabulary[pair.1 as usize].clone(),
        );
        let joined = format!("{left}{right}");
        let next_id = known.len() as u32;
        let id = *known.entry(joined.clone()).or_insert(next_id);
        if id == next_id {
            vocabulary.push(joined);
        }
        merges.push((left, right));
        for index in members {
            remove_pairs(&mut pairs, &words[index], index);
            merge(&mut words[index].ids, pair, id);
            add_pairs(&mut pairs, &words[index], index);
        }
    }
    (vocabulary, merges)
}

fn add_pairs(pairs: &mut BTreeMap<(u32, u32), (u64, BTreeSet<usize>)>, word: &Word, index: usize) {
    for window in word.ids.windows(2) {
        let (count, members) = pairs.entry((window[0], window[1])).or_default();
        *count += word.count;
        members.insert(index);
    }
}

fn remove_pairs(
    pairs: &mut BTreeMap<(u32, u32), (u64, BTreeSet<usize>)>,
    word: &Word,
    index: usize,
) {
    for window in word.ids.windows(2) {
        let pair = (window[0], window[1]);
        if let Some((count, members)) = pairs.get_mut(&pair) {
            *count = count.saturating_sub(word.count);
            members.remove(&index);
            if *count == 0 {
                pairs.remove(&pair);
            }
        }
    }
}

/// Replaces every occurrence of `pair`, from the left, by `id`.
fn merge(ids: &mut Vec<u32>, pair: (u32, u32), id: u32) {
    let (mut read, mut write) = (0, 0);
    while read < ids.len() {
        let merged = ids
            .get(read..read + 2)
            .is_some_and(|found| found == [pair.0, pair.1]);
        ids[write] = if merged { id } else { ids[read] };
        read += if merged { 2 } else { 1 };
        write += 1;
    }
    ids.truncate(write);
}
