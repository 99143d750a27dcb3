//! A measurement over the steps of training, for one run or several.

use super::canvas::{Canvas, Lean, Scale, clipped, draw};
use super::palette::{AXIS, FAINT, GRID, Ink, LOWER, SERIES, TEXT};
use super::{Figure, NARROW, TEXT_SIZE, WIDE, csv_line};
use crate::report::html::shown;

const TOP: f64 = 26.0;
const BOTTOM: f64 = 40.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 16.0;
/// Height of one line of the key below the curves.
const KEY: f64 = 18.0;
/// Steps are drawn in so many parts at most, each by its lowest and highest value: more would be no finer on any screen.
const PARTS: usize = 300;
/// More points than this are a line without dots.
const DOTS: usize = 60;

/// What is drawn.
pub(crate) struct Sheet {
    /// Name for files and anchors.
    pub(crate) id: String,
    /// Name of the column of values.
    pub(crate) field: &'static str,
    /// What it is, in a few words.
    pub(crate) title: &'static str,
    /// What stands at the axis.
    pub(crate) axis: &'static str,
    /// How a number of it is shown: a form of [`shown`].
    pub(crate) form: &'static str,
    /// Name of the column of half the width of a band around the values.
    pub(crate) spread: Option<&'static str>,
}

/// One run.
pub(crate) struct Trace<'a> {
    pub(crate) name: &'a str,
    /// In the order of steps; at least one.
    pub(crate) points: Vec<Measured>,
}

/// What was measured at a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) step: u64,
    pub(crate) value: f64,
    pub(crate) spread: Option<f64>,
    /// Whether the run looked as if it were being lost.
    pub(crate) collapse: Option<bool>,
}

impl Measured {
    fn low(&self) -> f64 {
        self.value - self.spread.unwrap_or(0.0)
    }

    fn high(&self) -> f64 {
        self.value + self.spread.unwrap_or(0.0)
    }
}

