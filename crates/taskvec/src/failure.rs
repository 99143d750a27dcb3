//! What a failure looks like to the person who ran the command, and to the script that did.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | an input or a result was refused |
//! | 2 | usage: flags, or an expression that does not parse, bind or type-check |
//! | 3 | a bug in taskvec |
//! | 130 | interrupted by Ctrl-C (128 + SIGINT, as shells count) |

use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error as StdError;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use taskvec_core::CheckpointKind;
use taskvec_core::expression::ExpressionError;
use taskvec_eval::engine::{ServeError, ServerError};
use taskvec_eval::generator::InvalidSampling;

use crate::printer::Printer;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Everything asked for was done.
    Done,
    /// An input or a result was refused.
    Refused,
    /// The command line makes no sense.
    Usage,
    /// A bug in taskvec.
    Bug,
    /// The user stopped it.
    Interrupted,
}

impl Status {
    /// The process's exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Bug => 3,
            Self::Interrupted => 130,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        ExitCode::from(status.code())
    }
}

/// What only the command line can find wrong; all else is an error of a library.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// A name that is not on a list.
    #[error("there is no {what} `{name}`")]
    UnknownName {
        /// What was to be named: `task`, `condition`.
        what: &'static str,
        /// What was given.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A task that cannot be asked under any of the conditions.
    #[error("`{task}` is not asked under {}", quoted(conditions, "or"))]
    NoCondition {
        /// The task.
        task: String,
        /// The conditions asked for.
        conditions: Vec<String>,
        /// The task's conditions.
        known: Vec<String>,
    },
    /// Flags about engines that contradict one another.
    #[error("{problem}")]
    EngineFlags {
        /// What does not fit.
        problem: &'static str,
    },
    /// One name bound to two references.
    #[error("`{name}` is bound twice: to `{first}` and to `{second}`")]
    BoundTwice {
        /// The name.
        name: String,
        /// Its first reference.
        first: String,
        /// Its second.
        second: String,
    },
    /// A model where a flag takes a vector, or a vector where it takes a model.
    #[error("`{reference}` is a {found}, and `{flag}` takes a {}", other(*found))]
    OtherKind {
        /// The flag.
        flag: &'static str,
        /// What it was given.
        reference: String,
        /// What that is.
        found: CheckpointKind,
    },
    /// Two expressions where spectra are of one.
    #[error("`--spectrum` is of one expression, and `{second}` stands where a second one does")]
    SpectrumOfTwo {
        /// The second.
        second: String,
    },
    /// The place of a value where it would be a directory's name.
    #[error("`{{}}` stands for the value in the last part of a path, and not in `{path}`")]
    PlaceInDirectory {
        /// The path.
        path: String,
    },
    /// `--dtype auto` for a model.
    #[error("`{expression}` is a model, whose types are those of the model it begins with")]
    NoSmallestDtype {
        /// The expression.
        expression: String,
    },
    /// `--dtype auto` for several outputs, each of which might need another.
    #[error("`--dtype auto` chooses the type of one output, and several are to be written")]
    SmallestDtypeOfSeveral,
    /// A directory that `best` was to choose in.
    #[error("`{directory}` holds no sweep")]
    NoSweep {
        /// The directory.
        directory: String,
    },
    /// A variable of a sweep that something else has the name of.
    #[error("`{name}` is {}", if *is_bound { "a checkpoint and a coefficient" } else { "given values twice" })]
    VariableTwice {
        /// The name.
        name: String,
        /// Whether a checkpoint has it.
        is_bound: bool,
    },
    /// A variable of a sweep that the expression does not have.
    #[error("`{name}` is given values, but it is not in `{expression}`")]
    NoVariable {
        /// The name.
        name: String,
        /// The expression.
        expression: String,
    },
    /// Records that say nothing of what is to be written.
    #[error("`{path}` has no results of `{expression}` with these weights")]
    NoResults {
        /// The records.
        path: String,
        /// What is to be written.
        expression: String,
    },
    /// Names in a recipe's expressions that stand for nothing.
    #[error("the recipe does not say what {} {}", quoted(names, "and"), if names.len() == 1 { "is" } else { "are" })]
    Unbound {
        /// The names.
        names: Vec<String>,
    },
    /// A short name in a recipe that leads back to itself, or to too much.
    #[error("`{name}` stands for an expression without end")]
    EndlessName {
        /// The name.
        name: String,
    },
    /// A directory that another study is kept in.
    #[error("`{directory}` holds the study `{title}` of other models")]
    OtherStudy {
        /// The directory.
        directory: String,
        /// What the study there is called.
        title: String,
    },
    /// A directory that records of something else are kept in.
    #[error("`{directory}` holds {what}")]
    OtherRecords {
        /// The directory.
        directory: String,
        /// `a sweep of EXPR`, or `a search in 7 groups of EXPR`.
        what: String,
    },
    /// A directory that holds more of the same, or the same otherwise.
    #[error("`{directory}` holds a {what} {clash}")]
    OtherQuestions {
        /// The directory.
        directory: String,
        /// `sweep`.
        what: &'static str,
        /// The end of the sentence.
        clash: String,
    },
    /// A coefficient that changes no weight.
    #[error(
        "`{name}` changes nothing in `{expression}`: what it is a factor of is zero everywhere"
    )]
    NothingToSearch {
        /// The name.
        name: String,
        /// The expression.
        expression: String,
    },
    /// Something that no file can be written to.
    #[error("`{path}` {what}")]
    NoFile {
        /// What was named.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// Results that are those of an interrupted run.
    #[error("{lacking}")]
    Unfinished {
        /// What is missing, in a sentence.
        lacking: String,
    },
    /// A file of the user's own, where a page was to be written.
    #[error("`{path}` exists and is no report of that format")]
    NotAReport {
        /// The file.
        path: String,
    },
    /// A training run and records for one page.
    #[error(
        "`{training}` is a training run and `{records}` is none: a report shows one or the other"
    )]
    TrainingBesideRecords {
        /// The training run.
        training: String,
        /// What is none.
        records: String,
    },
    /// A flag about records beside a training run.
    #[error("`{flag}` is about answers, and `{training}` is a training run")]
    NotOfTraining {
        /// The flag.
        flag: &'static str,
        /// The training run.
        training: String,
    },
    /// Names given beside a mergekit file, which names its models itself.
    #[error("`--let` says nothing about `{file}`: a mergekit file names its models itself")]
    NamesBesideFile {
        /// The file.
        file: String,
    },
    /// A vector where a model is needed.
    #[error("`{expression}` is a {found}; a model is needed to {purpose}")]
    NotAModel {
        /// The expression.
        expression: String,
        /// What it is.
        found: String,
        /// What for.
        purpose: &'static str,
    },
    /// A heat map of something that was not measured.
    #[error("there is nothing to draw: {what} take {needs}")]
    NothingToDraw {
        /// What was asked for, in the plural.
        what: &'static str,
        /// What is missing, and where it is said.
        needs: &'static str,
    },
    /// A file of the user's own, where a report was to be written.
    #[error("`{path}` exists and is no report of `taskvec demo`")]
    ForeignReport {
        /// The file.
        path: String,
    },
    /// A file of the user's own, where scores were to be written.
    #[error("`{path}` {what}")]
    ForeignScores {
        /// The file.
        path: String,
        /// What keeps it from being written.
        what: &'static str,
    },
    /// An output that is not what its record says.
    #[error("`{path}` is not what its record says it is{}", listed(differences))]
    NotAsRecorded {
        /// The output.
        path: String,
        /// What differs, one sentence each.
        differences: Vec<String>,
    },
    /// The user pressed Ctrl-C.
    #[error("interrupted: {kept}")]
    Interrupted {
        /// What is left of the work.
        kept: String,
    },
}

