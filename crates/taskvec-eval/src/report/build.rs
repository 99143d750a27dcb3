//! Counting records.

use super::{Difference, Report, Row, SCHEMA_VERSION};
use crate::error::{Error, Result};
use crate::generator::Finish;
use crate::run::{Record, differing};
use crate::statistics::{
    Interval, PairedCounts, Z_95, bootstrap_mean, holm, mcnemar_exact, newcombe_paired,
    paired_bootstrap, pass_at_some_k, wilson, wilson_share,
};
use std::collections::BTreeMap;

/// Resamples of an interval over questions that have several answers.
const RESAMPLES: usize = 2_000;

/// The samples of one row, by document and number.
type Samples<'a> = BTreeMap<(&'a str, u32), &'a Record>;

impl Report {
    /// Computes every row from `records`, and compares each with the row of `baseline`.
    ///
    /// # Errors
    ///
    /// [`Error::NoBaseline`] where a cell has no records of the baseline, [`Error::Unpaired`] where two
    /// models were asked different documents, [`Error::AmbiguousSample`] where a model has two answers to
    /// one question.
    pub fn build(records: &[Record], baseline: Option<&str>) -> Result<Self> {
        let mut cells: Vec<(&Record, Samples<'_>)> = Vec::new();
        for record in records {
            let place = cells
                .iter()
                .position(|(first, _)| same_cell(first, record) && first.model == record.model);
            let place = place.unwrap_or_else(|| {
                cells.push((record, Samples::new()));
                cells.len() - 1
            });
            let known = cells[place]
                .1
                .insert((&record.doc_id, record.sample), record);
            if let Some(earlier) = known {
                return Err(Error::AmbiguousSample {
                    model: record.model.clone(),
                    task: record.task.clone(),
                    condition: record.condition,
                    document: record.doc_id.clone(),
                    differing: differing(earlier, record),
                });
            }
        }

        let mut rows = Vec::new();
        for (first, samples) in &cells {
            let difference = match baseline {
                Some(baseline) if first.model != baseline => {
                    let against = cells
                        .iter()
                        .find(|(other, _)| same_cell(first, other) && other.model == baseline)
                        .ok_or_else(|| Error::NoBaseline {
                            baseline: baseline.to_owned(),
                            task: first.task.clone(),
                            condition: first.condition,
                        })?;
                    Some(difference(first, samples, baseline, &against.1)?)
                }
                _ => None,
            };
            rows.push(row(first, samples, difference));
        }

        let p_values: Vec<f64> = rows
            .iter()
            .filter_map(|row| row.difference.as_ref())
            .map(|difference| difference.p_value)
            .collect();
        let differences = rows.iter_mut().filter_map(|row| row.difference.as_mut());
        for (difference, adjusted) in differences.zip(holm(&p_values)) {
            difference.p_value_adjusted = adjusted;
        }
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            confidence: 0.95,
            baseline: baseline.map(str::to_owned),
            rows,
            conclusion: None,
        })
    }
}

/// For each question its answers, and how many of them are right.
fn counts<'a>(samples: &Samples<'a>) -> BTreeMap<&'a str, (u64, u64)> {
    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for ((document, _), record) in samples {
        let (all, right) = counts.entry(document).or_default();
        *all += 1;
        *right += u64::from(record.is_right());
    }
    counts
}

/// For each question the share of its answers that are right, in the order of the questions.
fn shares(samples: &Samples<'_>) -> Vec<f64> {
    let counts = counts(samples).into_values();
    counts
        .map(|(all, right)| right as f64 / all as f64)
        .collect()
}

fn same_cell(left: &Record, right: &Record) -> bool {
    left.task == right.task
        && left.task_version == right.task_version
        && left.condition == right.condition
}

fn row(first: &Record, samples: &Samples<'_>, difference: Option<Difference>) -> Row {
    let count = |is_counted: &dyn Fn(&Record) -> bool| {
        samples.values().filter(|record| is_counted(record)).count() as u64
    };
    let n = samples.len() as u64;
    let correct = count(&Record::is_right);
    let flexible_correct = count(&|record| record.score.flexible_correct);
    // Answers to one question are not as good as answers to several.
    let shares = shares(samples);
    let questions = shares.len() as u64;
    let interval = if questions < n {
        bootstrap_mean(&shares, RESAMPLES, 0).unwrap_or_else(|| {
            let mean = shares.iter().sum::<f64>() / questions as f64;
            wilson_share(mean, questions, Z_95)
        })
    } else {
        wilson(correct, n, Z_95)
    };
    let counts: Vec<(u64, u64)> = counts(samples).into_values().collect();
    let tokens: usize = samples.values().map(|record| record.token_count).sum();
    Row {
        model: first.model.clone(),
        expression: first.expression.clone(),
        task: first.task.clone(),
        task_version: first.task_version.clone(),
        metric: first.metric,
        condition: first.condition,
        n,
        questions,
        correct,
        accuracy: correct as f64 / n as f64,
        ci_low: interval.low,
        ci_high: interval.high,
        flexible_correct,
        flexible_accuracy: flexible_correct as f64 / n as f64,
        mean_tokens: tokens as f64 / n as f64,
        truncated: count(&|record| record.finish == Some(Finish::Length)),
        pass_at_k: pass_at_some_k(&counts),
        difference,
    }
}

/// The comparison, its p value not yet adjusted.
fn difference(
    first: &Record,
    samples: &Samples<'_>,
    baseline: &str,
    against: &Samples<'_>,
) -> Result<Difference> {
    let unmatched: Vec<&str> = samples
        .keys()
        .filter(|key| !against.contains_key(key))
        .chain(against.keys().filter(|key| !samples.contains_key(key)))
        .map(|(document, _)| *document)
        .collect();
    if let Some(example) = unmatched.first() {
        return Err(Error::Unpaired {
            model: first.model.clone(),
            baseline: baseline.to_owned(),
            task: first.task.clone(),
            condition: first.condition,
            differing: unmatched.len(),
            example: (*example).to_owned(),
        });
    }
    // The same keys in the same order.
    let pairs = samples.values().zip(against.values());
    let counts = PairedCounts::count(pairs.map(|(one, other)| (one.is_right(), other.is_right())));
    let (interval, p_value) = match (shares(samples), shares(against)) {
        (own, other) if own.len() < samples.len() => {
            let pairs: Vec<(f64, f64)> = own.into_iter().zip(other).collect();
            let better = pairs.iter().filter(|(one, other)| one > other).count() as u64;
            let worse = pairs.iter().filter(|(one, other)| one < other).count() as u64;
            // McNemar's test of pairs that are not just right or wrong is the sign test.
            let signs = PairedCounts {
                both: 0,
                only_first: better,
                only_second: worse,
                neither: pairs.len() as u64 - better - worse,
            };
            let interval = paired_bootstrap(&pairs, RESAMPLES, 0);
            (interval.unwrap_or(Interval::UNKNOWN), mcnemar_exact(signs))
        }
        _ => (newcombe_paired(counts, Z_95), mcnemar_exact(counts)),
    };
    Ok(Difference {
        baseline: baseline.to_owned(),
        value: counts.difference(),
        ci_low: interval.low,
        ci_high: interval.high,
        gained: counts.only_first,
        lost: counts.only_second,
        p_value,
        p_value_adjusted: p_value,
    })
}
