mod training;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;
use taskvec_core::{ContentHash, Expression};
use taskvec_eval::report::training::LEGEND;
use taskvec_eval::report::{Figure, Inspection, Page, PageOptions, Run};
use taskvec_eval::run::{Record, RecordLog};
use taskvec_eval::search::{self, Finished, Outcome, Search};
use taskvec_eval::study;
use taskvec_eval::sweep::{RECORDS, SIDE_FILE, Sweep};

use super::best::read;
use crate::args::report::{Format, ReportArgs};
use crate::failure::Refusal;
use crate::printer::Printer;

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
            commands: runs.iter().flat_map(commands).collect(),
        },
    )?;
    page.data().notes.iter().for_each(|note| printer.warn(note));
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
            super::write_whole(path, &rendered.text)?;
            printer.data(path.display())
        }
        None => printer.data(rendered.text.trim_end()),
    }
}

/// A record file or a directory with one, and what was swept where that is said beside it.
fn open(path: &Path) -> anyhow::Result<Run> {
    let file = if path.is_dir() {
        path.join(RECORDS)
    } else {
        path.to_owned()
    };
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
    let mut records = RecordLog::parse(&file, &bytes)?;
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
        // A directory may hold points of an earlier, finer grid.
        records.retain(|record| sweep.points.iter().any(|point| point.model == record.model));
    }
    Ok(Run {
        path: file.display().to_string(),
        sha256: ContentHash::of(&bytes).to_string(),
        records,
        sweep,
        study,
        search,
    })
}

/// Refuses to replace what is no report, before any work is done.
fn check_destination(path: &Path, format: Format) -> anyhow::Result<()> {
    match std::fs::read(path) {
        Ok(bytes) => {
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
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot write to `{}`", path.display())),
    }
}

fn write_figures(directory: &Path, figures: &[Figure]) -> anyhow::Result<()> {
    super::make_directory(directory)?;
    for figure in figures {
        for (extension, text) in [("svg", &figure.wide), ("csv", &figure.csv)] {
            super::write_whole(&directory.join(format!("{}.{extension}", figure.id)), text)?;
        }
    }
    Ok(())
}

/// The commands that make such records again.
fn commands(run: &Run) -> Vec<String> {
    if let Some(study) = &run.study {
        return vec![study_command(study)];
    }
    if let Some(sweep) = &run.sweep {
        return vec![sweep_command(sweep)];
    }
    if let Some(found) = &run.search {
        return vec![search_command(&found.search)];
    }
    let mut models: Vec<(&str, Vec<&Record>)> = Vec::new();
    for record in &run.records {
        match models.iter_mut().find(|(model, _)| *model == record.model) {
            Some((_, records)) => records.push(record),
            None => models.push((&record.model, vec![record])),
        }
    }
    models
        .iter()
        .map(|(_, records)| eval_command(records))
        .collect()
}

fn study_command(study: &study::Outcome) -> String {
    let limit = study.recipe.questions.limit;
    let limit = limit.map_or_else(String::new, |limit| format!(" --limit {limit}"));
    let seeds: Vec<String> = study.recipe.seeds.iter().map(u64::to_string).collect();
    format!(
        "taskvec study RECIPE{limit} --seeds {} --out DIR",
        seeds.join(",")
    )
}

fn sweep_command(sweep: &Sweep) -> String {
    let mut command = format!("taskvec sweep {}", quoted(&sweep.expression));
    for variable in &sweep.variables {
        let values: Vec<&str> = variable
            .values
            .iter()
            .map(|value| value.text.as_str())
            .collect();
        command.push_str(&format!(" --over {}={}", variable.name, values.join(",")));
    }
    for (name, reference) in &sweep.bindings {
        command.push_str(&format!(
            " --let {}",
            quoted(&format!("{name}={reference}"))
        ));
    }
    let conditions: Vec<&str> = sweep
        .conditions
        .iter()
        .map(|condition| condition.name())
        .collect();
    command.push_str(&format!(
        " --tasks {} --conditions {} --seed {} --prompt-form {}",
        sweep.tasks.join(","),
        conditions.join(","),
        sweep.seed,
        sweep.prompt_form
    ));
    if let Some(limit) = sweep.limit {
        command.push_str(&format!(" --limit {limit}"));
    }
    if sweep.temperature > 0.0 {
        let (samples, temperature) = (sweep.samples, sweep.temperature);
        command.push_str(&format!(" --samples {samples} --temperature {temperature}"));
    }
    command.push_str(" --out DIR");
    command
}

fn search_command(search: &Search) -> String {
    let mut command = format!(
        "taskvec search {} --over {} --start {} --step {} --halvings {} --budget {}",
        quoted(&search.expression),
        search.variable,
        search.start.text,
        search.step.text,
        search.halvings,
        search.budget
    );
    command.push_str(&format!(" --layer-groups {}", search.layer_groups));
    for (name, reference) in &search.bindings {
        command.push_str(&format!(
            " --let {}",
            quoted(&format!("{name}={reference}"))
        ));
    }
    let conditions: Vec<&str> = search
        .conditions
        .iter()
        .map(|condition| condition.name())
        .collect();
    command.push_str(&format!(
        " --tasks {} --conditions {} --seed {} --prompt-form {} --validation {} --division-seed {}",
        search.tasks.join(","),
        conditions.join(","),
        search.seed,
        search.prompt_form,
        search.validation,
        search.division_seed
    ));
    if let Some(limit) = search.limit {
        command.push_str(&format!(" --limit {limit}"));
    }
    command.push_str(" --out DIR");
    command
}

/// One for each number of questions, as `eval` has one limit for all tasks.
fn eval_command(records: &[&Record]) -> String {
    let mut counts: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let (mut tasks, mut conditions): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for record in records {
        let condition = record.condition.name();
        counts
            .entry((&record.task, condition))
            .or_default()
            .insert(&record.doc_id);
        if !tasks.contains(&record.task.as_str()) {
            tasks.push(&record.task);
        }
        if !conditions.contains(&condition) {
            conditions.push(condition);
        }
    }
    let first = records[0];
    let limit = counts.values().map(BTreeSet::len).max().unwrap_or(0);
    let names = first
        .expression
        .parse::<Expression>()
        .map(|expression| {
            expression
                .names()
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .unwrap_or_default();
    let bound: String = names
        .iter()
        .map(|name| format!(" --let {name}=REF"))
        .collect();
    format!(
        "taskvec eval {}{bound} --tasks {} --conditions {} --limit {limit} --seed {} --out DIR",
        quoted(&first.expression),
        tasks.join(","),
        conditions.join(","),
        first.seed
    )
}

/// An argument as a shell reads it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