impl Refusal {
    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownName { what, name, known } => Some(match nearest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the {what}s are {}", quoted(known, "and")),
            }),
            Self::NoCondition { known, .. } => Some(match known.as_slice() {
                [only] => format!("its only condition is `{only}`"),
                known => format!("its conditions are {}", quoted(known, "and")),
            }),
            Self::NotAModel { .. } => {
                Some("add the vector to a model: `target + 0.5*vector`".to_owned())
            }
            Self::OtherKind {
                reference,
                found: CheckpointKind::Model,
                ..
            } => Some(format!(
                "what a model has learned is a vector: `taskvec extract --tuned {reference} --base BASE -o VECTOR`"
            )),
            Self::OtherKind { .. } => {
                Some("of vectors, sums and differences are written with `taskvec write`".to_owned())
            }
            Self::SpectrumOfTwo { second } => Some(match second.parse::<u64>() {
                Ok(_) => format!("a number is joined to it: `--spectrum={second}`"),
                Err(_) => "leave one of them out".to_owned(),
            }),
            Self::PlaceInDirectory { .. } => Some(
                "make the directories first, and let the last part tell the outputs apart: `-o out/{}`"
                    .to_owned(),
            ),
            Self::NoSweep { .. } => Some("make one with `taskvec sweep EXPR --over … --out DIR`".to_owned()),
            Self::VariableTwice { .. } => Some("give each coefficient a name of its own".to_owned()),
            Self::NoVariable { name, .. } => {
                Some(format!("write it where it counts, as in `target + {name}*vector`"))
            }
            Self::NoResults { .. } => Some(
                "results belong to an expression as it is written and to the bytes of its checkpoints; measure it with \
                 `taskvec eval EXPR --out RUN`"
                    .to_owned(),
            ),
            Self::Unbound { names } => Some(format!(
                "say it on the command line: {}",
                names
                    .iter()
                    .map(|name| format!("--let {name}=REF"))
                    .collect::<Vec<_>>()
                    .join(" ")
            )),
            Self::EndlessName { .. } => {
                Some("its meaning in `[vectors]` must not lead back to it".to_owned())
            }
            Self::NothingToSearch { .. } => {
                Some("`taskvec inspect` shows where a vector is zero".to_owned())
            }
            Self::OtherStudy { .. } | Self::OtherRecords { .. } => Some("pass another directory with `--out`".to_owned()),
            Self::OtherQuestions { what, .. } => Some(format!(
                "ask for all that the {what} there has, and for more if you like, or pass another directory with `--out`"
            )),
            Self::NoFile { .. } => Some(
                "name a regular file, or a path where there is nothing; what is printed to standard output can be sent anywhere"
                    .to_owned(),
            ),
            Self::Unfinished { .. } => Some(
                "published numbers must be those of a whole run: finish it, or take a model that has all of its answers".to_owned(),
            ),
            Self::NotAReport { .. } => Some("pass another path with `-o`".to_owned()),
            Self::TrainingBesideRecords { .. } => Some("make a page of each".to_owned()),
            Self::NotOfTraining { .. } => Some(
                "leave it out; `taskvec eval EXPR --out RUN` asks the trained model, and `taskvec report RUN` shows that"
                    .to_owned(),
            ),
            Self::ForeignReport { .. } => Some("pass another path with `--out`".to_owned()),
            Self::ForeignScores { .. } => Some("pass another path with `--samples`".to_owned()),
            Self::NotAsRecorded { .. } => Some(
                "write it again from the recorded expression; where a parent was moved, say where with `--let NAME=REF`"
                    .to_owned(),
            ),
            Self::NoSmallestDtype { .. } => {
                Some("`--dtype auto` is for vectors; leave it out, or name a type".to_owned())
            }
            Self::NamesBesideFile { .. } => {
                Some("leave `--let` out, or write the paths into the file".to_owned())
            }
            Self::EngineFlags { .. }
            | Self::BoundTwice { .. }
            | Self::NothingToDraw { .. }
            | Self::Interrupted { .. } => None,
            Self::SmallestDtypeOfSeveral => Some("name one type for all of them".to_owned()),
        }
    }

    fn status(&self) -> Status {
        match self {
            Self::Interrupted { .. } => Status::Interrupted,
            Self::UnknownName { .. }
            | Self::EngineFlags { .. }
            | Self::NoCondition { .. }
            | Self::NamesBesideFile { .. }
            | Self::NothingToDraw { .. }
            | Self::TrainingBesideRecords { .. }
            | Self::NotOfTraining { .. }
            | Self::VariableTwice { .. }
            | Self::NoVariable { .. }
            | Self::SmallestDtypeOfSeveral
            | Self::NotAModel { .. }
            | Self::OtherKind { .. }
            | Self::SpectrumOfTwo { .. }
            | Self::PlaceInDirectory { .. }
            | Self::BoundTwice { .. } => Status::Usage,
            _ => Status::Refused,
        }
    }
}

