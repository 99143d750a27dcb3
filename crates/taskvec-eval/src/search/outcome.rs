//! What a search found, what it is worth, and which groups the vector lives from.

use super::walk::{Place, Stage, Walk, walk};
use super::{Group, Search};
use crate::division::{Division, Part};
use crate::error::{Error, Result};
use crate::report::Report;
use crate::report::render::points;
use crate::run::Record;
use crate::statistics::{PairedCounts, Z_95, holm, mcnemar_exact, newcombe_paired, wilson};
use crate::sweep::{Value, few_questions};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use taskvec_core::Coefficient;

/// The version of [`Outcome`]'s JSON form.
const SCHEMA_VERSION: u32 = 1;

/// A search, done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The version of this form.
    pub schema_version: u32,
    /// Questions on which points were chosen.
    pub validation_questions: u64,
    /// Questions on which the last few are measured, which had no say.
    pub test_questions: u64,
    /// How many points were measured; never more than the budget.
    pub evaluations: usize,
    /// Whether the search ended because no smallest step was better, and not because the budget was spent.
    pub is_settled: bool,
    /// The points, in the order in which they were measured.
    pub trials: Vec<TrialRow>,
    /// The best point.
    pub found: Pick,
    /// Every coefficient at the start.
    pub start: Pick,
    /// The best of the points with one coefficient for all groups.
    pub uniform: Pick,
    /// Every coefficient at 0, if the budget reached it.
    pub without: Option<Pick>,
    /// The best point's coefficients, one for each group.
    pub coefficients: Vec<(Group, Value)>,
    /// The best point against one coefficient for all, against the start and against 0, where they are not the same.
    pub against: Vec<Against>,
    /// What leaving out each group changed, as far as the budget reached; the largest loss first.
    pub importance: Vec<Importance>,
    /// Every task and condition on the test questions: without the vector, start, one for all and found.
    pub report: Report,
    /// What the reader should know before relying on it.
    pub warnings: Vec<String>,
}

/// What was asked, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// What was asked.
    pub search: Search,
    /// What came of it.
    pub outcome: Outcome,
}

/// A point that was measured on the validation questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialRow {
    /// Its label.
    pub model: String,
    /// The expression there.
    pub expression: String,
    /// Why it was measured: `start`, `without`, `leave out`, `uniform` or `move`.
    pub stage: String,
    /// Its right answers.
    pub right: u64,
    /// `right / n`.
    pub accuracy: f64,
}

/// A point that was measured on both parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pick {
    /// Its label.
    pub model: String,
    /// The expression there.
    pub expression: String,
    /// Accuracy on the validation questions, which chose it.
    pub validation: f64,
    /// Accuracy on the test questions.
    pub test: f64,
    /// Lower end of Wilson's 95 % interval of the latter.
    pub ci_low: f64,
    /// Upper end of it.
    pub ci_high: f64,
}

/// The best point against another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// What the other is: `one for all`, `start` or `without`.
    pub role: String,
    /// Its label.
    pub other: String,
    /// On the validation questions, where luck counts for the best.
    pub validation: Difference,
    /// On the test questions.
    pub test: Difference,
}

/// Two points on the same questions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Questions.
    pub n: u64,
    /// Questions that the first alone has right.
    pub gained: u64,
    /// Questions that the second alone has right.
    pub lost: u64,
    /// Accuracy of the first less that of the second.
    pub value: f64,
    /// Lower end of Newcombe's paired 95 % interval.
    pub ci_low: f64,
    /// Upper end of it.
    pub ci_high: f64,
    /// McNemar's exact two-sided p value.
    pub p_value: f64,
}

/// What leaving out one group changes, the others at the start.
///
/// The start and the groups are fixed before anything is measured, so nothing is chosen here and the interval means what
/// it says, on the validation questions too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Importance {
    /// The group.
    pub group: Group,
    /// The start without the group against the start: below 0 where the group is needed.
    pub change: Difference,
    /// Holm's adjusted p value over all groups.
    pub p_value_adjusted: f64,
}

/// Right or wrong by question, in one order for all points.
type Answers<'a> = BTreeMap<(&'a str, &'a str), bool>;

impl Outcome {
    /// Takes the path again through the `records` of `search`.
    ///
    /// # Errors
    ///
    /// [`Error::SearchUnfinished`] where a point on the path lacks answers, and those of [`Report::build`].
    pub fn build(search: &Search, records: &[Record]) -> Result<Self> {
        let division = search.division();
        let validation = answers(search, records, Part::Validation, &division);
        let test = answers(search, records, Part::Test, &division);
        let space = search.space();
        let questions = validation.get(
            search
                .label(&vec![space.start.clone(); space.groups])
                .as_str(),
        );
        let walk = walk(&space, &mut |place, _| {
            let label = search.label(place);
            match validation.get(label.as_str()) {
                Some(found) if questions.is_some_and(|all| all.keys().eq(found.keys())) => {
                    Ok(right(found))
                }
                _ => Err(Error::SearchUnfinished { missing: label }),
            }
        })?;
        let measured = Measured {
            search,
            walk: &walk,
            validation,
            test,
            expressions: records
                .iter()
                .map(|record| (record.model.as_str(), record.expression.as_str()))
                .collect(),
        };
        measured.outcome(records, &division)
    }

