use std::path::Path;

use serde::Serialize;
use taskvec_eval::Comparison;
use taskvec_eval::comparison::{Change, Example, records_of};
use taskvec_eval::run::{Record, Unfinished};

use crate::args::compare::CompareArgs;
use crate::printer::{Align, Printer, Table};

pub(crate) fn run(arguments: &CompareArgs, printer: &Printer) -> anyhow::Result<()> {
    let (model, path) = (arguments.first_model.as_deref(), &arguments.first);
    let first = records("first", path, model, printer)?;
    let (model, path) = (arguments.second_model.as_deref(), &arguments.second);
    let second = records("second", path, model, printer)?;
    let comparison = Comparison::build(&first, &second, arguments.examples)?;
    for reason in &comparison.left_out {
        printer.warn(format_args!("{reason}: not compared"));
    }
    if arguments.json {
        return printer.json(&Document {
            command: "taskvec compare",
            taskvec: env!("CARGO_PKG_VERSION"),
            comparison: &comparison,
        });
    }
    if !comparison.changes.is_empty() {
        printer.table(&changes(&comparison.changes))?;
        printer.data("")?;
    }
    printer.table(&Table::from(&comparison.table()))?;
    for line in comparison.legend() {
        printer.note(line);
    }
    for (heading, examples) in [("gained", &comparison.gained), ("lost", &comparison.lost)] {
        show(heading, examples, printer)?;
    }
    Ok(())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    command: &'static str,
    taskvec: &'static str,
    #[serde(flatten)]
    comparison: &'a Comparison,
}

/// The records of one model; says where they are not all that were to be.
fn records(
    run: &'static str,
    path: &Path,
    model: Option<&str>,
    printer: &Printer,
) -> anyhow::Result<Vec<Record>> {
    let records = records_of(run, super::records(path, printer)?, model)?;
    if let Some(lacking) = Unfinished::of(&path.display().to_string(), None, &records) {
        printer.warn(lacking.sentence());
    }
    Ok(records)
}

fn changes(changes: &[Change]) -> Table {
    let columns = ["changed", "first", "second"].map(|heading| (heading, Align::Left));
    let mut table = Table::new(columns);
    let joined = |values: &[String]| values.join("; ");
    for change in changes {
        let cells = [joined(&change.first), joined(&change.second)];
        let cells = match change.what {
            // A hash says all it has to say in its beginning.
            "weights" => cells.map(|cell| cell.chars().take(12).collect()),
            _ => cells,
        };
        let [first, second] = cells;
        table.row([change.what.to_owned(), first, second]);
    }
    table
}

fn show(heading: &str, examples: &[Example], printer: &Printer) -> anyhow::Result<()> {
    for example in examples {
        printer.data(format_args!(
            "\n{heading}: {}",
            example.to_text().trim_end()
        ))?;
    }
    Ok(())
}
