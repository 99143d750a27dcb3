//! Conditions: the same question asked under attack.
//!
//! A gain that disappears when a sentence is added or a word is misspelt was no gain in reasoning. Each
//! condition changes the text of a document and never its reference answer, its numbers or the names in it.

mod noise;
mod passage;

pub use noise::misspell;
pub use passage::{Passage, perturb};

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How the text of a document is perturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// As it was made or published.
    Clean,
    /// One sentence about somebody else who has something else is added at a random place of the story,
    /// never right before the question that ends it. It names a person who does not occur otherwise, so
    /// nothing it says bears on the answer.
    Distractor,
    /// Typing errors: in about one word in six, two inner letters change places or one inner letter is
    /// lost. Words with digits, names, words of fewer than four letters and every word's first and last
    /// letter stay, and no error makes another word of the vocabulary.
    Noise,
    /// The question comes first; a text that is one sentence stays.
    Reordered,
    /// Distractor, reordering and noise together.
    Adversarial,
}

impl Condition {
    /// Every condition, mildest first.
    pub const ALL: [Self; 5] = [
        Self::Clean,
        Self::Distractor,
        Self::Noise,
        Self::Reordered,
        Self::Adversarial,
    ];

    /// The name used in records, reports and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Distractor => "distractor",
            Self::Noise => "noise",
            Self::Reordered => "reordered",
            Self::Adversarial => "adversarial",
        }
    }

    /// Whether a sentence that does not matter is added.
    #[must_use]
    pub fn distracts(self) -> bool {
        matches!(self, Self::Distractor | Self::Adversarial)
    }

    /// Whether typing errors are made.
    #[must_use]
    pub fn misspells(self) -> bool {
        matches!(self, Self::Noise | Self::Adversarial)
    }

    /// Whether sentences change places.
    #[must_use]
    pub fn reorders(self) -> bool {
        matches!(self, Self::Reordered | Self::Adversarial)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A word that names no [`Condition`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown condition `{name}`: expected clean, distractor, noise, reordered or adversarial")]
pub struct UnknownCondition {
    /// What was given.
    pub name: String,
}

impl FromStr for Condition {
    type Err = UnknownCondition;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|condition| condition.name() == name)
            .ok_or_else(|| UnknownCondition {
                name: name.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for condition in Condition::ALL {
            assert_eq!(condition.to_string().parse(), Ok(condition));
        }
        assert!("Clean ".parse::<Condition>().is_err());
    }

    #[test]
    fn adversarial_is_all_of_them() {
        let attack = Condition::Adversarial;
        assert!(attack.distracts() && attack.misspells() && attack.reorders());
        let clean = Condition::Clean;
        assert!(!clean.distracts() && !clean.misspells() && !clean.reorders());
    }
}
