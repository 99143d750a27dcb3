use std::path::{Path, PathBuf};

use serde::Serialize;
use taskvec_eval::report::shown_ks;
use taskvec_eval::run::{self, Cell, Record, RecordLog, RunOptions, Subject};
use taskvec_eval::sweep::RECORDS;
use taskvec_eval::task::Selection;
use taskvec_eval::{Condition, Generator, Registry, Report};

use super::directory;
use super::engine::{self, Wanted};
use super::model::{Fingerprint, Fingerprints};
use crate::args::eval::EvalArgs;
use crate::failure::Refusal;
use crate::interruption::Farewell;
use crate::printer::{Align, Printer, Progress, Table, Unit};
use crate::resolution;

pub(crate) fn run(arguments: &EvalArgs, printer: &Printer) -> anyhow::Result<()> {
    arguments.threads.limit_pool()?;
    let registry = super::tasks::registry(arguments.questions.data.as_deref(), printer);
    let cells = cells(
        &registry,
        &arguments.questions.tasks,
        &arguments.questions.conditions,
        printer,
    )?;
    super::tasks::say_licences(
        cells.iter().map(|cell| &cell.task),
        arguments.questions.data.as_deref(),
        printer,
    );
    let bindings = resolution::bindings(&arguments.bindings)?;
    let wanted = Wanted {
        expression: arguments.expression.as_deref(),
        bindings: &bindings,
        engine: Some(&arguments.engine),
        threads: arguments.threads,
        form: arguments.questions.prompt_form,
        purpose: "evaluate",
    };
    let planned = engine::plan(wanted, printer)?;
    // Before the model is loaded or served, which may take long.
    let records = arguments.out.as_deref().map(record_file).transpose()?;
    if let Some(path) = &records {
        directory::check_file(path)?;
    }
    let mut log = match &records {
        Some(path) => RecordLog::open(path)?,
        None => RecordLog::in_memory(),
    };
    let mut fingerprints = Fingerprints::new(match records {
        Some(_) => Fingerprint::Content,
        None => Fingerprint::Header,
    });
    let mut ready = planned.open(&mut fingerprints, printer)?;
    let options = RunOptions {
        selection: Selection {
            limit: arguments.questions.limit,
            seed: arguments.questions.seed,
            ..Selection::test()
        },
        ..RunOptions::greedy(ready.form)
    };
    let options = arguments.sampling.apply(options);
    let _farewell = records.as_ref().map(|path| {
        Farewell::set(format!(
            "interrupted: finished samples are kept in `{}`; run the same command to go on",
            path.display()
        ))
    });
    let before = log.records().len();
    let (generator, subject) = (&mut *ready.generator, &ready.subject);
    evaluate(generator, subject, &cells, &options, &mut log, printer)
        .map_err(|error| ready.explain(error))?;
    let fresh = log.records().len() - before;
    let report_records = log.finish()?;
    if let (true, Some(path)) = (
        ready.is_taken_at_its_word && fresh < report_records.len(),
        &records,
    ) {
        printer.warn(format_args!(
            "{} answers of `{}` were in {} already; where the server runs other weights by now, name another --out",
            report_records.len() - fresh,
            ready.subject.model,
            path.display()
        ));
    }
    let report = Report::build(&report_records, None)?;
    if let Some(path) = &records {
        printer.note(format_args!("every sample is in {}", path.display()));
    }
    if arguments.json {
        return printer.json(&Document {
            command: "taskvec eval",
            taskvec: env!("CARGO_PKG_VERSION"),
            engine: ready.generator.describe(),
            report: &report,
        });
    }
    printer.table(&table(&report))
}

/// What `--json` prints, and what a report file holds.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    /// Tells a report of one command from another's, and from a user's own file.
    pub(super) command: &'static str,
    pub(super) taskvec: &'static str,
    pub(super) engine: String,
    #[serde(flatten)]
    pub(super) report: &'a Report,
}

/// The tasks and conditions asked for, where tasks have those conditions.
pub(super) fn cells(
    registry: &Registry,
    tasks: &str,
    conditions: &[Condition],
    printer: &Printer,
) -> anyhow::Result<Vec<Cell>> {
    let tasks = registry.select(tasks)?;
    for task in &tasks {
        let names = |conditions: &[Condition]| -> Vec<String> {
            conditions
                .iter()
                .map(|condition| condition.name().to_owned())
                .collect()
        };
        let (has, lacks): (Vec<Condition>, Vec<Condition>) = conditions
            .iter()
            .partition(|condition| task.conditions().contains(condition));
        if has.is_empty() {
            return Err(Refusal::NoCondition {
                task: task.name().to_owned(),
                conditions: names(conditions),
                known: names(task.conditions()),
            }
            .into());
        }
        for condition in lacks {
            printer.detail(format_args!(
                "{} is not asked under `{condition}`",
                task.name()
            ));
        }
    }
    Ok(run::cells(&tasks, conditions))
}

/// Asks one model every cell, shows how far it is, and returns the records.
pub(super) fn evaluate(
    generator: &mut dyn Generator,
    subject: &Subject,
    cells: &[Cell],
    options: &RunOptions,
    log: &mut RecordLog,
    printer: &Printer,
) -> anyhow::Result<Vec<Record>> {
    let mut current: Option<(String, Progress)> = None;
    let records = run::evaluate(generator, subject, cells, options, log, &mut |progress| {
        let cell = format!("{} {}", progress.task, progress.condition);
        if current.as_ref().is_none_or(|(shown, _)| *shown != cell) {
            // Cleared before the next begins, so that two are never drawn at once.
            current = None;
            let label = format!("{}: {cell}", subject.model);
            let bar = printer.progress(label, progress.total as u64, Unit::Count("questions"));
            current = Some((cell, bar));
        }
        if let Some((_, bar)) = &current {
            let right = 100.0 * progress.correct as f64 / progress.done.max(1) as f64;
            bar.set(progress.done as u64);
            bar.message(format!("{right:.1} % right"));
        }
    })?;
    Ok(records)
}

/// The file that `--out` means, its directory made if need be.
fn record_file(out: &Path) -> anyhow::Result<PathBuf> {
    if out
        .extension()
        .is_some_and(|extension| extension == "jsonl")
    {
        return Ok(out.to_owned());
    }
    super::make_directory(out)?;
    Ok(out.join(RECORDS))
}

fn table(report: &Report) -> Table {
    let ks = shown_ks(&report.rows.iter().collect::<Vec<_>>());
    let of_k: Vec<String> = ks.iter().map(|k| format!("pass@{k} %")).collect();
    let columns = [
        ("task", Align::Left),
        ("condition", Align::Left),
        ("n", Align::Right),
        ("accuracy %", Align::Right),
        ("95 % interval", Align::Right),
    ];
    let of_k = of_k.iter().map(|heading| (heading.as_str(), Align::Right));
    let rest = [("tokens", Align::Right), ("cut off", Align::Right)];
    let mut table = Table::new(columns.into_iter().chain(of_k).chain(rest));
    for row in &report.rows {
        let cells = [
            row.task.clone(),
            row.condition.to_string(),
            row.n.to_string(),
            format!("{:.1}", 100.0 * row.accuracy),
            format!("{:.1} to {:.1}", 100.0 * row.ci_low, 100.0 * row.ci_high),
        ];
        let passes = ks.iter().map(|k| row.pass_at(*k));
        let rest = [format!("{:.1}", row.mean_tokens), row.truncated.to_string()];
        table.row(cells.into_iter().chain(passes).chain(rest));
    }
    table
}
