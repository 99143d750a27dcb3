//! What a page shows, as data. The page carries it as JSON, and every number in the page is read from it.

use crate::condition::Condition;
use crate::error::{Error, Result};
use crate::generator::{Finish, Prompt};
use crate::report::{Inspection, Report, Robustness, Table, robustness};
use crate::run::{Record, Request, Unfinished};
use crate::search::Finished;
use crate::study::{Excerpt, Outcome, Part, Prompted, excerpts, prompting};
use crate::sweep::Sweep;
use crate::task::Metric;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use super::{PageOptions, Run};

/// The version of [`PageData`]'s JSON form.
const SCHEMA_VERSION: u32 = 1;

/// Everything on a page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageData {
    /// The version of this form.
    pub schema_version: u32,
    /// Version of taskvec that made the page.
    pub taskvec: String,
    /// The page's title.
    pub title: String,
    /// Index of the model that the headline is about.
    pub headline_model: usize,
    /// Whether nobody named that model, so that it is the best of several on these very questions.
    pub headline_is_best: bool,
    /// Accuracies, intervals and differences.
    pub report: Report,
    /// The models, in the order of the report.
    pub models: Vec<Model>,
    /// What was asked, and every answer.
    pub cells: Vec<Cell>,
    /// The questions of a study, where the records are one's.
    pub excerpts: Vec<Excerpt>,
    /// What an instruction does, where a study asked with and without it.
    pub prompting: Vec<Prompted>,
    /// Whether a study's vectors point the same way.
    pub between: Option<Table>,
    /// Accuracy over coefficients.
    pub curves: Vec<Curve>,
    /// What searches found.
    pub searches: Vec<Finished>,
    /// What perturbations cost.
    pub robustness: Vec<Robustness>,
    /// Vectors by layer and module.
    pub vectors: Vec<Inspection>,
    /// The files that the page was made from.
    pub sources: Vec<Source>,
    /// Commands that do all of it again.
    pub commands: Vec<String>,
    /// What was to be asked and has no answer, for each file that lacks something.
    pub unfinished: Vec<Unfinished>,
    /// What the reader should know before relying on the numbers.
    pub notes: Vec<String>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its label.
    pub label: String,
    /// The expression that made it.
    pub expression: String,
    /// Hash of what the expression's value depends on.
    pub fingerprint: String,
    /// What ran it.
    pub engine: String,
}

/// A task under a condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Task name.
    pub task: String,
    /// Task version.
    pub task_version: String,
    /// How the text was perturbed.
    pub condition: Condition,
    /// What is counted as correct.
    pub metric: Metric,
    /// Seed of questions and perturbations.
    pub seed: u64,
    /// The questions with every model's answer.
    pub questions: Vec<Question>,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The document.
    pub id: String,
    /// Which sample of it.
    pub sample: u32,
    /// Subtask, or empty.
    pub kind: String,
    /// What the model was given, turns of a conversation apart.
    pub prompt: String,
    /// The choices of a multiple-choice question.
    pub choices: Vec<String>,
    /// The reference answer.
    pub reference: String,
    /// One for each model of [`PageData::models`]; none where it was not asked.
    pub answers: Vec<Option<Answer>>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What the model wrote, or chose.
    pub text: String,
    /// The strict reading of it.
    pub strict: Option<String>,
    /// Whether that is right.
    pub correct: bool,
    /// Whether the flexible reading is right.
    pub flexible_correct: bool,
    /// Tokens written or scored.
    pub tokens: usize,
    /// Why it ended.
    pub finish: Option<Finish>,
    /// What this model was given, where that is not the question's `prompt`.
    pub prompt: Option<String>,
}

/// One curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The sweep's expression.
    pub expression: String,
    /// The variable that varies along the curve.
    pub variable: String,
    /// The others and their values, such as `b = 0.5`; empty where there are none.
    pub held: String,
    /// Task name.
    pub task: String,
    /// The condition.
    pub condition: Condition,
    /// The points, ascending.
    pub points: Vec<CurvePoint>,
}

