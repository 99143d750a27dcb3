//! `micro-gsm`: arithmetic word problems about one person and one kind of thing.

use super::calculation::{Calculation, Operation};
use super::scene::{Puzzle, Scene};
use super::vocabulary::{NAMES, THINGS, gender};
use crate::random::Random;

/// A story of gains, losses and multiples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WordProblem {
    person: usize,
    thing: usize,
    calculation: Calculation,
    /// How each event is told.
    wordings: Vec<usize>,
}

impl WordProblem {
    /// A problem of so many operations.
    pub(super) fn generate(operations: u32, random: &mut Random) -> Self {
        let person = random.below(NAMES.len());
        let thing = random.below(THINGS.len());
        let calculation = Calculation::generate(operations, random);
        let wordings = (0..operations).map(|_| random.below(8)).collect();
        Self {
            person,
            thing,
            calculation,
            wordings,
        }
    }

    fn sentence(&self, operation: Operation, wording: usize) -> String {
        let gender = gender(self.person);
        // Half of the sentences open with the pronoun and half with "Then".
        let subject = if wording.is_multiple_of(2) {
            gender.subject_capital().to_owned()
        } else {
            format!("Then {}", gender.subject())
        };
        match (operation, wording / 2) {
            (Operation::Add(k), 0) => format!("{subject} finds {k} more."),
            (Operation::Add(k), 1) => format!("{subject} buys {k} more."),
            (Operation::Add(k), 2) => format!("{subject} gets {k} more."),
            (Operation::Add(k), _) => format!("A friend gives {} {k} more.", gender.object()),
            (Operation::Subtract(k), 0 | 1) => format!("{subject} gives away {k}."),
            (Operation::Subtract(k), 2) => format!("{subject} loses {k}."),
            (Operation::Subtract(k), _) => format!("{subject} sells {k}."),
            (Operation::Times(k), 0 | 1) => {
                format!("Now {} has {k} times as many.", gender.subject())
            }
            (Operation::Times(k), _) => format!("Then {} has {k} times as many.", gender.subject()),
        }
    }
}

impl Puzzle for WordProblem {
    fn kind(&self) -> &'static str {
        "word_problem"
    }

    fn difficulty(&self) -> u32 {
        self.calculation.operations.len() as u32
    }

    fn canonical(&self) -> String {
        self.calculation.canonical()
    }

    fn scene(&self) -> Scene {
        let name = NAMES[self.person];
        let thing = THINGS[self.thing];
        let mut sentences = vec![format!("{name} has {} {thing}.", self.calculation.start)];
        for (&operation, &wording) in self.calculation.operations.iter().zip(&self.wordings) {
            sentences.push(self.sentence(operation, wording));
        }
        let (equations, result) = self.calculation.equations();
        Scene {
            sentences,
            question: format!("How many {thing} does {name} have now?"),
            answer: result.to_string(),
            steps: equations
                .iter()
                .map(|equation| format!("{equation}."))
                .collect(),
            question_first: false,
        }
    }

    fn people(&self) -> Vec<usize> {
        vec![self.person]
    }

    fn things(&self) -> Vec<usize> {
        vec![self.thing]
    }
}
