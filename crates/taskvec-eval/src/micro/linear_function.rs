//! `micro-code`: a Python function of one number, from a description in words; after HumanEval (Chen et al. 2021).
//!
//! What is described is a chain of operations on `x`, and what is asked for is the function with the chain worked out:
//! `2*x+8` and not `(x+4)*2`. Written directly, all of the chain is worked out at once; step by step, one operation in
//! each step. A completion is judged by running it, so another way of writing the same function is as right.

use super::scene::{ORDINALS, Puzzle, Scene};
use crate::random::Random;

/// The largest number that is added to `x` in a solution.
const LARGEST_TERM: u32 = 30;
/// The largest multiple of `x` in a solution.
const LARGEST_FACTOR: u32 = 9;
/// Where a completion is held to the function: two places make out a line, the others what is none.
const PLACES: [u32; 4] = [0, 1, 4, 9];

/// What a program must define.
pub(crate) const ENTRY_POINT: &str = "f";
/// How the first line of every solution begins.
pub(super) const HEAD: &str = "def f(x):";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Plus(u32),
    Minus(u32),
    Times(u32),
}

/// `factor * x + term`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Linear {
    factor: u32,
    term: u32,
}

impl Linear {
    const X: Self = Self { factor: 1, term: 0 };

    /// `None` where a number would leave its range.
    fn after(self, operation: Operation) -> Option<Self> {
        let Self { factor, term } = self;
        let next = match operation {
            Operation::Plus(k) => Self {
                factor,
                term: term + k,
            },
            Operation::Minus(k) => Self {
                factor,
                term: term.checked_sub(k).filter(|&term| term > 0)?,
            },
            Operation::Times(k) => Self {
                factor: factor * k,
                term: term * k,
            },
        };
        (next.factor <= LARGEST_FACTOR && next.term <= LARGEST_TERM).then_some(next)
    }

    fn at(self, x: u32) -> u32 {
        self.factor * x + self.term
    }

    /// As Python writes it.
    fn text(self) -> String {
        let multiple = match self.factor {
            1 => "x".to_owned(),
            factor => format!("{factor}*x"),
        };
        match self.term {
            0 => multiple,
            term => format!("{multiple}+{term}"),
        }
    }
}

/// A chain of operations on `x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LinearFunction(Vec<Operation>);

impl LinearFunction {
    /// A function of so many operations.
    pub(super) fn generate(operations: u32, random: &mut Random) -> Self {
        let mut value = Linear::X;
        let mut chain = Vec::new();
        while chain.len() < operations as usize {
            // As in word problems: what leaves the range is drawn again.
            let operation = match random.below(5) {
                0 | 1 => Operation::Plus(random.between(1, 9)),
                2 | 3 => Operation::Minus(random.between(1, 9)),
                _ => Operation::Times(random.between(2, 3)),
            };
            if let Some(next) = value.after(operation) {
                value = next;
                chain.push(operation);
            }
        }
        Self(chain)
    }

    /// `x` and what it becomes with each operation.
    fn values(&self) -> Vec<Linear> {
        let mut value = Linear::X;
        let mut values = vec![value];
        for &operation in &self.0 {
            // A chain is only made of operations that stay in range.
            value = value.after(operation).unwrap_or(value);
            values.push(value);
        }
        values
    }

    fn result(&self) -> Linear {
        self.values().last().copied().unwrap_or(Linear::X)
    }

    /// Python that defines `check(candidate)`, as HumanEval's tests do.
    pub(super) fn test(&self) -> String {
        let result = self.result();
        let checks: String = PLACES
            .iter()
            .map(|&x| format!("    assert candidate({x}) == {}\n", result.at(x)))
            .collect();
        format!("def check(candidate):\n{checks}")
    }
}

impl Puzzle for LinearFunction {
    fn kind(&self) -> &'static str {
        "linear_function"
    }

    fn difficulty(&self) -> u32 {
        self.0.len() as u32
    }

    fn canonical(&self) -> String {
        let operations: String = self
            .0
            .iter()
            .map(|operation| match operation {
                Operation::Plus(k) => format!("+{k}"),
                Operation::Minus(k) => format!("-{k}"),
                Operation::Times(k) => format!("*{k}"),
            })
            .collect();
        format!("function x{operations}")
    }

    fn scene(&self) -> Scene {
        let mut sentences = vec!["Start with x.".to_owned()];
        let mut steps = Vec::new();
        let values = self.values();
        for ((operation, value), ordinal) in self.0.iter().zip(&values[1..]).zip(ORDINALS) {
            sentences.push(match operation {
                Operation::Plus(k) => format!("{ordinal} plus {k}."),
                Operation::Minus(k) => format!("{ordinal} minus {k}."),
                Operation::Times(k) => format!("{ordinal} times {k}."),
            });
            steps.push(format!("{ordinal} {}.", value.text()));
        }
        Scene {
            sentences,
            question: "What is the code?".to_owned(),
            answer: format!("{HEAD} return {}", self.result().text()),
            steps,
            question_first: false,
        }
    }
}
