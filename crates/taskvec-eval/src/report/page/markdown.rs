//! The page's headline for a README or a model card.

use super::data::PageData;
use crate::report::render::{percent, points};
use crate::report::{Table, render};
use crate::study::prompting_table;

pub(super) fn render(data: &PageData) -> String {
    let mut text = format!("# {}\n\n", data.title.replace(['\n', '\r'], " "));
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
    if !data.robustness.is_empty() {
        text.push_str("\n## Under perturbation\n\n");
        text.push_str(&robustness(data).to_markdown());
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
