//! From what the user wrote to a plan.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use taskvec_core::{
    Bindings, Checkpoint, CheckpointKind, Expression, Hub, HubProgress, HubSettings, Kind, Library,
    Plan, PlanOptions, Reference, mergekit,
};
use taskvec_lm::micro;

use crate::args::weights::{Binding, BindingArgs};
use crate::failure::Refusal;
use crate::printer::{Printer, Progress, Unit};

/// Where checkpoints are that are no paths: in the program, and on the Hub. There is one for the life of the process, so
/// that a branch on the Hub stays at the commit that it was first seen at.
pub(crate) fn library(printer: &Printer) -> Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        Library::new()
            .with("micro", micro::embedded, &micro::NAMES)
            .with_hub(hub(printer))
    });
    library.clone()
}

/// The Hub, of which there is one too.
pub(crate) fn hub(printer: &Printer) -> Arc<Hub> {
    static HUB: OnceLock<Arc<Hub>> = OnceLock::new();
    let hub =
        HUB.get_or_init(|| Hub::new(HubSettings::from_environment(), fetching(printer.clone())));
    Arc::clone(hub)
}

/// Draws a bar while something is fetched.
fn fetching(printer: Printer) -> impl Fn(HubProgress<'_>) + Send + Sync + 'static {
    let bar: Mutex<Option<Progress>> = Mutex::new(None);
    move |progress| {
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        if progress.finished {
            *bar = None;
            return;
        }
        let bar = bar.get_or_insert_with(|| {
            let label = format!("fetching {}", progress.repository);
            printer.progress(label, progress.bytes_total, Unit::Bytes)
        });
        bar.set_total(progress.bytes_total);
        bar.set(progress.bytes_done);
    }
}

/// What names stand for. Says which of them none of the `expressions` uses, if those can be read.
///
/// # Errors
///
/// [`Refusal::BoundTwice`].
pub(crate) fn bindings(
    arguments: &BindingArgs,
    expressions: &[&str],
    printer: &Printer,
) -> anyhow::Result<Bindings> {
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
    let read: Option<Vec<Expression>> = expressions.iter().map(|text| text.parse().ok()).collect();
    if let Some(read) = read.filter(|read| !read.is_empty()) {
        let is_used = |name: &str| {
            read.iter()
                .any(|expression| expression.names().contains(name))
        };
        for name in bindings.names.keys().filter(|name| !is_used(name)) {
            printer.warn(format_args!(
                "`--let {name}=…` binds a name that is not used"
            ));
        }
    }
    Ok(bindings)
}

/// Opens what a flag names, to see that it is a model or a vector, as the flag takes it: an expression may have a meaning with
/// the other too.
///
/// # Errors
///
/// [`Refusal::OtherKind`], and whatever opening it can say.
pub(crate) fn require_kind(
    flag: &'static str,
    reference: &Reference,
    expected: CheckpointKind,
    printer: &Printer,
) -> anyhow::Result<()> {
    let found = Checkpoint::open(reference, &library(printer))?.kind();
    if found == expected {
        return Ok(());
    }
    let reference = reference.to_string();
    Err(Refusal::OtherKind {
        flag,
        reference,
        found,
    }
    .into())
}

/// What an argument EXPR says.
pub(crate) struct Named {
    pub(crate) expression: Expression,
    pub(crate) bindings: Bindings,
    pub(crate) options: PlanOptions,
}

/// Parses an expression, or reads the mergekit file that the argument names and says what the user should know of it. A
/// dtype in the file counts where no flag names another.
///
/// # Errors
///
/// As [`Expression`]'s parser and [`mergekit::read`]; [`Refusal::NamesBesideFile`].
pub(crate) fn named(
    argument: &str,
    bindings: &Bindings,
    options: &PlanOptions,
    printer: &Printer,
) -> anyhow::Result<Named> {
    let mut options = options.clone();
    if !mergekit::is_file(argument) {
        return Ok(Named {
            expression: argument.parse()?,
            bindings: bindings.clone(),
            options,
        });
    }
    if !bindings.names.is_empty() {
        let file = argument.to_owned();
        return Err(Refusal::NamesBesideFile { file }.into());
    }
    let merge = mergekit::read(Path::new(argument), &library(printer))?;
    merge.notes.iter().for_each(|note| printer.warn(note));
    printer.detail(format_args!("{argument}: {}", merge.expression));
    options.output_dtype = options.output_dtype.or(merge.dtype);
    Ok(Named {
        expression: merge.expression,
        bindings: merge.bindings,
        options,
    })
}

/// Opens and compares everything that `expression` names, and says what the user should know of it.
///
/// # Errors
///
/// As [`named`] and [`Plan::build`].
pub(crate) fn plan(
    expression: &str,
    bindings: &Bindings,
    options: &PlanOptions,
    printer: &Printer,
) -> anyhow::Result<Plan> {
    let named = named(expression, bindings, options, printer)?;
    let plan = Plan::build(
        &named.expression,
        &named.bindings,
        &library(printer),
        &named.options,
    )?;
    describe(&plan, printer);
    Ok(plan)
}

/// As [`plan`], for expressions that take the place of the one that was named and differ in their numbers.
///
/// # Errors
///
/// As [`Plan::build_all`].
pub(crate) fn plans(
    expressions: &[Expression],
    named: &Named,
    printer: &Printer,
) -> anyhow::Result<Vec<Plan>> {
    let plans = Plan::build_all(
        expressions,
        &named.bindings,
        &library(printer),
        &named.options,
    )?;
    // What there is to say is said of the inputs, which they share.
    if let Some(plan) = plans.first() {
        describe(plan, printer);
    }
    Ok(plans)
}

fn describe(plan: &Plan, printer: &Printer) {
    plan.notes().iter().for_each(|note| printer.warn(note));
    for (name, checkpoint) in plan.inputs() {
        printer.detail(format_args!(
            "{name}: {} tensors",
            checkpoint.tensors().len()
        ));
    }
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
    let bindings = self::bindings(bindings, &[expression], printer)?;
    let options = PlanOptions::default();
    model_plan_with(expression, &bindings, purpose, &options, printer)
}

/// As [`model_plan`], with names resolved and options of its own.
///
/// # Errors
///
/// As [`model_plan`].
pub(crate) fn model_plan_with(
    expression: &str,
    bindings: &Bindings,
    purpose: &'static str,
    options: &PlanOptions,
    printer: &Printer,
) -> anyhow::Result<Plan> {
    let plan = plan(expression, bindings, options, printer)?;
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
