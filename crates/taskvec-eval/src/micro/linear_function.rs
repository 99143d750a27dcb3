//! `micro-code`: a Python function of one number, from a description in words; after HumanEval (Chen et al. 2021).
//!
//! What is described is a chain of operations on `x` plus a number, and what is asked for is the function with the chain
//! worked out: `2*x+8` and not `(x+4)*2`. A completion is judged by running it, so another way of writing the same
//! function is as right.

use super::calculation::{Calculation, Operation};
use super::scene::{Puzzle, Scene};
use crate::random::Random;

/// Where a completion is held to the function: two places make out a line, the others what is none.
const PLACES: [u32; 4] = [0, 1, 4, 9];

/// What a program must define.
pub(crate) const ENTRY_POINT: &str = "f";
/// How every solution begins.
pub(super) const HEAD: &str = "def f(x):";

/// What becomes of `x + start` in a calculation: `factor * x + result`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LinearFunction(Calculation);

impl LinearFunction {
    /// A function of so many operations.
    pub(super) fn generate(operations: u32, random: &mut Random) -> Self {
        Self(Calculation::generate(operations, random))
    }

    fn factor(&self) -> u32 {
        self.0
            .operations
            .iter()
            .map(|operation| match operation {
                Operation::Times(k) => *k,
                Operation::Add(_) | Operation::Subtract(_) => 1,
            })
            .product()
    }

    /// Python that defines `check(candidate)`, as HumanEval's tests do.
    pub(super) fn test(&self) -> String {
        let (_, result) = self.0.equations();
        let checks: String = PLACES
            .iter()
            .map(|x| {
                format!(
                    "    assert candidate({x}) == {}\n",
                    self.factor() * x + result
                )
            })
            .collect();
        format!("def check(candidate):\n{checks}")
    }
}

impl Puzzle for LinearFunction {
    fn kind(&self) -> &'static str {
        "linear_function"
    }

    fn difficulty(&self) -> u32 {
        self.0.operations.len() as u32
    }

    fn canonical(&self) -> String {
        self.0.canonical()
    }

    fn scene(&self) -> Scene {
        let (_, result) = self.0.equations();
        let mut sentences = vec![format!("Start with x plus {}.", self.0.start)];
        sentences.extend(self.0.in_words());
        let multiple = match self.factor() {
            1 => "x".to_owned(),
            factor => format!("{factor}*x"),
        };
        Scene {
            sentences,
            question: "What is the code?".to_owned(),
            answer: format!("{HEAD} return {multiple}+{result}"),
            steps: self.0.numbered_steps(),
            question_first: false,
        }
    }
}
