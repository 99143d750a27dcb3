use indicatif::HumanBytes;
use taskvec_core::statistics::{Storage, smallest_storage};
use taskvec_core::{
    Bindings, InspectOptions, Kind, Plan, PlanOptions, RoundingEstimate, WriteOptions, WriteReport,
};

use super::tokenizers::{TokenizerPair, tokenizers};
use crate::args::weights::{DestinationArgs, OutputDtype, ThreadArgs};
use crate::args::write::WriteArgs;
use crate::failure::{Refusal, unless_interrupted};
use crate::interruption::Heeding;
use crate::printer::{Printer, Unit};
use crate::resolution;

pub(crate) fn run(arguments: &WriteArgs, printer: &Printer) -> anyhow::Result<()> {
    let bindings = resolution::bindings(&arguments.bindings)?;
    write(
        &arguments.expression,
        &bindings,
        &arguments.destination,
        arguments.threads,
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
    let fixed = match destination.dtype {
        Some(OutputDtype::Fixed(dtype)) => Some(dtype),
        _ => None,
    };
    let options = PlanOptions {
        output_dtype: fixed,
        allow_strangers: destination.allow_strangers,
        common_rows: destination.rows.common(),
        ..PlanOptions::default()
    };
    let mut plan = resolution::plan(expression, bindings, &options, printer)?;
    warn_of_tokenizers(&plan, printer);
    let path = destination.output.display().to_string();

    let heeding = Heeding::begin();
    let mut storage = None;
    if destination.dtype == Some(OutputDtype::Auto) {
        let found = storage.insert(smallest(&plan, threads, &heeding, printer)?);
        let options = PlanOptions {
            output_dtype: Some(found.dtype),
            ..options
        };
        // What there was to say has been said.
        plan = resolution::plan(expression, bindings, &options, &Printer::silent())?;
    }
    let bar = printer.progress(format!("writing {path}"), 0, Unit::Bytes);
    let written = taskvec_core::write(
        &plan,
        &destination.output,
        &WriteOptions {
            threads: threads.threads,
            overwrite: destination.overwrite,
            hash: destination.hash,
            storage: storage.as_ref(),
            cancelled: Some(heeding.flag()),
            ..WriteOptions::default()
        },
        &|progress| bar.follow(progress),
    );
    drop(bar);
    let report = unless_interrupted(written, format!("nothing was written to `{path}`"))?;
    warn_of_not_finite(&report, printer);
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
    printer.data(report.destination.display())
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
    printer.warn(format_args!(
        "{} NaN and {} infinite values in {} of {} tensors, `{tensor}` the first",
        tally.nan,
        tally.infinite,
        report.not_finite.len(),
        report.tensors,
    ));
}
