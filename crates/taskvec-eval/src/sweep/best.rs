//! Which point of a sweep to take, and what to expect of it.
//!
//! The questions are divided ([`Division`]): on one part the point is chosen, on the other, which had no say, it is
//! measured.

use super::unlabelled::{Criterion, Unlabelled, unlabelled};
use super::{Point, Sweep};
use crate::condition::Condition;
use crate::division::Division;
use crate::error::{Error, Result};
use crate::random::Random;
use crate::report::Report;
use crate::report::render::points;
use crate::run::{Record, Unfinished};
use crate::statistics::{
    FEWEST_RESAMPLED, PairedCounts, Z_95, mcnemar_exact, newcombe_paired, wilson,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of [`Best`]'s JSON form.
const SCHEMA_VERSION: u32 = 3;

/// With fewer questions in either part it is warned.
const FEW: u64 = 30;

/// How to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct BestOptions {
    /// The tasks whose questions are counted; empty for all of the sweep's.
    pub tasks: Vec<String>,
    /// The condition under which they are counted.
    pub condition: Condition,
    /// Share of the questions on which the point is chosen, between 0 and 1.
    pub validation: f64,
    /// Whether a point is chosen by perplexity too.
    pub perplexity: bool,
    /// How often the choice is repeated on questions drawn with replacement.
    pub resamples: usize,
    /// Seed of the division and of the resampling.
    pub seed: u64,
}

impl Default for BestOptions {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            condition: Condition::Clean,
            validation: 0.5,
            perplexity: false,
            resamples: 2_000,
            seed: 0,
        }
    }
}

/// A choice and what it is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The version of this form.
    pub schema_version: u32,
    /// The tasks that were counted.
    pub tasks: Vec<String>,
    /// The condition under which they were.
    pub condition: Condition,
    /// Questions on which the point was chosen.
    pub validation_questions: u64,
    /// Questions on which it is measured.
    pub test_questions: u64,
    /// Label of the chosen point: the most right answers on the validation questions, of equals the one with the
    /// smallest coefficients.
    pub pick: String,
    /// The expression of it.
    pub expression: String,
    /// Every point, in the order of the grid.
    pub candidates: Vec<Candidate>,
    /// For each variable, its name and the middle 95 % of what resampled validation questions choose. Nothing where they are
    /// too few to be resampled.
    pub plausible: Vec<(String, f64, f64)>,
    /// The pick on the test questions.
    pub test: Candidate,
    /// The pick against all coefficients 0, on the test questions.
    pub against_zero: Option<Comparison>,
    /// The pick against all coefficients 1, on the test questions.
    pub against_one: Option<Comparison>,
    /// What is chosen without labels: by self-consistency where answers were drawn, by perplexity where that was asked for.
    pub unlabelled: Vec<Unlabelled>,
    /// Every task and condition of the sweep on the test questions: the pick, coefficients 0 and 1.
    pub report: Report,
    /// What the reader should know before relying on the pick.
    pub warnings: Vec<String>,
}

/// A point and how many questions it got right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its label.
    pub model: String,
    /// Questions.
    pub n: u64,
    /// Right ones.
    pub correct: u64,
    /// `correct / n`.
    pub accuracy: f64,
    /// Lower end of Wilson's 95 % interval.
    pub ci_low: f64,
    /// Upper end of it.
    pub ci_high: f64,
    /// Share of the resamples that choose it; `None` where nothing was resampled.
    pub chosen: Option<f64>,
}

/// Two points on the same questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Label of the other point.
    pub other: String,
    /// The pick's accuracy less the other's.
    pub difference: f64,
    /// Lower end of Newcombe's paired 95 % interval.
    pub ci_low: f64,
    /// Upper end of it.
    pub ci_high: f64,
    /// McNemar's exact two-sided p value.
    pub p_value: f64,
}

/// Whether each question was answered rightly, in one order for all points.
pub(super) struct Answers<'a> {
    pub(super) point: &'a Point,
    pub(super) validation: Vec<bool>,
    pub(super) test: Vec<bool>,
    /// Right answers to each of the validation questions, which may have several.
    by_question: Vec<f64>,
    /// How many test questions there are.
    test_questions: usize,
}

