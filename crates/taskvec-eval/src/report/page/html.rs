//! The page as HTML.

use super::data::PageData;
use crate::report::figure::palette;
use crate::report::render::{self, p_value, percent, points};
use crate::report::visible::{turns_text, visible};
use crate::report::{Figure, Row, Verdict};
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, context};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
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
    rows: Vec<RowView>,
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

#[derive(Serialize)]
struct FigureView {
    id: String,
    title: String,
    wide: String,
    /// None where the wide one serves phones too.
    narrow: Option<String>,
}

pub(super) fn render(data: &PageData, figures: &[Figure]) -> String {
    // Plain data with string keys and finite numbers: serialisation has no way to fail, nor has a template whose every
    // name a test has rendered.
    let json = serde_json::to_value(data).unwrap_or_default();
    let style = format!(
        "{STYLE}\n@media screen and (prefers-color-scheme:dark){{{}}}\n",
        palette::dark_rules()
    );
    let csv: BTreeMap<&str, &str> = figures
        .iter()
        .map(|figure| (figure.id.as_str(), figure.csv.as_str()))
        .collect();
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        integrity(&style),
        integrity(SCRIPT)
    );
    let environment = environment(json.clone());
    let context = context! {
        data => Value::from_serialize(&json),
        view => Value::from_serialize(view(data, figures)),
        policy,
        style => Value::from_safe_string(style),
        script => Value::from_safe_string(SCRIPT.to_owned()),
        data_json => Value::from_safe_string(embedded(&json)),
        csv_json => Value::from_safe_string(embedded(&csv)),
    };
    environment
        .render_named_str("page.html", TEMPLATE, context)
        .unwrap_or_else(|error| format!("{error:#}"))
}

fn environment(data: serde_json::Value) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(
        |output: &mut Output<'_>, state: &State<'_, '_>, value: &Value| match value.as_str() {
            Some(text) if !value.is_safe() => {
                minijinja::escape_formatter(output, state, &Value::from(visible(text)))
            }
            _ => minijinja::escape_formatter(output, state, value),
        },
    );
    let data = Arc::new(data);
    environment.add_function("number", move |pointer: String, form: String| {
        number(&data, &pointer, &form).map(Value::from_safe_string)
    });
    environment
}

/// A number of the data, and where it stands there.
fn number(data: &serde_json::Value, pointer: &str, form: &str) -> Result<String, Error> {
    let refused =
        |what: &str| Error::new(ErrorKind::InvalidOperation, format!("{what}: {pointer}"));
    let value = data
        .pointer(pointer)
        .ok_or_else(|| refused("no such number"))?;
    let text = match value.as_f64() {
        Some(value) => shown(value, form).ok_or_else(|| refused("no such form of a number"))?,
        None if value.is_null() => "–".to_owned(),
        None => return Err(refused("not a number")),
    };
    Ok(format!(
        "<span class=\"n\" data-from=\"{pointer}\" data-as=\"{form}\">{}</span>",
        text.replace('<', "&lt;")
    ))
}

/// A number as it is shown.
pub(super) fn shown(value: f64, form: &str) -> Option<String> {
    Some(match form {
        "percent" => percent(value),
        "points" => points(value).replace('-', "−"),
        "p" => p_value(value),
        "count" => format!("{value:.0}"),
        "tokens" => format!("{value:.1}"),
        "size" => render::significant(value, 4),
        _ => return None,
    })
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
            let rows = report.rows.iter().enumerate();
            CellView {
                id: crate::report::figure::slug(&title),
                figure: figure.map(figure_view),
                rows: rows
                    .filter(|(_, row)| row.task == task && row.condition == condition)
                    .map(|(index, _)| row_view(report.rows.as_slice(), index))
                    .collect(),
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

fn figure_view(figure: &Figure) -> FigureView {
    let description = visible(&figure.description)
        .replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;");
    let labelled = |svg: &str, class: &str| {
        let opening = format!("<svg class=\"{class}\" role=\"img\" aria-label=\"{description}\" ");
        svg.replacen("<svg ", &opening, 1)
    };
    let is_one = figure.wide == figure.narrow;
    FigureView {
        id: figure.id.clone(),
        title: figure.title.clone(),
        wide: labelled(&figure.wide, if is_one { "only" } else { "wide" }),
        narrow: (!is_one).then(|| labelled(&figure.narrow, "narrow")),
    }
}

/// JSON that can stand in a script element: no character of it means anything to HTML, ends a line of a script, or turns
/// the direction of the text that a reader of the source sees.
fn embedded(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", character as u32));
            }
            _ if turns_text(character) => {
                text.push_str(&format!("\\u{:04x}", character as u32));
            }
            _ => text.push(character),
        }
    }
    text
}

/// The hash by which a content security policy knows a text.
fn integrity(text: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(text.as_bytes())))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0u32, |group, &byte| group << 8 | u32::from(byte));
        for position in 0..4 {
            if position <= chunk.len() {
                let index = group >> (18 - 6 * position) & 63;
                text.push(char::from(ALPHABET[index as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn embedded_json_reads_back_and_means_nothing_to_html() {
        let hostile = "</script><!-- <img onerror=x> & \u{0}\u{202e}\u{2028}";
        let text = embedded(&hostile);
        assert!(
            !text.contains(['<', '>', '&', '\u{0}', '\u{202e}', '\u{2028}']),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }
}
