use indicatif::HumanBytes;
use taskvec_core::{Bindings, Error, PlanOptions, WriteOptions, WriteReport};

use crate::args::weights::{DestinationArgs, ThreadArgs};
use crate::args::write::WriteArgs;
use crate::failure::Refusal;
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
    let options = PlanOptions {
        output_dtype: destination.dtype,
        ..PlanOptions::default()
    };
    let plan = resolution::plan(expression, bindings, &options, printer)?;
    let path = destination.output.display().to_string();

    let heeding = Heeding::begin();
    let bar = printer.progress(format!("writing {path}"), 0, Unit::Bytes);
    let written = taskvec_core::write(
        &plan,
        &destination.output,
        &WriteOptions {
            threads: threads.threads,
            overwrite: destination.overwrite,
            cancelled: Some(heeding.flag()),
            ..WriteOptions::default()
        },
        &|progress| {
            bar.set_total(progress.bytes_total);
            bar.set(progress.bytes_done);
        },
    );
    drop(bar);
    let report = match written {
        Err(Error::Cancelled) => {
            let kept = format!("nothing was written to `{path}`");
            return Err(Refusal::Interrupted { kept }.into());
        }
        written => written?,
    };
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
    printer.data(report.destination.display())
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
