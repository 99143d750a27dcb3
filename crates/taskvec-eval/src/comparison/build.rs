//! Pairing records.

use super::{Change, Comparison, Example, PairedPassAtK, Row, SCHEMA_VERSION};
use crate::condition::Condition;
use crate::error::{Error, Result};
use crate::run::{ASPECTS, Record, differing};
use crate::statistics::{
    Interval, PairedCounts, Z_95, holm, mcnemar_exact, newcombe_paired, paired_bootstrap,
    pass_at_some_k,
};
use std::collections::BTreeMap;

const RESAMPLES: usize = 4_000;
const BOOTSTRAP_SEED: u64 = 0;

/// A sample within a cell: document, number, reference.
type Key<'a> = (&'a str, u32, &'a str);
/// A cell: task and condition; the version is looked at apart.
type Cell<'a> = (&'a str, Condition);
/// A cell's samples and the version of its task, for each version.
type Versions<'a> = BTreeMap<&'a str, BTreeMap<Key<'a>, &'a Record>>;

impl Comparison {
    /// Compares the samples that both runs have; each must be of one model. `examples` limits the samples shown as
    /// gained, and those as lost, for each row.
    ///
    /// # Errors
    ///
    /// [`Error::SeveralModels`]; [`Error::AmbiguousSample`] where a run has two answers to one question;
    /// [`Error::NothingShared`], with the task versions that keep the runs apart.
    pub fn build(first: &[Record], second: &[Record], examples: usize) -> Result<Self> {
        let labels = (only_model("first", first)?, only_model("second", second)?);
        let (order, first_cells) = cells(first)?;
        let (second_order, second_cells) = cells(second)?;
        let mut comparison = Self {
            schema_version: SCHEMA_VERSION,
            confidence: 0.95,
            first: labels.0,
            second: labels.1,
            changes: Vec::new(),
            rows: Vec::new(),
            left_out: Vec::new(),
            gained: Vec::new(),
            lost: Vec::new(),
        };
        let mut paired = Vec::new();
        for cell in &order {
            let ours = &first_cells[cell];
            let Some(theirs) = second_cells.get(cell) else {
                comparison
                    .left_out
                    .push(format!("{} is in the first run only", named(*cell)));
                continue;
            };
            let Some((version, ours, theirs)) = ours
                .iter()
                .rev()
                .find_map(|(version, ours)| Some((*version, ours, theirs.get(version)?)))
            else {
                comparison.left_out.push(format!(
                    "{} is version {} in the first run and {} in the second",
                    named(*cell),
                    listed(ours),
                    listed(theirs),
                ));
                continue;
            };
            let pairs: Vec<(&Record, &Record)> = ours
                .iter()
                .filter_map(|(key, one)| Some((*one, *theirs.get(key)?)))
                .collect();
            if pairs.is_empty() {
                comparison
                    .left_out
                    .push(format!("{} has other documents in each run", named(*cell)));
                continue;
            }
            comparison
                .rows
                .push(row(*cell, version, &pairs, ours.len(), theirs.len()));
            comparison.show(&pairs, examples);
            paired.extend(pairs);
        }
        for cell in second_order
            .iter()
            .filter(|cell| !first_cells.contains_key(cell))
        {
            comparison
                .left_out
                .push(format!("{} is in the second run only", named(*cell)));
        }
        if comparison.rows.is_empty() {
            return Err(Error::NothingShared {
                reasons: comparison.left_out,
            });
        }
        comparison.changes = changes(&paired);
        let p_values: Vec<f64> = comparison
            .rows
            .iter()
            .filter_map(|row| row.p_value)
            .collect();
        let tested = comparison
            .rows
            .iter_mut()
            .filter(|row| row.p_value.is_some());
        for (row, adjusted) in tested.zip(holm(&p_values)) {
            row.p_value_adjusted = Some(adjusted);
        }
        Ok(comparison)
    }

    fn show(&mut self, pairs: &[(&Record, &Record)], examples: usize) {
        let of = |before: bool| {
            pairs
                .iter()
                .filter(move |(one, other)| {
                    one.score.correct == before && other.score.correct != before
                })
                .take(examples)
                .map(|(one, other)| example(one, other))
        };
        self.gained.extend(of(false));
        self.lost.extend(of(true));
    }
}

/// The records of one model: of `model`, or of the only one there is.
///
/// # Errors
///
/// [`Error::NoSuchModel`] and [`Error::SeveralModels`], which name `run`, `first` or `second`.
pub fn records_of(
    run: &'static str,
    records: Vec<Record>,
    model: Option<&str>,
) -> Result<Vec<Record>> {
    let Some(model) = model else {
        only_model(run, &records)?;
        return Ok(records);
    };
    let models = labels(&records);
    let chosen: Vec<Record> = records
        .into_iter()
        .filter(|record| record.model == model)
        .collect();
    if chosen.is_empty() {
        let model = model.to_owned();
        return Err(Error::NoSuchModel { run, model, models });
    }
    Ok(chosen)
}

fn labels(records: &[Record]) -> Vec<String> {
    distinct(records.iter().map(|record| record.model.clone()))
}

fn only_model(run: &'static str, records: &[Record]) -> Result<String> {
    match labels(records).as_slice() {
        [only] => Ok(only.clone()),
        models => Err(Error::SeveralModels {
            run,
            models: models.to_vec(),
        }),
    }
}

fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