    /// The records of the last few points' answers to the test questions: without the vector, start, one for all, found.
    #[must_use]
    pub fn measured(&self, search: &Search, records: &[Record]) -> Vec<Record> {
        measured(&self.shown(), records, &search.division())
    }

    /// The labels of those points, each once.
    #[must_use]
    pub fn shown(&self) -> Vec<&str> {
        let picks = self.without.iter();
        let picks = picks.chain([&self.start, &self.uniform, &self.found]);
        let mut models: Vec<&str> = Vec::new();
        for pick in picks {
            if !models.contains(&pick.model.as_str()) {
                models.push(&pick.model);
            }
        }
        models
    }

    /// The best point's coefficient of a group.
    #[must_use]
    pub fn coefficient(&self, group: &Group) -> Option<&Value> {
        let mut coefficients = self.coefficients.iter();
        coefficients
            .find(|(other, _)| other == group)
            .map(|(_, value)| value)
    }
}

fn answers<'a>(
    search: &Search,
    records: &'a [Record],
    part: Part,
    division: &Division,
) -> BTreeMap<&'a str, Answers<'a>> {
    let mut by_model: BTreeMap<&str, Answers<'_>> = BTreeMap::new();
    for record in records {
        if search.conditions.first() == Some(&record.condition)
            && search.tasks.contains(&record.task)
            && division.part(&record.task, &record.doc_id) == part
        {
            by_model
                .entry(&record.model)
                .or_default()
                .insert((&record.task, &record.doc_id), record.is_right());
        }
    }
    by_model
}

fn right(answers: &Answers<'_>) -> u64 {
    answers.values().filter(|is_right| **is_right).count() as u64
}

/// A path and all answers to it.
struct Measured<'a> {
    search: &'a Search,
    walk: &'a Walk,
    validation: BTreeMap<&'a str, Answers<'a>>,
    test: BTreeMap<&'a str, Answers<'a>>,
    expressions: BTreeMap<&'a str, &'a str>,
}

impl Measured<'_> {
    fn outcome(&self, records: &[Record], division: &Division) -> Result<Outcome> {
        let walk = self.walk;
        let (found, start) = (self.pick(walk.found)?, self.pick(0)?);
        let uniform = self.pick(walk.uniform)?;
        let without = walk.without.map(|index| self.pick(index)).transpose()?;
        let mut against = Vec::new();
        for (role, other) in [
            ("one for all", Some(&uniform)),
            ("start", Some(&start)),
            ("without", without.as_ref()),
        ] {
            let is_new = |other: &&Pick| {
                other.model != found.model
                    && against
                        .iter()
                        .all(|known: &Against| known.other != other.model)
            };
            let Some(other) = other.filter(is_new) else {
                continue;
            };
            let difference = |part: &BTreeMap<&str, Answers<'_>>| {
                difference(&part[found.model.as_str()], &part[other.model.as_str()])
            };
            against.push(Against {
                role: role.to_owned(),
                other: other.model.clone(),
                validation: difference(&self.validation),
                test: difference(&self.test),
            });
        }
        let questions =
            |part: &BTreeMap<&str, Answers<'_>>| part[start.model.as_str()].len() as u64;
        let shown: Vec<&str> = without
            .iter()
            .chain([&start, &uniform, &found])
            .map(|pick| pick.model.as_str())
            .collect();
        let mut outcome = Outcome {
            schema_version: SCHEMA_VERSION,
            validation_questions: questions(&self.validation),
            test_questions: questions(&self.test),
            evaluations: walk.trials.len(),
            is_settled: walk.is_settled,
            trials: (0..walk.trials.len())
                .map(|index| self.trial(index))
                .collect(),
            coefficients: self.coefficients(),
            importance: self.importance(),
            report: Report::build(
                &measured(&shown, records, division),
                without.as_ref().map(|pick| pick.model.as_str()),
            )?,
            against,
            found,
            start,
            uniform,
            without,
            warnings: Vec::new(),
        };
        outcome.warnings = warnings(self.search, walk, &outcome);
        Ok(outcome)
    }

    fn label(&self, index: usize) -> String {
        self.search.label(&self.walk.trials[index].place)
    }

    fn expression(&self, label: &str) -> String {
        self.expressions
            .get(label)
            .map_or_else(String::new, |&text| text.to_owned())
    }

    fn trial(&self, index: usize) -> TrialRow {
        let trial = &self.walk.trials[index];
        let model = self.label(index);
        let n = self.validation[model.as_str()].len();
        TrialRow {
            expression: self.expression(&model),
            stage: match trial.stage {
                Stage::Start => "start",
                Stage::Without => "without",
                Stage::LeaveOut(_) => "leave out",
                Stage::Uniform => "uniform",
                Stage::Move(_) => "move",
            }
            .to_owned(),
            right: trial.right,
            accuracy: trial.right as f64 / n.max(1) as f64,
            model,
        }
    }

    fn pick(&self, index: usize) -> Result<Pick> {
        let model = self.label(index);
        let start = self.test.get(self.label(0).as_str());
        let test = self.test.get(model.as_str());
        let Some(test) =
            test.filter(|test| start.is_some_and(|start| start.keys().eq(test.keys())))
        else {
            return Err(Error::SearchUnfinished { missing: model });
        };
        let (n, correct) = (test.len() as u64, right(test));
        let interval = wilson(correct, n, Z_95);
        Ok(Pick {
            expression: self.expression(&model),
            validation: self.trial(index).accuracy,
            test: correct as f64 / n.max(1) as f64,
            ci_low: interval.low,
            ci_high: interval.high,
            model,
        })
    }

    fn coefficients(&self) -> Vec<(Group, Value)> {
        let place: &Place = &self.walk.trials[self.walk.found].place;
        let value = |value: &Coefficient| Value {
            text: value.to_string(),
            number: value.to_f64(),
        };
        let groups = self.search.groups.iter().cloned();
        groups.zip(place.iter().map(value)).collect()
    }

    fn importance(&self) -> Vec<Importance> {
        let start = &self.validation[self.label(0).as_str()];
        let mut rows: Vec<Importance> = self
            .search
            .groups
            .iter()
            .zip(&self.walk.left_out)
            .filter_map(|(group, index)| {
                let without = &self.validation[self.label((*index)?).as_str()];
                Some(Importance {
                    group: group.clone(),
                    change: difference(without, start),
                    p_value_adjusted: 1.0,
                })
            })
            .collect();
        let p_values: Vec<f64> = rows.iter().map(|row| row.change.p_value).collect();
        for (row, adjusted) in rows.iter_mut().zip(holm(&p_values)) {
            row.p_value_adjusted = adjusted;
        }
        rows.sort_by(|one, other| one.change.value.total_cmp(&other.change.value));
        rows
    }
}

