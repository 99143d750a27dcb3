//! Training runs as a page.

use std::path::Path;

use anyhow::Context;
use taskvec_eval::report::training::{COMPLETIONS, METRICS, TrainingPage, TrainingRun};
use taskvec_eval::sweep::RECORDS;

use super::{Rendered, publish};
use crate::args::report::{Format, ReportArgs};
use crate::commands::best::read;
use crate::failure::Refusal;
use crate::printer::Printer;

/// Whether that is the directory of a training run, or its measurements. Where there are records, they are what is shown.
pub(super) fn is_run(path: &Path) -> bool {
    if path.is_dir() {
        path.join(METRICS).is_file() && !path.join(RECORDS).is_file()
    } else {
        path.file_name().is_some_and(|name| name == METRICS)
    }
}

/// Refuses what training cannot be shown with, before any work is done.
pub(super) fn check(arguments: &ReportArgs) -> anyhow::Result<()> {
    let training = arguments.runs.iter().find(|path| is_run(path));
    let records = arguments.runs.iter().find(|path| !is_run(path));
    let Some(training) = training else {
        return Ok(());
    };
    if let Some(records) = records {
        return Err(Refusal::TrainingBesideRecords {
            training: training.display().to_string(),
            records: records.display().to_string(),
        }
        .into());
    }
    let flags = [
        (
            arguments.format == Format::ModelIndex,
            "--format model-index",
        ),
        (arguments.baseline.is_some(), "--baseline"),
        (arguments.model.is_some(), "--model"),
        (!arguments.vector.is_empty(), "--vector"),
    ];
    match flags.into_iter().find(|(is_given, _)| *is_given) {
        Some((_, flag)) => Err(Refusal::NotOfTraining {
            flag,
            training: training.display().to_string(),
        }
        .into()),
        None => Ok(()),
    }
}

pub(super) fn run(arguments: &ReportArgs, printer: &Printer) -> anyhow::Result<()> {
    let runs = arguments
        .runs
        .iter()
        .map(|path| open(path))
        .collect::<anyhow::Result<Vec<TrainingRun>>>()?;
    let page = TrainingPage::build(&runs, arguments.title.as_deref())?;
    page.data().notes.iter().for_each(|note| printer.warn(note));
    let rendered = Rendered {
        figures: page.figures(),
        text: match arguments.format {
            Format::Markdown => page.to_markdown(),
            // `check` has refused the other.
            Format::Html | Format::ModelIndex => page.to_html(),
        },
    };
    publish(arguments, rendered, printer)
}

/// Measurements, and the completions beside them where there are some.
fn open(path: &Path) -> anyhow::Result<TrainingRun> {
    let file = if path.is_dir() {
        path.join(METRICS)
    } else {
        path.to_owned()
    };
    let run = read(&file, TrainingRun::parse)?;
    let completions = file.with_file_name(COMPLETIONS);
    if !completions.is_file() {
        return Ok(run);
    }
    let bytes = std::fs::read(&completions)
        .with_context(|| format!("cannot read `{}`", completions.display()))?;
    Ok(run.with_completions(&completions, &bytes)?)
}
