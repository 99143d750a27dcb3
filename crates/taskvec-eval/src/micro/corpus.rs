//! Text to train the micro tokenizer on.

use super::{MicroTask, Solution, Split, vocabulary};

/// Texts that show every word of the micro world in the forms and about the proportions in which models
/// will read it: prompts of both forms, both kinds of solution, and every word by itself after a space, so
/// that a rare name is still seen often enough to become one token.
///
/// Byte-level BPE spends an entry on every half-built word as well: some 700 are enough for every word to be
/// one token, and no pair is left to merge.
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
            }
            texts.push(item.question);
        }
    }
    for word in vocabulary::words() {
        texts.push(format!(" {word}").repeat(REPEATS));
    }
    for role in ["system", "user", "assistant"] {
        texts.extend(std::iter::repeat_n(
            format!("<|im_start|>{role}\n"),
            REPEATS,
        ));
    }
    texts
}
