//! What a benchmark is: documents, the prompt for each, and how an answer is scored.
//!
//! A new benchmark is one file that implements [`Task`] and one line in [`Registry::standard`]. The two
//! ways of asking are two traits, so that a multiple-choice task has no completion scorer to leave empty:
//! [`Task::protocol`] says which one a task speaks. Not covered: running (see [`crate::run`]).

mod data;
mod document;
pub mod harness;
mod judge;
mod micro;
mod registry;

pub use data::{DataSource, Resources};
pub use document::{Document, PromptForm, Selection};
pub use judge::{Judge, Judgement};
pub use micro::MicroBenchmark;
pub use registry::Registry;

use crate::condition::Condition;
use crate::error::{Error, Result};
use crate::generator::{Completion, Finish, Likelihood, Prompt};
use serde::{Deserialize, Serialize};

/// The score of one sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleScore {
    /// Whether the strict reading is right; see [`Metric`] for which reading is reported.
    pub correct: bool,
    /// Whether the flexible reading is right. For multiple choice: right by likelihood per character.
    pub flexible_correct: bool,
    /// The strict reading; `None` where the asked-for form is missing. For multiple choice: the likeliest
    /// choice.
    pub strict: Option<String>,
    /// The flexible reading. For multiple choice: the choice of the highest likelihood per character.
    pub flexible: Option<String>,
}

/// A benchmark.
pub trait Task: Send + Sync {
    /// The name on the command line and in records, such as `micro-gsm`.
    fn name(&self) -> &str;

    /// Version of data, prompt and scoring together; results of different versions are not comparable.
    ///
    /// For a task of the harness, its version there, `+`, and our own revision of it.
    fn version(&self) -> &str;

    /// What lists of tasks say of it.
    fn about(&self) -> About;

    /// The conditions that the task can be asked under, [`Condition::Clean`] first.
    fn conditions(&self) -> &[Condition];

    /// How many documents are asked where the user sets no limit; `usize::MAX` for all that there are.
    fn default_limit(&self) -> usize;

    /// The documents of `selection`, in an order that a larger limit only extends.
    ///
    /// # Errors
    ///
    /// [`crate::Error::UnsupportedCondition`], and whatever keeps the data from being read.
    fn documents(&self, selection: &Selection) -> Result<Vec<Document>>;

    /// How the task is asked and scored.
    fn protocol(&self) -> Protocol<'_>;

    /// What the task's number is.
    fn metric(&self) -> Metric {
        self.protocol().metric()
    }

    /// Whether answers could be scored, before any is asked for.
    ///
    /// # Errors
    ///
    /// [`Error::NoJudge`] and [`Error::JudgeNotReady`] where generated programs would have to run and cannot.
    fn ready(&self) -> Result<()> {
        Ok(())
    }
}

/// What lists of tasks say of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// In one line.
    pub summary: &'static str,
    /// Of the data.
    pub licence: &'static str,
    /// The file that must be in the data directory; nothing where the data ships with taskvec.
    pub file: Option<DataFile>,
}

/// Where data is to be found that does not ship with taskvec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataFile {
    /// Below the data directory.
    pub path: &'static str,
    /// The data set on the Hub that has the same questions, as `organisation/name`.
    pub repository: &'static str,
}

/// [`Error::UnsupportedCondition`] where `task` is not asked under the selection's condition.
fn unsupported(task: &dyn Task, selection: &Selection) -> Result<()> {
    if task.conditions().contains(&selection.condition) {
        return Ok(());
    }
    Err(Error::UnsupportedCondition {
        task: task.name().to_owned(),
        condition: selection.condition,
        supported: task.conditions().to_vec(),
    })
}

/// All embedded questions, for the vocabulary of the conditions.
pub(crate) fn embedded_texts() -> Vec<&'static str> {
    data::embedded_texts()
}

