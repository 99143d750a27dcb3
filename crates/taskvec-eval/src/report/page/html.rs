//! The page as HTML.

use super::data::PageData;
use crate::report::html::{FigureView, document, figure_view};
use crate::report::{Figure, Row, Verdict, render, shown_ks};
use serde::Serialize;

const TEMPLATE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");

/// What the template shows that is not in the data as it stands.
#[derive(Serialize)]
struct View {
    cards: Vec<Card>,
    overview: Overview,
    excerpts: Vec<Overview>,
    cells: Vec<CellView>,
    curves: Vec<FigureView>,
    searches: Vec<SearchView>,
    vectors: Vec<VectorView>,
    legend: String,
    answers: usize,
}

#[derive(Serialize)]
struct Card {
    title: String,
    row: usize,
    baseline_row: Option<usize>,
    verdict: &'static str,
}

#[derive(Serialize)]
struct Overview {
    columns: Vec<String>,
    rows: Vec<OverviewRow>,
}

#[derive(Serialize)]
struct OverviewRow {
    model: String,
    is_baseline: bool,
    /// Rows of the report, one for each column.
    cells: Vec<Option<RowView>>,
}

#[derive(Serialize)]
struct RowView {
    row: usize,
    model: String,
    has_difference: bool,
    verdict: &'static str,
}

#[derive(Serialize)]
struct CellView {
    id: String,
    title: String,
    figure: Option<FigureView>,
    /// The k of the columns of pass@k.
    ks: Vec<u64>,
    rows: Vec<DetailView>,
}

#[derive(Serialize)]
struct DetailView {
    #[serde(flatten)]
    row: RowView,
    /// For each k of the cell the place of its estimate in the row.
    passes: Vec<Option<usize>>,
}

#[derive(Serialize)]
struct SearchView {
    index: usize,
    figure: Option<FigureView>,
    rows: Vec<GroupView>,
}

#[derive(Serialize)]
struct GroupView {
    /// Index into the coefficients.
    coefficient: usize,
    /// Index into the importance, where the group was left out.
    importance: Option<usize>,
    /// What a pattern may be shown as.
    text: String,
}

#[derive(Serialize)]
struct VectorView {
    index: usize,
    figures: Vec<FigureView>,
}

pub(super) fn render(data: &PageData, figures: &[Figure]) -> String {
    document(TEMPLATE, SCRIPT, data, &view(data, figures), figures)
}

fn view(data: &PageData, figures: &[Figure]) -> View {
    let report = &data.report;
    let places = report.cells();
    let find = |model: &str, (task, condition): (&str, crate::Condition)| {
        report
            .rows
            .iter()
            .position(|row| row.model == model && row.task == task && row.condition == condition)
    };
    let headline = &data.models[data.headline_model].label;
    let cards = places
        .iter()
        .filter_map(|&place| {
            let row = find(headline, place)?;
            let baseline_row = report
                .baseline
                .as_ref()
                .filter(|_| report.rows[row].difference.is_some())
                .and_then(|baseline| find(baseline, place));
            Some(Card {
                title: render::title(place.0, place.1),
                row,
                baseline_row,
                verdict: verdict(&report.rows[row]),
            })
        })
        .collect();
    let overview = |models: &[&str], places: &[(&str, crate::Condition)]| Overview {
        columns: places
            .iter()
            .map(|&(task, condition)| render::title(task, condition))
            .collect(),
        rows: models
            .iter()
            .map(|&model| OverviewRow {
                model: model.to_owned(),
                is_baseline: report.baseline.as_deref() == Some(model),
                cells: places
                    .iter()
                    .map(|&place| {
                        find(model, place).map(|row| row_view(report.rows.as_slice(), row))
                    })
                    .collect(),
            })
            .collect(),
    };
    let excerpts = data.excerpts.iter().map(|excerpt| {
        let models: Vec<&str> = excerpt.models.iter().map(String::as_str).collect();
        let places = excerpt.cells.iter();
        let places: Vec<(&str, crate::Condition)> = places
            .map(|(task, condition)| (task.as_str(), *condition))
            .collect();
        overview(&models, &places)
    });
    let cells = places
        .iter()
        .map(|&(task, condition)| {
            let title = render::title(task, condition);
            let start = format!("{title}: ");
            let figure = figures
                .iter()
                .find(|figure| figure.id.starts_with("bars-") && figure.title.starts_with(&start));
            let rows: Vec<(usize, &Row)> = report
                .rows
                .iter()
                .enumerate()
                .filter(|(_, row)| row.task == task && row.condition == condition)
                .collect();
            let ks = shown_ks(&rows.iter().map(|(_, row)| *row).collect::<Vec<_>>());
            CellView {
                id: crate::report::figure::slug(&title),
                figure: figure.map(figure_view),
                rows: rows
                    .iter()
                    .map(|(index, row)| DetailView {
                        row: row_view(report.rows.as_slice(), *index),
                        passes: ks
                            .iter()
                            .map(|k| row.pass_at_k.iter().position(|pass| pass.k == *k))
                            .collect(),
                    })
                    .collect(),
                ks,
                title,
            }
        })
        .collect();
    let mut heat = figures
        .iter()
        .filter(|figure| figure.id.starts_with("heat-"));
    let vectors = data
        .vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| {
            let count = crate::report::figure::Measure::ALL
                .into_iter()
                .filter(|&measure| crate::report::figure::heat_map(vector, measure).is_some())
                .count();
            VectorView {
                index,
                figures: heat.by_ref().take(count).map(figure_view).collect(),
            }
        })
        .collect();
    View {
        cards,
        overview: overview(&report.models(), &places),
        excerpts: excerpts.collect(),
        cells,
        curves: figures
            .iter()
            .filter(|figure| figure.id.starts_with("curve-"))
            .map(figure_view)
            .collect(),
        searches: searches(data, figures),
        vectors,
        // Backticks are for a terminal.
        legend: report.legend().replace('`', ""),
        answers: report.rows.iter().map(|row| row.n as usize).sum(),
    }
}

fn searches(data: &PageData, figures: &[Figure]) -> Vec<SearchView> {
    let mut drawn = figures
        .iter()
        .filter(|figure| figure.id.starts_with("importance-"));
    let view = |(index, found): (usize, &crate::search::Finished)| {
        let outcome = &found.outcome;
        let group = |(coefficient, (group, value)): (usize, &(_, crate::sweep::Value))| GroupView {
            coefficient,
            importance: outcome
                .importance
                .iter()
                .position(|row| row.group == *group),
            text: value.text.clone(),
        };
        SearchView {
            index,
            figure: (!outcome.importance.is_empty())
                .then(|| drawn.next().map(figure_view))
                .flatten(),
            rows: outcome.coefficients.iter().enumerate().map(group).collect(),
        }
    };
    data.searches.iter().enumerate().map(view).collect()
}

fn row_view(rows: &[Row], row: usize) -> RowView {
    RowView {
        row,
        model: rows[row].model.clone(),
        has_difference: rows[row].difference.is_some(),
        verdict: verdict(&rows[row]),
    }
}

fn verdict(row: &Row) -> &'static str {
    match row
        .difference
        .as_ref()
        .map(crate::report::Difference::verdict)
    {
        Some(Verdict::Higher) => "higher",
        Some(Verdict::Lower) => "lower",
        Some(Verdict::Undecided) => "undecided",
        None => "none",
    }
}
