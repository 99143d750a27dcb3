//! `coin_flip`: is the coin still the way it was? After Wei et al. 2022, "Chain-of-Thought Prompting
//! Elicits Reasoning in Large Language Models", section 5.

use super::scene::{ORDINALS, Puzzle, Scene};
use super::vocabulary::NAMES;
use crate::random::Random;

/// People who flip a coin, or do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CoinFlip {
    starts_heads: bool,
    turns: Vec<(usize, bool)>,
}

fn side(heads: bool) -> &'static str {
    if heads { "heads" } else { "tails" }
}

impl CoinFlip {
    /// A coin that passes through the hands of `people` people.
    pub(super) fn generate(people: u32, random: &mut Random) -> Self {
        let starts_heads = random.coin();
        let turns = random
            .distinct(people as usize, NAMES.len())
            .into_iter()
            .map(|person| (person, random.coin()))
            .collect();
        Self {
            starts_heads,
            turns,
        }
    }
}

impl Puzzle for CoinFlip {
    fn kind(&self) -> &'static str {
        "coin_flip"
    }

    fn difficulty(&self) -> u32 {
        self.turns.len() as u32
    }

    fn canonical(&self) -> String {
        let turns: String = self
            .turns
            .iter()
            .map(|&(person, flips)| format!(" {}{}", NAMES[person], if flips { "+" } else { "-" }))
            .collect();
        format!("coin {}{turns}", side(self.starts_heads))
    }

    fn scene(&self) -> Scene {
        let mut sentences = vec![format!("A coin is {} up.", side(self.starts_heads))];
        let mut steps = Vec::new();
        let mut heads = self.starts_heads;
        for (&(person, flips), ordinal) in self.turns.iter().zip(ORDINALS) {
            heads ^= flips;
            let name = NAMES[person];
            let (sentence, step) = if flips {
                ("flips the coin", "flips")
            } else {
                ("does not flip the coin", "does not")
            };
            sentences.push(format!("{ordinal} {name} {sentence}."));
            steps.push(format!("{ordinal} {step}: {}.", side(heads)));
        }
        Scene {
            sentences,
            question: format!("Is the coin still {} up?", side(self.starts_heads)),
            answer: if heads == self.starts_heads {
                "yes"
            } else {
                "no"
            }
            .to_owned(),
            steps,
            question_first: false,
        }
    }

    fn people(&self) -> Vec<usize> {
        self.turns.iter().map(|&(person, _)| person).collect()
    }

    fn things(&self) -> Vec<usize> {
        Vec::new()
    }
}
