//! What a page of training runs shows, as data. The page carries it as JSON, and every number in the page is read from it.

use super::metric::{self, Better, Metric};
use super::parse::{Kind, LogFile, Sample, Step, TrainingRun};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The version of [`TrainingData`]'s JSON form.
const SCHEMA_VERSION: u32 = 1;

/// Everything on a page of training runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingData {
    /// The version of this form.
    pub schema_version: u32,
    /// Version of taskvec that made the page.
    pub taskvec: String,
    /// The page's title.
    pub title: String,
    /// How all the runs were trained.
    pub kind: Kind,
    /// The runs, in the order in which they were named.
    pub runs: Vec<TrainedRun>,
    /// What the reader should know before relying on the numbers.
    pub notes: Vec<String>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedRun {
    /// What it is called.
    pub label: String,
    /// How many steps it has made.
    pub made: u64,
    /// The first of them.
    pub first_step: u64,
    /// The last of them.
    pub last_step: u64,
    /// Where it looked as if it were being lost.
    pub collapse: Option<Collapse>,
    /// What became of each measurement, in the order of the page.
    pub summaries: Vec<Summary>,
    /// What was measured at each step.
    pub steps: Vec<Step>,
    /// Completions, in the order of steps.
    pub samples: Vec<Sample>,
    /// The files that this was read from.
    pub files: Vec<LogFile>,
}

/// The steps at which a run looked as if it were being lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collapse {
    /// How many.
    pub steps: u64,
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
}

/// What became of one measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Its field in a step.
    pub metric: String,
    /// At the first step that has it.
    pub first: Extreme,
    /// At the last step that has it.
    pub last: Extreme,
    /// The lowest there was, at the first step that had it.
    pub lowest: Extreme,
    /// The highest there was, at the first step that had it.
    pub highest: Extreme,
    /// The better of the two, where one of them is.
    pub best: Option<Extreme>,
}

/// A value and its step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Extreme {
    /// The step.
    pub step: u64,
    /// The value.
    pub value: f64,
}

impl TrainedRun {
    /// Whether this is a run on rewards that never measured how far it went from the initial model.
    pub(super) fn lacks_divergence(&self, kind: Kind) -> bool {
        let is_divergence = |it: &Summary| it.metric == metric::DIVERGENCE;
        kind == Kind::Grpo && !self.summaries.iter().any(is_divergence)
    }
}

impl TrainingData {
    pub(super) fn build(runs: &[TrainingRun], title: Option<&str>) -> Result<Self> {
        let first = runs.first().ok_or(Error::NothingToReport)?;
        if let Some(other) = runs.iter().find(|run| run.kind != first.kind) {
            return Err(Error::MixedTraining {
                one: first.label.clone(),
                one_command: first.kind.command(),
                other: other.label.clone(),
                other_command: other.kind.command(),
            });
        }
        let mut distinct: Vec<&TrainingRun> = Vec::new();
        for run in runs {
            // Named twice, it is one run still.
            if !distinct.iter().any(|known| known.files == run.files) {
                distinct.push(run);
            }
        }
        Ok(Self {
            schema_version: SCHEMA_VERSION,
            taskvec: env!("CARGO_PKG_VERSION").to_owned(),
            title: title.map_or_else(|| self::title(&distinct), str::to_owned),
            kind: first.kind,
            runs: distinct.iter().map(|run| trained(run)).collect(),
            notes: distinct.iter().flat_map(|run| run.notes.clone()).collect(),
        })
    }
}

fn title(runs: &[&TrainingRun]) -> String {
    match runs {
        [only] => format!("Training: {}", only.label),
        runs => format!("{} training runs compared", runs.len()),
    }
}

fn trained(run: &TrainingRun) -> TrainedRun {
    let number = |step: Option<&Step>| step.map_or(0, |step| step.step);
    TrainedRun {
        label: run.label.clone(),
        made: run.steps.len() as u64,
        first_step: number(run.steps.first()),
        last_step: number(run.steps.last()),
        collapse: collapse(&run.steps),
        summaries: metric::of(run.kind)
            .iter()
            .filter_map(|metric| summary(metric, &run.steps))
            .collect(),
        steps: run.steps.clone(),
        samples: run.samples.clone(),
        files: run.files.clone(),
    }
}

fn collapse(steps: &[Step]) -> Option<Collapse> {
    let mut lost = steps.iter().filter(|step| step.collapse == Some(true));
    let first = lost.next()?.step;
    let (mut steps, mut last) = (1, first);
    for step in lost {
        steps += 1;
        last = step.step;
    }
    Some(Collapse { steps, first, last })
}

fn summary(metric: &Metric, steps: &[Step]) -> Option<Summary> {
    let mut values = steps.iter().filter_map(|step| {
        let value = *step.values.get(metric.field)?;
        Some(Extreme {
            step: step.step,
            value,
        })
    });
    let first = values.next()?;
    let (mut last, mut lowest, mut highest) = (first, first, first);
    for value in values {
        last = value;
        if value.value < lowest.value {
            lowest = value;
        }
        if value.value > highest.value {
            highest = value;
        }
    }
    Some(Summary {
        metric: metric.field.to_owned(),
        first,
        last,
        lowest,
        highest,
        best: metric.better.map(|better| match better {
            Better::Higher => highest,
            Better::Lower => lowest,
        }),
    })
}
