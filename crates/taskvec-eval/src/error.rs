//! What can go wrong in an evaluation.

use crate::condition::Condition;
use crate::generator::EngineError;
use std::path::PathBuf;

/// Why an evaluation could not be done, or its records not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that is no task and no group of tasks.
    #[error("unknown task `{name}`: the tasks are {}", known.join(", "))]
    UnknownTask {
        /// What was asked for.
        name: String,
        /// Every name there is.
        known: Vec<String>,
        /// The name most like it, if any is like it.
        nearest: Option<String>,
    },
    /// A task that is not asked under this condition.
    #[error(
        "task `{task}` has no condition `{condition}`: it has {}",
        names(supported)
    )]
    UnsupportedCondition {
        /// The task.
        task: String,
        /// What was asked for.
        condition: Condition,
        /// What there is.
        supported: Vec<Condition>,
    },
    /// Nothing was selected, so there is nothing to measure.
    #[error("task `{task}` gave no documents: the limit is {limit:?}")]
    NoDocuments {
        /// The task.
        task: String,
        /// The limit on documents that was asked for.
        limit: Option<usize>,
    },
    /// The operating system refused to open, read, write or rename the record file.
    #[error("cannot {action} the records `{}`", path.display())]
    RecordFile {
        /// The record file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process writes to the record file.
    #[error("the records `{}` are in use by another process", path.display())]
    RecordsInUse {
        /// The record file.
        path: PathBuf,
    },
    /// A line before the last is no record, so this is damage and no interrupted run.
    #[error("line {line} of the records `{}` is no record", path.display())]
    RecordLine {
        /// The record file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// The engine failed. The request counts as unanswered, never as wrong.
    #[error("the engine `{engine}` failed on task `{task}`")]
    Engine {
        /// [`crate::Generator::describe`].
        engine: String,
        /// The task that was being evaluated.
        task: String,
        /// What the engine said.
        #[source]
        source: EngineError,
    },
    /// The engine answered more or fewer requests than it was given.
    #[error("the engine `{engine}` gave {got} results for {expected} requests")]
    ResultCount {
        /// [`crate::Generator::describe`].
        engine: String,
        /// How many requests there were.
        expected: usize,
        /// How many results came.
        got: usize,
    },
    /// A likelihood that cannot be compared.
    #[error(
        "the log-probability of `{continuation}` for document `{document}` of task `{task}` is {got}, expected a finite number"
    )]
    Likelihood {
        /// The task.
        task: String,
        /// The document.
        document: String,
        /// The continuation that was scored.
        continuation: String,
        /// What the engine said.
        got: f64,
    },
    /// A report without the row that everything is compared with.
    #[error(
        "no records of the baseline `{baseline}` for task `{task}` under condition `{condition}`"
    )]
    NoBaseline {
        /// The model label looked for.
        baseline: String,
        /// The task.
        task: String,
        /// The condition.
        condition: Condition,
    },
    /// A model with two answers to one question: records of different runs were mixed.
    #[error(
        "`{model}` has more than one answer to document `{document}` of `{task}` under condition `{condition}`"
    )]
    AmbiguousSample {
        /// The model label.
        model: String,
        /// The task.
        task: String,
        /// The condition.
        condition: Condition,
        /// The document.
        document: String,
    },
    /// Two models that were not asked the same, so that no paired test applies.
    #[error(
        "`{model}` and `{baseline}` were asked different documents of `{task}` under condition `{condition}`: \
         {differing} of them, `{example}` for one"
    )]
    Unpaired {
        /// The model label.
        model: String,
        /// The baseline's label.
        baseline: String,
        /// The task.
        task: String,
        /// The condition.
        condition: Condition,
        /// How many documents only one of the two has.
        differing: usize,
        /// One of them.
        example: String,
    },
    /// A model that a report was asked to show and that no record names.
    #[error("no records of `{label}`: the models are {}", quoted(known))]
    UnknownModel {
        /// The label looked for.
        label: String,
        /// The labels there are.
        known: Vec<String>,
    },
    /// Records files without a single record.
    #[error("there are no records to report")]
    NoRecords,
    /// A file that is no inspection of a vector by group.
    #[error("`{}` is no inspection that a report can show: {problem}", path.display())]
    Inspection {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that does not say what was swept.
    #[error("`{}` does not describe a sweep: {problem}", path.display())]
    SweepFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Points that have not answered the questions that others have.
    #[error(
        "{} of {points} points of the sweep are not finished: {}",
        missing.len(),
        quoted(missing)
    )]
    SweepIncomplete {
        /// How many points the sweep has.
        points: usize,
        /// The labels of those that lack answers.
        missing: Vec<String>,
    },
}

/// A result whose error is this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn quoted(labels: &[String]) -> String {
    let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
    labels.join(", ")
}

fn names(conditions: &[Condition]) -> String {
    conditions
        .iter()
        .map(|condition| condition.name())
        .collect::<Vec<_>>()
        .join(", ")
}

impl Error {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownTask { nearest, .. } => nearest
                .as_ref()
                .map(|nearest| format!("did you mean `{nearest}`?")),
            Self::UnsupportedCondition { supported, .. } => supported
                .first()
                .map(|condition| format!("ask for `{condition}`")),
            Self::NoDocuments { .. } => Some("raise the limit to 1 or more".to_owned()),
            Self::RecordFile { .. } => None,
            Self::RecordsInUse { .. } => {
                Some("wait for the other run, or write to another file".to_owned())
            }
            Self::RecordLine { path, .. } => Some(format!(
                "only a torn last line is repaired by itself; mend or remove `{}`",
                path.display()
            )),
            Self::Engine { .. } => {
                Some("what was finished is in the records; run again to go on".to_owned())
            }
            Self::ResultCount { .. } => Some("this is a defect of the engine".to_owned()),
            Self::Likelihood { .. } => Some(
                "the weights probably hold NaN or infinity; `inspect` shows in which tensor"
                    .to_owned(),
            ),
            Self::NoBaseline { .. } => {
                Some("evaluate the baseline on the same tasks and conditions".to_owned())
            }
            Self::AmbiguousSample { .. } => {
                Some("report one run at a time, or give the models different names".to_owned())
            }
            Self::UnknownModel { .. } => None,
            Self::NoRecords => Some(
                "name a record file of `taskvec eval --out`, or a directory with one".to_owned(),
            ),
            Self::Inspection { .. } => {
                Some("make it with `taskvec inspect EXPR --json`, without `--by tensor`".to_owned())
            }
            Self::SweepFile { .. } => Some("make it with `taskvec sweep`".to_owned()),
            Self::SweepIncomplete { .. } => {
                Some("run the same `taskvec sweep` again to finish it".to_owned())
            }
            Self::Unpaired { .. } => Some("evaluate both with the same limit and seed".to_owned()),
        }
    }
}
