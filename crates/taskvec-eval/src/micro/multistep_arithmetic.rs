//! `multistep_arithmetic`: a calculation in bare words, from left to right. After the subtask
//! `multistep_arithmetic_two` of BIG-Bench Hard (Suzgun et al. 2022).

use super::calculation::Calculation;
use super::scene::{Puzzle, Scene};
use crate::random::Random;

/// A calculation without a story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MultistepArithmetic(Calculation);

impl MultistepArithmetic {
    /// A problem of so many operations.
    pub(super) fn generate(operations: u32, random: &mut Random) -> Self {
        Self(Calculation::generate(operations, random))
    }
}

impl Puzzle for MultistepArithmetic {
    fn kind(&self) -> &'static str {
        "multistep_arithmetic"
    }

    fn difficulty(&self) -> u32 {
        self.0.operations.len() as u32
    }

    fn canonical(&self) -> String {
        self.0.canonical()
    }

    fn scene(&self) -> Scene {
        let (_, result) = self.0.equations();
        let mut sentences = vec![format!("Start with {}.", self.0.start)];
        sentences.extend(self.0.in_words());
        Scene {
            sentences,
            question: "What is the result?".to_owned(),
            answer: result.to_string(),
            steps: self.0.numbered_steps(),
            question_first: false,
        }
    }
}
