//! The tables of the paper, each an answer to a question.

use super::{Outcome, Part};
use crate::condition::Condition;
use crate::report::render::{percent, points};
use crate::report::{Report, Table};
use crate::run::Record;
use crate::statistics::{PairedCounts, Z_95, newcombe_paired};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Some models on some tasks, and what they are held together for. The numbers are the report's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// What it is called.
    pub title: String,
    /// The question that it answers.
    pub question: String,
    /// Labels of the models.
    pub models: Vec<String>,
    /// The tasks and conditions.
    pub cells: Vec<(String, Condition)>,
}

impl Excerpt {
    /// What it shows of `report`: models down and tasks across, or the other way round where that is narrower.
    #[must_use]
    pub fn table(&self, report: &Report) -> Table {
        let models: Vec<&str> = self.models.iter().map(String::as_str).collect();
        let cells = self.cells.iter();
        let cells: Vec<(&str, Condition)> = cells
            .map(|(task, condition)| (task.as_str(), *condition))
            .collect();
        let table = report.overview_of(&models, &cells);
        if cells.len() > models.len() {
            table.transposed("task")
        } else {
            table
        }
    }
}

/// Every table that the study's parts and tasks allow.
#[must_use]
pub fn excerpts(outcome: &Outcome, report: &Report) -> Vec<Excerpt> {
    // Some tasks are not asked under some conditions.
    let asked = report.cells();
    let cells = |tasks: &[String], is_clean: bool| -> Vec<(String, Condition)> {
        asked
            .iter()
            .filter(|(task, condition)| {
                tasks.iter().any(|other| other == task)
                    && (*condition == Condition::Clean) == is_clean
            })
            .map(|&(task, condition)| (task.to_owned(), condition))
            .collect()
    };
    let reasoning = cells(&outcome.tasks, true);
    let excerpt = |title: &str, question: &str, parts: &[Part], cells: &[(String, Condition)]| {
        let labels = outcome
            .recipe
            .labels(|part| part == Part::Baseline || parts.contains(&part));
        let models: Vec<String> = labels.map(str::to_owned).collect();
        (models.len() > 1 && !cells.is_empty()).then(|| Excerpt {
            title: title.to_owned(),
            question: question.to_owned(),
            models,
            cells: cells.to_vec(),
        })
    };
    let sums = [Part::Addition, Part::Alone, Part::Together];
    [
        excerpt(
            "Addition",
            "What does the vector add?",
            &[Part::Addition],
            &reasoning,
        ),
        excerpt(
            "Subtraction",
            "Does taking it away take the skill away?",
            &[Part::Subtraction],
            &reasoning,
        ),
        excerpt(
            "Controls",
            "Would another vector do?",
            &[Part::Random, Part::Control],
            &reasoning,
        ),
        excerpt(
            "Several vectors",
            "Do they add up, or are they in one another’s way?",
            &[Part::Alone, Part::Together],
            &reasoning,
        ),
        excerpt(
            "Attack",
            "Does the gain persist when the text is perturbed?",
            &sums,
            &cells(&outcome.tasks, false),
        ),
        excerpt(
            "Cost",
            "What became of what should not change?",
            &Part::ALL,
            &cells(&outcome.unchanged, true),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// One model asked the same questions with and without an instruction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prompted {
    /// The model's label.
    pub model: String,
    /// The task with the instruction.
    pub with_task: String,
    /// The task without it.
    pub without_task: String,
    /// Questions asked in both.
    pub n: u64,
    /// Share right without.
    pub without: f64,
    /// Share right with it.
    pub with: f64,
    /// `with` less `without`.
    pub change: f64,
    /// Lower end of Newcombe's paired interval of the change.
    pub ci_low: f64,
    /// Upper end of it.
    pub ci_high: f64,
}

/// Every model and pair of tasks with records of the same questions, asked clean.
#[must_use]
pub fn prompting(outcome: &Outcome, records: &[Record]) -> Vec<Prompted> {
    let right = |model: &str, task: &str| -> BTreeMap<(&str, u32), bool> {
        records
            .iter()
            .filter(|record| {
                record.model == model && record.task == task && record.condition == Condition::Clean
            })
            .map(|record| ((record.doc_id.as_str(), record.sample), record.is_right()))
            .collect()
    };
    let mut found = Vec::new();
    for pair in &outcome.recipe.questions.prompting {
        for model in outcome.recipe.labels(|_| true) {
            let (with, without) = (right(model, &pair.with), right(model, &pair.without));
            let pairs = with
                .iter()
                .filter_map(|(question, &right)| Some((right, *without.get(question)?)));
            let counts = PairedCounts::count(pairs);
            let n = counts.n();
            if n == 0 {
                continue;
            }
            let interval = newcombe_paired(counts, Z_95);
            found.push(Prompted {
                model: model.to_owned(),
                with_task: pair.with.clone(),
                without_task: pair.without.clone(),
                n,
                without: counts.second_accuracy(),
                with: counts.first_accuracy(),
                change: counts.difference(),
                ci_low: interval.low,
                ci_high: interval.high,
            });
        }
    }
    found
}

/// The same for reading; `None` where there is nothing.
#[must_use]
pub fn prompting_table(prompted: &[Prompted]) -> Option<Table> {
    let header = [
        "model",
        "task",
        "n",
        "without",
        "with",
        "change",
        "95 % interval",
    ];
    let row = |it: &Prompted| {
        vec![
            it.model.clone(),
            it.with_task.clone(),
            it.n.to_string(),
            percent(it.without),
            percent(it.with),
            points(it.change),
            format!("{} to {}", points(it.ci_low), points(it.ci_high)),
        ]
    };
    (!prompted.is_empty()).then(|| Table {
        header: header.map(str::to_owned).to_vec(),
        rows: prompted.iter().map(row).collect(),
    })
}