/// The figure of `traces` over steps.
pub(crate) fn traces(sheet: &Sheet, traces: &[Trace<'_>]) -> Figure {
    Figure {
        id: sheet.id.clone(),
        title: format!("{} over steps", sheet.title),
        description: description(sheet, traces),
        wide: drawn(sheet, traces, WIDE, 220.0, 9),
        narrow: drawn(sheet, traces, NARROW, 200.0, 4),
        csv: csv(sheet, traces),
    }
}

fn description(sheet: &Sheet, traces: &[Trace<'_>]) -> String {
    let value = |point: &Measured| shown(point.value, sheet.form).unwrap_or_default();
    let ends: Vec<String> = traces
        .iter()
        .filter_map(|trace| {
            let (first, last) = (trace.points.first()?, trace.points.last()?);
            Some(format!(
                "{} goes from {} at step {} to {} at step {}",
                trace.name,
                value(first),
                first.step,
                value(last),
                last.step
            ))
        })
        .collect();
    format!(
        "{}, {}, over steps of training: {}",
        sheet.title,
        sheet.axis,
        ends.join("; ")
    )
}

fn csv(sheet: &Sheet, traces: &[Trace<'_>]) -> String {
    let points = || traces.iter().flat_map(|trace| &trace.points);
    let is_watched = points().any(|point| point.collapse.is_some());
    let mut heading = vec!["run", "step", sheet.field];
    heading.extend(sheet.spread);
    if is_watched {
        heading.push("collapse");
    }
    let heading: Vec<String> = heading.into_iter().map(str::to_owned).collect();
    let mut text = csv_line(&heading);
    for trace in traces {
        for point in &trace.points {
            let mut fields = vec![
                trace.name.to_owned(),
                point.step.to_string(),
                point.value.to_string(),
            ];
            if sheet.spread.is_some() {
                fields.push(point.spread.map_or_else(String::new, |it| it.to_string()));
            }
            if is_watched {
                fields.push(point.collapse.map_or_else(String::new, |it| it.to_string()));
            }
            text.push_str(&csv_line(&fields));
        }
    }
    text
}

fn drawn(sheet: &Sheet, traces: &[Trace<'_>], width: f64, plot: f64, ticks: usize) -> String {
    let points = || traces.iter().flat_map(|trace| &trace.points);
    let is_lost = points().any(|point| point.collapse == Some(true));
    let names = if traces.len() > 1 { traces.len() } else { 0 };
    let height = TOP + plot + BOTTOM + KEY * (names + usize::from(is_lost)) as f64;
    let ends = |of: &dyn Fn(&Measured) -> f64, start: f64, fold: fn(f64, f64) -> f64| {
        points().map(of).fold(start, fold)
    };
    let step = |point: &Measured| point.step as f64;
    let steps = Ticks::of(
        ends(&step, f64::MAX, f64::min),
        ends(&step, f64::MIN, f64::max),
        ticks,
        1.0,
    );
    let factor = if sheet.form == "percent" { 100.0 } else { 1.0 };
    let values = Ticks::of(
        factor * ends(&Measured::low, f64::MAX, f64::min),
        factor * ends(&Measured::high, f64::MIN, f64::max),
        5,
        0.0,
    );
    let x = Scale::new((steps.low, steps.high), (LEFT, width - RIGHT));
    // Round ends: the lines to read values by are the edges of the plot too.
    let (bottom, top) = (values.at(0), values.at(values.count));
    let y = Scale::new((bottom / factor, top / factor), (TOP + plot, TOP));
    draw(width, height, |canvas| {
        canvas.text(sheet.axis, (LEFT, 12.0), TEXT_SIZE, FAINT, Lean::Start);
        for trace in traces {
            shade(canvas, &x, &trace.points, plot);
        }
        for index in 0..=values.count {
            let at = y.at(values.at(index) / factor);
            canvas.line(&[(LEFT, at), (width - RIGHT, at)], GRID, 1.0);
            let label = values.label(index);
            canvas.text(&label, (LEFT - 8.0, at), TEXT_SIZE - 1.0, FAINT, Lean::End);
        }
        let base = TOP + plot;
        for index in (0..=steps.count).filter(|&index| steps.is_inside(index)) {
            let at = x.at(steps.at(index));
            canvas.line(&[(at, base), (at, base + 4.0)], AXIS, 1.0);
            let label = steps.label(index);
            let place = (at, base + 13.0);
            canvas.text(&label, place, TEXT_SIZE - 1.0, FAINT, Lean::Middle);
        }
        canvas.line(&[(LEFT, base), (width - RIGHT, base)], AXIS, 1.0);
        let middle = f64::midpoint(LEFT, width - RIGHT);
        canvas.text(
            "step",
            (middle, base + 29.0),
            TEXT_SIZE,
            FAINT,
            Lean::Middle,
        );
        let line = |index: usize| base + BOTTOM + KEY * (index as f64 + 0.3);
        for (index, trace) in traces.iter().enumerate() {
            let ink = SERIES[index % SERIES.len()];
            draw_trace(canvas, &x, &y, &trace.points, ink);
            if names > 0 {
                let at = line(index);
                canvas.line(&[(LEFT, at), (LEFT + 22.0, at)], ink, 2.2);
                let name = clipped(trace.name, (width / 8.0) as usize);
                canvas.text(&name, (LEFT + 30.0, at), TEXT_SIZE, TEXT, Lean::Start);
            }
        }
        if is_lost {
            let at = line(names);
            canvas.rectangle((LEFT, at - 5.0), (LEFT + 22.0, at + 5.0), LOWER, 0.16);
            let text = "looks as if it were being lost";
            canvas.text(text, (LEFT + 30.0, at), TEXT_SIZE, TEXT, Lean::Start);
        }
    })
}

/// Shades the steps at which the run looks as if it were being lost, half a step to either side.
fn shade(canvas: &Canvas<'_>, x: &Scale, points: &[Measured], plot: f64) {
    let is_lost = |point: &Measured| point.collapse == Some(true);
    for part in points.chunk_by(|one, other| is_lost(one) == is_lost(other)) {
        let (Some(first), Some(last)) = (part.first(), part.last()) else {
            continue;
        };
        if is_lost(first) {
            let edge = |step: f64| x.at(step).clamp(x.low(), x.high());
            let (from, to) = (edge(first.step as f64 - 0.5), edge(last.step as f64 + 0.5));
            canvas.rectangle((from, TOP), (to.max(from + 1.5), TOP + plot), LOWER, 0.16);
        }
    }
}

fn draw_trace(canvas: &Canvas<'_>, x: &Scale, y: &Scale, points: &[Measured], ink: Ink) {
    let parts = || points.chunks(points.len().div_ceil(PARTS).max(1));
    if points.iter().any(|point| point.spread.is_some()) && points.len() > 1 {
        let edge = |of: &dyn Fn(&[Measured]) -> f64| -> Vec<(f64, f64)> {
            parts()
                .map(|part| (x.at(part[part.len() / 2].step as f64), y.at(of(part))))
                .collect()
        };
        let mut band = edge(&|part| part.iter().map(Measured::low).fold(f64::MAX, f64::min));
        let high = edge(&|part| part.iter().map(Measured::high).fold(f64::MIN, f64::max));
        band.extend(high.into_iter().rev());
        canvas.polygon(&band, ink, 0.14);
    }
    let by_value = |one: &&Measured, other: &&Measured| one.value.total_cmp(&other.value);
    let line: Vec<(f64, f64)> = parts()
        .flat_map(|part| {
            let mut ends: Vec<&Measured> = part.iter().min_by(by_value).into_iter().collect();
            ends.extend(part.iter().max_by(by_value));
            ends.sort_by_key(|point| point.step);
            ends.dedup_by_key(|point| point.step);
            ends
        })
        .map(|point| (x.at(point.step as f64), y.at(point.value)))
        .collect();
    canvas.line(&line, ink, 2.0);
    if points.len() <= DOTS {
        for &center in &line {
            canvas.dot(center, 2.6, ink);
        }
    }
}

/// Round values that cover a range.
struct Ticks {
    low: f64,
    high: f64,
    first: f64,
    size: f64,
    count: usize,
}

impl Ticks {
    /// About `wanted` of them, no closer than `closest`. A range without an extent is given one.
    fn of(low: f64, high: f64, wanted: usize, closest: f64) -> Self {
        let reach = low.abs().max(high.abs());
        let (low, high) = if high - low > 1e-9 * reach && high - low > 1e-200 {
            (low, high)
        } else if closest > 0.0 {
            (low - closest, high + closest)
        } else if reach > 1e-190 {
            (low - 0.1 * reach, high + 0.1 * reach)
        } else {
            (0.0, 1.0)
        };
        let rough = (high - low) / wanted.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let round = [1.0, 2.0, 5.0].into_iter().find(|it| it * power >= rough);
        let size = (round.unwrap_or(10.0) * power).max(closest);
        let first = (low / size).floor();
        Self {
            low,
            high,
            first,
            size,
            count: ((high / size).ceil() - first).clamp(1.0, 30.0) as usize,
        }
    }

    fn at(&self, index: usize) -> f64 {
        (self.first + index as f64) * self.size
    }

    fn is_inside(&self, index: usize) -> bool {
        (self.low..=self.high).contains(&self.at(index))
    }

    /// As many decimals as tell one from the next.
    fn label(&self, index: usize) -> String {
        let value = self.at(index);
        let decimals = (-self.size.log10() - 1e-9).ceil().max(0.0);
        let text = if value == 0.0 {
            "0".to_owned()
        } else if decimals > 4.0 || value.abs() >= 1e6 {
            let digits = (value.abs().log10().floor() - self.size.log10().floor()).clamp(0.0, 6.0);
            format!("{value:.*e}", digits as usize)
        } else {
            format!("{value:.*}", decimals as usize)
        };
        text.replace('-', "−")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, closest: f64) -> Vec<String> {
        let ticks = Ticks::of(low, high, 5, closest);
        (0..=ticks.count).map(|index| ticks.label(index)).collect()
    }

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        assert_eq!(
            labels(0.0, 1.0, 0.0),
            ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            labels(-0.07, 0.02, 0.0),
            ["−0.08", "−0.06", "−0.04", "−0.02", "0", "0.02"]
        );
        assert_eq!(labels(0.0, 3.0, 1.0), ["0", "1", "2", "3"]);
        assert_eq!(
            labels(1e-6, 9.5e-6, 0.0),
            ["0", "2e−6", "4e−6", "6e−6", "8e−6", "1.0e−5"]
        );
    }

    #[test]
    fn ticks_of_any_range_are_few_and_finite() {
        for (low, high) in [
            (0.0, 0.0),
            (3.5, 3.5),
            (-1e100, 1e100),
            (1.0, 1.0 + f64::EPSILON),
            (5e-324, 1e-323),
            (1e-180, 1e-179),
            (1e15, 1e15 + 1.0),
        ] {
            for closest in [0.0, 1.0] {
                let ticks = Ticks::of(low, high, 5, closest);
                assert!(ticks.count <= 30, "{low} to {high}: {}", ticks.count);
                let (first, last) = (ticks.at(0), ticks.at(ticks.count));
                assert!(
                    first.is_finite() && last.is_finite() && first < last,
                    "{low} to {high}"
                );
            }
        }
    }

    #[test]
    fn a_long_run_is_drawn_by_its_extremes() {
        let points = (0..50_000)
            .map(|step| Measured {
                step,
                value: if step == 31_337 { 7.0 } else { 0.5 },
                spread: Some(0.1),
                collapse: None,
            })
            .collect();
        let sheet = Sheet {
            id: "x".to_owned(),
            field: "x",
            title: "X",
            axis: "x",
            form: "value",
            spread: Some("y"),
        };
        let figure = traces(
            &sheet,
            &[Trace {
                name: "long",
                points,
            }],
        );
        assert!(figure.wide.len() < 60_000, "{} bytes", figure.wide.len());
        assert_eq!(figure.csv.lines().count(), 50_001);
        // The one value that is out of place is not lost: the line goes up to it.
        let line = figure.wide.split("<polyline").last().unwrap_or_default();
        let highest = line
            .split_whitespace()
            .filter_map(|point| point.split_once(',')?.1.parse::<i32>().ok())
            .min();
        assert!(highest.is_some_and(|y| y < 600), "{highest:?}");
    }
}