/// Both have answered the same questions.
fn difference(first: &Answers<'_>, second: &Answers<'_>) -> Difference {
    let counts = PairedCounts::count(first.values().copied().zip(second.values().copied()));
    let interval = newcombe_paired(counts, Z_95);
    Difference {
        n: counts.n(),
        gained: counts.only_first,
        lost: counts.only_second,
        value: counts.difference(),
        ci_low: interval.low,
        ci_high: interval.high,
        p_value: mcnemar_exact(counts),
    }
}

/// The answers of these models to the test questions, each model once.
fn measured(shown: &[&str], records: &[Record], division: &Division) -> Vec<Record> {
    let mut models: Vec<&str> = Vec::new();
    for model in shown {
        if !models.contains(model) {
            models.push(model);
        }
    }
    models
        .iter()
        .flat_map(|model| {
            records
                .iter()
                .filter(move |record| record.model == *model && !division.is_validation(record))
                .cloned()
        })
        .collect()
}

fn warnings(search: &Search, walk: &Walk, outcome: &Outcome) -> Vec<String> {
    let mut warnings = Vec::new();
    warnings.extend(few_questions(
        outcome.validation_questions,
        outcome.test_questions,
    ));
    let left_out = walk.left_out.iter().flatten().count();
    if left_out < search.groups.len() {
        warnings.push(format!(
            "the budget of {} evaluations left out {left_out} of {} groups; a first round takes {}, and each round of moves \
             up to {} more",
            search.budget,
            search.groups.len(),
            search.groups.len() + 2,
            2 * search.groups.len(),
        ));
    } else if !walk.is_settled {
        warnings.push(format!(
            "the budget of {} evaluations was spent before the search came to rest; a larger one goes on from here",
            search.budget
        ));
    }
    let found = &outcome.found.model;
    let role = |role: &str| outcome.against.iter().find(|other| other.role == role);
    match role("one for all") {
        None => warnings.push(format!(
            "no coefficients by group had more of the validation questions right than one for all: `{found}`"
        )),
        Some(uniform) if uniform.test.value <= 0.0 => warnings.push(format!(
            "the gain over `{}`, one coefficient for all, vanishes on questions that had no say: {} points on the validation \
             questions, the best of {} points measured there, and {} (95 % interval {} to {}) on the test questions",
            uniform.other,
            points(uniform.validation.value),
            outcome.evaluations,
            points(uniform.test.value),
            points(uniform.test.ci_low),
            points(uniform.test.ci_high),
        )),
        Some(uniform) if uniform.test.ci_low <= 0.0 => warnings.push(format!(
            "coefficients by group are within noise of `{}`, one for all: {} points on the validation questions, which chose \
             them, {} (95 % interval {} to {}) on the test questions",
            uniform.other,
            points(uniform.validation.value),
            points(uniform.test.value),
            points(uniform.test.ci_low),
            points(uniform.test.ci_high),
        )),
        Some(_) => {}
    }
    if let Some(without) = role("without")
        && without.test.ci_low <= 0.0
    {
        warnings.push(format!(
            "no gain over `{}` is measurable: {} points (95 % interval {} to {}) on the test questions",
            without.other,
            points(without.test.value),
            points(without.test.ci_low),
            points(without.test.ci_high),
        ));
    }
    warnings
}
