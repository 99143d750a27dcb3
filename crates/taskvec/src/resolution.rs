//! From what the user wrote to a plan.

use taskvec_core::{Bindings, Expression, Kind, Library, Plan, PlanOptions, Reference};
use taskvec_lm::micro;

use crate::args::weights::{Binding, BindingArgs};
use crate::failure::Refusal;
use crate::printer::Printer;

/// The checkpoints that the program holds.
pub(crate) fn library() -> Library {
    Library::new().with("micro", micro::embedded, &micro::NAMES)
}

/// What names stand for.
///
/// # Errors
///
/// [`Refusal::BoundTwice`].
pub(crate) fn bindings(arguments: &BindingArgs) -> anyhow::Result<Bindings> {
    let mut bindings = Bindings::default();
    for Binding { name, reference } in &arguments.bindings {
        let earlier: Option<Reference> = bindings.names.insert(name.clone(), reference.clone());
        if let Some(first) = earlier.filter(|first| first != reference) {
            return Err(Refusal::BoundTwice {
                name: name.clone(),
                first: first.to_string(),
                second: reference.to_string(),
            }
            .into());
        }
    }
    Ok(bindings)
}

/// Opens and compares everything that `expression` names, and says what the user should know of it.
///
/// # Errors
///
/// As [`Expression`]'s parser and [`Plan::build`].
pub(crate) fn plan(
    expression: &str,
    bindings: &Bindings,
    options: &PlanOptions,
    printer: &Printer,
) -> anyhow::Result<Plan> {
    let expression: Expression = expression.parse()?;
    let plan = Plan::build(&expression, bindings, &library(), options)?;
    plan.notes().iter().for_each(|note| printer.warn(note));
    for (name, checkpoint) in plan.inputs() {
        printer.detail(format_args!(
            "{name}: {} tensors",
            checkpoint.tensors().len()
        ));
    }
    Ok(plan)
}

/// As [`plan`], for work that only a model can do.
///
/// # Errors
///
/// As [`plan`]; [`Refusal::NotAModel`].
pub(crate) fn model_plan(
    expression: &str,
    bindings: &BindingArgs,
    purpose: &'static str,
    printer: &Printer,
) -> anyhow::Result<Plan> {
    let plan = plan(
        expression,
        &self::bindings(bindings)?,
        &PlanOptions::default(),
        printer,
    )?;
    if plan.kind() != Kind::Model {
        return Err(Refusal::NotAModel {
            expression: plan.expression().to_string(),
            found: plan.kind().to_string(),
            purpose,
        }
        .into());
    }
    Ok(plan)
}
