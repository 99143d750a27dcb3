//! The page's headline for a README or a model card.

use super::data::PageData;
use crate::report::render::{percent, points};
use crate::report::{Table, render};
use crate::search::Finished;
use crate::study::prompting_table;

const BETWEEN: &str = "Do they point the same way?";

pub(super) fn render(data: &PageData) -> String {
    let mut text = format!("# {}\n\n", data.title.replace(['\n', '\r'], " "));
    // Before any number.
    for it in &data.unfinished {
        text.push_str(&format!("**Unfinished.** {}.\n\n", it.sentence()));
    }
    text.push_str(&data.report.overview().to_markdown());
    for excerpt in &data.excerpts {
        let table = excerpt.table(&data.report).to_markdown();
        text.push_str(&format!(
            "\n## {}\n\n{}\n\n{table}",
            excerpt.title, excerpt.question
        ));
    }
    if let Some(table) = prompting_table(&data.prompting) {
        text.push_str(&format!("\n## Prompting\n\n{}", table.to_markdown()));
    }
    if let Some(table) = &data.between {
        let table = table.to_markdown();
        text.push_str(&format!("\n## Between the vectors\n\n{BETWEEN}\n\n{table}"));
    }
    if !data.robustness.is_empty() {
        text.push_str("\n## Under perturbation\n\n");
        text.push_str(&robustness(data).to_markdown());
    }
    for found in &data.searches {
        text.push_str(&search(found));
    }
    for (title, table) in data.report.details() {
        text.push_str(&format!("\n## {title}\n\n{}", table.to_markdown()));
    }
    text.push_str(&format!("\n{}\n", data.report.legend()));
    if let Some(conclusion) = &data.report.conclusion {
        text.push_str(&format!("\n{conclusion}\n"));
    }
    for note in &data.notes {
        text.push_str(&format!("\n{note}\n"));
    }
    if !data.commands.is_empty() {
        let commands = data.commands.join("\n");
        text.push_str(&format!("\n## To do it again\n\n{}", fenced(&commands)));
    }
    text
}

/// Lines that are shown as they are, behind a fence longer than any in them.
fn fenced(lines: &str) -> String {
    let longest = lines
        .split(|character: char| character != '`')
        .map(str::len)
        .max();
    let fence = "`".repeat(longest.unwrap_or(0).max(2) + 1);
    format!("{fence}sh\n{lines}\n{fence}\n")
}

/// What a search found, and what each group is worth.
fn search(found: &Finished) -> String {
    let (search, outcome) = (&found.search, &found.outcome);
    let mut text = format!(
        "\n## Search\n\nFound among {} points of `{}`: chosen on {} validation questions of {}, measured on {} test questions, \
         which had no say.\n\n{}",
        outcome.evaluations,
        search.expression,
        outcome.validation_questions,
        search.tasks.join(", "),
        outcome.test_questions,
        outcome.picks_table().to_markdown()
    );
    if !outcome.importance.is_empty() {
        text.push_str(&format!(
            "\nWhat leaving out a group changes, from {}, on the validation questions:\n\n{}",
            outcome.start.model,
            outcome.importance_table().to_markdown()
        ));
    }
    text.push_str(&format!("\n`{}`\n", outcome.found.expression));
    text
}

fn robustness(data: &PageData) -> Table {
    let header = [
        "model",
        "task",
        "n",
        "clean",
        "perturbed",
        "change",
        "95 % interval",
    ];
    Table {
        header: header.map(str::to_owned).to_vec(),
        rows: data
            .robustness
            .iter()
            .map(|row| {
                vec![
                    row.model.clone(),
                    render::title(&row.task, row.condition),
                    row.n.to_string(),
                    percent(row.clean),
                    percent(row.perturbed),
                    points(row.change),
                    format!("{} to {}", points(row.ci_low), points(row.ci_high)),
                ]
            })
            .collect(),
    }
}
