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
use crate::condition::Condition;
use crate::error::Result;
use crate::run::{Record, Unfinished, Wanted};
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
    /// A sentence, where its last line was left out.
    pub torn: Option<String>,
    /// What was swept, where the records are a sweep's.
    pub sweep: Option<Sweep>,
    /// What was studied, where the records are a study's.
    pub study: Option<Outcome>,
    /// What was searched and found, where the records are those of a search's last few points.
    pub search: Option<Finished>,
}

impl Run {
    /// What it lacks of what was to be asked.
    #[must_use]
    pub fn unfinished(&self) -> Option<Unfinished> {
        let wanted = |models: &[&str], tasks: &[String], conditions: &[Condition]| {
            let wanted = Wanted {
                models,
                tasks,
                conditions,
            };
            Unfinished::of(&self.path, Some(wanted), &self.records)
        };
        if let Some(sweep) = &self.sweep {
            let models = sweep.points.iter().map(|point| point.model.as_str());
            let models: Vec<&str> = models.collect();
            return wanted(&models, &sweep.tasks, &sweep.conditions);
        }
        if let Some(study) = &self.study {
            let models: Vec<&str> = study.recipe.labels(|_| true).collect();
            let tasks = [study.tasks.as_slice(), study.unchanged.as_slice()].concat();
            return wanted(&models, &tasks, &study.recipe.questions.conditions);
        }
        if let Some(found) = &self.search {
            let (search, outcome) = (&found.search, &found.outcome);
            let models = outcome.shown();
            return wanted(&models, &search.tasks, &search.conditions);
        }
        Unfinished::of(&self.path, None, &self.records)
    }
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
    /// Commands that do all of it again, each with a comment above it where it needs one.
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
