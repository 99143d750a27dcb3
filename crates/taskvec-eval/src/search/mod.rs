//! Searches: a coefficient for each group of tensors, chosen on some questions and measured on others.
//!
//! A search is a directory: the records of all points ([`crate::sweep::RECORDS`]), and beside them what was asked
//! ([`SIDE_FILE`]). The path that was taken is not kept: it follows from what was asked and from the records
//! ([`walk`]), so that a search that is killed at any moment and run again takes the very same one. Not covered: how a point
//! is loaded and run, and which tensors are a group.

mod outcome;
mod tables;
mod walk;

#[cfg(test)]
pub(crate) mod tests;

pub use outcome::{Against, Difference, Finished, Importance, Outcome, Pick, TrialRow};
pub use walk::{Place, Space, Stage, Trial, Walk, walk};

use crate::asked::Asked;
use crate::condition::Condition;
use crate::division::Division;
use crate::error::{Error, Result};
use crate::sweep::Value;
use serde::{Deserialize, Serialize};
use std::path::Path;
use taskvec_core::expression::ExpressionError;
use taskvec_core::{Coefficient, Expression};

/// The file that says what was searched.
pub const SIDE_FILE: &str = "search.json";

/// The version of [`Search`]'s JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// What a search asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// `taskvec search`.
    pub command: String,
    /// Version of taskvec.
    pub taskvec: String,
    /// The expression with its variable, as printed.
    pub expression: String,
    /// What names in the expression stand for.
    pub bindings: Vec<(String, String)>,
    /// The name of the coefficient in the expression.
    pub variable: String,
    /// How many bands the layers were to be divided into.
    pub layer_groups: u32,
    /// The groups that have a coefficient of their own.
    pub groups: Vec<Group>,
    /// The coefficient of every group at the start.
    pub start: Value,
    /// The first step of the search.
    pub step: Value,
    /// How often the step is halved.
    pub halvings: u32,
    /// How many points may be measured.
    pub budget: usize,
    /// Names of the tasks whose questions count.
    pub tasks: Vec<String>,
    /// The conditions; under the first the points are chosen, under all of them the last few are measured.
    pub conditions: Vec<Condition>,
    /// Questions of each task and condition; `None` for the task's own default.
    pub limit: Option<usize>,
    /// Seed of questions and perturbations.
    pub seed: u64,
    /// How questions are put: `auto`, `base` or `chat`.
    pub prompt_form: String,
    /// Share of the questions on which points are chosen.
    pub validation: f64,
    /// Seed of the division of the questions.
    pub division_seed: u64,
}

/// Tensors that share a coefficient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// In words: `mlp 0-3`.
    pub name: String,
    /// The pattern that matches its tensors and no other group's.
    pub pattern: String,
    /// How many tensors it has.
    pub tensors: usize,
}

impl Search {
    /// Reads a side file from the bytes of `path`, which errors name.
    ///
    /// # Errors
    ///
    /// [`Error::SearchFile`] for anything but what `taskvec search` writes.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let refused = |problem: String| Error::SearchFile {
            path: path.to_owned(),
            problem,
        };
        let search: Self =
            serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
        if search.schema_version != SCHEMA_VERSION {
            return Err(refused(format!(
                "its schema version is {}, expected {SCHEMA_VERSION}",
                search.schema_version
            )));
        }
        for value in [&search.start, &search.step] {
            if value.text.parse::<Coefficient>().is_err() {
                return Err(refused(format!("`{}` is no number", value.text)));
            }
        }
        if search.groups.is_empty() || search.tasks.is_empty() || search.conditions.is_empty() {
            return Err(refused(
                "it has no groups, no tasks or no conditions".to_owned(),
            ));
        }
        Ok(search)
    }

    /// The file's text.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Plain data with string keys and finite numbers: serialisation has no way to fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Why this cannot go on in the directory of `earlier`, a search of the same expression and groups, without leaving something
    /// behind; the end of a sentence. `None` where it only goes further.
    #[must_use]
    pub fn clash(&self, earlier: &Self) -> Option<String> {
        let chooses = |search: &Self| search.conditions.first().map(|it| it.name().to_owned());
        let ways = [
            ("start", earlier.start.text.clone(), self.start.text.clone()),
            (
                "validation share",
                earlier.validation.to_string(),
                self.validation.to_string(),
            ),
            (
                "division seed",
                earlier.division_seed.to_string(),
                self.division_seed.to_string(),
            ),
            (
                "choosing condition",
                chooses(earlier).unwrap_or_default(),
                chooses(self).unwrap_or_default(),
            ),
        ];
        let mut differing = ways.into_iter().filter(|(_, earlier, now)| earlier != now);
        if let Some((what, earlier, now)) = differing.next() {
            return Some(format!("with the {what} {earlier}, and this one has {now}"));
        }
        self.asked().clash(&earlier.asked())
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            tasks: self.tasks.iter().map(String::as_str).collect(),
            conditions: &self.conditions,
            limit: self.limit,
            seed: self.seed,
            samples: 1,
            temperature: 0.0,
            prompt_form: &self.prompt_form,
        }
    }

    /// Where it searches.
    #[must_use]
    pub fn space(&self) -> Space {
        // Parsed when the file was read, or printed from a number.
        let number = |value: &Value| value.text.parse().unwrap_or_else(|_| Coefficient::one());
        Space {
            groups: self.groups.len(),
            start: number(&self.start),
            step: number(&self.step),
            halvings: self.halvings,
            budget: self.budget,
        }
    }

    /// Which questions choose.
    #[must_use]
    pub fn division(&self) -> Division {
        Division {
            validation: self.validation,
            seed: self.division_seed,
        }
    }

    /// The label of a point's records: `a = 1, mlp 0-3 = 0.5`.
    #[must_use]
    pub fn label(&self, place: &Place) -> String {
        let (otherwise, others) = self.compact(place);
        let mut label = format!("{} = {otherwise}", self.variable);
        for (group, value) in others {
            label.push_str(&format!(", {} = {value}", group.name));
        }
        label
    }

    /// The expression at a point; one number where all groups have the same, else a number for most and rules for others.
    ///
    /// # Errors
    ///
    /// Where the expression does not parse, or would become too deep.
    pub fn expression_at(&self, place: &Place) -> Result<Expression, ExpressionError> {
        let (otherwise, others) = self.compact(place);
        let rules: Vec<(&str, &Coefficient)> = others
            .into_iter()
            .map(|(group, value)| (group.pattern.as_str(), value))
            .collect();
        self.expression
            .parse::<Expression>()?
            .with_rules(&self.variable, &rules, otherwise)
    }

    /// The number that most groups have, of equals the first group's, and the groups that have another.
    fn compact<'a>(
        &'a self,
        place: &'a Place,
    ) -> (&'a Coefficient, Vec<(&'a Group, &'a Coefficient)>) {
        let count = |value: &Coefficient| place.iter().filter(|other| *other == value).count();
        let mut otherwise = &place[0];
        for value in place {
            if count(value) > count(otherwise) {
                otherwise = value;
            }
        }
        let others = self.groups.iter().zip(place);
        (
            otherwise,
            others.filter(|(_, value)| *value != otherwise).collect(),
        )
    }
}
