//! Choosing a point without knowing a single right answer.
//!
//! A model that is sure of an answer gives it again when it is asked again. The share of drawn answers that agree with the most
//! frequent one is the criterion: self-consistency (Wang et al. 2023, arXiv 2203.11171, section 3.1, whose majority vote it
//! counts). It sees no reference answer, so that it can choose where nobody has labelled anything; and it can be fooled by a
//! model that always says the same.

use super::best::{Answers, choose, compare, share_right};
use super::{Candidate, Comparison, Point, Sweep};
use crate::error::{Error, Result};
use crate::run::Record;
use crate::statistics::bootstrap_mean;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Resamples of the interval.
const RESAMPLES: usize = 1_000;

/// What self-consistency chooses, and how that does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unlabelled {
    /// Label of the chosen point: the most consistent one; of equals the one with the smallest coefficients.
    pub pick: String,
    /// The expression of it.
    pub expression: String,
    /// Questions that were asked again and again; the labelled choice's own validation questions.
    pub questions: u64,
    /// Every point, in the order of the grid.
    pub points: Vec<Consistency>,
    /// The pick on the test questions, of the sweep whose answers are scored.
    pub test: Candidate,
    /// The pick against the labelled one on the same questions; `None` where they are the same point.
    pub against_labelled: Option<Comparison>,
    /// Spearman's rank correlation over the points between consistency and the accuracy on the validation questions; `None`
    /// where all points are alike in one of them.
    pub rank_correlation: Option<f64>,
}

/// How consistent a point is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Consistency {
    /// Its label.
    pub model: String,
    /// Mean over questions of the share of answers that agree with the most frequent one.
    pub mean: f64,
    /// Lower end of the 95 % bootstrap interval over questions.
    pub ci_low: f64,
    /// Upper end of it.
    pub ci_high: f64,
}

/// Chooses among the points of `all` by `records`, in which every question has several answers.
pub(super) fn unlabelled(
    sweep: &Sweep,
    all: &[Answers<'_>],
    labelled: usize,
    records: &[&Record],
    seed: u64,
) -> Result<Unlabelled> {
    let mut by_model: BTreeMap<&str, BTreeMap<(&str, &str), Vec<&str>>> = BTreeMap::new();
    for record in records {
        let answers = by_model
            .entry(&record.model)
            .or_default()
            .entry((&record.task, &record.doc_id))
            .or_default();
        // What is no answer agrees with nothing.
        let answer = record
            .score
            .strict
            .as_ref()
            .or(record.score.flexible.as_ref());
        answers.push(answer.map_or("", String::as_str));
    }
    let points: Vec<&Point> = all.iter().map(|answers| answers.point).collect();
    let reference = by_model.values().next().cloned().unwrap_or_default();
    let is_whole = |point: &&Point| {
        by_model.get(point.model.as_str()).is_some_and(|questions| {
            let lengths =
                |it: &BTreeMap<_, Vec<&str>>| it.values().map(Vec::len).collect::<Vec<_>>();
            questions.keys().eq(reference.keys()) && lengths(questions) == lengths(&reference)
        })
    };
    let missing: Vec<String> = points
        .iter()
        .filter(|point| !is_whole(point))
        .map(|point| point.model.clone())
        .collect();
    if !missing.is_empty() {
        return Err(Error::SweepIncomplete {
            points: sweep.points.len(),
            missing,
        });
    }
    if reference.values().any(|answers| answers.len() < 2) {
        return Err(Error::OneAnswer {
            sweep: sweep.expression.clone(),
        });
    }
    let found: Vec<Consistency> = points
        .iter()
        .map(|point| {
            let shares: Vec<f64> = by_model[point.model.as_str()]
                .values()
                .map(|it| agreement(it))
                .collect();
            let mean = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
            let interval = bootstrap_mean(&shares, RESAMPLES, seed);
            Consistency {
                model: point.model.clone(),
                mean,
                ci_low: interval.map_or(mean, |interval| interval.low),
                ci_high: interval.map_or(mean, |interval| interval.high),
            }
        })
        .collect();
    let means: Vec<f64> = found.iter().map(|point| point.mean).collect();
    let pick = choose(sweep, all, &means);
    let accuracies: Vec<f64> = all
        .iter()
        .map(|answers| share_right(&answers.validation))
        .collect();
    Ok(Unlabelled {
        pick: points[pick].model.clone(),
        expression: points[pick].expression.clone(),
        questions: reference.len() as u64,
        points: found,
        test: super::best::candidate(points[pick], &all[pick].test, 1.0),
        against_labelled: (pick != labelled).then(|| compare(&all[pick].test, &all[labelled])),
        rank_correlation: spearman(&means, &accuracies),
    })
}

/// The share of answers that agree with the most frequent one.
fn agreement(answers: &[&str]) -> f64 {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for answer in answers.iter().filter(|answer| !answer.is_empty()) {
        *counts.entry(answer).or_default() += 1;
    }
    counts.values().copied().max().unwrap_or(0) as f64 / answers.len().max(1) as f64
}

/// Spearman's rank correlation: Pearson's of the ranks, equals sharing the mean of theirs.
fn spearman(left: &[f64], right: &[f64]) -> Option<f64> {
    let (left, right) = (ranks(left), ranks(right));
    let middle = (left.len() as f64 - 1.0) / 2.0;
    let product = |one: &[f64], other: &[f64]| -> f64 {
        let pairs = one.iter().zip(other);
        pairs.map(|(a, b)| (a - middle) * (b - middle)).sum()
    };
    let norms = product(&left, &left) * product(&right, &right);
    (norms > 0.0).then(|| product(&left, &right) / norms.sqrt())
}

fn ranks(values: &[f64]) -> Vec<f64> {
    values
        .iter()
        .map(|value| {
            let below = values.iter().filter(|other| *other < value).count() as f64;
            let equal = values.iter().filter(|other| *other == value).count() as f64;
            below + (equal - 1.0) / 2.0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_with_the_most_frequent_answer() {
        assert_eq!(agreement(&["3", "4", "3", "3"]), 0.75);
        assert_eq!(agreement(&["3", "", "", ""]), 0.25);
        assert_eq!(agreement(&["", ""]), 0.0);
    }

    #[test]
    fn rank_correlation_by_hand() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[10.0, 20.0, 90.0]), Some(1.0));
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Some(-1.0));
        // Ranks 0, 1.5, 1.5, 3 and 0, 2, 1, 3: 4.5 / sqrt(4.5 * 5).
        let found = spearman(&[1.0, 2.0, 2.0, 5.0], &[1.0, 3.0, 2.0, 4.0]).unwrap();
        assert!((found - 4.5 / 22.5f64.sqrt()).abs() < 1e-12, "{found}");
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
    }
}
