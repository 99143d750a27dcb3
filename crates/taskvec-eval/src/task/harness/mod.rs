//! Benchmarks with the exact semantics of EleutherAI's lm-evaluation-harness 0.4.13.
//!
//! A number from here must be the number that the field would get, so that what looks like a slip of the
//! original is kept: a strict pattern that eats the last digit, a list of stop strings with every capital Q.
//! Prompts and scores are held to the harness by `scripts/harness-parity.py` and its golden files.
//!
//! The original's patterns need look-behind and Python's idea of words and white space. Each is written here
//! as the search that it amounts to, linear in the length of the text, so that no completion, however
//! hostile, costs more than reading it. Not covered: tokens; the tokenizer's own end-of-sequence text ends a
//! completion in the engine.

mod bbh;
mod context;
mod exact_match;
mod filter;
mod gsm;
mod humaneval;
mod mersenne_twister;
mod number_words;
mod python;
mod sciq;

#[cfg(test)]
mod parity;

pub use bbh::{Bbh, BbhSetting, Coverage, SUBTASKS};
pub use gsm::{Gsm, GsmSetting, GsmSource};
pub use humaneval::{HumanEval, HumanEvalSetting};
pub use mersenne_twister::MersenneTwister;
pub use sciq::{Sciq, SciqChat};

/// What a filter gives where nothing matches.
const INVALID: &str = "[invalid]";

/// `text` before the first occurrence of each of `stop`, one after another, as engines cut completions.
#[must_use]
pub fn cut<'a>(text: &'a str, stop: &[String]) -> &'a str {
    stop.iter()
        .filter(|stop| !stop.is_empty())
        .fold(text, |text, stop| {
            text.find(stop.as_str())
                .map_or(text, |position| &text[..position])
        })
}
