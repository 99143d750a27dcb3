//! Text to train the micro tokenizer on.

use super::{MicroTask, Solution, Split, vocabulary};

/// Texts that show every word of the micro world in the forms and about the proportions in which models
/// will read it: prompts of both forms, both kinds of solution, and every word by itself after a space, so
/// that a rare name is still seen often enough to become one token.
///
/// Byte-level BPE spends an entry on every half-built word as well: measured on seed 0, 99 of the 163 words
/// are single tokens at a vocabulary of 512 (3 special tokens among them), 155 at 640 and all at 684, where
/// no pair is left to merge. The whole corpus gets only 3 % longer at 512.
#[must_use]
pub fn vocabulary_corpus(seed: u64) -> Vec<String> {
    const ITEMS: u64 = 600;
    const REPEATS: usize = 40;
    let mut texts = Vec::new();
    for task in MicroTask::ALL {
        for index in 0..ITEMS {
            let item = task.generate(Split::Train, seed, index);
            for solution in [Solution::Direct, Solution::StepByStep] {
                texts.push(format!("{}{}", item.base_text(), item.solution(solution)));
                texts.push(item.chat_reply(solution).to_owned());
            }
            texts.push(item.question);
        }
    }
    for word in vocabulary::words() {
        texts.push(format!(" {word}").repeat(REPEATS));
    }
    for role in ["system", "user", "assistant"] {
        texts.extend(std::iter::repeat_n(format!("{role}\n"), REPEATS));
    }
    texts
}
