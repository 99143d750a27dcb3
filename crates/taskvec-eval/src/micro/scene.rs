//! The form that every generative problem takes before it becomes text.
//!
//! A solution begins on a line of its own, after `A:` as after the assistant's header, so that its first word is the
//! same token in both forms: byte-level BPE has one token for a word after a space and another for it without.

use super::vocabulary::{NAMES, THINGS, gender};
use crate::random::Random;

/// Sentences, a question, and the solutions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scene {
    /// The story, one sentence each, in order.
    pub(super) sentences: Vec<String>,
    /// The question.
    pub(super) question: String,
    /// What stands in `The answer is …`.
    pub(super) answer: String,
    /// What is written before the answer in a step-by-step solution, each step `sentence.`.
    pub(super) steps: Vec<String>,
    /// Whether the question comes before the story.
    pub(super) question_first: bool,
}

/// A problem that is answered by writing.
pub(super) trait Puzzle {
    /// Subtask name, as records show it.
    fn kind(&self) -> &'static str;
    /// How many things have to be kept track of, in the unit of the kind.
    fn difficulty(&self) -> u32;
    /// What makes this problem this problem; the train/test split is a hash of it.
    fn canonical(&self) -> String;
    /// The problem in sentences.
    fn scene(&self) -> Scene;
    /// The same problem in another order.
    fn reordered(&self) -> Scene {
        Scene {
            question_first: true,
            ..self.scene()
        }
    }
    /// Indices of the people who occur, the one whom pronouns point at first.
    fn people(&self) -> Vec<usize> {
        Vec::new()
    }
    /// Indices of the things that occur.
    fn things(&self) -> Vec<usize> {
        Vec::new()
    }

    /// A sentence about somebody and something else.
    ///
    /// The person is of another gender than the first of [`Puzzle::people`]: "She finds 5 more." after
    /// "Ben has 9 pears." can then only speak of the heroine.
    fn distractor(&self, random: &mut Random) -> String {
        let people = self.people();
        let things = self.things();
        let strangers: Vec<usize> = (0..NAMES.len())
            .filter(|person| !people.contains(person))
            .filter(|&person| {
                people
                    .first()
                    .is_none_or(|&hero| gender(person) != gender(hero))
            })
            .collect();
        let others: Vec<usize> = (0..THINGS.len())
            .filter(|index| !things.contains(index))
            .collect();
        let person = strangers[random.below(strangers.len())];
        let other = others[random.below(others.len())];
        format!(
            "{} has {} {}.",
            NAMES[person],
            random.between(2, 12),
            THINGS[other]
        )
    }
}

/// Numbers the events of a story, as its steps are numbered: a solver finds the next event by its number.
pub(super) const ORDINALS: [&str; 5] = ["First", "Second", "Third", "Fourth", "Fifth"];

impl Scene {
    /// The text that is asked.
    pub(super) fn text(&self) -> String {
        let story = self.sentences.join(" ");
        if self.question_first {
            format!("{} {story}", self.question)
        } else {
            format!("{story} {}", self.question)
        }
    }

    pub(super) fn direct(&self) -> String {
        format!("The answer is {}.", self.answer)
    }

    pub(super) fn step_by_step(&self) -> String {
        let steps: String = self.steps.iter().map(|step| format!("{step} ")).collect();
        format!("{steps}{}", self.direct())
    }
}
