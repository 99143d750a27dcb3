use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use taskvec_core::{Bindings, PlanOptions};
use taskvec_eval::report::Study;
use taskvec_eval::run::{RecordLog, RunOptions, Subject};
use taskvec_eval::task::Selection;
use taskvec_eval::{Condition, Generator, Report};

use super::eval::{self, Document};
use super::model::{self, Fingerprint};
use crate::args::demo::DemoArgs;
use crate::args::questions::Form;
use crate::failure::Refusal;
use crate::printer::{Printer, Table};
use crate::resolution;

const COMMAND: &str = "taskvec demo";
/// The model that the others are compared with.
const TARGET: &str = "target";
const SUBTRACTED: &str = "target - v";
const ADDED: [&str; 2] = ["target + 0.5 v", "target + 1.0 v"];
const RANDOM: &str = "target + random(v)";

/// The study's models: what is shown, and what it stands for.
fn models(seed: u64) -> Vec<(&'static str, String)> {
    const V: &str = "(micro:grpo - micro:sft)";
    vec![
        (SUBTRACTED, format!("micro:target - {V}")),
        (TARGET, "micro:target".to_owned()),
        (ADDED[0], format!("micro:target + 0.5*{V}")),
        (ADDED[1], format!("micro:target + {V}")),
        (
            RANDOM,
            format!("micro:target + random(micro:grpo - micro:sft, seed={seed})"),
        ),
        (
            "target + (grpo - base)",
            "micro:target + (micro:grpo - micro:base)".to_owned(),
        ),
        (
            "target + (sft - base)",
            "micro:target + (micro:sft - micro:base)".to_owned(),
        ),
    ]
}

pub(crate) fn run(arguments: &DemoArgs, printer: &Printer) -> anyhow::Result<()> {
    let started = Instant::now();
    arguments.threads.limit_pool()?;
    check_destination(&arguments.out)?;
    let cells = eval::cells(
        &taskvec_eval::Registry::standard(),
        "micro",
        &[Condition::Clean, Condition::Adversarial],
        printer,
    )?;
    printer.note("v = micro:grpo - micro:sft, what GRPO taught beyond SFT on the same problems");

    let (mut log, certainty) = match &arguments.records {
        Some(path) => (RecordLog::open(path)?, Fingerprint::Content),
        None => (RecordLog::in_memory(), Fingerprint::Header),
    };
    let mut engine = String::new();
    for (label, expression) in models(arguments.seed) {
        let plan = resolution::plan(
            &expression,
            &Bindings::default(),
            &PlanOptions::default(),
            printer,
        )?;
        let subject = Subject {
            model: label.to_owned(),
            expression: plan.expression().to_string(),
            fingerprint: model::fingerprint(&plan, certainty, printer)?,
        };
        let model = model::load(&plan)?;
        let options = RunOptions {
            selection: Selection {
                limit: Some(arguments.limit),
                seed: arguments.seed,
                ..Selection::test()
            },
            ..RunOptions::greedy(model::prompt_form(&model, Form::Auto))
        };
        let mut generator = model::engine(model, arguments.threads)?;
        engine = generator.describe();
        eval::evaluate(
            &mut generator,
            &subject,
            &cells,
            &options,
            &mut log,
            printer,
        )?;
        printer.note(format_args!(
            "{label}: done after {:.0} s",
            started.elapsed().as_secs_f64()
        ));
    }
    let report = Report::build(&log.finish()?, Some(TARGET))?.conclude(&Study {
        task: "micro-gsm".to_owned(),
        additions: ADDED.map(str::to_owned).to_vec(),
        subtraction: Some(SUBTRACTED.to_owned()),
        random: Some(RANDOM.to_owned()),
    });

    let document = Document {
        command: COMMAND,
        taskvec: env!("CARGO_PKG_VERSION"),
        engine,
        report: &report,
    };
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    super::write_whole(&arguments.out, &text)?;
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
    let existing = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let directory = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            return match directory {
                Some(directory) if !directory.is_dir() => {
                    Err(taskvec_core::Error::DestinationParent {
                        path: path.to_owned(),
                    }
                    .into())
                }
                _ => Ok(()),
            };
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot write to `{}`", path.display()));
        }
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
