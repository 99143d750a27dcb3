use std::path::Path;

use taskvec_core::Bindings;
use taskvec_eval::run::RecordLog;
use taskvec_eval::study::Recipe;
use taskvec_eval::{Registry, Report};

use super::destination;
use super::directory;
use super::eval::Document;
use super::model::{Fingerprint, Fingerprints};
use super::study::{self, Conduct, Questions};
use crate::args::demo::DemoArgs;
use crate::failure::Refusal;
use crate::printer::{Printer, Table};

const COMMAND: &str = "taskvec demo";

pub(crate) fn run(arguments: &DemoArgs, printer: &Printer) -> anyhow::Result<()> {
    arguments.threads.limit_pool()?;
    check_destination(&arguments.out)?;
    if let Some(path) = &arguments.records {
        directory::check_file(path)?;
    }
    let mut recipe = study::micro()?;
    recipe.questions.limit = Some(arguments.limit);
    recipe.seeds = vec![arguments.seed];
    let registry = super::tasks::registry(None, printer);
    leave_out_unready(&registry, &mut recipe, printer)?;
    let questions = Questions::find(&registry, &recipe, printer)?;
    let conduct = Conduct {
        recipe: &recipe,
        cells: &questions.cells,
        engine: None,
        threads: arguments.threads,
        bindings: Bindings::default(),
    };
    printer.note("v = micro:grpo - micro:sft, what GRPO taught beyond SFT on the same problems");
    let (mut log, certainty) = match &arguments.records {
        Some(path) => (RecordLog::open(path)?, Fingerprint::Content),
        None => (RecordLog::in_memory(), Fingerprint::Header),
    };
    let repetition = conduct.only_repetition(printer)?;
    let mut fingerprints = Fingerprints::new(certainty);
    let planned = conduct.plans(&repetition, printer)?;
    let engine = conduct.measure(&repetition, &planned, &mut log, &mut fingerprints, printer)?;
    let report = conduct.report(&log.finish()?, &questions)?;

    let document = Document {
        command: COMMAND,
        taskvec: env!("CARGO_PKG_VERSION"),
        engine,
        report: &report,
    };
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    destination::write(&arguments.out, &text)?;
    if arguments.json {
        printer.json(&document)?;
    } else {
        print(&report, printer)?;
    }
    printer.note(format_args!(
        "the numbers behind it are in {}",
        arguments.out.display()
    ));
    Ok(())
}

/// Drops the tasks that this machine cannot judge, programs where there is no sandbox: a first look should not end there.
fn leave_out_unready(
    registry: &Registry,
    recipe: &mut Recipe,
    printer: &Printer,
) -> anyhow::Result<()> {
    let mut ready = Vec::new();
    for name in std::mem::take(&mut recipe.questions.tasks) {
        match registry.get(&name)?.ready() {
            Ok(()) => ready.push(name),
            Err(error) => printer.warn(format_args!(
                "without {name}: {:#}",
                anyhow::Error::from(error)
            )),
        }
    }
    recipe.questions.tasks = ready;
    Ok(())
}

fn print(report: &Report, printer: &Printer) -> anyhow::Result<()> {
    printer.table(&Table::from(&report.overview()))?;
    for (title, table) in report.details() {
        printer.data(format_args!("\n{title}"))?;
        printer.table(&Table::from(&table))?;
    }
    printer.data(format_args!("\n{}", printer.wrapped(&report.legend())))?;
    match &report.conclusion {
        Some(conclusion) => printer.data(format_args!("\n{}", printer.wrapped(conclusion))),
        None => Ok(()),
    }
}

/// Refuses what could not be written at the end, or must not be, before any work is done.
fn check_destination(path: &Path) -> anyhow::Result<()> {
    let Some(existing) = destination::existing(path)? else {
        return Ok(());
    };
    let is_ours = serde_json::from_slice::<serde_json::Value>(&existing).is_ok_and(|report| {
        report
            .get("command")
            .is_some_and(|command| command == COMMAND)
    });
    if is_ours {
        return Ok(());
    }
    Err(Refusal::ForeignReport {
        path: path.display().to_string(),
    }
    .into())
}