/// Passes an outcome on; says of cancelled work what was kept, such as `nothing was written`.
///
/// # Errors
///
/// The outcome's own, and [`Refusal::Interrupted`].
pub(crate) fn unless_interrupted<T>(
    outcome: taskvec_core::Result<T>,
    kept: impl Into<String>,
) -> anyhow::Result<T> {
    outcome.map_err(|error| match error {
        taskvec_core::Error::Cancelled => Refusal::Interrupted { kept: kept.into() }.into(),
        error => error.into(),
    })
}

/// What is not of that kind.
fn other(kind: CheckpointKind) -> CheckpointKind {
    match kind {
        CheckpointKind::Model => CheckpointKind::Vector,
        CheckpointKind::Vector => CheckpointKind::Model,
    }
}

/// Sentences on lines of their own below a message; the first few of many.
fn listed(sentences: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text: String = sentences
        .iter()
        .take(SHOWN)
        .map(|sentence| format!("\n  {sentence}"))
        .collect();
    if sentences.len() > SHOWN {
        text.push_str(&format!("\n  and {} more", sentences.len() - SHOWN));
    }
    text
}

/// Names in backticks, with commas and a last word between them.
pub(crate) fn quoted(names: &[String], last: &str) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        [only] => only.clone(),
        [rest @ .., end] => format!("{} {last} {end}", rest.join(", ")),
    }
}

