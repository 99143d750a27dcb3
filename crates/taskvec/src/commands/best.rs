use std::path::Path;

use anyhow::Context;
use taskvec_eval::run::RecordLog;
use taskvec_eval::sweep::{self, Best, BestOptions, Comparison, RECORDS, SIDE_FILE, Sweep};

use crate::args::best::BestArgs;
use crate::printer::{Align, Printer, Table};

pub(crate) fn run(arguments: &BestArgs, printer: &Printer) -> anyhow::Result<()> {
    let sweep = read(&arguments.directory.join(SIDE_FILE), Sweep::parse)?;
    let records = read(&arguments.directory.join(RECORDS), RecordLog::parse)?;
    let options = BestOptions {
        tasks: arguments.tasks.clone(),
        condition: arguments.condition,
        validation: arguments.validation,
        seed: arguments.seed,
        ..BestOptions::default()
    };
    let best = sweep::best(&sweep, &records, &options)?;
    best.warnings
        .iter()
        .for_each(|warning| printer.warn(warning));
    if arguments.json {
        return printer.json(&best);
    }
    print(&best, printer)
}

/// Reads a file and what is in it.
pub(super) fn read<T>(
    path: &Path,
    parse: impl FnOnce(&Path, &[u8]) -> Result<T, taskvec_eval::Error>,
) -> anyhow::Result<T> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(parse(path, &bytes)?)
}

fn print(best: &Best, printer: &Printer) -> anyhow::Result<()> {
    let mut table = Table::new([
        ("point", Align::Left),
        ("validation %", Align::Right),
        ("95 % interval", Align::Right),
        ("chosen %", Align::Right),
    ]);
    for candidate in &best.candidates {
        table.row([
            candidate.model.clone(),
            format!("{:.1}", 100.0 * candidate.accuracy),
            format!(
                "{:.1} to {:.1}",
                100.0 * candidate.ci_low,
                100.0 * candidate.ci_high
            ),
            format!("{:.0}", 100.0 * candidate.chosen),
        ]);
    }
    printer.table(&table)?;
    let plausible: Vec<String> = best
        .plausible
        .iter()
        .map(|(name, low, high)| format!("{name} from {low} to {high}"))
        .collect();
    let mut text = format!(
        "{}: chosen on {} validation questions of {} ({}); drawn again, they choose it {:.0} % of the time, and 95 % of the \
         time {}. On {} test questions, which had no say, it has {:.1} % right (95 % interval {:.1} to {:.1}).",
        best.pick,
        best.validation_questions,
        best.tasks.join(", "),
        best.condition,
        100.0 * best.test.chosen,
        plausible.join(", "),
        best.test_questions,
        100.0 * best.test.accuracy,
        100.0 * best.test.ci_low,
        100.0 * best.test.ci_high,
    );
    for comparison in [&best.against_zero, &best.against_one]
        .into_iter()
        .flatten()
    {
        text.push_str(&against(comparison));
    }
    printer.data(format_args!("\n{}", printer.wrapped(&text)))?;
    printer.data("\nTest questions of every task and condition")?;
    printer.table(&Table::from(&best.report.overview()))?;
    printer.data(format_args!("\n{}", best.expression))
}

fn against(comparison: &Comparison) -> String {
    format!(
        " Against {}: {:+.1} points ({:+.1} to {:+.1}, p {:.3}).",
        comparison.other,
        100.0 * comparison.difference,
        100.0 * comparison.ci_low,
        100.0 * comparison.ci_high,
        comparison.p_value,
    )
}