/// Chooses a point of `sweep` from its `records`, and beside it, without looking at what is right, another one by
/// self-consistency where `drawn` has several answers of each point to each question, and one by perplexity, of the answers in
/// `drawn` where there are any, where `options` ask for it.
///
/// # Errors
///
/// [`Error::TaskNotSwept`] and [`Error::ConditionNotSwept`] for what the sweep did not ask, [`Error::SweepIncomplete`] where points have not
/// answered the same questions, [`Error::OneAnswer`] where `drawn` has one answer of each, [`Error::NoLogProbabilities`] where
/// perplexity is asked for and an answer does not have its own, [`Error::NoDocuments`] where a part is empty, and those of
/// [`Report::build`].
pub fn best(
    sweep: &Sweep,
    records: &[Record],
    drawn: Option<&[Record]>,
    options: &BestOptions,
) -> Result<Best> {
    let tasks = match options.tasks.as_slice() {
        [] => sweep.tasks.clone(),
        chosen => chosen.to_vec(),
    };
    if let Some(name) = tasks.iter().find(|task| !sweep.tasks.contains(task)) {
        return Err(Error::TaskNotSwept {
            name: name.clone(),
            asked: sweep.tasks.clone(),
        });
    }
    if !sweep.conditions.contains(&options.condition) {
        return Err(Error::ConditionNotSwept {
            condition: options.condition,
            asked: sweep.conditions.clone(),
        });
    }
    let is_counted =
        |record: &&Record| record.condition == options.condition && tasks.contains(&record.task);
    let all = answers(
        sweep,
        &records.iter().filter(is_counted).collect::<Vec<_>>(),
        options,
    )?;
    let (validation_questions, test_questions) = match all.first() {
        Some(first) => (first.by_question.len(), first.test_questions),
        None => (0, 0),
    };
    if validation_questions == 0 || test_questions == 0 {
        return Err(Error::NoDocuments {
            task: tasks.join(", "),
            limit: sweep.limit,
        });
    }

    let counts: Vec<f64> = all
        .iter()
        .map(|answers| right(&answers.validation) as f64)
        .collect();
    let pick = choose(sweep, &all, &counts);
    let chosen = resampled(sweep, &all, options);
    let share = |index: usize| Some(chosen.as_ref()?[index] as f64 / options.resamples as f64);
    let candidates = all
        .iter()
        .enumerate()
        .map(|(index, answers)| candidate(answers.point, &answers.validation, share(index)))
        .collect();
    let picked = &all[pick];
    let division = options.division();
    let seen: Vec<&Record> = drawn
        .unwrap_or(records)
        .iter()
        .filter(is_counted)
        .filter(|record| division.is_validation(record))
        .collect();
    let criteria = [
        (Criterion::SelfConsistency, drawn.is_some()),
        (Criterion::Perplexity, options.perplexity),
    ];
    let unlabelled = criteria
        .into_iter()
        .filter(|(_, is_wanted)| *is_wanted)
        .map(|(criterion, _)| unlabelled(sweep, &all, pick, criterion, &seen, options.seed))
        .collect::<Result<_>>()?;
    let against = |number: f64| {
        let other = sweep
            .point_at(number)
            .filter(|other| *other != picked.point)?;
        let other = all.iter().find(|answers| answers.point == other)?;
        Some(compare(&picked.test, other))
    };
    let (against_zero, against_one) = (against(0.0), against(1.0));
    let mut best = Best {
        schema_version: SCHEMA_VERSION,
        tasks,
        condition: options.condition,
        validation_questions: validation_questions as u64,
        test_questions: test_questions as u64,
        pick: picked.point.model.clone(),
        expression: picked.point.expression.clone(),
        candidates,
        plausible: chosen
            .as_ref()
            .map_or_else(Vec::new, |chosen| plausible(sweep, &all, chosen)),
        test: candidate(picked.point, &picked.test, share(pick)),
        against_zero,
        against_one,
        unlabelled,
        report: effects(sweep, picked.point, records, options)?,
        warnings: Vec::new(),
    };
    best.warnings = few(&best, picked.validation.len() > validation_questions);
    best.warnings.extend(warnings(sweep, picked.point, &best));
    Ok(best)
}

impl BestOptions {
    fn division(&self) -> Division {
        Division {
            validation: self.validation,
            seed: self.seed,
        }
    }
}

