//! A page that shows a run: one HTML file that needs nothing else, on any screen and on paper.
//!
//! # Guarantees
//!
//! - Nothing is fetched: a content security policy in the page forbids it, and allows the page's own script alone.
//! - What models wrote is shown as text and never interpreted, whatever it is.
//! - Every number is read from the data that the page carries ([`PageData`]), which holds every sample.
//!
//! Not covered: training, which [`super::training`] shows.

mod data;
mod figures;
mod html;
mod markdown;

#[cfg(test)]
mod tests;

pub use data::{Answer, Cell, Curve, CurvePoint, Model, PageData, Question, Source};

use super::{Figure, Inspection};
use crate::error::Result;
use crate::run::Record;
use crate::search::Finished;
use crate::study::Outcome;
use crate::sweep::Sweep;

/// One record file.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Where it was, for the reader.
    pub path: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// What is in it.
    pub records: Vec<Record>,
    /// What was swept, where the records are a sweep's.
    pub sweep: Option<Sweep>,
    /// What was studied, where the records are a study's.
    pub study: Option<Outcome>,
    /// What was searched and found, where the records are those of a search's last few points.
    pub search: Option<Finished>,
}

/// What is shown beside the records.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PageOptions {
    /// The page's title; `None` for one made from what is shown.
    pub title: Option<String>,
    /// Label of the model that the others are compared with; `None` for a study's own, for a sweep's point with
    /// coefficients 0, and else for the first model.
    pub baseline: Option<String>,
    /// Label of the model that the headline is about; `None` for the best, in a study the best of its additions.
    pub model: Option<String>,
    /// Vectors to show by layer and module.
    pub vectors: Vec<Inspection>,
    /// Commands that do all of it again.
    pub commands: Vec<String>,
}

/// A page, made but not yet rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    data: PageData,
}

impl Page {
    /// Computes all that `runs` say.
    ///
    /// # Errors
    ///
    /// [`crate::Error::NothingToReport`], [`crate::Error::UnknownModel`] for a label in `options` that no record has, and those
    /// of [`super::Report::build`].
    pub fn build(runs: &[Run], options: &PageOptions) -> Result<Self> {
        let data = PageData::build(runs, options)?;
        Ok(Self { data })
    }

    /// What it shows.
    #[must_use]
    pub fn data(&self) -> &PageData {
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

    /// Headline, tables and how they were made, as Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        markdown::render(&self.data)
    }

    /// The headline model's results as the `model-index` of a model card: YAML for its front matter.
    #[must_use]
    pub fn to_model_index(&self) -> String {
        let label = &self.data.models[self.data.headline_model].label;
        self.data.report.to_model_index(label)
    }
}
