//! Accuracies of models on one task, with the paired differences to the baseline beside them.

use super::canvas::{Canvas, Lean, Scale, clipped, draw};
use super::palette::{AXIS, FAINT, GRID, HIGHER, Ink, LOWER, PLAIN, TEXT};
use super::{Figure, NARROW, TEXT_SIZE, WIDE, csv_line, slug};
use crate::report::render::{percent, points};
use crate::report::{Row, Verdict};

/// Height of one model's row where the label stands beside it.
const ROW: f64 = 30.0;
/// Height of one model's row where the label stands above it.
const TALL_ROW: f64 = 46.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 30.0;

/// The figure of one task under one condition; `rows` are that cell's.
pub(crate) fn bars(title: &str, baseline: Option<&str>, rows: &[&Row]) -> Figure {
    let has_differences = rows.iter().any(|row| row.difference.is_some());
    let description = description(title, baseline, rows);
    Figure {
        id: format!("bars-{}", slug(title)),
        title: format!("{title}: accuracy of each model"),
        description,
        wide: wide(rows, has_differences),
        narrow: narrow(rows, has_differences),
        csv: csv(rows),
    }
}

fn description(title: &str, baseline: Option<&str>, rows: &[&Row]) -> String {
    let values: Vec<String> = rows
        .iter()
        .map(|row| {
            let difference = row
                .difference
                .as_ref()
                .map_or_else(String::new, |difference| {
                    format!(" ({} points)", points(difference.value))
                });
            format!("{} {} %{difference}", row.model, percent(row.accuracy))
        })
        .collect();
    let against = baseline.map_or_else(String::new, |baseline| {
        format!(", differences to {baseline} in parentheses")
    });
    format!(
        "Bars of accuracy on {title} with 95 % intervals{against}: {}",
        values.join("; ")
    )
}

fn csv(rows: &[&Row]) -> String {
    let mut text = csv_line(
        &[
            "model",
            "task",
            "condition",
            "n",
            "accuracy",
            "ci_low",
            "ci_high",
            "difference",
            "difference_ci_low",
            "difference_ci_high",
            "p_value",
            "p_value_adjusted",
        ]
        .map(str::to_owned),
    );
    for row in rows {
        let mut fields = vec![
            row.model.clone(),
            row.task.clone(),
            row.condition.to_string(),
            row.n.to_string(),
        ];
        fields.extend([row.accuracy, row.ci_low, row.ci_high].map(|value| value.to_string()));
        match &row.difference {
            Some(difference) => fields.extend(
                [
                    difference.value,
                    difference.ci_low,
                    difference.ci_high,
                    difference.p_value,
                    difference.p_value_adjusted,
                ]
                .map(|value| value.to_string()),
            ),
            None => fields.extend(std::iter::repeat_n(String::new(), 5)),
        }
        text.push_str(&csv_line(&fields));
    }
    text
}

fn wide(rows: &[&Row], has_differences: bool) -> String {
    let height = TOP + ROW * rows.len() as f64 + BOTTOM;
    draw(WIDE, height, |canvas| {
        let label_end = 196.0;
        let bars_end = if has_differences { 452.0 } else { 660.0 };
        let accuracy = Scale::new((0.0, 1.0), (208.0, bars_end));
        let bottom = height - BOTTOM;
        axis(canvas, &accuracy, 5, TOP, bottom, "accuracy, %", &|value| {
            format!("{:.0}", 100.0 * value)
        });
        let differences = has_differences.then(|| {
            let scale = Scale::new(reach(rows), (516.0, 700.0));
            axis_of_differences(canvas, &scale, TOP, bottom);
            scale
        });
        for (index, row) in rows.iter().enumerate() {
            let middle = TOP + ROW * (index as f64 + 0.5);
            let label = clipped(&row.model, 30);
            canvas.text(&label, (label_end, middle), TEXT_SIZE, TEXT, Lean::End);
            bar(canvas, &accuracy, row, middle, 7.0);
            value(canvas, &accuracy, row, middle);
            if let Some(scale) = &differences {
                difference(canvas, scale, row, middle);
            }
        }
    })
}

fn narrow(rows: &[&Row], has_differences: bool) -> String {
    let block = TOP + TALL_ROW * rows.len() as f64 + BOTTOM;
    let height = if has_differences { 2.0 * block } else { block };
    draw(NARROW, height, |canvas| {
        let accuracy = Scale::new((0.0, 1.0), (8.0, 268.0));
        let label = |row: &Row, top: f64| {
            let label = clipped(&row.model, 46);
            canvas.text(&label, (8.0, top + 11.0), TEXT_SIZE, TEXT, Lean::Start);
        };
        axis(
            canvas,
            &accuracy,
            5,
            TOP,
            block - BOTTOM,
            "accuracy, %",
            &|value| format!("{:.0}", 100.0 * value),
        );
        for (index, row) in rows.iter().enumerate() {
            let top = TOP + TALL_ROW * index as f64;
            label(row, top);
            bar(canvas, &accuracy, row, top + 29.0, 7.0);
            value(canvas, &accuracy, row, top + 29.0);
        }
        if has_differences {
            let scale = Scale::new(reach(rows), (8.0, 268.0));
            axis_of_differences(canvas, &scale, block + TOP, height - BOTTOM);
            for (index, row) in rows.iter().enumerate() {
                let top = block + TOP + TALL_ROW * index as f64;
                label(row, top);
                difference(canvas, &scale, row, top + 29.0);
            }
        }
    })
}