/// One point of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The variable's value.
    pub x: f64,
    /// Index into the report's rows.
    pub row: usize,
}

/// A file that the page was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where it was.
    pub path: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// How many records it holds.
    pub records: usize,
}

impl PageData {
    pub(super) fn build(runs: &[Run], options: &PageOptions) -> Result<Self> {
        let records = merged(runs);
        if records.is_empty() {
            return Err(Error::NothingToReport);
        }
        let mut notes: Vec<String> = runs.iter().filter_map(|run| run.torn.clone()).collect();
        let study = runs.iter().find_map(|run| run.study.as_ref());
        let report = report(runs, study, &records, options, &mut notes)?;
        let models = models(&records, &report);
        let found = runs.iter().filter_map(|run| run.search.as_ref());
        for search in found.clone() {
            notes.extend(search.outcome.warnings.iter().cloned());
        }
        // A search has chosen on other questions than those that are shown.
        let chosen = found
            .map(|search| search.outcome.found.model.as_str())
            .next();
        let named = options.model.as_deref().or(chosen);
        let (headline_model, headline_is_best) = headline_model(&report, &models, study, named)?;
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            taskvec: env!("CARGO_PKG_VERSION").to_owned(),
            title: title(runs, options, &models),
            headline_model,
            headline_is_best,
            cells: cells(&records, &models),
            excerpts: study.map_or_else(Vec::new, |study| excerpts(study, &report)),
            prompting: study.map_or_else(Vec::new, |study| prompting(study, &records)),
            between: study.and_then(|study| study.between.clone()),
            curves: runs
                .iter()
                .filter_map(|run| run.sweep.as_ref())
                .flat_map(|sweep| curves(sweep, &report))
                .collect(),
            searches: (runs.iter()).filter_map(|run| run.search.clone()).collect(),
            robustness: robustness(&records),
            vectors: options.vectors.clone(),
            sources: runs
                .iter()
                .map(|run| Source {
                    path: run.path.clone(),
                    sha256: run.sha256.clone(),
                    records: run.records.len(),
                })
                .collect(),
            commands: options.commands.clone(),
            unfinished: runs.iter().filter_map(Run::unfinished).collect(),
            notes,
            report,
            models,
        })
    }
}

/// The records of all runs, each sample once; a sweep's in the order of its grid.
fn merged(runs: &[Run]) -> Vec<Record> {
    let mut seen = BTreeSet::new();
    let mut records = Vec::new();
    for run in runs {
        let place = |record: &Record| {
            let points = run.sweep.iter().flat_map(|sweep| &sweep.points);
            points.clone().position(|point| point.model == record.model)
        };
        let mut own: Vec<&Record> = run.records.iter().collect();
        if run.sweep.is_some() {
            own.sort_by_key(|record| place(record).unwrap_or(usize::MAX));
        }
        for record in own {
            if seen.insert((record.key(), record.model.clone())) {
                records.push(record.clone());
            }
        }
    }
    records
}

fn report(
    runs: &[Run],
    study: Option<&Outcome>,
    records: &[Record],
    options: &PageOptions,
    notes: &mut Vec<String>,
) -> Result<Report> {
    if let Some(baseline) = &options.baseline {
        require(baseline, records)?;
        return Report::build(records, Some(baseline));
    }
    if let (Some(study), [_]) = (study, runs) {
        let report = Report::build(records, Some(study.recipe.baseline()))?;
        return Ok(match study.tasks.first() {
            Some(task) => report.conclude(&study.recipe.roles(task)),
            None => report,
        });
    }
    let zero = runs
        .iter()
        .filter_map(|run| run.sweep.as_ref()?.point_at(0.0))
        .map(|point| point.model.as_str())
        .find(|label| records.iter().any(|record| record.model == *label));
    let first = &records[0].model;
    let several = records.iter().any(|record| record.model != *first);
    let guess = zero.or(several.then_some(first.as_str()));
    match Report::build(records, guess) {
        Err(error @ (Error::NoBaseline { .. } | Error::Unpaired { .. })) => {
            // Nobody asked for this baseline; without it there is a report still.
            notes.push(format!("no differences are shown: {error}"));
            Report::build(records, None)
        }
        other => other,
    }
}