fn named((task, condition): Cell<'_>) -> String {
    match condition {
        Condition::Clean => format!("`{task}`"),
        condition => format!("`{task}` under `{condition}`"),
    }
}

fn listed(versions: &Versions<'_>) -> String {
    versions.keys().copied().collect::<Vec<_>>().join(", ")
}

/// A run's samples by cell and version, and the cells in their order.
fn cells<'a>(records: &'a [Record]) -> Result<(Vec<Cell<'a>>, BTreeMap<Cell<'a>, Versions<'a>>)> {
    let mut order = Vec::new();
    let mut cells: BTreeMap<Cell<'a>, Versions<'a>> = BTreeMap::new();
    for record in records {
        let cell = (record.task.as_str(), record.condition);
        let versions = cells.entry(cell).or_insert_with(|| {
            order.push(cell);
            BTreeMap::new()
        });
        let key = (
            record.doc_id.as_str(),
            record.sample,
            record.reference.as_str(),
        );
        if let Some(earlier) = versions
            .entry(&record.task_version)
            .or_default()
            .insert(key, record)
        {
            return Err(Error::AmbiguousSample {
                model: record.model.clone(),
                task: record.task.clone(),
                condition: record.condition,
                document: record.doc_id.clone(),
                differing: differing(earlier, record),
            });
        }
    }
    Ok((order, cells))
}

fn row(
    (task, condition): Cell<'_>,
    version: &str,
    pairs: &[(&Record, &Record)],
    first: usize,
    second: usize,
) -> Row {
    // The second run is what is judged, so it comes first in the pair.
    let counts = PairedCounts::count(
        pairs
            .iter()
            .map(|(one, other)| (other.score.correct, one.score.correct)),
    );
    let n = pairs.len() as u64;
    let mut documents: BTreeMap<&str, Vec<(bool, bool)>> = BTreeMap::new();
    for (one, other) in pairs {
        let scores = documents.entry(&one.doc_id).or_default();
        scores.push((other.score.correct, one.score.correct));
    }
    let means: Vec<(f64, f64)> = documents
        .values()
        .map(|scores| {
            let share = |right: &dyn Fn(&(bool, bool)) -> bool| {
                scores.iter().filter(|score| right(score)).count() as f64 / scores.len() as f64
            };
            (share(&|score| score.0), share(&|score| score.1))
        })
        .collect();
    let is_independent = documents.len() == pairs.len();
    let newcombe = newcombe_paired(counts, Z_95);
    let bootstrap = paired_bootstrap(&means, RESAMPLES, BOOTSTRAP_SEED);
    // Too few documents to be resampled say nothing where their samples are not independent.
    let bootstrap = bootstrap.unwrap_or(if is_independent {
        newcombe
    } else {
        Interval::UNKNOWN
    });
    let interval = if is_independent { newcombe } else { bootstrap };
    let p_value = is_independent.then(|| mcnemar_exact(counts));
    Row {
        task: task.to_owned(),
        task_version: version.to_owned(),
        condition,
        n,
        documents: documents.len() as u64,
        only_first: (first - pairs.len()) as u64,
        only_second: (second - pairs.len()) as u64,
        other_prompts: pairs
            .iter()
            .filter(|(one, other)| one.prompt != other.prompt)
            .count() as u64,
        first_accuracy: (counts.both + counts.only_second) as f64 / n as f64,
        second_accuracy: (counts.both + counts.only_first) as f64 / n as f64,
        difference: counts.difference(),
        ci_low: interval.low,
        ci_high: interval.high,
        bootstrap_low: bootstrap.low,
        bootstrap_high: bootstrap.high,
        gained: counts.only_first,
        lost: counts.only_second,
        p_value,
        p_value_adjusted: p_value,
        pass_at_k: pass_at_k(documents.values()),
    }
}

/// Of both runs, on the samples that both have; each document's scores are those of the second run and of the first.
fn pass_at_k<'a>(documents: impl Iterator<Item = &'a Vec<(bool, bool)>>) -> Vec<PairedPassAtK> {
    let (second, first): (Vec<_>, Vec<_>) = documents
        .map(|scores| {
            let n = scores.len() as u64;
            let right = |is_right: fn(&(bool, bool)) -> bool| {
                scores.iter().filter(|score| is_right(score)).count() as u64
            };
            ((n, right(|score| score.0)), (n, right(|score| score.1)))
        })
        .unzip();
    let pairs = pass_at_some_k(&first)
        .into_iter()
        .zip(pass_at_some_k(&second));
    pairs
        .map(|(first, second)| PairedPassAtK {
            k: first.k,
            first: first.value,
            second: second.value,
        })
        .collect()
}

fn example(one: &Record, other: &Record) -> Example {
    Example {
        task: one.task.clone(),
        condition: one.condition,
        doc_id: one.doc_id.clone(),
        sample: one.sample,
        prompt: other.prompt.clone(),
        reference: one.reference.clone(),
        first_completion: one.completion.clone(),
        first_answer: one.score.strict.clone(),
        second_completion: other.completion.clone(),
        second_answer: other.score.strict.clone(),
    }
}

/// What differs between the samples that are compared.
fn changes(pairs: &[(&Record, &Record)]) -> Vec<Change> {
    ASPECTS
        .into_iter()
        .map(|(what, of)| Change {
            what,
            first: distinct(pairs.iter().map(|(one, _)| of(one))),
            second: distinct(pairs.iter().map(|(_, other)| of(other))),
        })
        .filter(|change| change.first != change.second)
        .collect()
}
