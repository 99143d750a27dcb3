//! The loop: documents to requests, results to records.

use super::ledger::Ledger;
use super::sample::Samples;
use super::{Record, RecordLog};
use crate::condition::Condition;
use crate::error::{Error, Result};
use crate::generator::{Generator, Sampling};
use crate::task::{Document, PromptForm, Protocol, Selection, Task};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which model is asked, for records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The model's label in reports, such as `target + 0.5 v`.
    pub model: String,
    /// The expression that made it, as printed.
    pub expression: String,
    /// What names in it stand for.
    pub bindings: BTreeMap<String, String>,
    /// Hash of what the expression's value depends on; the same fingerprint must mean the same weights.
    pub fingerprint: String,
}

/// One task under one condition: one column of a report.
#[derive(Clone)]
pub struct Cell {
    /// What is asked.
    pub task: Arc<dyn Task>,
    /// Under which perturbation.
    pub condition: Condition,
}

/// The cells of `tasks` under those of `conditions` that each of them has.
#[must_use]
pub fn cells(tasks: &[Arc<dyn Task>], conditions: &[Condition]) -> Vec<Cell> {
    tasks
        .iter()
        .flat_map(|task| {
            conditions
                .iter()
                .filter(|condition| task.conditions().contains(condition))
                .map(|&condition| Cell {
                    task: Arc::clone(task),
                    condition,
                })
        })
        .collect()
}

/// How a model is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunOptions {
    /// Plain text or conversation.
    pub form: PromptForm,
    /// Which documents; the condition is each cell's own.
    pub selection: Selection,
    /// How tokens are chosen. With a temperature, every sample gets a seed of its own, derived from this
    /// one, the document and the number of the sample.
    pub sampling: Sampling,
    /// Completions per document, for pass@k. Multiple choice always takes one.
    pub samples: u32,
}

impl RunOptions {
    /// Greedy, one sample, the test documents.
    #[must_use]
    pub fn greedy(form: PromptForm) -> Self {
        Self {
            form,
            selection: Selection::test(),
            sampling: Sampling::greedy(),
            samples: 1,
        }
    }
}

/// How far a cell has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Task name.
    pub task: &'a str,
    /// Its condition.
    pub condition: Condition,
    /// Samples finished, reused ones included.
    pub done: usize,
    /// Samples in the cell.
    pub total: usize,
    /// How many of the finished ones are right.
    pub correct: usize,
    /// How many of the finished ones were in the records already.
    pub reused: usize,
}

/// Asks `subject` every cell, and returns its records in the order of cells, documents and samples.
///
/// Samples that `log` holds already are not asked again: of an earlier run, or of a model of another name
/// with the same fingerprint. Call [`RecordLog::finish`] when all models are through.
///
/// # Errors
///
/// Those of [`Task::ready`], [`Task::documents`] and of the log; [`Error::Engine`] and [`Error::ResultCount`] when the engine
/// fails, with what it had finished kept; [`Error::Likelihood`] for a likelihood that is no finite number.
pub fn evaluate(
    generator: &mut dyn Generator,
    subject: &Subject,
    cells: &[Cell],
    options: &RunOptions,
    log: &mut RecordLog,
    on_progress: &mut dyn FnMut(&Progress<'_>),
) -> Result<Vec<Record>> {
    let mut all = Vec::new();
    for cell in cells {
        let task = &*cell.task;
        task.ready()?;
        let documents = documents(cell, &options.selection)?;
        let samples = Samples::plan(
            &generator.describe(),
            subject,
            task,
            &documents,
            options,
            log,
        );
        let mut ledger = Ledger::new(task.name(), cell.condition, samples, log, on_progress);
        ledger.reuse()?;
        match task.protocol() {
            Protocol::Generative(protocol) => ledger.generate(generator, protocol, &documents)?,
            Protocol::MultipleChoice(protocol) => {
                ledger.compare(generator, protocol, &documents)?
            }
        }
        let keys = ledger.samples.keys;
        for key in &keys {
            log.ask(key, &subject.model);
        }
        all.extend(
            keys.iter()
                .filter_map(|key| log.find(key, &subject.model))
                .cloned(),
        );
    }
    Ok(all)
}

/// How many samples [`evaluate`] would ask an engine that calls itself `engine`, as `log` does not hold them.
///
/// # Errors
///
/// Those of [`Task::documents`].
pub fn open_samples(
    engine: &str,
    subject: &Subject,
    cells: &[Cell],
    options: &RunOptions,
    log: &RecordLog,
) -> Result<usize> {
    let mut open = 0;
    for cell in cells {
        let documents = documents(cell, &options.selection)?;
        open += Samples::plan(engine, subject, &*cell.task, &documents, options, log)
            .open
            .len();
    }
    Ok(open)
}

/// The questions of a cell, at least one.
///
/// # Errors
///
/// Those of [`Task::documents`]; [`Error::NoDocuments`].
pub fn documents(cell: &Cell, selection: &Selection) -> Result<Vec<Document>> {
    let selection = Selection {
        condition: cell.condition,
        ..*selection
    };
    let documents = cell.task.documents(&selection)?;
    if documents.is_empty() {
        return Err(Error::NoDocuments {
            task: cell.task.name().to_owned(),
            limit: selection.limit,
        });
    }
    Ok(documents)
}
