//! A chain of additions, subtractions and multiplications: what word problems, `multistep_arithmetic` and functions
//! share.

use super::scene::ORDINALS;
use crate::random::Random;

/// The largest number that occurs in a solution.
const LARGEST: u32 = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Add(u32),
    Subtract(u32),
    Times(u32),
}

impl Operation {
    fn apply(self, value: u32) -> u32 {
        match self {
            Self::Add(k) => value + k,
            Self::Subtract(k) => value - k,
            Self::Times(k) => value * k,
        }
    }

    fn text(self) -> String {
        match self {
            Self::Add(k) => format!("+{k}"),
            Self::Subtract(k) => format!("-{k}"),
            Self::Times(k) => format!("*{k}"),
        }
    }
}

/// A number and what is done to it, one operation after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Calculation {
    pub(super) start: u32,
    pub(super) operations: Vec<Operation>,
}

impl Calculation {
    /// A chain of `count` operations whose intermediate results all lie in `1..=30`.
    pub(super) fn generate(count: u32, random: &mut Random) -> Self {
        let start = random.between(2, 12);
        let mut value = start;
        let mut operations = Vec::new();
        while operations.len() < count as usize {
            // Sums and differences are twice as common as multiples; what leaves the range is drawn again.
            let operation = match random.below(5) {
                0 | 1 => Operation::Add(random.between(1, 9)),
                2 | 3 => Operation::Subtract(random.between(1, 9)),
                _ => Operation::Times(random.between(2, 3)),
            };
            let possible = match operation {
                Operation::Subtract(k) => k < value,
                _ => operation.apply(value) <= LARGEST,
            };
            if possible {
                value = operation.apply(value);
                operations.push(operation);
            }
        }
        Self { start, operations }
    }

    /// The chain of numbers alone: a test problem is a calculation that training never showed, whoever does it with
    /// whatever, in whichever task.
    pub(super) fn canonical(&self) -> String {
        let operations: String = self.operations.iter().map(|o| o.text()).collect();
        format!("calculation {}{operations}", self.start)
    }

    /// Every operation as a numbered sentence: `First plus 4.`
    pub(super) fn in_words(&self) -> impl Iterator<Item = String> {
        self.operations
            .iter()
            .zip(ORDINALS)
            .map(|(operation, ordinal)| match operation {
                Operation::Add(k) => format!("{ordinal} plus {k}."),
                Operation::Subtract(k) => format!("{ordinal} minus {k}."),
                Operation::Times(k) => format!("{ordinal} times {k}."),
            })
    }

    /// Every equation as a numbered sentence: `First 9+4=13.`
    pub(super) fn numbered_steps(&self) -> Vec<String> {
        let (equations, _) = self.equations();
        ORDINALS
            .iter()
            .zip(equations)
            .map(|(ordinal, equation)| format!("{ordinal} {equation}."))
            .collect()
    }

    /// Every equation, `9+4=13`, and the result of the last.
    pub(super) fn equations(&self) -> (Vec<String>, u32) {
        let mut value = self.start;
        let equations = self
            .operations
            .iter()
            .map(|operation| {
                let before = value;
                value = operation.apply(value);
                format!("{before}{}={value}", operation.text())
            })
            .collect();
        (equations, value)
    }
}
