mod reproduction;
mod training;

use std::path::Path;

use anyhow::Context;
use taskvec_core::ContentHash;
use taskvec_eval::report::training::LEGEND;
use taskvec_eval::report::{Figure, Inspection, Page, PageData, PageOptions, Run};
use taskvec_eval::run::{RecordFile, RecordLog, Unfinished};
use taskvec_eval::search::{self, Finished, Outcome, Search};
use taskvec_eval::study;
use taskvec_eval::sweep::{SIDE_FILE, Sweep};

use super::best::read;
use super::destination;
use crate::args::report::{Format, ReportArgs};
use crate::failure::Refusal;
use crate::printer::Printer;
use reproduction::commands;
pub(super) use reproduction::quoted;

/// What every page of ours has in it and hardly a file of somebody else's.
const MARK: &str = "<meta name=\"generator\" content=\"taskvec ";

/// A report as it is written.
struct Rendered {
    figures: Vec<Figure>,
    text: String,
}

pub(crate) fn run(arguments: &ReportArgs, printer: &Printer) -> anyhow::Result<()> {
    training::check(arguments)?;
    if let Some(path) = &arguments.output {
        check_destination(path, arguments.format)?;
    }
    // One is enough: training and records do not go together.
    if arguments.runs.iter().any(|path| training::is_run(path)) {
        return training::run(arguments, printer);
    }
    let runs = arguments
        .runs
        .iter()
        .map(|path| open(path))
        .collect::<anyhow::Result<Vec<Run>>>()?;
    let vectors = arguments
        .vector
        .iter()
        .map(|path| read(path, Inspection::parse))
        .collect::<anyhow::Result<Vec<Inspection>>>()?;
    let page = Page::build(
        &runs,
        &PageOptions {
            title: arguments.title.clone(),
            baseline: arguments.baseline.clone(),
            model: arguments.model.clone(),
            vectors,
            commands: commands(&runs),
        },
    )?;
    let data = page.data();
    let lacking = data.unfinished.iter().map(Unfinished::sentence);
    let notes: Vec<String> = lacking.chain(data.notes.iter().cloned()).collect();
    if arguments.format == Format::ModelIndex {
        check_whole(data)?;
    }
    notes.iter().for_each(|note| printer.warn(note));
    let rendered = Rendered {
        figures: page.figures(),
        text: match arguments.format {
            Format::Html => page.to_html(),
            Format::Markdown => page.to_markdown(),
            Format::ModelIndex => page.to_model_index(),
        },
    };
    publish(arguments, rendered, printer)
}

/// Refuses results for publication that are those of an interrupted run: of the headline's model, or of any where the headline
/// is the best of them.
fn check_whole(data: &PageData) -> anyhow::Result<()> {
    let label = &data.models[data.headline_model].label;
    let lacks = |it: &&Unfinished| data.headline_is_best || it.lacks(label);
    match data.unfinished.iter().find(lacks) {
        None => Ok(()),
        Some(lacking) => Err(Refusal::Unfinished {
            lacking: lacking.sentence(),
        }
        .into()),
    }
}

/// Writes a report where it was asked for.
fn publish(arguments: &ReportArgs, rendered: Rendered, printer: &Printer) -> anyhow::Result<()> {
    if let Some(directory) = &arguments.figures {
        write_figures(directory, &rendered.figures)?;
        printer.note(format_args!(
            "{} figures are in {}",
            rendered.figures.len(),
            directory.display()
        ));
    }
    match &arguments.output {
        Some(path) => {
            destination::write(path, &rendered.text)?;
            printer.data(path.display())
        }
        None => printer.data(rendered.text.trim_end()),
    }
}

/// A record file or a directory with one, and what was swept where that is said beside it.
fn open(path: &Path) -> anyhow::Result<Run> {
    let file = super::record_file(path);
    let bytes =
        std::fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let side_file = file.with_file_name(SIDE_FILE);
    let sweep = if side_file.is_file() {
        Some(read(&side_file, Sweep::parse)?)
    } else {
        None
    };
    let study_file = file.with_file_name(study::SIDE_FILE);
    let study = if study_file.is_file() {
        Some(read(&study_file, study::Outcome::parse)?)
    } else {
        None
    };
    let RecordFile { mut records, torn } = RecordLog::parse(&file, &bytes)?;
    if let Some(study) = &study {
        records.retain(|record| {
            study
                .recipe
                .labels(|_| true)
                .any(|label| label == record.model)
        });
    }
    let searched = file.with_file_name(search::SIDE_FILE);
    let search = if searched.is_file() {
        let search = read(&searched, Search::parse)?;
        let outcome = Outcome::build(&search, &records)?;
        // What chose is shown as what it says of the groups, and not as a measurement.
        records = outcome.measured(&search, &records);
        Some(Finished { search, outcome })
    } else {
        None
    };
    if let Some(sweep) = &sweep {
        // Older versions left points of an earlier, finer grid there.
        records.retain(|record| sweep.points.iter().any(|point| point.model == record.model));
    }
    Ok(Run {
        path: file.display().to_string(),
        sha256: ContentHash::of(&bytes).to_string(),
        records,
        torn,
        sweep,
        study,
        search,
    })
}

/// Refuses to replace what is no report, before any work is done.
fn check_destination(path: &Path, format: Format) -> anyhow::Result<()> {
    let Some(bytes) = destination::existing(path)? else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(&bytes);
    let is_ours = match format {
        Format::Html => text.contains(MARK),
        Format::Markdown => {
            text.starts_with("# ")
                && (text.contains("Wilson's 95 % interval") || text.contains(LEGEND))
        }
        Format::ModelIndex => text.starts_with("model-index:\n"),
    };
    if is_ours {
        return Ok(());
    }
    Err(Refusal::NotAReport {
        path: path.display().to_string(),
    }
    .into())
}

fn write_figures(directory: &Path, figures: &[Figure]) -> anyhow::Result<()> {
    super::make_directory(directory)?;
    for figure in figures {
        for (extension, text) in [("svg", &figure.wide), ("csv", &figure.csv)] {
            destination::write(&directory.join(format!("{}.{extension}", figure.id)), text)?;
        }
    }
    Ok(())
}