/// The known name most like `name`, if any is like it at all.
fn nearest<'known>(name: &str, known: &'known [String]) -> Option<&'known String> {
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.len().max(name.len()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Standard output is gone: whoever read it has seen enough.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub(crate) struct OutputError(#[from] io::Error);

/// Prints a failure and says how the process must end.
pub(crate) fn report(error: &anyhow::Error, printer: &Printer) -> Status {
    let closed = |error: &OutputError| error.0.kind() == io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<OutputError>().is_some_and(closed) {
        return Status::Done;
    }
    let status = status(error);
    if status == Status::Interrupted {
        printer.stopped(error);
    } else {
        printer.failure(&causes(error), hint(error).as_deref());
    }
    status
}

/// The message of an error and of each of its causes, without what a message repeats of its cause.
fn causes(error: &anyhow::Error) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for cause in error.chain() {
        let message = cause.to_string();
        if !messages
            .last()
            .is_some_and(|previous| previous.contains(&message))
        {
            messages.push(message);
        }
    }
    messages
}

/// The first advice that any error in the chain has to give.
fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        None.or_else(|| cause.downcast_ref::<Refusal>()?.hint())
            .or_else(|| cause.downcast_ref::<taskvec_core::Error>()?.hint())
            .or_else(|| cause.downcast_ref::<ExpressionError>()?.hint())
            .or_else(|| cause.downcast_ref::<taskvec_eval::Error>()?.hint())
            .or_else(|| cause.downcast_ref::<ServerError>()?.hint())
            .or_else(|| cause.downcast_ref::<ServeError>()?.hint())
            .or_else(|| cause.downcast_ref::<taskvec_lm::Error>()?.hint())
    })
}

