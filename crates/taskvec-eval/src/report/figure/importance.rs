//! What leaving out each group of a search changes, with paired intervals.

use super::bars::{axis_of_differences, reach_of, whisker};
use super::canvas::{Canvas, Lean, Scale, clipped, draw};
use super::palette::{HIGHER, Ink, LOWER, PLAIN, TEXT};
use super::{Figure, NARROW, TEXT_SIZE, WIDE, csv_line, slug};
use crate::report::SIGNIFICANCE;
use crate::report::render::points;
use crate::search::{Finished, Importance};

const ROW: f64 = 30.0;
const TALL_ROW: f64 = 46.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 30.0;

/// The figure of one search; none where no group was left out.
pub(crate) fn importance(found: &Finished) -> Option<Figure> {
    let rows = &found.outcome.importance;
    if rows.is_empty() {
        return None;
    }
    let start = &found.outcome.start.model;
    let changes: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {} points", row.group.name, points(row.change.value)))
        .collect();
    Some(Figure {
        id: format!("importance-{}", slug(&found.search.expression)),
        title: format!("What leaving out a group changes, from {start}"),
        description: format!(
            "Bars of the change in accuracy on the validation questions with paired 95 % intervals: {}",
            changes.join("; ")
        ),
        wide: wide(rows),
        narrow: narrow(rows),
        csv: csv(found),
    })
}

fn csv(found: &Finished) -> String {
    let header = [
        "group",
        "pattern",
        "tensors",
        "n",
        "gained",
        "lost",
        "change",
        "ci_low",
        "ci_high",
        "p_value",
        "p_value_adjusted",
        "found",
    ];
    let mut text = csv_line(&header.map(str::to_owned));
    for row in &found.outcome.importance {
        let change = &row.change;
        let coefficient = found.outcome.coefficient(&row.group);
        let mut fields = vec![row.group.name.clone(), row.group.pattern.clone()];
        fields.push(row.group.tensors.to_string());
        fields.extend([change.n, change.gained, change.lost].map(|count| count.to_string()));
        fields.extend(
            [
                change.value,
                change.ci_low,
                change.ci_high,
                change.p_value,
                row.p_value_adjusted,
            ]
            .map(|value| value.to_string()),
        );
        fields.push(coefficient.map_or_else(String::new, |value| value.text.clone()));
        text.push_str(&csv_line(&fields));
    }
    text
}

fn reach(rows: &[Importance]) -> (f64, f64) {
    reach_of(
        rows.iter()
            .map(|row| (row.change.ci_low, row.change.ci_high)),
    )
}

fn wide(rows: &[Importance]) -> String {
    let height = TOP + ROW * rows.len() as f64 + BOTTOM;
    draw(WIDE, height, |canvas| {
        let scale = Scale::new(reach(rows), (208.0, 640.0));
        axis_of_differences(canvas, &scale, TOP, height - BOTTOM);
        for (index, row) in rows.iter().enumerate() {
            let middle = TOP + ROW * (index as f64 + 0.5);
            let label = clipped(&row.group.name, 30);
            canvas.text(&label, (196.0, middle), TEXT_SIZE, TEXT, Lean::End);
            bar(canvas, &scale, row, middle);
        }
    })
}

fn narrow(rows: &[Importance]) -> String {
    let height = TOP + TALL_ROW * rows.len() as f64 + BOTTOM;
    draw(NARROW, height, |canvas| {
        let scale = Scale::new(reach(rows), (8.0, 268.0));
        axis_of_differences(canvas, &scale, TOP, height - BOTTOM);
        for (index, row) in rows.iter().enumerate() {
            let top = TOP + TALL_ROW * index as f64;
            let label = clipped(&row.group.name, 46);
            canvas.text(&label, (8.0, top + 11.0), TEXT_SIZE, TEXT, Lean::Start);
            bar(canvas, &scale, row, top + 29.0);
        }
    })
}

/// As for models: coloured where the questions can tell, interval and adjusted p together.
fn ink(row: &Importance) -> Ink {
    if row.p_value_adjusted >= SIGNIFICANCE {
        PLAIN
    } else if row.change.ci_low > 0.0 {
        HIGHER
    } else if row.change.ci_high < 0.0 {
        LOWER
    } else {
        PLAIN
    }
}

fn bar(canvas: &Canvas<'_>, scale: &Scale, row: &Importance, middle: f64) {
    let change = &row.change;
    let (from, to) = (
        scale.at(change.value.min(0.0)),
        scale.at(change.value.max(0.0)),
    );
    canvas.rectangle((from, middle - 7.0), (to, middle + 7.0), ink(row), 0.85);
    whisker(canvas, scale, (change.ci_low, change.ci_high), middle, TEXT);
    let at = (scale.at(change.ci_high) + 7.0, middle);
    canvas.text(&points(change.value), at, TEXT_SIZE, TEXT, Lean::Start);
}
