//! What stands beside the records of a study.

use super::Recipe;
use crate::asked::Asked;
use crate::error::{Error, Result};
use crate::report::Table;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file that says what was studied.
pub const SIDE_FILE: &str = "study.json";

/// The version of [`Outcome`]'s JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// One target under one seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// `taskvec study`.
    pub command: String,
    /// Version of taskvec.
    pub taskvec: String,
    /// What was asked, with what the command line changed in it.
    pub recipe: Recipe,
    /// The target's name in the recipe; `None` where it has no list of targets.
    pub target: Option<String>,
    /// The seed.
    pub seed: u64,
    /// The command that does it again, its `--out` apart; nothing in a file that is older than this field.
    #[serde(default)]
    pub again: Option<String>,
    /// The tasks of `questions.tasks`, groups resolved.
    pub tasks: Vec<String>,
    /// The tasks of `questions.unchanged`, groups resolved.
    pub unchanged: Vec<String>,
    /// Norms, cosine and signs of each pair of the recipe's vectors, once they are measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between: Option<Table>,
}

impl Outcome {
    /// Reads a side file from the bytes of `path`, which errors name.
    ///
    /// # Errors
    ///
    /// [`Error::StudyFile`] for anything but what `taskvec study` writes.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let refused = |problem: String| Error::StudyFile {
            path: path.to_owned(),
            problem,
        };
        let outcome: Self =
            serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
        if outcome.schema_version != SCHEMA_VERSION {
            return Err(refused(format!(
                "its schema version is {}, expected {SCHEMA_VERSION}",
                outcome.schema_version
            )));
        }
        Ok(outcome)
    }

    /// The recipe's title, and which target and seed this is where there are several.
    #[must_use]
    pub fn title(&self) -> String {
        let seed = (self.recipe.seeds.len() > 1).then(|| format!("seed {}", self.seed));
        let parts = [Some(self.recipe.title.clone()), self.target.clone(), seed];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// Whether labels mean the same models in both.
    #[must_use]
    pub fn has_the_models_of(&self, other: &Self) -> bool {
        let models = |outcome: &Self| {
            let recipe = &outcome.recipe;
            let target = outcome
                .target
                .as_ref()
                .map(|name| recipe.targets.get(name).cloned());
            let meanings: Vec<(String, String)> = recipe
                .variants
                .iter()
                .map(|variant| (variant.label().to_owned(), variant.expression.clone()))
                .collect();
            (
                recipe.models.clone(),
                recipe.vectors.clone(),
                target,
                meanings,
            )
        };
        models(self) == models(other)
    }

    /// Why this cannot go on in the directory of `earlier`, a study of the same models, without leaving something behind; the end
    /// of a sentence. `None` where it only adds.
    #[must_use]
    pub fn clash(&self, earlier: &Self) -> Option<String> {
        self.asked().clash(&earlier.asked())
    }

    fn asked(&self) -> Asked<'_> {
        let questions = &self.recipe.questions;
        let tasks = self.tasks.iter().chain(&self.unchanged);
        Asked {
            tasks: tasks.map(String::as_str).collect(),
            conditions: &questions.conditions,
            limit: questions.limit,
            seed: self.seed,
            samples: 1,
            temperature: 0.0,
            prompt_form: &questions.prompt_form,
        }
    }

    /// The file's text.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Plain data with string keys: serialisation has no way to fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}