fn axis(
    canvas: &Canvas<'_>,
    scale: &Scale,
    count: usize,
    top: f64,
    bottom: f64,
    title: &str,
    format: &dyn Fn(f64) -> String,
) {
    let ticks = scale.ticks(count);
    for &tick in &ticks {
        let x = scale.at(tick);
        canvas.line(&[(x, top - 4.0), (x, bottom)], GRID, 1.0);
        canvas.text(
            &format(tick),
            (x, bottom + 13.0),
            TEXT_SIZE - 1.0,
            FAINT,
            Lean::Middle,
        );
    }
    let start = ticks.first().map_or(0.0, |&tick| scale.at(tick));
    canvas.text(
        title,
        (start, 14.0 + top - TOP),
        TEXT_SIZE,
        FAINT,
        Lean::Start,
    );
}

pub(super) fn axis_of_differences(canvas: &Canvas<'_>, scale: &Scale, top: f64, bottom: f64) {
    axis(
        canvas,
        scale,
        5,
        top,
        bottom,
        "difference, points",
        &|value| match format!("{:+.0}", 100.0 * value).as_str() {
            "+0" | "-0" => "0".to_owned(),
            text => text.replace('-', "−"),
        },
    );
    let zero = scale.at(0.0);
    canvas.line(&[(zero, top - 4.0), (zero, bottom)], AXIS, 1.2);
}

/// Differences shown, with 0 always among them.
fn reach(rows: &[&Row]) -> (f64, f64) {
    let differences = rows.iter().filter_map(|row| row.difference.as_ref());
    reach_of(differences.map(|difference| (difference.ci_low, difference.ci_high)))
}

/// From the lowest to the highest of these intervals, and a little beyond.
pub(super) fn reach_of(intervals: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    let (low, high) = intervals.fold((0.0, 0.0), |(low, high): (f64, f64), interval| {
        (low.min(interval.0), high.max(interval.1))
    });
    let margin = 0.06 * (high - low).max(0.02);
    (low - margin, high + margin)
}

fn ink(row: &Row) -> Ink {
    match row
        .difference
        .as_ref()
        .map(super::super::Difference::verdict)
    {
        Some(Verdict::Higher) => HIGHER,
        Some(Verdict::Lower) => LOWER,
        Some(Verdict::Undecided) | None => PLAIN,
    }
}

fn bar(canvas: &Canvas<'_>, scale: &Scale, row: &Row, middle: f64, half: f64) {
    let (from, to) = (scale.at(0.0), scale.at(row.accuracy));
    canvas.rectangle((from, middle - half), (to, middle + half), ink(row), 0.85);
    whisker(canvas, scale, (row.ci_low, row.ci_high), middle, TEXT);
}

fn value(canvas: &Canvas<'_>, scale: &Scale, row: &Row, middle: f64) {
    let at = (scale.at(row.ci_high) + 7.0, middle);
    canvas.text(&percent(row.accuracy), at, TEXT_SIZE, TEXT, Lean::Start);
}

pub(super) fn whisker(
    canvas: &Canvas<'_>,
    scale: &Scale,
    (low, high): (f64, f64),
    middle: f64,
    ink: Ink,
) {
    let (low, high) = (scale.at(low), scale.at(high));
    canvas.line(&[(low, middle), (high, middle)], ink, 1.3);
    for end in [low, high] {
        canvas.line(&[(end, middle - 3.5), (end, middle + 3.5)], ink, 1.3);
    }
}

fn difference(canvas: &Canvas<'_>, scale: &Scale, row: &Row, middle: f64) {
    let Some(difference) = &row.difference else {
        let at = (scale.at(0.0) + 6.0, middle);
        canvas.text("baseline", at, TEXT_SIZE - 1.0, FAINT, Lean::Start);
        return;
    };
    let ink = match difference.verdict() {
        Verdict::Higher => HIGHER,
        Verdict::Lower => LOWER,
        Verdict::Undecided => FAINT,
    };
    whisker(
        canvas,
        scale,
        (difference.ci_low, difference.ci_high),
        middle,
        ink,
    );
    canvas.dot((scale.at(difference.value), middle), 4.0, ink);
}
