mod results;

use std::path::{Path, PathBuf};
use std::{fs, slice};

use indicatif::HumanBytes;
use taskvec_core::statistics::{Storage, smallest_storage};
use taskvec_core::{
    Bindings, Expression, InspectOptions, Kind, Plan, PlanOptions, RoundingEstimate, WriteOptions,
    WriteReport,
};

use super::tokenizers::{TokenizerPair, tokenizers};
use crate::args::over::{Values, is_misplaced, path_of};
use crate::args::weights::{DestinationArgs, OutputDtype, ThreadArgs};
use crate::args::write::WriteArgs;
use crate::failure::{Refusal, unless_interrupted};
use crate::interruption::Heeding;
use crate::printer::{Printer, Unit};
use crate::resolution::{self, Named};

pub(crate) fn run(arguments: &WriteArgs, printer: &Printer) -> anyhow::Result<()> {
    let bindings = resolution::bindings(&arguments.bindings, &[&arguments.expression], printer)?;
    let (destination, threads) = (&arguments.destination, arguments.threads);
    let Some(over) = &arguments.over else {
        return write(
            &arguments.expression,
            &bindings,
            destination,
            threads,
            printer,
        );
    };
    let named = named(&arguments.expression, &bindings, destination, printer)?;
    let expression = named.expression.to_string();
    if !named.expression.names().contains(over.name.as_str()) {
        let name = over.name.clone();
        return Err(Refusal::NoVariable { name, expression }.into());
    }
    if let Some(reference) = named.bindings.names.get(&over.name) {
        return Err(Refusal::BoundTwice {
            name: over.name.clone(),
            first: reference.to_string(),
            second: over.values.to_string(),
        }
        .into());
    }
    let expressions = over
        .values
        .0
        .iter()
        .map(|value| named.expression.with_scalar(&over.name, value))
        .collect::<Result<_, _>>()?;
    write_each(
        &named,
        expressions,
        &over.values,
        destination,
        threads,
        printer,
    )
}

/// Writes what `expression` stands for and says so; prints where it is.
pub(super) fn write(
    expression: &str,
    bindings: &Bindings,
    destination: &DestinationArgs,
    threads: ThreadArgs,
    printer: &Printer,
) -> anyhow::Result<()> {
    let mut named = named(expression, bindings, destination, printer)?;
    let heeding = Heeding::begin();
    let mut plans = resolution::plans(slice::from_ref(&named.expression), &named, printer)?;
    let mut storage = None;
    if let (Some(OutputDtype::Auto), [plan]) = (destination.dtype, plans.as_slice()) {
        let found = storage.insert(smallest(plan, threads, &heeding, printer)?);
        named.options.output_dtype = Some(found.dtype);
        // What there was to say has been said.
        let silent = Printer::silent();
        plans = resolution::plans(slice::from_ref(&named.expression), &named, &silent)?;
    }
    let paths = slice::from_ref(&destination.output);
    let options = WriteOptions {
        storage: storage.as_ref(),
        results: results::of(&plans, destination.results.as_deref(), printer)?,
        ..write_options(destination, threads, &heeding)
    };
    write_plans(&plans, paths, &options, printer)
}

/// Writes each of several expressions, which belong to the values, in one pass.
pub(super) fn write_each(
    named: &Named,
    expressions: Vec<Expression>,
    values: &Values,
    destination: &DestinationArgs,
    threads: ThreadArgs,
    printer: &Printer,
) -> anyhow::Result<()> {
    if destination.dtype == Some(OutputDtype::Auto) {
        return Err(Refusal::SmallestDtypeOfSeveral.into());
    }
    if is_misplaced(&destination.output) {
        let path = destination.output.display().to_string();
        return Err(Refusal::PlaceInDirectory { path }.into());
    }
    let paths: Vec<PathBuf> = values
        .0
        .iter()
        .map(|value| path_of(&destination.output, value))
        .collect();
    let heeding = Heeding::begin();
    let plans = resolution::plans(&expressions, named, printer)?;
    let results = results::of(&plans, destination.results.as_deref(), printer)?;
    // All outputs lie in one directory, which need not be there yet.
    let parent = paths.first().and_then(|path| path.parent());
    let made = match parent {
        Some(parent) if !parent.as_os_str().is_empty() && !parent.exists() => {
            super::make_directory(parent)?;
            Some(parent)
        }
        _ => None,
    };
    let options = WriteOptions {
        results,
        ..write_options(destination, threads, &heeding)
    };
    let written = write_plans(&plans, &paths, &options, printer);
    if let (Err(_), Some(made)) = (&written, made) {
        // Only if it is empty.
        let _ = fs::remove_dir(made);
    }
    written
}

/// The expression that an argument says, with the choices that `destination` makes.
pub(super) fn named(
    expression: &str,
    bindings: &Bindings,
    destination: &DestinationArgs,
    printer: &Printer,
) -> anyhow::Result<Named> {
    let fixed = match destination.dtype {
        Some(OutputDtype::Fixed(dtype)) => Some(dtype),
        _ => None,
    };
    let options = destination.fit.apply(PlanOptions {
        output_dtype: fixed,
        allow_strangers: destination.allow_strangers,
        ..PlanOptions::default()
    });
    resolution::named(expression, bindings, &options, printer)
}

