//! Accuracy over a coefficient, with its band.

use super::canvas::{Canvas, Lean, Scale, clipped, draw};
use super::palette::{AXIS, FAINT, GRID, Ink, SERIES, TEXT};
use super::{Figure, NARROW, TEXT_SIZE, WIDE, csv_line, slug};
use crate::report::Row;
use crate::report::render::percent;

const TOP: f64 = 26.0;
const BOTTOM: f64 = 40.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 16.0;
/// Height of one line of the key below the curves.
const KEY: f64 = 18.0;

/// One curve: a name, and the points in ascending order.
pub(crate) struct Series<'a> {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, &'a Row)>,
}

/// The figure of `series` over `variable`.
pub(crate) fn curve(title: &str, variable: &str, series: &[Series<'_>]) -> Figure {
    Figure {
        id: format!("curve-{}", slug(title)),
        title: format!("{title}: accuracy over {variable}"),
        description: description(title, variable, series),
        wide: sheet(variable, series, WIDE, 300.0, 9),
        narrow: sheet(variable, series, NARROW, 250.0, 5),
        csv: csv(variable, series),
    }
}

fn description(title: &str, variable: &str, series: &[Series<'_>]) -> String {
    let curves: Vec<String> = series
        .iter()
        .map(|series| {
            let points: Vec<String> = series
                .points
                .iter()
                .map(|(x, row)| format!("{x}: {} %", percent(row.accuracy)))
                .collect();
            format!("{}, {}", series.name, points.join(", "))
        })
        .collect();
    format!(
        "Accuracy on {title} over {variable}, with bands of 95 % intervals. {}",
        curves.join("; ")
    )
}

fn csv(variable: &str, series: &[Series<'_>]) -> String {
    let heading = [
        "curve", variable, "model", "n", "accuracy", "ci_low", "ci_high",
    ];
    let mut text = csv_line(&heading.map(str::to_owned));
    for series in series {
        for (x, row) in &series.points {
            text.push_str(&csv_line(&[
                series.name.clone(),
                x.to_string(),
                row.model.clone(),
                row.n.to_string(),
                row.accuracy.to_string(),
                row.ci_low.to_string(),
                row.ci_high.to_string(),
            ]));
        }
    }
    text
}

fn sheet(variable: &str, series: &[Series<'_>], width: f64, plot: f64, ticks: usize) -> String {
    let height = TOP + plot + BOTTOM + KEY * series.len() as f64;
    draw(width, height, |canvas| {
        let xs = || {
            series
                .iter()
                .flat_map(|series| series.points.iter().map(|(x, _)| *x))
        };
        let (low, high) = (xs().fold(f64::MAX, f64::min), xs().fold(f64::MIN, f64::max));
        let rows = || {
            series
                .iter()
                .flat_map(|series| series.points.iter().map(|(_, row)| *row))
        };
        let bottom_value = rows().map(|row| row.ci_low).fold(1.0, f64::min);
        let top_value = rows().map(|row| row.ci_high).fold(0.0, f64::max);
        let x = Scale::new((low, high), (LEFT, width - RIGHT));
        // Round ends in steps of ten points.
        let ends = (
            (bottom_value * 10.0).floor() / 10.0,
            (top_value * 10.0).ceil() / 10.0,
        );
        let y = Scale::new(ends, (TOP + plot, TOP));
        axes(canvas, &x, &y, width, plot, ticks, variable, (low, high));
        for (index, series) in series.iter().enumerate() {
            let ink = SERIES[index % SERIES.len()];
            draw_series(canvas, &x, &y, series, ink);
            let line = TOP + plot + BOTTOM + KEY * (index as f64 + 0.3);
            canvas.line(&[(LEFT, line), (LEFT + 22.0, line)], ink, 2.2);
            canvas.dot((LEFT + 11.0, line), 3.2, ink);
            let name = clipped(&series.name, (width / 8.0) as usize);
            canvas.text(&name, (LEFT + 30.0, line), TEXT_SIZE, TEXT, Lean::Start);
        }
    })
}

#[expect(
    clippy::too_many_arguments,
    reason = "one sheet's worth of geometry, used once"
)]
fn axes(
    canvas: &Canvas<'_>,
    x: &Scale,
    y: &Scale,
    width: f64,
    plot: f64,
    ticks: usize,
    variable: &str,
    (low, high): (f64, f64),
) {
    let bottom = TOP + plot;
    canvas.text("accuracy, %", (LEFT, 12.0), TEXT_SIZE, FAINT, Lean::Start);
    for tick in y.ticks(7) {
        let at = y.at(tick);
        canvas.line(&[(LEFT, at), (width - RIGHT, at)], GRID, 1.0);
        let label = format!("{:.0}", 100.0 * tick);
        canvas.text(&label, (LEFT - 8.0, at), TEXT_SIZE - 1.0, FAINT, Lean::End);
    }
    for tick in x.ticks(ticks) {
        let at = x.at(tick);
        canvas.line(&[(at, bottom), (at, bottom + 4.0)], AXIS, 1.0);
        let label = tidy(tick);
        canvas.text(
            &label,
            (at, bottom + 13.0),
            TEXT_SIZE - 1.0,
            FAINT,
            Lean::Middle,
        );
    }
    // The model itself, and the model with all of the vector.
    for mark in [0.0, 1.0] {
        if (low..=high).contains(&mark) {
            canvas.line(&[(x.at(mark), TOP), (x.at(mark), bottom)], AXIS, 1.0);
        }
    }
    canvas.line(&[(LEFT, bottom), (width - RIGHT, bottom)], AXIS, 1.0);
    let middle = f64::midpoint(LEFT, width - RIGHT);
    canvas.text(
        variable,
        (middle, bottom + 29.0),
        TEXT_SIZE,
        FAINT,
        Lean::Middle,
    );
}

fn draw_series(canvas: &Canvas<'_>, x: &Scale, y: &Scale, series: &Series<'_>, ink: Ink) {
    let line = |value: &dyn Fn(&Row) -> f64| -> Vec<(f64, f64)> {
        series
            .points
            .iter()
            .map(|(at, row)| (x.at(*at), y.at(value(row))))
            .collect()
    };
    let mut band = line(&|row| row.ci_low);
    band.extend(line(&|row| row.ci_high).into_iter().rev());
    canvas.polygon(&band, ink, 0.14);
    let centers = line(&|row| row.accuracy);
    canvas.line(&centers, ink, 2.0);
    for center in centers {
        canvas.dot(center, 3.2, ink);
    }
}

/// A coefficient without the noise of binary fractions.
fn tidy(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "-0" => "0".to_owned(),
        _ => text.replace('-', "−"),
    }
}