fn answers<'a>(
    sweep: &'a Sweep,
    records: &[&Record],
    options: &BestOptions,
) -> Result<Vec<Answers<'a>>> {
    type Questions<'a> = BTreeMap<(&'a str, &'a str, u32), (bool, bool)>;
    let division = options.division();
    let mut by_model: BTreeMap<&str, Questions<'_>> = BTreeMap::new();
    for record in records {
        let question = (record.task.as_str(), record.doc_id.as_str(), record.sample);
        let answer = (division.is_validation(record), record.score.correct);
        by_model
            .entry(&record.model)
            .or_default()
            .insert(question, answer);
    }
    let most = by_model.values().map(BTreeMap::len).max().unwrap_or(0);
    let lacking = Unfinished::of("", None, records.iter().copied());
    let mut all = Vec::new();
    let mut missing = Vec::new();
    let mut reference: Option<&Questions<'_>> = None;
    for point in &sweep.points {
        let Some(questions) = by_model.get(point.model.as_str()) else {
            missing.push(point.model.clone());
            continue;
        };
        let reference = *reference.get_or_insert(questions);
        let is_short = lacking.as_ref().is_some_and(|it| it.lacks(&point.model));
        if is_short || questions.len() < most || !questions.keys().eq(reference.keys()) {
            missing.push(point.model.clone());
            continue;
        }
        let part = |wanted: bool| {
            questions
                .values()
                .filter(|(is_validation, _)| *is_validation == wanted)
                .map(|(_, correct)| *correct)
                .collect()
        };
        let by_question = |wanted: bool| -> Vec<f64> {
            let mut right: BTreeMap<(&str, &str), f64> = BTreeMap::new();
            for (&(task, document, _), &(is_validation, correct)) in questions {
                if is_validation == wanted {
                    *right.entry((task, document)).or_default() += f64::from(u8::from(correct));
                }
            }
            right.into_values().collect()
        };
        all.push(Answers {
            point,
            validation: part(true),
            test: part(false),
            by_question: by_question(true),
            test_questions: by_question(false).len(),
        });
    }
    if missing.is_empty() {
        Ok(all)
    } else {
        Err(Error::SweepIncomplete {
            points: sweep.points.len(),
            missing,
        })
    }
}

fn right(answers: &[bool]) -> u64 {
    answers.iter().filter(|correct| **correct).count() as u64
}

