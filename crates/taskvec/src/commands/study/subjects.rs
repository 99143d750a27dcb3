//! From a recipe's texts to models that can be asked.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use taskvec_core::{Bindings, Expression, Kind, Plan, PlanOptions, Reference};
use taskvec_eval::study::Recipe;

use crate::failure::Refusal;
use crate::printer::Printer;
use crate::resolution;

/// Names may stand for names that stand for names; what is longer than this is a mistake.
const LONGEST_EXPRESSION: usize = 1 << 16;

/// One target under one seed.
pub(in crate::commands) struct Repetition {
    /// The target's name in the recipe, where it has a list of them.
    pub(super) target: Option<String>,
    pub(super) seed: u64,
    /// Each variant's label and what it is, in an expression without names.
    pub(super) models: Vec<(String, Expression)>,
    /// Each short name that stands for a vector, and what that is.
    pub(super) vectors: Vec<(String, Plan)>,
}

impl Repetition {
    /// The directories below the study's own; none where there is one target and one seed.
    pub(super) fn path(&self, recipe: &Recipe) -> String {
        let seed = (recipe.seeds.len() > 1).then(|| format!("seed-{}", self.seed));
        let parts: Vec<String> = self.target.clone().into_iter().chain(seed).collect();
        parts.join("/")
    }
}

/// Every target under every seed, targets first.
///
/// # Errors
///
/// An expression that does not parse, a name that nothing is bound to, and short names that go in a circle.
pub(super) fn repetitions(recipe: &Recipe, printer: &Printer) -> anyhow::Result<Vec<Repetition>> {
    let mut targets: Vec<Option<&String>> = recipe.targets.keys().map(Some).collect();
    if targets.is_empty() {
        targets.push(None);
    }
    let mut repetitions = Vec::new();
    for target in targets {
        for &seed in &recipe.seeds {
            repetitions.push(repetition(recipe, target, seed, printer)?);
        }
    }
    Ok(repetitions)
}

fn repetition(
    recipe: &Recipe,
    target: Option<&String>,
    seed: u64,
    printer: &Printer,
) -> anyhow::Result<Repetition> {
    let names = Names::of(recipe, target, seed)?;
    let models = recipe
        .variants
        .iter()
        .map(|variant| {
            let expression = names
                .spelled_out(&variant.expression)
                .with_context(|| format!("cannot measure `{}`", variant.label()))?;
            Ok((variant.label().to_owned(), expression))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let unbound: BTreeSet<&str> = models
        .iter()
        .flat_map(|(_, expression)| expression.names())
        .collect();
    if !unbound.is_empty() {
        return Err(Refusal::Unbound {
            names: unbound.into_iter().map(str::to_owned).collect(),
        }
        .into());
    }
    let vectors = names.vectors(recipe, printer)?;
    Ok(Repetition {
        target: target.cloned(),
        seed,
        models,
        vectors,
    })
}

/// What names stand for.
struct Names(BTreeMap<String, Expression>);

impl Names {
    fn of(recipe: &Recipe, target: Option<&String>, seed: u64) -> anyhow::Result<Self> {
        let mut names = BTreeMap::new();
        let under_study = target.map(|name| ("target", &recipe.targets[name]));
        let models = recipe
            .models
            .iter()
            .map(|(name, text)| (name.as_str(), text));
        for (name, text) in models.chain(under_study) {
            let reference: Reference = text
                .parse()
                .with_context(|| format!("cannot tell what `{name}` is in the recipe"))?;
            names.insert(name.to_owned(), Expression::from(&reference));
        }
        for (name, text) in &recipe.vectors {
            let expression = text
                .parse()
                .with_context(|| format!("cannot tell what `{name}` is in the recipe"))?;
            names.insert(name.clone(), expression);
        }
        names.insert("seed".to_owned(), seed.to_string().parse()?);
        Ok(Self(names))
    }

    /// With what every name stands for in its place.
    fn spelled_out(&self, text: &str) -> anyhow::Result<Expression> {
        let mut expression: Expression = text.parse()?;
        // Each round leads one step further; more steps than names go in a circle.
        for _ in 0..=self.0.len() {
            let names = expression.names().into_iter();
            let known: Vec<String> = names
                .filter(|name| self.0.contains_key(*name))
                .map(str::to_owned)
                .collect();
            let Some(first) = known.first() else {
                return Ok(expression);
            };
            for name in &known {
                expression = expression.with_expression(name, &self.0[name])?;
            }
            if expression.source().len() > LONGEST_EXPRESSION {
                return Err(Refusal::EndlessName {
                    name: first.clone(),
                }
                .into());
            }
        }
        let mut names = expression.names().into_iter();
        let name = names.find(|name| self.0.contains_key(*name));
        Err(Refusal::EndlessName {
            name: name.unwrap_or_default().to_owned(),
        }
        .into())
    }

    /// The short names that stand for vectors.
    fn vectors(&self, recipe: &Recipe, printer: &Printer) -> anyhow::Result<Vec<(String, Plan)>> {
        let library = resolution::library(printer);
        let (bindings, options) = (Bindings::default(), PlanOptions::default());
        let mut vectors = Vec::new();
        for (name, text) in &recipe.vectors {
            let expression = self.spelled_out(text)?;
            if !expression.names().is_empty() {
                // No variant needs it, or it would have been refused.
                continue;
            }
            let plan = Plan::build(&expression, &bindings, &library, &options)
                .with_context(|| format!("cannot tell what `{name}` is in the recipe"))?;
            if plan.kind() == Kind::Vector {
                vectors.push((name.clone(), plan));
            }
        }
        Ok(vectors)
    }
}
