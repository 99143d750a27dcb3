//! `multistep_arithmetic`: a calculation in bare words, from left to right. After the subtask
//! `multistep_arithmetic_two` of BIG-Bench Hard (Suzgun et al. 2022).

use super::calculation::{Calculation, Operation};
use super::scene::{ORDINALS, Puzzle, Scene};
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
        let (equations, result) = self.0.equations();
        let mut sentences = vec![format!("Start with {}.", self.0.start)];
        let mut steps = Vec::new();
        for ((operation, equation), ordinal) in
            self.0.operations.iter().zip(equations).zip(ORDINALS)
        {
            sentences.push(match operation {
                Operation::Add(k) => format!("{ordinal} plus {k}."),
                Operation::Subtract(k) => format!("{ordinal} minus {k}."),
                Operation::Times(k) => format!("{ordinal} times {k}."),
            });
            steps.push(format!("{ordinal} {equation}."));
        }
        Scene {
            sentences,
            question: "What is the result?".to_owned(),
            answer: result.to_string(),
            steps,
            question_first: false,
        }
    }
}
