//! Questions to choose on, and questions to measure on.
//!
//! Whoever takes the best of many points and reports the accuracy it was chosen for reports luck along with it. Questions
//! are therefore divided in two. A question's part depends on nothing but the question, so all conditions of it are in one
//! part, and a run that is resumed with more questions moves none.

use crate::error::{Error, Result};
use crate::random::Random;
use crate::run::{Cell, Record};
use crate::task::{About, Document, Metric, Protocol, Selection, Task};
use std::sync::Arc;

/// A division of all questions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Division {
    /// Share of the questions to choose on, between 0 and 1.
    pub validation: f64,
    /// Seed of the division.
    pub seed: u64,
}

impl Default for Division {
    fn default() -> Self {
        Self {
            validation: 0.5,
            seed: 0,
        }
    }
}

/// One part of a [`Division`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Questions to choose on.
    Validation,
    /// Questions that have no say, to measure on.
    Test,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

impl Division {
    /// The part that a question is in.
    #[must_use]
    pub fn part(&self, task: &str, doc_id: &str) -> Part {
        let keys = [
            self.seed,
            Random::key("validation"),
            Random::key(task),
            Random::key(doc_id),
        ];
        let draw = Random::derive(&keys).next_u64() as f64 / 2f64.powi(64);
        if draw < self.validation {
            Part::Validation
        } else {
            Part::Test
        }
    }

    /// Whether a record answers a question to choose on.
    #[must_use]
    pub fn is_validation(&self, record: &Record) -> bool {
        self.part(&record.task, &record.doc_id) == Part::Validation
    }

    /// The cells with the questions of one part alone. Their records are those of the whole cells.
    #[must_use]
    pub fn cells(&self, cells: &[Cell], part: Part) -> Vec<Cell> {
        cells
            .iter()
            .map(|cell| Cell {
                task: Arc::new(Portion {
                    task: Arc::clone(&cell.task),
                    division: *self,
                    part,
                }),
                condition: cell.condition,
            })
            .collect()
    }
}

/// A task that asks the questions of one part.
struct Portion {
    task: Arc<dyn Task>,
    division: Division,
    part: Part,
}

impl Task for Portion {
    fn name(&self) -> &str {
        self.task.name()
    }

    fn version(&self) -> &str {
        self.task.version()
    }

    fn about(&self) -> About {
        self.task.about()
    }

    fn conditions(&self) -> &[crate::Condition] {
        self.task.conditions()
    }

    fn default_limit(&self) -> usize {
        self.task.default_limit()
    }

    fn documents(&self, selection: &Selection) -> Result<Vec<Document>> {
        let mut documents = self.task.documents(selection)?;
        let asked = documents.len();
        documents
            .retain(|document| self.division.part(self.task.name(), &document.id) == self.part);
        if documents.is_empty() && asked > 0 {
            return Err(Error::EmptyPart {
                task: self.task.name().to_owned(),
                part: self.part.name(),
                questions: asked,
            });
        }
        Ok(documents)
    }

    fn protocol(&self) -> Protocol<'_> {
        self.task.protocol()
    }

    fn metric(&self) -> Metric {
        self.task.metric()
    }

    fn ready(&self) -> Result<()> {
        self.task.ready()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Condition, Registry, run};

    #[test]
    fn the_parts_are_a_division_and_the_same_under_every_condition() {
        let registry = Registry::standard();
        let tasks = registry.select("micro-gsm").unwrap();
        let cells = run::cells(&tasks, &[Condition::Clean, Condition::Noise]);
        let division = Division::default();
        let ids = |cell: &Cell| -> Vec<String> {
            let selection = Selection {
                limit: Some(60),
                condition: cell.condition,
                ..Selection::test()
            };
            let documents = cell.task.documents(&selection).unwrap();
            documents.into_iter().map(|document| document.id).collect()
        };
        let [validation, test] =
            [Part::Validation, Part::Test].map(|part| division.cells(&cells, part));
        let (chosen_on, measured_on) = (ids(&validation[0]), ids(&test[0]));
        assert!((20..40).contains(&chosen_on.len()), "{}", chosen_on.len());
        let mut both = [chosen_on.clone(), measured_on].concat();
        let mut whole = ids(&cells[0]);
        both.sort();
        whole.sort();
        assert_eq!(both, whole);
        assert_eq!(ids(&validation[1]), chosen_on);
    }

    #[test]
    fn a_part_without_questions_is_refused() {
        let tasks = Registry::standard().select("micro-gsm").unwrap();
        let cells = run::cells(&tasks, &[Condition::Clean]);
        let division = Division {
            validation: 1e-9,
            seed: 0,
        };
        let selection = Selection {
            limit: Some(3),
            ..Selection::test()
        };
        let cell = &division.cells(&cells, Part::Validation)[0];
        let error = cell.task.documents(&selection).unwrap_err();
        assert_eq!(
            error.to_string(),
            "none of the 3 questions of `micro-gsm` is in the validation part"
        );
        assert!(error.hint().unwrap().contains("--limit"));
    }
}
