//! What a person writes.

use crate::condition::Condition;
use crate::error::{Error, Result};
use crate::report;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The name by which expressions mean the model under study.
const TARGET: &str = "target";
/// The name by which expressions mean the number of the repetition.
const SEED: &str = "seed";

/// A study, as its file says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What the study is called.
    pub title: String,
    /// Seeds of synthetic questions and perturbations; the whole study is repeated for each, and expressions may use it
    /// as `seed`.
    #[serde(default = "one_seed")]
    pub seeds: Vec<u64>,
    /// What names in expressions stand for.
    #[serde(default)]
    pub models: BTreeMap<String, String>,
    /// The models under study, each of which is in turn what expressions call `target`; empty where `target` is a model
    /// like the others.
    #[serde(default)]
    pub targets: BTreeMap<String, String>,
    /// Short names for expressions, in variants and in one another.
    #[serde(default)]
    pub vectors: BTreeMap<String, String>,
    /// What is asked.
    pub questions: Questions,
    /// What is measured.
    #[serde(rename = "variant")]
    pub variants: Vec<Variant>,
    /// What runs the models; `None` for this process.
    #[serde(default)]
    pub engine: Option<Served>,
}

/// What models are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Questions {
    /// Tasks on which the vector is to show what it does; the first is what the conclusion is about.
    pub tasks: Vec<String>,
    /// Tasks that should not change: what the vector costs.
    #[serde(default)]
    pub unchanged: Vec<String>,
    /// Perturbations of the text, `clean` among them.
    #[serde(default = "clean")]
    pub conditions: Vec<Condition>,
    /// Questions of each task and condition; `None` for the task's own default.
    #[serde(default)]
    pub limit: Option<usize>,
    /// How questions are put: `auto`, `base` or `chat`.
    #[serde(default = "auto")]
    pub prompt_form: String,
    /// Pairs of tasks that differ in the instruction alone.
    #[serde(default)]
    pub prompting: Vec<Prompting>,
}

/// The same questions with and without an instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompting {
    /// The task with the instruction.
    pub with: String,
    /// The task without it.
    pub without: String,
}

/// A model that is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Its name in tables; the expression where there is none.
    #[serde(default)]
    pub label: Option<String>,
    /// What it is.
    pub expression: String,
    /// What it is there for.
    pub part: Part,
}

impl Variant {
    /// Its name in tables.
    #[must_use]
    pub fn label(&self) -> &str {
        self.label.as_ref().unwrap_or(&self.expression)
    }
}

/// What a variant is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// What the others are compared with: the target as it is.
    Baseline,
    /// The target with the vector.
    Addition,
    /// The target less the vector: does it carry the skill?
    Subtraction,
    /// The target with a random vector of the same size: is it the direction?
    Random,
    /// Any other control.
    Control,
    /// The target with one of several vectors.
    Alone,
    /// The target with several vectors at once.
    Together,
}

/// A server that is started on each variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Served {
    /// The command, with `{model}` and `{port}` in it.
    pub serve: String,
}

impl Part {
    /// Each of them.
    pub const ALL: [Self; 7] = [
        Self::Baseline,
        Self::Addition,
        Self::Subtraction,
        Self::Random,
        Self::Control,
        Self::Alone,
        Self::Together,
    ];
}

fn one_seed() -> Vec<u64> {
    vec![0]
}

fn clean() -> Vec<Condition> {
    vec![Condition::Clean]
}

fn auto() -> String {
    "auto".to_owned()
}