fn require(label: &str, records: &[Record]) -> Result<()> {
    if records.iter().any(|record| record.model == label) {
        return Ok(());
    }
    let known: BTreeSet<&str> = records.iter().map(|record| record.model.as_str()).collect();
    Err(Error::UnknownModel {
        label: label.to_owned(),
        known: known.into_iter().map(str::to_owned).collect(),
    })
}

fn models(records: &[Record], report: &Report) -> Vec<Model> {
    let mut models: Vec<Model> = Vec::new();
    for row in &report.rows {
        let is_known = models.iter().any(|model| model.label == row.model);
        let first = records.iter().find(|record| record.model == row.model);
        if let (false, Some(record)) = (is_known, first) {
            models.push(Model {
                label: record.model.clone(),
                expression: record.expression.clone(),
                fingerprint: record.fingerprint.clone(),
                engine: record.engine.clone(),
            });
        }
    }
    models
}

/// The model that was named, or the one with the highest mean accuracy over what was asked clean: of a study's additions,
/// where there are some, on what they are to improve.
fn headline_model(
    report: &Report,
    models: &[Model],
    study: Option<&Outcome>,
    named: Option<&str>,
) -> Result<(usize, bool)> {
    let labels = || models.iter().map(|model| model.label.clone());
    if let Some(label) = named {
        let index = models.iter().position(|model| model.label == label);
        let index = index.ok_or_else(|| Error::UnknownModel {
            label: label.to_owned(),
            known: labels().collect(),
        })?;
        return Ok((index, false));
    }
    let additions: BTreeSet<&str> = study
        .into_iter()
        .flat_map(|study| study.recipe.labels(|part| part == Part::Addition))
        .collect();
    let mean = |label: &str| {
        let is_wanted = |task: &String| study.is_none_or(|study| study.tasks.contains(task));
        let rows = report.rows.iter().filter(|row| {
            row.model == label && row.condition == Condition::Clean && is_wanted(&row.task)
        });
        let (sum, count) = rows.fold((0.0, 0.0), |(sum, count), row| {
            (sum + row.accuracy, count + 1.0)
        });
        sum / f64::max(count, 1.0)
    };
    let mut best: Option<(usize, f64)> = None;
    let mut candidates = 0;
    for (index, label) in labels().enumerate() {
        let is_addition = additions.is_empty() || additions.contains(label.as_str());
        if report.baseline.as_deref() == Some(label.as_str()) || !is_addition {
            continue;
        }
        candidates += 1;
        let mean = mean(&label);
        if best.is_none_or(|(_, highest)| mean > highest) {
            best = Some((index, mean));
        }
    }
    Ok((best.map_or(0, |(index, _)| index), candidates > 1))
}

fn title(runs: &[Run], options: &PageOptions, models: &[Model]) -> String {
    let asked = runs.iter().find_map(|run| {
        let swept = run.sweep.as_ref().map(|sweep| sweep.expression.clone());
        let searched = run.search.as_ref();
        let searched = searched.map(|found| found.search.expression.clone());
        let studied = run.study.as_ref().map(Outcome::title);
        swept.or(searched).or(studied)
    });
    match (&options.title, asked, models) {
        (Some(title), _, _) => title.clone(),
        (None, Some(title), _) => title,
        (None, None, [only]) => only.label.clone(),
        (None, None, models) => format!("{} models compared", models.len()),
    }
}