fn status(error: &anyhow::Error) -> Status {
    error.chain().find_map(status_of).unwrap_or(Status::Refused)
}

fn status_of(cause: &(dyn StdError + 'static)) -> Option<Status> {
    if let Some(refusal) = cause.downcast_ref::<Refusal>() {
        return Some(refusal.status());
    }
    if let Some(
        taskvec_eval::Error::UnknownTask { .. }
        | taskvec_eval::Error::SeveralTasks { .. }
        | taskvec_eval::Error::UnknownModel { .. },
    ) = cause.downcast_ref()
    {
        return Some(Status::Usage);
    }
    match cause.downcast_ref::<taskvec_core::Error>() {
        Some(taskvec_core::Error::Expression(_) | taskvec_core::Error::NotAVector { .. }) => {
            Some(Status::Usage)
        }
        // The library was not used as it wants to be.
        Some(
            taskvec_core::Error::WriteOutOfRange { .. }
            | taskvec_core::Error::IncompleteShard { .. }
            | taskvec_core::Error::ReadOutOfRange { .. },
        ) => Some(Status::Bug),
        _ => (cause.is::<ExpressionError>() || cause.is::<InvalidSampling>())
            .then_some(Status::Usage),
    }
}

/// Makes a panic say that it is a bug, once, on stderr.
pub(crate) fn install_panic_hook() {
    panic::set_hook(Box::new(|information| {
        let payload = information.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let place = information
            .location()
            .map_or_else(String::new, |location| format!(" at {location}"));
        // Captured only where RUST_BACKTRACE asks for it.
        let backtrace = Backtrace::capture();
        let backtrace = match backtrace.status() {
            BacktraceStatus::Captured => format!("\n\n{backtrace}"),
            _ => String::new(),
        };
        crate::printer::alarm(&format!(
            "error: this is a bug in taskvec: {message}{place}\n\n\
             hint: please report it with the command you ran; taskvec {} on {} {}{backtrace}",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH,
        ));
    }));
}

/// Runs the program; a panic anywhere in it ends as [`Status::Bug`].
pub(crate) fn guard(run: impl FnOnce() -> Status) -> Status {
    // Nothing survives the call that a panic could have left half changed.
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or(Status::Bug)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_our_bug_and_exit_code_3() {
        let status = guard(|| panic!("by intent"));
        assert_eq!(status.code(), 3);
    }

    #[test]
    fn a_fault_in_an_expression_is_usage_wherever_it_surfaces() {
        let fault = "a +"
            .parse::<taskvec_core::expression::Expression>()
            .unwrap_err();
        let error = anyhow::Error::new(fault).context("cannot do that");
        assert_eq!(status(&error), Status::Usage);
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let error = anyhow::Error::new(OutputError(io::ErrorKind::BrokenPipe.into()));
        let printer = Printer::silent();
        assert_eq!(report(&error, &printer), Status::Done);
        let error = anyhow::Error::new(OutputError(io::ErrorKind::StorageFull.into()));
        assert_eq!(report(&error, &printer), Status::Refused);
    }

    #[test]
    fn a_near_name_is_offered_and_a_far_one_gets_the_list() {
        let unknown = |name: &str| Refusal::UnknownName {
            what: "task",
            name: name.to_owned(),
            known: vec!["micro-gsm".to_owned(), "micro-bbh".to_owned()],
        };
        assert_eq!(
            unknown("micro-gms").hint().unwrap(),
            "did you mean `micro-gsm`?"
        );
        assert_eq!(
            unknown("humaneval").hint().unwrap(),
            "the tasks are `micro-gsm` and `micro-bbh`"
        );
    }

    #[test]
    fn causes_are_not_repeated() {
        let inner = anyhow::anyhow!("disk on fire");
        let outer = inner
            .context("cannot write: disk on fire")
            .context("cannot finish");
        assert_eq!(
            causes(&outer),
            ["cannot finish", "cannot write: disk on fire"]
        );
    }
}
