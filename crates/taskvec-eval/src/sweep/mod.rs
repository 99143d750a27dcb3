//! Sweeps: one expression at many values of its coefficients.
//!
//! A sweep is a directory: the records of all points ([`RECORDS`]), and beside them what was asked ([`SIDE_FILE`]), which
//! says which record belongs to which value. Not covered: how a point is loaded and run.

mod best;
mod consistency;
mod order;
mod unlabelled;

#[cfg(test)]
mod tests;

pub(crate) use best::few_questions;
pub use best::{Best, BestOptions, Candidate, Comparison, best};
pub use order::{bisecting, grid_order};
pub use unlabelled::{Criterion, Judged, Unlabelled};

use crate::asked::Asked;
use crate::condition::Condition;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The record file in a sweep's directory.
pub const RECORDS: &str = "records.jsonl";

/// The file that says what was swept.
pub const SIDE_FILE: &str = "sweep.json";

/// The version of [`Sweep`]'s JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// What a sweep asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// `taskvec sweep`.
    pub command: String,
    /// Version of taskvec.
    pub taskvec: String,
    /// The expression with its variables, as printed.
    pub expression: String,
    /// What names in the expression stand for.
    pub bindings: Vec<(String, String)>,
    /// The variables, in the order in which they were given.
    pub variables: Vec<Variable>,
    /// Names of the tasks.
    pub tasks: Vec<String>,
    /// The conditions; a task is asked under those of them that it has.
    pub conditions: Vec<Condition>,
    /// Questions of each task and condition; `None` for the task's own default.
    pub limit: Option<usize>,
    /// Seed of questions and perturbations.
    pub seed: u64,
    /// Answers to each question.
    #[serde(default = "one")]
    pub samples: u32,
    /// Softmax temperature; 0 for the likeliest token always.
    #[serde(default)]
    pub temperature: f64,
    /// How questions are put: `auto`, `base` or `chat`.
    pub prompt_form: String,
    /// The points of the grid, the last variable varying fastest.
    pub points: Vec<Point>,
}

fn one() -> u32 {
    1
}

/// One variable of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name in the expression.
    pub name: String,
    /// Its values, ascending.
    pub values: Vec<Value>,
}

/// An exact number and the double nearest to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// As the expression has it: `-0.25`.
    pub text: String,
    /// For axes.
    pub number: f64,
}

/// One point of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The label of its records: `a = 0.5`.
    pub model: String,
    /// The expression with numbers in the variables' places.
    pub expression: String,
    /// For each variable, which of its values.
    pub indices: Vec<usize>,
}

impl Sweep {
    /// Reads a side file from the bytes of `path`, which errors name.
    ///
    /// # Errors
    ///
    /// [`Error::SweepFile`] for anything but what `taskvec sweep` writes.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let refused = |problem: String| Error::SweepFile {
            path: path.to_owned(),
            problem,
        };
        let sweep: Self =
            serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
        if sweep.schema_version != SCHEMA_VERSION {
            return Err(refused(format!(
                "its schema version is {}, expected {SCHEMA_VERSION}",
                sweep.schema_version
            )));
        }
        let is_within = |point: &Point| {
            point.indices.len() == sweep.variables.len()
                && point
                    .indices
                    .iter()
                    .zip(&sweep.variables)
                    .all(|(&index, variable)| index < variable.values.len())
        };
        match sweep.points.iter().find(|point| !is_within(point)) {
            Some(point) => Err(refused(format!(
                "the point `{}` has values that no variable has",
                point.model
            ))),
            None => Ok(sweep),
        }
    }

    /// The file's text.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Plain data with string keys and finite numbers: serialisation has no way to fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Why this cannot go on in the directory of `earlier`, a sweep of the same expression, without leaving something behind; the
    /// end of a sentence. `None` where it only adds.
    #[must_use]
    pub fn clash(&self, earlier: &Self) -> Option<String> {
        let is_kept = |point: &&Point| self.points.iter().any(|it| it.model == point.model);
        if let Some(point) = earlier.points.iter().find(|point| !is_kept(point)) {
            return Some(format!(
                "with the point `{}`, which this one leaves out",
                point.model
            ));
        }
        self.asked().clash(&earlier.asked())
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            tasks: self.tasks.iter().map(String::as_str).collect(),
            conditions: &self.conditions,
            limit: self.limit,
            seed: self.seed,
            samples: self.samples,
            temperature: self.temperature,
            prompt_form: &self.prompt_form,
        }
    }

    /// The point's values, one for each variable.
    pub fn values<'a>(&'a self, point: &'a Point) -> impl Iterator<Item = &'a Value> {
        self.variables
            .iter()
            .zip(&point.indices)
            .map(|(variable, &index)| &variable.values[index])
    }

    /// The point all of whose variables are `number`, if the grid has it.
    #[must_use]
    pub fn point_at(&self, number: f64) -> Option<&Point> {
        self.points
            .iter()
            .find(|point| self.values(point).all(|value| value.number == number))
    }

    /// The points in the order in which they are best measured ([`grid_order`]).
    #[must_use]
    pub fn schedule(&self) -> Vec<&Point> {
        let lengths: Vec<usize> = self
            .variables
            .iter()
            .map(|variable| variable.values.len())
            .collect();
        grid_order(&lengths)
            .iter()
            .filter_map(|indices| self.points.iter().find(|point| point.indices == *indices))
            .collect()
    }
}
