//! A page that shows training runs: what was measured at each step, and completions through time.
//!
//! # Guarantees
//!
//! Those of [`super::page`]: nothing is fetched, what models wrote is shown as text, and every number is read from the data
//! that the page carries ([`TrainingData`]), which holds every step.
//!
//! Not covered: what only a trainer knows, such as its settings; lines are read as they stand, and fields that nobody knows
//! here are ignored.

mod data;
mod figures;
mod html;
mod markdown;
mod metric;
mod parse;

#[cfg(test)]
pub(super) mod tests;

pub use data::{Collapse, Extreme, Summary, TrainedRun, TrainingData};
pub use markdown::LEGEND;
pub use parse::{Kind, LogFile, Sample, Step, TrainingRun};

use super::Figure;
use crate::error::Result;

/// File of measurements in the directory of a run.
pub const METRICS: &str = "metrics.jsonl";
/// File of sampled completions beside it, where the run samples.
pub const COMPLETIONS: &str = "completions.jsonl";

/// A page of training runs, made but not yet rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingPage {
    data: TrainingData,
}

impl TrainingPage {
    /// Computes all that `runs` say; `title` is the page's, `None` for one made from what is shown.
    ///
    /// # Errors
    ///
    /// [`crate::Error::NothingToReport`] without a run, [`crate::Error::MixedTraining`] where they are of two kinds.
    pub fn build(runs: &[TrainingRun], title: Option<&str>) -> Result<Self> {
        let data = TrainingData::build(runs, title)?;
        Ok(Self { data })
    }

    /// What it shows.
    #[must_use]
    pub fn data(&self) -> &TrainingData {
        &self.data
    }

    /// Every figure, in the order of the page.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        figures::all(&self.data)
    }

    /// The whole page.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::render(&self.data, &self.figures())
    }

    /// Headline and summary of every run, as Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        markdown::render(&self.data)
    }
}