/// The index of the highest value, such as the count of right answers; of equals the point that changes the model least.
pub(super) fn choose(sweep: &Sweep, all: &[Answers<'_>], counts: &[f64]) -> usize {
    let size = |index: usize| -> f64 {
        let values = sweep.values(all[index].point);
        values.map(|value| value.number * value.number).sum()
    };
    let mut best = 0;
    for index in 1..counts.len() {
        if counts[index] > counts[best]
            || (counts[index] == counts[best] && size(index) < size(best))
        {
            best = index;
        }
    }
    best
}

/// How often each point is chosen when the validation questions are drawn again, with replacement (Efron and Tibshirani
/// 1993, "An Introduction to the Bootstrap", section 6.2, with the choice as the statistic). `None` where they are too few:
/// drawn again and again, one question is always of one mind.
fn resampled(sweep: &Sweep, all: &[Answers<'_>], options: &BestOptions) -> Option<Vec<usize>> {
    let n = all[0].by_question.len();
    if n < FEWEST_RESAMPLED || options.resamples == 0 {
        return None;
    }
    let mut chosen = vec![0; all.len()];
    for resample in 0..options.resamples {
        let keys = [options.seed, Random::key("resample"), resample as u64];
        let mut random = Random::derive(&keys);
        let mut counts = vec![0.0; all.len()];
        for _ in 0..n {
            let question = random.below(n);
            for (count, answers) in counts.iter_mut().zip(all) {
                *count += answers.by_question[question];
            }
        }
        chosen[choose(sweep, all, &counts)] += 1;
    }
    Some(chosen)
}

/// The share of right answers.
pub(super) fn share_right(answers: &[bool]) -> f64 {
    right(answers) as f64 / answers.len().max(1) as f64
}

pub(super) fn candidate(point: &Point, answers: &[bool], chosen: Option<f64>) -> Candidate {
    let (n, correct) = (answers.len() as u64, right(answers));
    let interval = wilson(correct, n, Z_95);
    Candidate {
        model: point.model.clone(),
        n,
        correct,
        accuracy: correct as f64 / n.max(1) as f64,
        ci_low: interval.low,
        ci_high: interval.high,
        chosen,
    }
}

pub(super) fn compare(pick: &[bool], other: &Answers<'_>) -> Comparison {
    let counts = PairedCounts::count(pick.iter().copied().zip(other.test.iter().copied()));
    let interval = newcombe_paired(counts, Z_95);
    Comparison {
        other: other.point.model.clone(),
        difference: counts.difference(),
        ci_low: interval.low,
        ci_high: interval.high,
        p_value: mcnemar_exact(counts),
    }
}

fn plausible(sweep: &Sweep, all: &[Answers<'_>], chosen: &[usize]) -> Vec<(String, f64, f64)> {
    let total: usize = chosen.iter().sum();
    let variables = sweep.variables.iter().enumerate();
    variables
        .map(|(axis, variable)| {
            let mut weights = vec![0; variable.values.len()];
            for (answers, &times) in all.iter().zip(chosen) {
                weights[answers.point.indices[axis]] += times;
            }
            let quantile = |share: f64| {
                let mut seen = 0;
                let wanted = share * total as f64;
                let index = weights.iter().position(|&times| {
                    seen += times;
                    seen as f64 >= wanted && seen > 0
                });
                index.map_or(f64::NAN, |index| variable.values[index].number)
            };
            (variable.name.clone(), quantile(0.025), quantile(0.975))
        })
        .collect()
}

/// The pick beside coefficients 0 and 1 on all that the sweep asked, test questions only.
fn effects(
    sweep: &Sweep,
    pick: &Point,
    records: &[Record],
    options: &BestOptions,
) -> Result<Report> {
    let division = options.division();
    let (zero, one) = (sweep.point_at(0.0), sweep.point_at(1.0));
    let mut shown = vec![pick.model.as_str()];
    for other in [zero, one].into_iter().flatten() {
        if !shown.contains(&other.model.as_str()) {
            shown.push(&other.model);
        }
    }
    let shown = sweep
        .points
        .iter()
        .map(|point| point.model.as_str())
        .filter(|it| shown.contains(it));
    let records: Vec<Record> = shown
        .flat_map(|model| {
            records
                .iter()
                .filter(move |record| record.model == model && !division.is_validation(record))
                .cloned()
        })
        .collect();
    Report::build(&records, zero.map(|zero| zero.model.as_str()))
}

/// What is to be known of the questions themselves.
fn few(best: &Best, has_several_answers: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    let (validation, test) = (best.validation_questions, best.test_questions);
    warnings.extend(few_questions(validation, test));
    if has_several_answers {
        warnings.push(
            "questions have several answers, which count as if they were as many questions: intervals and p \
             values are too sure of themselves"
                .to_owned(),
        );
    }
    warnings
}

/// A warning where a choice rests on few questions.
pub(crate) fn few_questions(validation: u64, test: u64) -> Option<String> {
    (validation.min(test) < FEW).then(|| {
        format!(
            "chosen on {validation} and measured on {test} questions: with fewer than {FEW} in either part the choice is \
             mostly luck; ask more with `--limit`"
        )
    })
}

fn warnings(sweep: &Sweep, pick: &Point, best: &Best) -> Vec<String> {
    let mut warnings = Vec::new();
    let is_one = sweep.values(pick).all(|value| value.number == 1.0);
    match &best.against_one {
        Some(one) if one.ci_low <= 0.0 && one.ci_high >= 0.0 => warnings.push(format!(
            "`{}` is within noise of `{}`: {} points (95 % interval {} to {}) on the test questions, \
             which do not tell them apart",
            best.pick,
            one.other,
            points(one.difference),
            points(one.ci_low),
            points(one.ci_high),
        )),
        Some(one) if one.ci_high < 0.0 => warnings.push(format!(
            "`{}` is worse than `{}` on the test questions: {} points (95 % interval {} to {})",
            best.pick,
            one.other,
            points(one.difference),
            points(one.ci_low),
            points(one.ci_high),
        )),
        Some(_) => {}
        None if is_one => {}
        None => warnings.push(
            "no point has every coefficient at 1, so the pick cannot be held against the plain vector".to_owned(),
        ),
    }
    if let Some(zero) = &best.against_zero
        && zero.ci_low <= 0.0
    {
        warnings.push(format!(
            "no gain over `{}` is measurable: {} points (95 % interval {} to {}) on the test questions",
            zero.other,
            points(zero.difference),
            points(zero.ci_low),
            points(zero.ci_high),
        ));
    }
    for (variable, &index) in sweep.variables.iter().zip(&pick.indices) {
        if variable.values.len() > 1 && (index == 0 || index + 1 == variable.values.len()) {
            warnings.push(format!(
                "`{} = {}` is at the end of what was tried; the best may lie beyond",
                variable.name, variable.values[index].text
            ));
        }
    }
    warnings
}
