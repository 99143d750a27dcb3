//! Choosing a point without knowing a single right answer.
//!
//! Two criteria, both of DoTS (arXiv 2605.00610), neither of which sees a reference answer, so that they can choose where nobody
//! has labelled anything: [`Criterion::SelfConsistency`], and [`Criterion::Perplexity`] of what the points themselves wrote.
//! How well a criterion agrees with accuracy can only be said where there are labels; then it stands beside the choice.

use super::best::{Answers, candidate, choose, compare, share_right};
use super::consistency::agreement;
use super::{Candidate, Comparison, Sweep};
use crate::error::{Error, Result};
use crate::run::Record;
use crate::statistics::bootstrap_mean;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Resamples of the interval.
const RESAMPLES: usize = 1_000;

/// What an unlabelled choice goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// The mean over questions of the share of answers that agree with the most frequent one. The highest is chosen.
    SelfConsistency,
    /// e to the mean, over questions and their answers, of the negative log-likelihood per token that the point itself gives
    /// what it wrote. The lowest is chosen. A long answer counts as much as a short one.
    Perplexity,
}

/// What a criterion chooses, and how that does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unlabelled {
    /// The criterion.
    pub criterion: Criterion,
    /// Label of the chosen point; of equals the one with the smallest coefficients.
    pub pick: String,
    /// The expression of it.
    pub expression: String,
    /// Questions whose answers were looked at; the labelled choice's own validation questions.
    pub questions: u64,
    /// Every point, in the order of the grid.
    pub points: Vec<Judged>,
    /// The pick on the test questions, of the sweep whose answers are scored.
    pub test: Candidate,
    /// The pick against the labelled one on the same questions; `None` where they are the same point.
    pub against_labelled: Option<Comparison>,
    /// Spearman's rank correlation over the points between the criterion, good values high, and the accuracy on the validation
    /// questions; `None` where all points are alike in one of them.
    pub rank_correlation: Option<f64>,
}

/// A point by a criterion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Its label.
    pub model: String,
    /// The criterion's value.
    pub value: f64,
    /// Lower end of its 95 % bootstrap interval over questions; `None` where they are too few.
    pub ci_low: Option<f64>,
    /// Upper end of it.
    pub ci_high: Option<f64>,
}

/// The answers of one point, by question.
type Questions<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a Record>>;

/// Chooses among the points of `all` by `records`, which are validation questions alone.
pub(super) fn unlabelled(
    sweep: &Sweep,
    all: &[Answers<'_>],
    labelled: usize,
    criterion: Criterion,
    records: &[&Record],
    seed: u64,
) -> Result<Unlabelled> {
    let by_point = gathered(sweep, all, records)?;
    let mut points = Vec::with_capacity(all.len());
    for (answers, questions) in all.iter().zip(&by_point) {
        let values: Vec<f64> = questions
            .values()
            .map(|it| criterion.of_question(sweep, it))
            .collect::<Result<_>>()?;
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let interval = bootstrap_mean(&values, RESAMPLES, seed);
        points.push(Judged {
            model: answers.point.model.clone(),
            value: criterion.shown(mean),
            ci_low: interval.map(|interval| criterion.shown(interval.low)),
            ci_high: interval.map(|interval| criterion.shown(interval.high)),
        });
    }
    let merits: Vec<f64> = points.iter().map(|it| criterion.merit(it.value)).collect();
    let pick = choose(sweep, all, &merits);
    let accuracies: Vec<f64> = all.iter().map(|it| share_right(&it.validation)).collect();
    Ok(Unlabelled {
        criterion,
        pick: all[pick].point.model.clone(),
        expression: all[pick].point.expression.clone(),
        questions: by_point.first().map_or(0, BTreeMap::len) as u64,
        points,
        test: candidate(all[pick].point, &all[pick].test, None),
        against_labelled: (pick != labelled).then(|| compare(&all[pick].test, &all[labelled])),
        rank_correlation: spearman(&merits, &accuracies),
    })
}

/// The answers of every point of `all`, which must be to the same questions and as many to each.
fn gathered<'a>(
    sweep: &Sweep,
    all: &[Answers<'_>],
    records: &[&'a Record],
) -> Result<Vec<Questions<'a>>> {
    let mut by_model: BTreeMap<&str, Questions<'a>> = BTreeMap::new();
    for &record in records {
        let questions = by_model.entry(&record.model).or_default();
        let question = (record.task.as_str(), record.doc_id.as_str());
        questions.entry(question).or_default().push(record);
    }
    let asked = |questions: &Questions<'_>| -> usize { questions.values().map(Vec::len).sum() };
    let counts = |questions: &Questions<'a>| -> Vec<_> {
        let counts = questions.iter();
        counts.map(|(key, answers)| (*key, answers.len())).collect()
    };
    let most = by_model.values().max_by_key(|it| asked(it)).map(counts);
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for answers in all {
        match by_model.remove(answers.point.model.as_str()) {
            Some(questions) if Some(counts(&questions)) == most => found.push(questions),
            _ => missing.push(answers.point.model.clone()),
        }
    }
    if missing.is_empty() {
        Ok(found)
    } else {
        Err(Error::SweepIncomplete {
            points: sweep.points.len(),
            missing,
        })
    }
}

impl Criterion {
    /// What is averaged over questions.
    fn of_question(self, sweep: &Sweep, answers: &[&Record]) -> Result<f64> {
        match self {
            Self::SelfConsistency if answers.len() < 2 => Err(Error::OneAnswer {
                sweep: sweep.expression.clone(),
            }),
            Self::SelfConsistency => Ok(agreement(answers)),
            Self::Perplexity => {
                let mut sum = 0.0;
                for record in answers {
                    sum -=
                        record
                            .mean_log_probability
                            .ok_or_else(|| Error::NoLogProbabilities {
                                model: record.model.clone(),
                                task: record.task.clone(),
                                engine: record.engine.clone(),
                            })?;
                }
                Ok(sum / answers.len().max(1) as f64)
            }
        }
    }

    /// A mean over questions as it is shown.
    fn shown(self, mean: f64) -> f64 {
        match self {
            Self::SelfConsistency => mean,
            Self::Perplexity => mean.exp(),
        }
    }

    /// Higher is better.
    fn merit(self, value: f64) -> f64 {
        match self {
            Self::SelfConsistency => value,
            Self::Perplexity => -value,
        }
    }
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
    fn rank_correlation_by_hand() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[10.0, 20.0, 90.0]), Some(1.0));
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Some(-1.0));
        // Ranks 0, 1.5, 1.5, 3 and 0, 2, 1, 3: 4.5 / sqrt(4.5 * 5).
        let found = spearman(&[1.0, 2.0, 2.0, 5.0], &[1.0, 3.0, 2.0, 4.0]).unwrap();
        assert!((found - 4.5 / 22.5f64.sqrt()).abs() < 1e-12, "{found}");
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
    }
}
