//! What `sweep` and `search` share: a name in an expression becomes a number, and each point is a model that is asked.

use std::path::Path;

use anyhow::Context;
use clap::ValueEnum;
use taskvec_core::{Bindings, Coefficient, Expression, Kind, Plan};
use taskvec_eval::Generator;
use taskvec_eval::run::{self, Cell, Record, RecordLog, RunOptions, Subject};
use taskvec_eval::sweep::Value;
use taskvec_eval::task::Selection;
use taskvec_lm::generate::LocalGenerator;

use super::eval;
use super::model::{self, Fingerprint, Fingerprints};
use crate::args::questions::{Form, QuestionArgs};
use crate::args::weights::ThreadArgs;
use crate::failure::Refusal;
use crate::interruption::Farewell;
use crate::printer::Printer;
use crate::resolution::{self, Named};

/// A variable is in the expression, and no checkpoint's name.
pub(super) fn check_variable(name: &str, named: &Named) -> anyhow::Result<()> {
    if named.bindings.names.contains_key(name) {
        return Err(Refusal::VariableTwice {
            name: name.to_owned(),
            is_bound: true,
        }
        .into());
    }
    if !named.expression.names().contains(name) {
        return Err(Refusal::NoVariable {
            name: name.to_owned(),
            expression: named.expression.to_string(),
        }
        .into());
    }
    Ok(())
}

/// The tasks of `cells`, each once.
pub(super) fn task_names(cells: &[Cell]) -> Vec<String> {
    let mut tasks: Vec<String> = Vec::new();
    for cell in cells {
        if !tasks.iter().any(|task| task == cell.task.name()) {
            tasks.push(cell.task.name().to_owned());
        }
    }
    tasks
}

/// What names stand for, as a side file has it.
pub(super) fn bindings(named: &Named) -> Vec<(String, String)> {
    let names = named.bindings.names.iter();
    names
        .map(|(name, reference)| (name.clone(), reference.to_string()))
        .collect()
}

pub(super) fn form_name(form: Form) -> String {
    let value = form.to_possible_value();
    value.map_or_else(String::new, |form| form.get_name().to_owned())
}

pub(super) fn value(number: &Coefficient) -> Value {
    Value {
        text: number.to_string(),
        number: number.to_f64(),
    }
}

/// Every cell has questions, so that a directory is made only for a run that can be made.
///
/// # Errors
///
/// Those of [`run::documents`].
pub(super) fn check_questions(cells: &[Cell], selection: &Selection) -> anyhow::Result<()> {
    for cell in cells {
        run::documents(cell, selection)?;
    }
    Ok(())
}

/// The test questions that were asked for.
pub(super) fn selection(questions: &QuestionArgs) -> Selection {
    Selection {
        limit: questions.limit,
        seed: questions.seed,
        ..Selection::test()
    }
}

/// Plans the point that is called `label`.
///
/// # Errors
///
/// Those of [`Plan::build`]; [`Refusal::NotAModel`].
pub(super) fn plan(
    expression: &Expression,
    label: &str,
    named: &Named,
    printer: &Printer,
) -> anyhow::Result<Plan> {
    let library = resolution::library(printer);
    let plan = Plan::build(expression, &named.bindings, &library, &named.options)
        .with_context(|| format!("cannot measure `{label}`"))?;
    if plan.kind() != Kind::Model {
        return Err(Refusal::NotAModel {
            expression: expression.to_string(),
            found: plan.kind().to_string(),
            purpose: "evaluate",
        }
        .into());
    }
    Ok(plan)
}

/// What is said when a run is interrupted that the same command goes on with.
pub(super) fn farewell(directory: &Path) -> Farewell {
    Farewell::set(format!(
        "interrupted: finished samples are kept in `{}`; run the same command to go on",
        directory.display()
    ))
}

/// Loads points and asks them.
pub(super) struct Asking<'a> {
    printer: &'a Printer,
    threads: ThreadArgs,
    bindings: &'a Bindings,
    fingerprints: Fingerprints,
    /// How questions are put; the same for all points, which differ in numbers alone.
    pub(super) options: RunOptions,
    /// What runs the models, in its own words.
    pub(super) engine: String,
    /// The first point, by its expression, until it is asked.
    first: Option<(String, LocalGenerator)>,
}

impl<'a> Asking<'a> {
    /// Loads `first`, the point that will be asked first, which says how questions are put.
    ///
    /// # Errors
    ///
    /// Whatever keeps a model from being loaded.
    pub(super) fn new(
        first: &Plan,
        bindings: &'a Bindings,
        questions: &QuestionArgs,
        threads: ThreadArgs,
        printer: &'a Printer,
    ) -> anyhow::Result<Self> {
        let model = model::load(first)?;
        let options = RunOptions {
            selection: selection(questions),
            ..RunOptions::greedy(model::prompt_form(&model, questions.prompt_form))
        };
        let engine = model::engine(model, threads)?;
        Ok(Self {
            printer,
            threads,
            bindings,
            fingerprints: Fingerprints::new(Fingerprint::Content),
            options,
            engine: engine.describe(),
            first: Some((first.expression().to_string(), engine)),
        })
    }

    /// Asks a point what `log` does not hold already, and returns all of its records. A model that has answered
    /// everything is not loaded.
    ///
    /// # Errors
    ///
    /// Whatever keeps a model from being loaded or from answering.
    pub(super) fn ask(
        &mut self,
        label: &str,
        plan: &Plan,
        cells: &[Cell],
        log: &mut RecordLog,
    ) -> anyhow::Result<Vec<Record>> {
        let subject = Subject {
            model: label.to_owned(),
            expression: plan.expression().to_string(),
            bindings: model::bindings(plan, self.bindings),
            fingerprint: self.fingerprints.of(plan, self.printer)?,
        };
        let first = self.first.take();
        let open = run::open_samples(&self.engine, &subject, cells, &self.options, log)?;
        let mut generator: Box<dyn Generator> = match first {
            _ if open == 0 => Box::new(run::Recorded::new(&self.engine)),
            Some((expression, loaded)) if expression == subject.expression => Box::new(loaded),
            _ => Box::new(model::engine(model::load(plan)?, self.threads)?),
        };
        let (options, printer) = (&self.options, self.printer);
        eval::evaluate(&mut *generator, &subject, cells, options, log, printer)
    }
}
