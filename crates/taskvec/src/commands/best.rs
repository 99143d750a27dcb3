use std::path::Path;

use anyhow::Context;
use taskvec_eval::run::Record;
use taskvec_eval::sweep::{
    self, Best, BestOptions, Comparison, Criterion, SIDE_FILE, Sweep, Unlabelled,
};

use super::directory::other;
use super::records;
use crate::args::best::BestArgs;
use crate::failure::Refusal;
use crate::printer::{Align, Printer, Table};

pub(crate) fn run(arguments: &BestArgs, printer: &Printer) -> anyhow::Result<()> {
    let sweep = described(&arguments.directory)?;
    let records = records(&arguments.directory, printer)?;
    let options = BestOptions {
        tasks: arguments.tasks.clone(),
        condition: arguments.condition,
        validation: arguments.validation,
        seed: arguments.seed,
        perplexity: arguments.perplexity,
        ..BestOptions::default()
    };
    let drawn = arguments
        .drawn
        .as_deref()
        .map(|path| drawn(path, &sweep, printer))
        .transpose()?;
    let best = sweep::best(&sweep, &records, drawn.as_deref(), &options)?;
    best.warnings
        .iter()
        .for_each(|warning| printer.warn(warning));
    if arguments.json {
        return printer.json(&best);
    }
    print(&best, printer)
}

/// What was swept into a directory.
fn described(directory: &Path) -> anyhow::Result<Sweep> {
    let path = directory.join(SIDE_FILE);
    if !path.exists() {
        return Err(Refusal::NoSweep {
            directory: directory.display().to_string(),
        }
        .into());
    }
    read(&path, Sweep::parse)
}

/// The records of the same sweep with several answers to each question.
fn drawn(directory: &Path, sweep: &Sweep, printer: &Printer) -> anyhow::Result<Vec<Record>> {
    let swept = described(directory)?;
    if (&swept.expression, &swept.bindings) != (&sweep.expression, &sweep.bindings) {
        let what = format!("a sweep of `{}`", swept.expression);
        return Err(other(directory, what));
    }
    records(directory, printer)
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
    let resampled = best.test.chosen.map(|_| ("chosen %", Align::Right));
    let columns = [
        ("point", Align::Left),
        ("validation %", Align::Right),
        ("95 % interval", Align::Right),
    ];
    let mut table = Table::new(columns.into_iter().chain(resampled));
    for candidate in &best.candidates {
        let chosen = candidate.chosen;
        table.row(
            [
                candidate.model.clone(),
                format!("{:.1}", 100.0 * candidate.accuracy),
                format!(
                    "{:.1} to {:.1}",
                    100.0 * candidate.ci_low,
                    100.0 * candidate.ci_high
                ),
            ]
            .into_iter()
            .chain(chosen.map(|share| format!("{:.0}", 100.0 * share))),
        );
    }
    printer.table(&table)?;
    let plausible: Vec<String> = best
        .plausible
        .iter()
        .map(|(name, low, high)| match low == high {
            true => format!("{name} = {low}"),
            false => format!("{name} from {low} to {high}"),
        })
        .collect();
    let sure = match best.test.chosen {
        Some(share) => format!(
            "drawn again, they choose it {:.0} % of the time, and 95 % of the time {}",
            100.0 * share,
            plausible.join(", ")
        ),
        None => "they are too few to tell how sure the choice is".to_owned(),
    };
    let mut text = format!(
        "{}: chosen on {} validation questions of {} ({}); {sure}. On {} test questions, which had no say, it has {:.1} % \
         right (95 % interval {:.1} to {:.1}).",
        best.pick,
        best.validation_questions,
        best.tasks.join(", "),
        best.condition,
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
    for unlabelled in &best.unlabelled {
        print_unlabelled(unlabelled, printer)?;
    }
    printer.data("\nTest questions of every task and condition")?;
    printer.table(&Table::from(&best.report.overview()))?;
    printer.data(format_args!("\n{}", best.expression))
}

/// How a criterion is told.
struct Words {
    title: &'static str,
    column: &'static str,
    chosen_by: &'static str,
    /// What goes with accuracy where the two agree.
    merit: &'static str,
    show: fn(f64) -> String,
}

fn words(criterion: Criterion) -> Words {
    match criterion {
        Criterion::SelfConsistency => Words {
            title: "Without labels, by self-consistency",
            column: "agreement %",
            chosen_by: "how often answers to the same question agree",
            merit: "agreement",
            show: |share| format!("{:.1}", 100.0 * share),
        },
        Criterion::Perplexity => Words {
            title: "Without labels, by perplexity",
            column: "perplexity",
            chosen_by: "how sure each point is of the tokens that it generates itself",
            merit: "low perplexity",
            show: |perplexity| format!("{perplexity:.3}"),
        },
    }
}

fn print_unlabelled(unlabelled: &Unlabelled, printer: &Printer) -> anyhow::Result<()> {
    let words = words(unlabelled.criterion);
    printer.data(format_args!("\n{}", words.title))?;
    let mut table = Table::new([
        ("point", Align::Left),
        (words.column, Align::Right),
        ("95 % interval", Align::Right),
    ]);
    for point in &unlabelled.points {
        let interval = match (point.ci_low, point.ci_high) {
            (Some(low), Some(high)) => format!("{} to {}", (words.show)(low), (words.show)(high)),
            _ => "too few questions".to_owned(),
        };
        table.row([point.model.clone(), (words.show)(point.value), interval]);
    }
    printer.table(&table)?;
    let mut text = format!(
        "{}: chosen by {}, on {} questions. On the test questions it has {:.1} % right.",
        unlabelled.pick,
        words.chosen_by,
        unlabelled.questions,
        100.0 * unlabelled.test.accuracy,
    );
    match &unlabelled.against_labelled {
        Some(comparison) => text.push_str(&against(comparison)),
        None => text.push_str(" Labels choose the same point."),
    }
    if let Some(correlation) = unlabelled.rank_correlation {
        text.push_str(&format!(
            " Over the points, {} and accuracy have a rank correlation of {correlation:.2}.",
            words.merit
        ));
    }
    printer.data(format_args!("\n{}", printer.wrapped(&text)))
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
