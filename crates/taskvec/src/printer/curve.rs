//! Accuracy over a coefficient, drawn with characters: one line for each point, the interval beside its numbers.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use super::table::shortened;

/// The widest drawing.
const WIDEST: usize = 60;
/// A narrower one tells nothing.
const NARROWEST: usize = 12;
/// Labels are not shortened below this; what is left out then is the interval.
const NARROWEST_LABEL: usize = 12;
const ACCURACY: &str = "accuracy %";
const INTERVAL: &str = "95 % interval";

/// One point of a curve.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CurvePoint {
    pub(crate) label: String,
    /// None where it is still to be measured.
    pub(crate) measured: Option<Measured>,
}

/// What a point showed, as shares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measured {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The points in lines of at most `width` columns, below a line with their headings and the ends of the scale.
pub(crate) fn curve(heading: &str, points: &[CurvePoint], width: usize) -> String {
    let measured = || points.iter().filter_map(|point| point.measured);
    let low = measured().map(|found| found.low).fold(1.0, f64::min);
    let high = measured().map(|found| found.high).fold(0.0, f64::max);
    // Ends in steps of ten points, never the same.
    let low = ((low * 10.0).floor() / 10.0).min(0.9);
    let high = ((high * 10.0).ceil() / 10.0).max(low + 0.1);

    let labels = points.iter().map(|point| point.label.width());
    let natural = labels.chain([heading.width()]).max().unwrap_or(0);
    let (accuracy, interval) = (2 + ACCURACY.len(), 2 + INTERVAL.len());
    // What is beside a label, with the interval if a label of some length has room beside it.
    let has_interval = width.saturating_sub(accuracy + interval) >= natural.min(NARROWEST_LABEL);
    let beside = accuracy + if has_interval { interval } else { 0 };
    let label = natural.min(width.saturating_sub(beside).max(1));
    let drawing = width.saturating_sub(label + beside + 2).min(WIDEST);
    let is_drawn = has_interval && drawing >= NARROWEST && measured().next().is_some();

    let mut text = String::new();
    let ends = if is_drawn {
        let (from, to) = (
            format!("{:.0} %", 100.0 * low),
            format!("{:.0} %", 100.0 * high),
        );
        let gap = drawing.saturating_sub(from.len() + to.len());
        format!("  {from}{}{to}", " ".repeat(gap))
    } else {
        String::new()
    };
    let interval = if has_interval {
        format!("  {INTERVAL}")
    } else {
        String::new()
    };
    let _ = writeln!(text, "{}  {ACCURACY}{interval}{ends}", left(heading, label));
    for point in points {
        let Some(found) = point.measured else {
            let _ = writeln!(text, "{}           –", left(&point.label, label));
            continue;
        };
        let mut line = format!(
            "{}  {:>10.1}",
            left(&point.label, label),
            100.0 * found.value
        );
        if has_interval {
            let interval = format!("{:.1} to {:.1}", 100.0 * found.low, 100.0 * found.high);
            line.push_str(&format!("  {interval:>13}"));
        }
        if is_drawn {
            let column = |value: f64| {
                let share = (value - low) / (high - low);
                (share * (drawing - 1) as f64).round() as usize
            };
            let mut cells = vec![' '; drawing];
            cells[column(found.low)..=column(found.high)].fill('─');
            cells[column(found.value)] = '●';
            line.push_str("  ");
            line.extend(cells);
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn left(text: &str, width: usize) -> String {
    let text = shortened(text, width);
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Vec<CurvePoint> {
        let point = |label: &str, found: Option<(f64, f64, f64)>| CurvePoint {
            label: label.to_owned(),
            measured: found.map(|(value, low, high)| Measured { value, low, high }),
        };
        vec![
            point("a = -1", Some((0.25, 0.2, 0.31))),
            point("a = 0", None),
            point("a = 1", Some((0.5, 0.44, 0.56))),
        ]
    }

    #[test]
    fn a_line_for_each_point() {
        insta::assert_snapshot!(curve("micro-gsm", &points(), 80), @"
        micro-gsm  accuracy %  95 % interval  20 %                                  60 %
        a = -1           25.0   20.0 to 31.0  ─────●──────
        a = 0               –
        a = 1            50.0   44.0 to 56.0                           ──────●──────
        ");
    }

    #[test]
    fn a_narrow_terminal_keeps_the_numbers() {
        let text = curve("micro-gsm", &points(), 40);
        assert!(text.lines().all(|line| line.width() <= 40), "{text}");
        assert!(
            text.contains("44.0 to 56.0") && !text.contains('●'),
            "{text}"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut grid = points();
        for point in &mut grid {
            point.label = format!("{}, b = 0.25, mlp 0-3 = 0.5", point.label);
        }
        for width in [16, 20, 30, 40, 50, 60, 80, 120] {
            let text = curve("micro-gsm adversarial", &grid, width);
            assert!(
                text.lines().all(|line| line.width() <= width),
                "{width}:\n{text}"
            );
            assert!(text.contains("25.0"), "{width}:\n{text}");
            assert_eq!(
                text.contains("44.0 to 56.0"),
                width >= 39,
                "{width}:\n{text}"
            );
            assert_eq!(text.contains('●'), width >= 72, "{width}:\n{text}");
        }
    }

    #[test]
    fn nothing_measured_yet_and_everything_right() {
        let nothing = &points()[1..2];
        assert_eq!(curve("t", nothing, 80).lines().count(), 2);
        let all = CurvePoint {
            label: "x".to_owned(),
            measured: Some(Measured {
                value: 1.0,
                low: 1.0,
                high: 1.0,
            }),
        };
        assert!(curve("t", &[all], 80).trim_end().ends_with('●'));
    }
}
