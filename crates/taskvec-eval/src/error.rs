//! What can go wrong in an evaluation.

use crate::condition::Condition;
use crate::engine::ServerError;
use crate::generator::EngineError;
use crate::sandbox::SandboxError;
use std::path::PathBuf;
use std::sync::Arc;

/// Why an evaluation could not be done, or its records not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that is no task and no group of tasks.
    #[error("unknown task `{name}`")]
    UnknownTask {
        /// What was asked for.
        name: String,
        /// The name most like it, if any is like it.
        nearest: Option<String>,
    },
    /// A group of tasks where one is needed.
    #[error("`{name}` stands for {} tasks: {}", members.len(), backticked(members))]
    SeveralTasks {
        /// The group.
        name: String,
        /// Its tasks.
        members: Vec<String>,
    },
    /// A task that a sweep did not ask.
    #[error("the sweep did not ask `{name}`: it asked {}", backticked(asked))]
    TaskNotSwept {
        /// What was asked for.
        name: String,
        /// What the sweep asked.
        asked: Vec<String>,
    },
    /// A condition that a sweep did not ask under.
    #[error(
        "the sweep did not ask under `{condition}`: it asked under {}",
        names(asked)
    )]
    ConditionNotSwept {
        /// What was asked for.
        condition: Condition,
        /// What the sweep asked.
        asked: Vec<Condition>,
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
    /// Training documents of a task that has none.
    #[error("task `{task}` has no documents to train on")]
    NoTrainingSplit {
        /// The task.
        task: String,
    },
    /// A task whose data does not ship with taskvec.
    #[error("task `{task}` reads its questions from `{file}`, and `--data` is not given")]
    NoData {
        /// The task.
        task: String,
        /// The file, below the data directory.
        file: String,
        /// The licence of the data.
        licence: &'static str,
    },
    /// A file of questions that cannot be read.
    #[error("cannot read the questions in `{}`", path.display())]
    DataFile {
        /// The task, or empty.
        task: String,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Questions that could not be fetched from the Hub.
    #[error("cannot fetch the questions of task `{task}`")]
    DataHub {
        /// The task.
        task: String,
        /// Why.
        #[source]
        source: Box<taskvec_core::Error>,
    },
    /// A data set on the Hub that has no one file of the split.
    #[error(
        "`hf:datasets/{repository}` has no file that is the split `{split}`, which task `{task}` asks"
    )]
    NoDataOnHub {
        /// The task.
        task: String,
        /// `organisation/name`.
        repository: String,
        /// The split.
        split: String,
    },
    /// A Parquet file of questions that cannot be read.
    #[error("cannot read the questions in `{}`", path.display())]
    DataParquet {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync + 'static>,
    },
    /// A file of questions whose content is none.
    #[error("line {line} of the questions in `{}` is none", path.display())]
    DataRecord {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A task that is scored by running programs, without anybody to run them.
    #[error(
        "task `{task}` runs programs that a model wrote, and there is no sandbox to run them in"
    )]
    NoJudge {
        /// The task.
        task: String,
    },
    /// A task that is scored by running programs, where the sandbox cannot be built.
    #[error("task `{task}` runs programs that a model wrote, and cannot be scored on this machine")]
    JudgeNotReady {
        /// The task.
        task: String,
        /// What is missing.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync + 'static>,
    },
    /// A generated program could not be run. The sample counts as not scored, never as wrong.
    #[error("cannot run the program that answers document `{document}` of task `{task}`")]
    Judge {
        /// The task.
        task: String,
        /// The document.
        document: String,
        /// What the sandbox said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync + 'static>,
    },
    /// A file of completions that cannot be read.
    #[error("cannot read the completions in `{}`", path.display())]
    CompletionFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Scored completions that cannot be written.
    #[error("cannot write the scores to `{}`", path.display())]
    CompletionOutput {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A line that is no completion.
    #[error("{place} of `{}`: {problem}", path.display())]
    CompletionLine {
        /// The file.
        path: PathBuf,
        /// `line 3`, or `entry 3` of a list, counted from 1.
        place: String,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
    /// A line of completions that cannot be used.
    #[error("{place} of `{}`: {problem}", path.display())]
    CompletionRefused {
        /// The file.
        path: PathBuf,
        /// `line 3`, or `entry 3` of a list, counted from 1.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Completions do not cover the task.
    #[error(
        "`{}` has no completion for {missing} of the {total} documents of `{task}`, `{example}` for one",
        path.display()
    )]
    MissingCompletions {
        /// The file.
        path: PathBuf,
        /// The task.
        task: String,
        /// How many documents have none.
        missing: usize,
        /// How many documents there are.
        total: usize,
        /// One that has none.
        example: String,
    },
    /// Completions of a task that is not answered by writing.
    #[error("task `{task}` compares likelihoods: there are no completions to score")]
    NotGenerative {
        /// The task.
        task: String,
    },
    /// Nothing was selected, so there is nothing to measure.
    #[error("task `{task}` gave no questions{}", limit.map_or_else(String::new, |limit| format!(": the limit is {limit}")))]
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
        "`{model}` has more than one answer to document `{document}` of `{task}` under condition `{condition}`{}",
        if differing.is_empty() { String::new() } else { format!(", which differ in {}", differing.join(", ")) }
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
        /// In what the answers differ: `weights`, `prompt form`.
        differing: Vec<&'static str>,
    },
    /// A record file without a record.
    #[error("there are no records in `{}`", path.display())]
    NoRecords {
        /// The record file.
        path: PathBuf,
    },
    /// Records of several models where those of one are needed.
    #[error("the {run} run has records of {} models: {}", models.len(), backticked(models))]
    SeveralModels {
        /// `first` or `second`.
        run: &'static str,
        /// Their labels.
        models: Vec<String>,
    },
    /// A label that no record has.
    #[error(
        "the {run} run has no records of `{model}`: it has {}",
        backticked(models)
    )]
    NoSuchModel {
        /// `first` or `second`.
        run: &'static str,
        /// What was asked for.
        model: String,
        /// The labels that there are.
        models: Vec<String>,
    },
    /// Two runs without a question in common.
    #[error("the runs share no samples{}", in_lines(reasons))]
    NothingShared {
        /// What keeps them apart, a sentence for each task.
        reasons: Vec<String>,
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
    #[error("no records of `{label}`: the models are {}", backticked(known))]
    UnknownModel {
        /// The label looked for.
        label: String,
        /// The labels there are.
        known: Vec<String>,
    },
    /// Records files without a single record.
    #[error("there are no records to report")]
    NothingToReport,
    /// A line of a training run's files that is none of a trainer's.
    #[error("line {line} of `{}`: {problem}", path.display())]
    TrainingLine {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A training run that has made no step.
    #[error("`{}` has no step of training", path.display())]
    NoSteps {
        /// The file.
        path: PathBuf,
    },
    /// Training runs that measure different things.
    #[error("`{one}` is a run of `{one_command}` and `{other}` one of `{other_command}`")]
    MixedTraining {
        /// A run.
        one: String,
        /// What trained it.
        one_command: &'static str,
        /// A run of the other kind.
        other: String,
        /// What trained that.
        other_command: &'static str,
    },
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
    /// A file that is no recipe of a study.
    #[error("`{}` is no recipe of a study\n{problem}", path.display())]
    Recipe {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        problem: String,
    },
    /// A file that does not say what was studied.
    #[error("`{}` does not describe a study: {problem}", path.display())]
    StudyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A sweep whose questions were asked once, where answers are to be held against one another.
    #[error(
        "the sweep of `{sweep}` has one answer to some question, and there is nothing to hold it against"
    )]
    OneAnswer {
        /// The sweep's expression.
        sweep: String,
    },
    /// Answers whose engine did not say how likely they were, or that are choices and not text.
    #[error(
        "an answer of `{model}` to `{task}`, by `{engine}`, does not say how likely its tokens were"
    )]
    NoLogProbabilities {
        /// The point's label.
        model: String,
        /// The task.
        task: String,
        /// The engine that answered, in its own words.
        engine: String,
    },
    /// Points that have not answered the questions that others have.
    #[error(
        "{} of {points} points of the sweep are not finished: {}",
        missing.len(),
        backticked(missing)
    )]
    SweepIncomplete {
        /// How many points the sweep has.
        points: usize,
        /// The labels of those that lack answers.
        missing: Vec<String>,
    },
    /// A division that leaves one part of a task without questions.
    #[error("none of the {questions} questions of `{task}` is in the {part} part")]
    EmptyPart {
        /// The task.
        task: String,
        /// `validation` or `test`.
        part: &'static str,
        /// How many questions were divided.
        questions: usize,
    },
    /// A file that does not say what was searched.
    #[error("`{}` does not describe a search: {problem}", path.display())]
    SearchFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A point on the path of a search that has not answered all questions.
    #[error("the search is not finished: `{missing}` has not answered all questions")]
    SearchUnfinished {
        /// Its label.
        missing: String,
    },
}

