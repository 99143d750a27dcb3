//! `micro-gsm`: arithmetic word problems about one person and one kind of thing.

use super::scene::{Puzzle, Scene};
use super::vocabulary::{NAMES, THING_COUNT, gender, thing};
use crate::random::Random;

/// The largest number that occurs in a solution.
const LARGEST: u32 = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Gain(u32),
    Lose(u32),
    Times(u32),
}

impl Operation {
    fn apply(self, value: u32) -> u32 {
        match self {
            Self::Gain(k) => value + k,
            Self::Lose(k) => value - k,
            Self::Times(k) => value * k,
        }
    }

    fn symbol(self) -> (char, u32) {
        match self {
            Self::Gain(k) => ('+', k),
            Self::Lose(k) => ('-', k),
            Self::Times(k) => ('*', k),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Event {
    operation: Operation,
    wording: usize,
}

/// A story of gains, losses and multiples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WordProblem {
    person: usize,
    thing: usize,
    start: u32,
    events: Vec<Event>,
}

impl WordProblem {
    /// A problem of `operations` operations whose intermediate results all lie in `1..=30`.
    pub(super) fn generate(operations: u32, random: &mut Random) -> Self {
        let person = random.below(NAMES.len());
        let thing = random.below(THING_COUNT);
        let start = random.between(2, 12);
        let mut value = start;
        let mut events = Vec::new();
        while events.len() < operations as usize {
            // Gains and losses are twice as common as multiples; what leaves the range is drawn again.
            let operation = match random.below(5) {
                0 | 1 => Operation::Gain(random.between(1, 9)),
                2 | 3 => Operation::Lose(random.between(1, 9)),
                _ => Operation::Times(random.between(2, 3)),
            };
            let possible = match operation {
                Operation::Lose(k) => k < value,
                _ => operation.apply(value) <= LARGEST,
            };
            if possible {
                value = operation.apply(value);
                events.push(Event {
                    operation,
                    wording: random.below(8),
                });
            }
        }
        Self {
            person,
            thing,
            start,
            events,
        }
    }

    fn sentence(&self, event: Event) -> String {
        let gender = gender(self.person);
        // Half of the sentences open with the pronoun and half with "Then".
        let subject = if event.wording.is_multiple_of(2) {
            gender.subject_capital().to_owned()
        } else {
            format!("Then {}", gender.subject())
        };
        match (event.operation, event.wording / 2) {
            (Operation::Gain(k), 0) => format!("{subject} finds {k} more."),
            (Operation::Gain(k), 1) => format!("{subject} buys {k} more."),
            (Operation::Gain(k), 2) => format!("{subject} gets {k} more."),
            (Operation::Gain(k), _) => format!("A friend gives {} {k} more.", gender.object()),
            (Operation::Lose(k), 0 | 1) => format!("{subject} gives away {k}."),
            (Operation::Lose(k), 2) => format!("{subject} loses {k}."),
            (Operation::Lose(k), _) => format!("{subject} sells {k}."),
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
        self.events.len() as u32
    }

    /// The chain of numbers alone: a test problem is a calculation that training never showed, whoever
    /// does it with whatever.
    fn canonical(&self) -> String {
        let mut chain = format!("gsm {}", self.start);
        for event in &self.events {
            let (symbol, k) = event.operation.symbol();
            chain.push_str(&format!("{symbol}{k}"));
        }
        chain
    }

    fn scene(&self) -> Scene {
        let name = NAMES[self.person];
        let thing = thing(self.thing);
        let mut sentences = vec![format!("{name} has {} {thing}.", self.start)];
        let mut steps = Vec::new();
        let mut value = self.start;
        for &event in &self.events {
            let (symbol, k) = event.operation.symbol();
            let next = event.operation.apply(value);
            sentences.push(self.sentence(event));
            steps.push(format!("{value}{symbol}{k}={next}."));
            value = next;
        }
        Scene {
            sentences,
            question: format!("How many {thing} does {name} have now?"),
            answer: value.to_string(),
            steps,
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