fn cells(records: &[Record], models: &[Model]) -> Vec<Cell> {
    let places: BTreeMap<&str, usize> = models
        .iter()
        .enumerate()
        .map(|(index, model)| (model.label.as_str(), index))
        .collect();
    let mut cells: Vec<Cell> = Vec::new();
    let mut index: Vec<BTreeMap<(&str, u32), usize>> = Vec::new();
    for record in records {
        let found = cells.iter().position(|cell| {
            cell.task == record.task
                && cell.task_version == record.task_version
                && cell.condition == record.condition
        });
        let cell = found.unwrap_or_else(|| {
            cells.push(Cell {
                task: record.task.clone(),
                task_version: record.task_version.clone(),
                condition: record.condition,
                metric: record.metric,
                seed: record.seed,
                questions: Vec::new(),
            });
            index.push(BTreeMap::new());
            cells.len() - 1
        });
        let questions = &mut cells[cell].questions;
        let place = *index[cell]
            .entry((&record.doc_id, record.sample))
            .or_insert_with(|| {
                questions.push(question(record, models.len()));
                questions.len() - 1
            });
        let question = &mut questions[place];
        let prompt = prompt_text(&record.prompt);
        question.answers[places[record.model.as_str()]] = Some(Answer {
            text: record.completion.clone(),
            strict: record.score.strict.clone(),
            correct: record.score.correct,
            flexible_correct: record.score.flexible_correct,
            tokens: record.token_count,
            finish: record.finish,
            prompt: (prompt != question.prompt).then_some(prompt),
        });
    }
    cells
}

fn question(record: &Record, models: usize) -> Question {
    Question {
        id: record.doc_id.clone(),
        sample: record.sample,
        kind: record.kind.clone(),
        prompt: prompt_text(&record.prompt),
        choices: match &record.request {
            Request::Likelihood { continuations } => continuations.clone(),
            Request::Generate { .. } => Vec::new(),
        },
        reference: record.reference.clone(),
        answers: vec![None; models],
    }
}

/// A prompt as text; whose turn it is stands before each turn where there are several.
fn prompt_text(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Text(text) => text.clone(),
        Prompt::Chat(messages) => match messages.as_slice() {
            [only] => only.content.clone(),
            messages => {
                let turns: Vec<String> = messages
                    .iter()
                    .map(|message| format!("[{}] {}", message.role.name(), message.content))
                    .collect();
                turns.join("\n")
            }
        },
    }
}

fn curves(sweep: &Sweep, report: &Report) -> Vec<Curve> {
    let Some(axis) = sweep
        .variables
        .iter()
        .position(|variable| variable.values.len() > 1)
    else {
        return Vec::new();
    };
    let variable = &sweep.variables[axis];
    // A curve for each task, condition and choice of the other variables.
    let mut curves: BTreeMap<(usize, Vec<usize>), Curve> = BTreeMap::new();
    let mut order: Vec<(&str, Condition)> = Vec::new();
    for point in &sweep.points {
        let mut others = point.indices.clone();
        let x = variable.values[others.remove(axis)].number;
        for (row, found) in report.rows.iter().enumerate() {
            if found.model != point.model {
                continue;
            }
            let cell = (found.task.as_str(), found.condition);
            let place = order.iter().position(|known| *known == cell);
            let place = place.unwrap_or_else(|| {
                order.push(cell);
                order.len() - 1
            });
            let held = sweep
                .variables
                .iter()
                .zip(&point.indices)
                .enumerate()
                // What has one value is the same for all curves.
                .filter(|(index, (variable, _))| *index != axis && variable.values.len() > 1)
                .map(|(_, (variable, &index))| {
                    format!("{} = {}", variable.name, variable.values[index].text)
                });
            let curve = curves
                .entry((place, others.clone()))
                .or_insert_with(|| Curve {
                    expression: sweep.expression.clone(),
                    variable: variable.name.clone(),
                    held: held.collect::<Vec<_>>().join(", "),
                    task: found.task.clone(),
                    condition: found.condition,
                    points: Vec::new(),
                });
            curve.points.push(CurvePoint { x, row });
        }
    }
    let mut curves: Vec<Curve> = curves.into_values().collect();
    for curve in &mut curves {
        curve.points.sort_by(|one, other| one.x.total_cmp(&other.x));
    }
    curves
}
