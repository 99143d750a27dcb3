//! The micro world's tasks: a synthetic miniature of the paper's benchmarks.
//!
//! | task | after | form | what it asks |
//! |---|---|---|---|
//! | `micro-gsm` | GSM8K | generative | word problems of 2 to 4 operations (1 to 4 in training) |
//! | `micro-bbh` | BIG-Bench Hard | generative | `date_understanding`, `tracking_shuffled_objects`, `multistep_arithmetic`, in equal parts |
//! | `micro-code` | HumanEval | generative, run | a Python function of 2 to 4 operations (1 to 4 in training) |
//! | `micro-sciq` | SciQ | multiple choice | which of four words does the support sentence name? |
//! | `micro-chat` | instruction following | generative | greetings and small instructions, exact match |
//!
//! Items are addressed, not streamed: [`MicroTask::generate`] makes item `index` of a split and seed
//! alone, on any thread, always the same. The splits cannot overlap: an item belongs to the test split if
//! a SHA-256 of what makes it that problem falls into one bucket of eight, and the generator draws again
//! until the bucket fits. Text is English of a closed vocabulary ([`vocabulary::words`]) in sentences of at
//! most nine tokens, each word, digit and mark being one.
//!
//! Any change to a generator changes the numbers measured with it; raise [`MicroTask::version`] with it.

mod calculation;
mod chat;
mod corpus;
mod date_understanding;
mod item;
mod linear_function;
mod multistep_arithmetic;
mod scene;
mod science;
mod scoring;
mod shuffled_objects;
pub mod vocabulary;
mod word_problem;

#[cfg(test)]
mod tests;

pub use corpus::vocabulary_corpus;
pub use item::{Item, Solution};
pub(crate) use linear_function::ENTRY_POINT;
pub use scoring::{Extraction, score};

use crate::condition::Condition;
use crate::random::Random;
pub use crate::split::Split;
use chat::Exchange;
use date_understanding::DateUnderstanding;
use linear_function::LinearFunction;
use multistep_arithmetic::MultistepArithmetic;
use scene::Puzzle;
use science::Science;
use sha2::{Digest, Sha256};
use shuffled_objects::ShuffledObjects;
use std::fmt;
use word_problem::WordProblem;

/// The split that a problem belongs to: one in eight is a test problem.
fn split_of(canonical: &str) -> Split {
    if Sha256::digest(canonical.as_bytes())[0].is_multiple_of(8) {
        Split::Test
    } else {
        Split::Train
    }
}

/// One synthetic task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MicroTask {
    /// Arithmetic word problems.
    Gsm,
    /// Algorithmic puzzles of three kinds.
    Bbh,
    /// Multiple choice over a support text.
    Sciq,
    /// Greetings and small instructions.
    Chat,
    /// Python functions.
    Code,
}

impl MicroTask {
    /// Every task, in the order of reports.
    pub const ALL: [Self; 5] = [Self::Gsm, Self::Bbh, Self::Code, Self::Sciq, Self::Chat];

    /// The name on the command line and in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gsm => "micro-gsm",
            Self::Bbh => "micro-bbh",
            Self::Sciq => "micro-sciq",
            Self::Chat => "micro-chat",
            Self::Code => "micro-code",
        }
    }

    /// Version of the generator and scorer; results of different versions are not comparable.
    #[must_use]
    pub fn version(self) -> &'static str {
        "1.2"
    }

    /// The conditions that the task can be asked under: all for the reasoning tasks, [`Condition::Clean`]
    /// alone for the others.
    #[must_use]
    pub fn conditions(self) -> &'static [Condition] {
        match self {
            Self::Gsm | Self::Bbh | Self::Code => &Condition::ALL,
            Self::Sciq | Self::Chat => &[Condition::Clean],
        }
    }

    /// Item `index` of a split, for one seed: always the same, and balanced over kinds and difficulties in
    /// any run of consecutive indices.
    #[must_use]
    pub fn generate(self, split: Split, seed: u64, index: u64) -> Item {
        for attempt in 0.. {
            let keys = [seed, self as u64, split as u64, index, attempt];
            let problem = self.draw(split, index, &mut Random::derive(&keys));
            if problem.belongs_to(split) {
                let id = format!("{}/{split}/{seed}/{index}", self.name());
                return Item::new(id, self, problem);
            }
        }
        unreachable!("each of 2^64 attempts has a chance of at least one in a hundred")
    }

    fn draw(self, split: Split, index: u64, random: &mut Random) -> Problem {
        let cycle = |length: u64, round: u64| (index / round % length) as u32;
        match self {
            Self::Gsm => Problem::Word(match split {
                Split::Train => WordProblem::generate(1 + cycle(4, 1), random),
                Split::Test => WordProblem::generate(2 + cycle(3, 1), random),
            }),
            Self::Bbh => match index % 3 {
                0 => Problem::Date(DateUnderstanding::generate(2 + cycle(3, 3), random)),
                1 => Problem::Shuffled(ShuffledObjects::generate(3 + cycle(3, 3), random)),
                _ => Problem::Arithmetic(MultistepArithmetic::generate(2 + cycle(3, 3), random)),
            },
            Self::Code => Problem::Function(match split {
                Split::Train => LinearFunction::generate(1 + cycle(4, 1), random),
                Split::Test => LinearFunction::generate(2 + cycle(3, 1), random),
            }),
            Self::Sciq => Problem::Science(Science::generate(3 + cycle(2, 1), random)),
            Self::Chat => Problem::Chat(match split {
                Split::Train if index.is_multiple_of(3) => Exchange::greeting(random),
                _ => Exchange::instruction(random),
            }),
        }
    }
}

impl fmt::Display for MicroTask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What an item is made from; conditions work on this and not on finished text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    Word(WordProblem),
    Date(DateUnderstanding),
    Shuffled(ShuffledObjects),
    Arithmetic(MultistepArithmetic),
    Function(LinearFunction),
    Science(Science),
    Chat(Exchange),
}

impl Problem {
    fn puzzle(&self) -> Option<&dyn Puzzle> {
        match self {
            Self::Word(puzzle) => Some(puzzle),
            Self::Date(puzzle) => Some(puzzle),
            Self::Shuffled(puzzle) => Some(puzzle),
            Self::Arithmetic(puzzle) => Some(puzzle),
            Self::Function(puzzle) => Some(puzzle),
            Self::Science(_) | Self::Chat(_) => None,
        }
    }

    fn canonical(&self) -> String {
        match self {
            Self::Science(science) => science.canonical(),
            Self::Chat(exchange) => exchange.canonical(),
            Self::Word(puzzle) => puzzle.canonical(),
            Self::Date(puzzle) => puzzle.canonical(),
            Self::Shuffled(puzzle) => puzzle.canonical(),
            Self::Arithmetic(puzzle) => puzzle.canonical(),
            Self::Function(puzzle) => puzzle.canonical(),
        }
    }

    fn belongs_to(&self, split: Split) -> bool {
        match self {
            Self::Chat(exchange) if exchange.is_greeting => split == Split::Train,
            _ => split_of(&self.canonical()) == split,
        }
    }
}