/// The two ways of asking.
#[derive(Clone, Copy)]
pub enum Protocol<'a> {
    /// The model writes.
    Generative(&'a dyn Generative),
    /// The model's likelihoods choose.
    MultipleChoice(&'a dyn MultipleChoice),
}

impl Protocol<'_> {
    /// What is reported where the task itself says nothing else.
    #[must_use]
    pub fn metric(&self) -> Metric {
        match self {
            Self::Generative(_) => Metric::ExactMatch,
            Self::MultipleChoice(_) => Metric::Accuracy,
        }
    }
}

/// What the number of a task is, in the words of the evaluation harness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of completions whose strictly extracted answer equals the reference.
    ExactMatch,
    /// Share of completions whose flexibly extracted answer equals the reference.
    FlexibleExactMatch,
    /// Share of completions that make a program which passes its tests.
    PassAtOne,
    /// Share of documents whose right choice has the highest summed log-likelihood.
    Accuracy,
}

impl Metric {
    /// Whether a sample counts as right.
    #[must_use]
    pub fn is_right(self, score: &SampleScore) -> bool {
        match self {
            Self::FlexibleExactMatch => score.flexible_correct,
            Self::ExactMatch | Self::PassAtOne | Self::Accuracy => score.correct,
        }
    }
}

/// A task that is answered by writing.
pub trait Generative: Send + Sync {
    /// What the model is given.
    fn prompt(&self, document: &Document, form: PromptForm) -> Prompt;

    /// The texts that end a completion.
    fn stop(&self, form: PromptForm) -> Vec<String>;

    /// The limit on a completion, in tokens.
    fn max_new_tokens(&self) -> usize;

    /// Scores what the model wrote, cut at the stop strings. Must not panic on any text.
    ///
    /// # Errors
    ///
    /// [`Error::NoJudge`] and [`Error::Judge`], where a generated program could not be run: that is no wrong
    /// answer.
    fn score(&self, document: &Document, completion: &Completion) -> Result<SampleScore>;

    /// The reward of reinforcement learning: 1 for a right answer in a completion that the model ended
    /// itself, else 0.
    ///
    /// # Errors
    ///
    /// Those of [`Generative::score`].
    fn reward(&self, document: &Document, completion: &Completion) -> Result<f64> {
        let is_right =
            completion.finish == Finish::EndOfSequence && self.score(document, completion)?.correct;
        Ok(f64::from(u8::from(is_right)))
    }
}

/// A task that is answered by comparing likelihoods.
pub trait MultipleChoice: Send + Sync {
    /// What comes before every choice.
    fn prompt(&self, document: &Document, form: PromptForm) -> Prompt;

    /// What is scored for each of the document's choices, in their order, leading space included.
    fn continuations(&self, document: &Document, form: PromptForm) -> Vec<String>;

    /// Scores the likelihoods of [`MultipleChoice::continuations`].
    ///
    /// As the harness does: the highest sum of log-probabilities is the strict answer, the highest sum
    /// divided by the choice's length in characters the flexible one; ties go to the earlier choice.
    fn score(&self, document: &Document, likelihoods: &[Likelihood]) -> SampleScore {
        let choice = |value: &dyn Fn(&str, f64) -> f64| {
            let mut best: Option<(&String, f64)> = None;
            for (choice, likelihood) in document.choices.iter().zip(likelihoods) {
                let value = value(choice, likelihood.log_probability);
                if best.is_none_or(|(_, highest)| value > highest) {
                    best = Some((choice, value));
                }
            }
            best.map(|(choice, _)| choice.clone())
        };
        let strict = choice(&|_, sum| sum);
        let flexible = choice(&|choice, sum| sum / choice.chars().count().max(1) as f64);
        let is_right =
            |answer: &Option<String>| answer.as_deref() == Some(document.reference.as_str());
        SampleScore {
            correct: is_right(&strict),
            flexible_correct: is_right(&flexible),
            strict,
            flexible,
        }
    }
}