/// A result whose error is this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn backticked(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn in_lines(sentences: &[String]) -> String {
    sentences
        .iter()
        .map(|sentence| format!("\n  {sentence}"))
        .collect()
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
            Self::UnknownTask { nearest, .. } => Some(nearest.as_ref().map_or_else(
                || "`taskvec tasks` lists them".to_owned(),
                |nearest| format!("did you mean `{nearest}`?"),
            )),
            Self::SeveralTasks { .. } => Some("name one of them".to_owned()),
            Self::UnsupportedCondition { supported, .. } => supported
                .first()
                .map(|condition| format!("ask for `{condition}`")),
            Self::NoTrainingSplit { .. } => {
                Some("`gsm8k` and the micro tasks have training questions".to_owned())
            }
            Self::NoData { file, licence, .. } => Some(format!(
                "pass `--data DIR`, where `DIR/{file}` or `DIR/{file}.gz` is the file as published, or `--data hf` to fetch the same from the Hub; its licence: {licence}"
            )),
            Self::DataFile { .. } | Self::CompletionFile { .. } | Self::CompletionOutput { .. } => {
                None
            }
            Self::DataHub { source, .. } => source.hint(),
            Self::NoDataOnHub { .. } => Some(
                "its publisher has moved it: pass `--data DIR` with the file; `taskvec tasks` says where in DIR"
                    .to_owned(),
            ),
            Self::DataParquet { .. } | Self::DataRecord { .. } => {
                Some("the file must be as published: JSON lines, one JSON array, or Parquet".to_owned())
            }
            Self::NoJudge { .. } => None,
            Self::JudgeNotReady { source, .. } => source
                .downcast_ref::<Arc<SandboxError>>()
                .and_then(|error| error.hint()),
            Self::Judge { .. } => {
                Some("what was finished is in the records; run again to go on".to_owned())
            }
            Self::CompletionLine { .. } => Some(
                "each line is a JSON object with `doc_id`, `completion` and perhaps `sample`, or a sample as \
                 lm-evaluation-harness keeps it; one JSON array of such objects will do too"
                    .to_owned(),
            ),
            Self::CompletionRefused { .. } => None,
            Self::MissingCompletions { .. } => {
                Some("pass `--partial` to score what there is".to_owned())
            }
            Self::NotGenerative { .. } => Some("evaluate it with a model".to_owned()),
            Self::NoDocuments { .. } => Some("raise the limit to 1 or more".to_owned()),
            Self::RecordFile { .. } => None,
            Self::RecordsInUse { .. } => {
                Some("wait for the other run, or write to another file".to_owned())
            }
            Self::RecordLine { path, .. } => Some(format!(
                "only a torn last line is left out by itself; mend or remove `{}`",
                path.display()
            )),
            Self::Engine { source, .. } => {
                let kept = "what was finished is in the records; run again to go on";
                let advice = source.downcast_ref().and_then(ServerError::hint);
                Some(advice.map_or_else(|| kept.to_owned(), |advice| format!("{advice}; {kept}")))
            }
            Self::NoRecords { .. } => {
                Some("`taskvec eval --out PATH` keeps a record of every sample".to_owned())
            }
            Self::SeveralModels { .. } | Self::NoSuchModel { .. } => {
                Some("name the one to compare with `--first-model` or `--second-model`".to_owned())
            }
            Self::NothingShared { .. } => Some(
                "evaluate both on the same tasks and conditions, with the same seed and limit"
                    .to_owned(),
            ),
            Self::ResultCount { .. } => Some("this is a defect of the engine".to_owned()),
            Self::Likelihood { .. } => Some(
                "the weights probably hold NaN or infinity; `inspect` shows in which tensor"
                    .to_owned(),
            ),
            Self::NoBaseline { .. } => {
                Some("evaluate the baseline on the same tasks and conditions".to_owned())
            }
            Self::AmbiguousSample { .. } => {
                Some(
                    "these are two runs under one name: evaluate each into an `--out` of its own"
                        .to_owned(),
                )
            }
            Self::UnknownModel { .. } | Self::TaskNotSwept { .. } | Self::ConditionNotSwept { .. } => {
                None
            }
            Self::NothingToReport => Some(
                "name a record file of `taskvec eval --out`, or a directory with one".to_owned(),
            ),
            Self::TrainingLine { .. } => Some(
                "such files are written by `taskvec sft` and `taskvec grpo`, a JSON object with `step` on each line"
                    .to_owned(),
            ),
            Self::NoSteps { .. } => Some("report it once a step is made".to_owned()),
            Self::MixedTraining { .. } => {
                Some("what they measure differs: make a page of each kind".to_owned())
            }
            Self::Inspection { .. } => {
                Some("make it with `taskvec inspect EXPR --json`, without `--by tensor`".to_owned())
            }
            Self::SweepFile { .. } => Some("make it with `taskvec sweep`".to_owned()),
            Self::Recipe { .. } => Some(
                "docs/studies.md says what stands in a recipe, and `recipes/` has some".to_owned(),
            ),
            Self::StudyFile { .. } => Some("make it with `taskvec study`".to_owned()),
            Self::OneAnswer { .. } => Some(
                "draw several: the same `taskvec sweep` with `--samples 5 --temperature 0.7` and another `--out`".to_owned(),
            ),
            Self::NoLogProbabilities { .. } => Some(
                "perplexity is of generated text: leave multiple choice out with `--tasks`; the engine in this process says how \
                 likely its tokens were, and a server where it gives `logprobs`; sweep again with another `--out` where the \
                 records are older than the field `mean_log_probability`"
                    .to_owned(),
            ),
            Self::SweepIncomplete { .. } => {
                Some("run the same `taskvec sweep` again to finish it".to_owned())
            }
            Self::EmptyPart { .. } => Some(
                "ask more questions with `--limit`, or divide them otherwise with `--validation`"
                    .to_owned(),
            ),
            Self::SearchFile { .. } => Some("make it with `taskvec search`".to_owned()),
            Self::SearchUnfinished { .. } => {
                Some("run the same `taskvec search` again to finish it".to_owned())
            }
            Self::Unpaired { .. } => Some("evaluate both with the same limit and seed".to_owned()),
        }
    }
}
