//! From an expression to a plan.

use std::collections::BTreeMap;

use super::elaboration::Elaboration;
use super::input::{Bindings, Input, Opened};
use super::{
    Check, Plan, PlanOptions, PlannedTensor, Production, agreement, relayered_config, rows,
};
use crate::checkpoint::Library;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::execute::FloatFormat;
use crate::expression::{Expression, Kind};

impl Plan {
    /// Opens, types, compares and lowers.
    ///
    /// # Errors
    ///
    /// [`Error::Expression`] when a name is not bound, a function does not exist or kinds do not fit;
    /// [`Error::Incompatible`] with every mismatch between the checkpoints; [`Error::NoTensors`]; and whatever opening a
    /// checkpoint can say.
    pub fn build(
        expression: &Expression,
        bindings: &Bindings,
        library: &Library,
        options: &PlanOptions,
    ) -> Result<Self> {
        Self::build_opened(expression, bindings, library, options, &mut Opened::new())
    }

    /// As [`Plan::build`] for each of several expressions, with every checkpoint opened once: plans of one family, as a
    /// sweep over a number is, which [`write_all`](crate::write_all) writes in one pass.
    ///
    /// # Errors
    ///
    /// As [`Plan::build`], for the first expression that has one.
    pub fn build_all(
        expressions: &[Expression],
        bindings: &Bindings,
        library: &Library,
        options: &PlanOptions,
    ) -> Result<Vec<Self>> {
        let mut known = Opened::new();
        expressions
            .iter()
            .map(|expression| {
                Self::build_opened(expression, bindings, library, options, &mut known)
            })
            .collect()
    }

    fn build_opened(
        expression: &Expression,
        bindings: &Bindings,
        library: &Library,
        options: &PlanOptions,
        known: &mut Opened,
    ) -> Result<Self> {
        require_storable(options)?;
        let elaboration = Elaboration::of(expression, bindings, library, known)?;
        Self::complete(expression, bindings, elaboration, options)
    }

    /// As [`Plan::build`], and returns what there is to know where the checkpoints do not fit together too.
    ///
    /// # Errors
    ///
    /// As [`Plan::build`], save that [`Incompatible`](super::Incompatible) is part of the answer.
    pub fn check(
        expression: &Expression,
        bindings: &Bindings,
        library: &Library,
        options: &PlanOptions,
    ) -> Result<Check> {
        require_storable(options)?;
        let elaboration = Elaboration::of(expression, bindings, library, &mut Opened::new())?;
        Ok(Check {
            kind: elaboration.kind,
            inputs: elaboration
                .inputs
                .iter()
                .map(|input| (input.name.clone(), input.checkpoint.clone()))
                .collect(),
            layout: elaboration.input_of(elaboration.layout()),
            template: elaboration
                .template()
                .map(|view| elaboration.input_of(view)),
            config_differences: agreement::config_differences(&elaboration),
            outcome: match Self::complete(expression, bindings, elaboration, options) {
                Ok(plan) => Ok(plan),
                Err(Error::Incompatible(mismatches)) => Err(*mismatches),
                Err(error) => return Err(error),
            },
        })
    }

    fn complete(
        expression: &Expression,
        bindings: &Bindings,
        mut elaboration: Elaboration,
        options: &PlanOptions,
    ) -> Result<Self> {
        let row_notes = if options.common_rows {
            let notes = rows::fit(&mut elaboration);
            elaboration.look();
            notes
        } else {
            Vec::new()
        };
        let comparison = agreement::compare(expression, &elaboration, options)?;
        let mut plan = Self {
            expression: expression.clone(),
            kind: elaboration.kind,
            anchors: elaboration.anchors.clone(),
            layout: elaboration.layout(),
            tensors: BTreeMap::new(),
            options: options.clone(),
            notes: [comparison.notes, row_notes.clone()].concat(),
            row_notes,
            aliases: aliases(expression, bindings, &elaboration.inputs),
            inputs: Vec::new(),
            views: Vec::new(),
            inputs_of_views: Vec::new(),
        };
        elaboration.check_calls(expression, comparison.computed.iter().map(String::as_str))?;
        for name in &comparison.tensors {
            let tensor = plan_tensor(expression, &elaboration, options, name)?;
            plan.tensors.insert(name.clone(), tensor);
        }
        if plan.tensors.is_empty() {
            return Err(Error::NoTensors {
                expression: expression.to_string(),
            });
        }
        // A tensor that a model copies from an input has nothing of the methods in it.
        let is_model = plan.kind == Kind::Model;
        let changed = plan.tensors.iter().filter(|(_, tensor)| {
            FloatFormat::of(tensor.dtype).is_some()
                && !tensor.is_zero()
                && !(is_model && tensor.is_copied())
        });
        let noted = elaboration.notes(changed.map(|(name, tensor)| (name, &tensor.shape[..])));
        plan.notes.extend(noted);
        if let Some(template) = elaboration.template()
            && let Some((configured, notes)) =
                relayered_config::relayered(&elaboration.views, &elaboration.anchors)
        {
            elaboration.views[template].checkpoint = configured;
            plan.notes.extend(notes);
        }
        plan.inputs_of_views = (0..elaboration.views.len())
            .map(|view| elaboration.input_of(view))
            .collect();
        plan.views = elaboration.views;
        plan.inputs = elaboration.inputs;
        Ok(plan)
    }
}

/// # Errors
///
/// [`Error::OutputDtype`].
fn require_storable(options: &PlanOptions) -> Result<()> {
    match options.output_dtype {
        Some(dtype) if FloatFormat::of(dtype).is_none() => Err(Error::OutputDtype { dtype }),
        _ => Ok(()),
    }
}

fn aliases(
    expression: &Expression,
    bindings: &Bindings,
    inputs: &[Input],
) -> BTreeMap<String, String> {
    expression
        .names()
        .into_iter()
        .filter(|name| inputs.iter().all(|input| input.name != *name))
        .filter_map(|name| Some((name.to_owned(), bindings.names.get(name)?.to_string())))
        .collect()
}

fn plan_tensor(
    expression: &Expression,
    elaboration: &Elaboration,
    options: &PlanOptions,
    name: &str,
) -> Result<PlannedTensor> {
    let holder = |view: &usize| {
        elaboration.views[*view]
            .checkpoint
            .tensors()
            .contains_key(name)
    };
    // The layout wherever it has the tensor; then the model of a stack from which it is.
    let layout = elaboration.layout();
    let source = [layout]
        .into_iter()
        .chain(elaboration.anchors.iter().copied())
        .chain(0..elaboration.views.len())
        .find(holder)
        .unwrap_or(layout);
    let info = &elaboration.views[source].checkpoint.tensors()[name];
    let shape = info.shape.clone();
    if FloatFormat::of(info.dtype).is_none() {
        return Ok(PlannedTensor {
            dtype: info.dtype,
            shape,
            production: Production::Copy { input: source },
        });
    }
    let default = if elaboration.kind == Kind::Model {
        info.dtype
    } else {
        Dtype::F32
    };
    let dtype = options.output_dtype.unwrap_or(default);
    let formula = elaboration.lower(expression, name, &shape)?;
    let production = match formula.single() {
        Some(input) if elaboration.views[input].checkpoint.tensors()[name].dtype == dtype => {
            Production::Copy { input }
        }
        _ => Production::Compute(formula),
    };
    Ok(PlannedTensor {
        dtype,
        shape,
        production,
    })
}