impl Recipe {
    /// Reads a recipe from the text of `path`, which errors name.
    ///
    /// # Errors
    ///
    /// [`Error::Recipe`] for what is not TOML of this form, with the line, and for a study that could not be evaluated:
    /// without variants or with several baselines, with a label or a name twice, with a pair of tasks that are not asked.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let recipe: Self = toml::from_str(text).map_err(|error| Error::Recipe {
            path: path.to_owned(),
            problem: error.to_string().trim_end().to_owned(),
        })?;
        recipe.check(path)?;
        Ok(recipe)
    }

    /// Refuses what [`Recipe::parse`] does, for a recipe that was changed since; `path` is for errors.
    ///
    /// # Errors
    ///
    /// [`Error::Recipe`].
    pub fn check(&self, path: &Path) -> Result<()> {
        match self.problem() {
            None => Ok(()),
            Some(problem) => Err(Error::Recipe {
                path: path.to_owned(),
                problem,
            }),
        }
    }

    /// What would make the study meaningless.
    fn problem(&self) -> Option<String> {
        let baselines = self.labels(|part| part == Part::Baseline).count();
        if baselines != 1 {
            return Some(format!(
                "one variant must have `part = \"baseline\"`, and {baselines} have it"
            ));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.labels(|_| true).find(|label| !seen.insert(*label)) {
            return Some(format!("two variants are called `{twice}`"));
        }
        if self.seeds.is_empty() {
            return Some("`seeds` is empty".to_owned());
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.seeds.iter().find(|seed| !seen.insert(**seed)) {
            return Some(format!("the seed {twice} is there twice"));
        }
        let names = self.models.keys().chain(self.vectors.keys());
        let mut seen = BTreeSet::new();
        for name in names {
            if name == SEED || name == TARGET && !self.targets.is_empty() {
                return Some(format!("`{name}` has a meaning already"));
            }
            if !seen.insert(name) {
                return Some(format!("`{name}` is a model and a vector"));
            }
        }
        if let Some(name) = self.targets.keys().find(|name| !is_directory_name(name)) {
            return Some(format!(
                "`{name}` cannot be the name of a target: it names a directory, so letters, digits, `-`, `_` and `.`"
            ));
        }
        let questions = &self.questions;
        if questions.tasks.is_empty() {
            return Some("`questions.tasks` is empty".to_owned());
        }
        if questions.limit == Some(0) {
            return Some("`questions.limit` is 0, expected 1 or more".to_owned());
        }
        if !questions.conditions.contains(&Condition::Clean) {
            return Some("`questions.conditions` lacks `clean`".to_owned());
        }
        if let Some(twice) = questions
            .unchanged
            .iter()
            .find(|name| questions.tasks.contains(name))
        {
            return Some(format!("`{twice}` is among `tasks` and `unchanged`"));
        }
        questions
            .prompting
            .iter()
            .flat_map(|pair| [&pair.with, &pair.without])
            .find(|name| !questions.tasks.contains(name) && !questions.unchanged.contains(name))
            .map(|name| format!("`{name}` is in `questions.prompting`, and not among the tasks"))
    }

    /// Labels of the variants with such a part.
    pub fn labels(&self, is_wanted: impl Fn(Part) -> bool) -> impl Iterator<Item = &str> {
        self.variants
            .iter()
            .filter(move |variant| is_wanted(variant.part))
            .map(Variant::label)
    }

    /// The label of what the others are compared with.
    #[must_use]
    pub fn baseline(&self) -> &str {
        // One there is: `problem` has looked.
        self.labels(|part| part == Part::Baseline)
            .next()
            .unwrap_or_default()
    }

    /// Every task once, those that should not change last.
    pub fn tasks(&self) -> impl Iterator<Item = &str> {
        let questions = &self.questions;
        questions
            .tasks
            .iter()
            .chain(&questions.unchanged)
            .map(String::as_str)
    }

    /// Which rows the concluding sentence is about. `task` is the first that was asked, groups resolved.
    #[must_use]
    pub fn roles(&self, task: &str) -> report::Study {
        let all = |part| self.labels(move |other| other == part).map(str::to_owned);
        report::Study {
            task: task.to_owned(),
            additions: all(Part::Addition).collect(),
            subtraction: all(Part::Subtraction).next(),
            random: all(Part::Random).next(),
        }
    }
}

fn is_directory_name(name: &str) -> bool {
    !name.starts_with('.')
        && !name.is_empty()
        && name
            .chars()
            .all(|character| character.is_alphanumeric() || "-_.".contains(character))
}
