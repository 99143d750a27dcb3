//! The page's headline for a README or a model card.

use super::data::{Extreme, TrainedRun, TrainingData};
use super::metric;
use crate::report::Table;
use crate::report::html::shown;

/// How to read the tables; it stands on every page as Markdown.
pub const LEGEND: &str = "Values are those of single steps of training; the best is named where one end of a scale is the good one.";

/// Why a row is missing that one looks for.
const NO_DIVERGENCE: &str = "The divergence from the initial model was not measured: without a KL term (`--beta 0`) nothing asks that \
                             model. With `--beta 1e-6` it is, for a forward pass more in each rollout.";

pub(super) fn render(data: &TrainingData) -> String {
    let mut text = format!("# {}\n", data.title.replace(['\n', '\r'], " "));
    for run in &data.runs {
        text.push_str(&format!(
            "\n## {}\n\n{}\n\n{}",
            run.label.replace(['\n', '\r'], " "),
            sentence(run),
            table(data, run).to_markdown()
        ));
        if run.lacks_divergence(data.kind) {
            text.push_str(&format!("\n{NO_DIVERGENCE}\n"));
        }
    }
    text.push_str(&format!("\n{LEGEND}\n"));
    for note in &data.notes {
        text.push_str(&format!("\n{note}\n"));
    }
    text
}

fn sentence(run: &TrainedRun) -> String {
    let steps = format!(
        "{} steps, {} to {}.",
        run.made, run.first_step, run.last_step
    );
    match run.collapse {
        None => steps,
        Some(collapse) => format!(
            "{steps} **Collapse**: at {} of them the run looks as if it were being lost, first at step {}, last at step {}.",
            collapse.steps, collapse.first, collapse.last
        ),
    }
}

fn table(data: &TrainingData, run: &TrainedRun) -> Table {
    let header = [
        "measured", "first", "best", "at step", "last", "lowest", "at step", "highest", "at step",
    ];
    let metrics = metric::of(data.kind);
    let rows = run.summaries.iter().map(|summary| {
        let metric = metrics.iter().find(|metric| metric.field == summary.metric);
        let (title, form) = metric.map_or((summary.metric.as_str(), "value"), |metric| {
            (metric.title, metric.form)
        });
        let value = |extreme: Extreme| shown(extreme.value, form).unwrap_or_default();
        let unit = if form == "percent" { ", %" } else { "" };
        let (best, best_step) = summary
            .best
            .map_or(("–".to_owned(), "–".to_owned()), |best| {
                (value(best), best.step.to_string())
            });
        vec![
            format!("{title}{unit}"),
            value(summary.first),
            best,
            best_step,
            value(summary.last),
            value(summary.lowest),
            summary.lowest.step.to_string(),
            value(summary.highest),
            summary.highest.step.to_string(),
        ]
    });
    Table {
        header: header.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }
}