fn write_options<'a>(
    destination: &DestinationArgs,
    threads: ThreadArgs,
    heeding: &'a Heeding,
) -> WriteOptions<'a> {
    WriteOptions {
        threads: threads.threads,
        overwrite: destination.overwrite,
        hash: destination.hash,
        cancelled: Some(heeding.flag()),
        ..WriteOptions::default()
    }
}

/// Writes each plan to the path beside it and says so; prints where they are.
fn write_plans(
    plans: &[Plan],
    paths: &[PathBuf],
    options: &WriteOptions<'_>,
    printer: &Printer,
) -> anyhow::Result<()> {
    // They begin with the same models.
    if let Some(plan) = plans.first() {
        warn_of_tokenizers(plan, printer);
    }
    let shown: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let path = shown.join("`, `");
    let bar = printer.progress(format!("writing {}", shown.join(", ")), 0, Unit::Bytes);
    let outputs: Vec<(&Plan, &Path)> = plans
        .iter()
        .zip(paths.iter().map(PathBuf::as_path))
        .collect();
    let written = taskvec_core::write_all(&outputs, options, &|progress| bar.follow(progress));
    drop(bar);
    let reports = unless_interrupted(written, format!("nothing was written to `{path}`"))?;
    for (plan, report) in plans.iter().zip(&reports) {
        say_what_was_written(plan, report, printer);
        printer.data(report.destination.display())?;
    }
    Ok(())
}

fn say_what_was_written(plan: &Plan, report: &WriteReport, printer: &Printer) {
    warn_of_not_finite(report, printer);
    if report.config_dtype_changed {
        printer.detail("the dtype in `config.json` was changed to that of the weights");
    }
    printer.note(format_args!(
        "wrote a {} of {} tensors, {}: {}",
        plan.kind(),
        report.tensors,
        HumanBytes(report.data_bytes),
        plan.expression(),
    ));
    if report.sparse_tensors > 0 {
        printer.note(format_args!(
            "{} of {} tensors hold only what is not zero: {} instead of {}",
            report.sparse_tensors,
            report.tensors,
            HumanBytes(report.data_bytes),
            HumanBytes(report.dense_bytes),
        ));
    }
    if let Some(estimate) = &report.rounding {
        say_what_rounding_did(estimate, printer);
    }
}

/// Says where rows of embeddings may stand for other tokens than they are combined with. That does not stand in the way.
fn warn_of_tokenizers(plan: &Plan, printer: &Printer) {
    match tokenizers(plan.inputs(), plan.layout_input()) {
        Ok(pairs) => {
            let warnings = pairs.iter().filter_map(TokenizerPair::warning);
            warnings.for_each(|warning| printer.warn(warning));
        }
        Err(error) => printer.warn(format_args!("tokenizers were not compared: {error}")),
    }
}

/// The smallest form that loses nothing of a vector, which takes a pass of its own over the inputs.
fn smallest(
    plan: &Plan,
    threads: ThreadArgs,
    heeding: &Heeding,
    printer: &Printer,
) -> anyhow::Result<Storage> {
    if plan.kind() == Kind::Model {
        let expression = plan.expression().to_string();
        return Err(Refusal::NoSmallestDtype { expression }.into());
    }
    let bar = printer.progress("looking for the smallest dtype", 0, Unit::Bytes);
    let scanned = smallest_storage(
        plan,
        &InspectOptions {
            threads: threads.threads,
            cancelled: Some(heeding.flag()),
        },
        &|progress| bar.follow(progress),
    );
    drop(bar);
    let storage = unless_interrupted(scanned, "nothing was written")?;
    printer.note(format_args!(
        "{} holds every element exactly; {:.1} % of them are zero",
        storage.dtype.name().to_lowercase(),
        100.0 * storage.zeros as f64 / storage.elements.max(1) as f64,
    ));
    Ok(storage)
}

/// What storing in few bits does to a small change is more than the arithmetic ever could, and else nobody says it.
fn say_what_rounding_did(estimate: &RoundingEstimate, printer: &Printer) {
    let rounding = &estimate.rounding;
    let (Some(lost), Some(survived), Some(vanished)) = (
        rounding.lost_share(),
        rounding.survived_share(),
        rounding.vanished_share(),
    ) else {
        return;
    };
    let sampled = if estimate.is_estimate() {
        format!(
            " (estimated from {:.1} % of the elements)",
            100.0 * estimate.sampled_share()
        )
    } else {
        String::new()
    };
    printer.note(format_args!(
        "rounding error: {:.1} % of the length of the change; {:.1} % of it survives, {:.1} % of its elements vanish wholly{sampled}",
        100.0 * lost,
        100.0 * survived,
        100.0 * vanished,
    ));
}

/// NaN and infinity are written as they are, and never unmentioned.
fn warn_of_not_finite(report: &WriteReport, printer: &Printer) {
    let Some((tensor, _)) = report.not_finite.first_key_value() else {
        return;
    };
    let tally = report.tally();
    let overflowed = match tally.overflowed {
        0 => String::new(),
        count => format!(
            "; {count} of them are finite sums beyond the range of the type that they are stored in"
        ),
    };
    printer.warn(format_args!(
        "{} NaN and {} infinite values in {} of {} tensors, `{tensor}` the first{overflowed}",
        tally.nan,
        tally.infinite,
        report.not_finite.len(),
        report.tensors,
    ));
}
