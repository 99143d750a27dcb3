//! Heat maps: a digit in every cell, and behind it a colour where the terminal has any.
//!
//! The digit says all that the colour does, so that nothing is lost in a pipe, under `NO_COLOR`, or to eyes that tell
//! colours apart differently.

use std::fmt::Write;

use anstyle::{Ansi256Color, Style};
use unicode_width::UnicodeWidthStr;

/// Backgrounds from low to high: viridis among the 256 colours of terminals, dark to bright.
const RAMP: [u8; 10] = [53, 54, 60, 24, 30, 36, 72, 77, 148, 220];
/// From this level on the background is bright and text on it dark.
const BRIGHT: usize = 5;
const DARK_TEXT: u8 = 16;
const BRIGHT_TEXT: u8 = 231;

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Heat {
    /// There is no such thing.
    Absent,
    /// There is, but it has no such number.
    Undefined,
    /// A number, finite or not.
    Value(f64),
}

/// Rows and columns of numbers, and some beside them.
#[derive(Debug, Clone)]
pub(crate) struct HeatMap {
    /// What the numbers are.
    pub(crate) what: String,
    pub(crate) columns: Vec<String>,
    /// One cell for each column.
    pub(crate) rows: Vec<(String, Vec<Heat>)>,
    /// Numbers that have no place in the grid, and no part in its scale.
    pub(crate) beside: Vec<(String, Heat)>,
    /// Writes a number.
    pub(crate) show: fn(f64) -> String,
}

impl HeatMap {
    /// The map in lines of at most `width` columns, as far as labels allow: too wide, it is cut into several below one
    /// another.
    pub(crate) fn render(&self, width: usize) -> String {
        let mut text = String::new();
        let label = self.rows.iter().map(|(label, _)| label.width());
        let label = label.max().unwrap_or(0);
        let cell = 1 + self.columns.iter().map(|it| it.width()).max().unwrap_or(1);
        let fitting = (width.saturating_sub(label) / cell).max(1);
        let scale = self.scale();
        for start in (0..self.columns.len()).step_by(fitting) {
            let columns = start..self.columns.len().min(start + fitting);
            let headings = self.columns[columns.clone()].iter();
            let headings: String = headings.map(|it| format!("{it:>cell$}")).collect();
            let _ = writeln!(text, "{:label$}{headings}", "");
            for (name, cells) in &self.rows {
                let cells = cells[columns.clone()].iter();
                let cells: String = cells.map(|heat| drawn(*heat, scale, cell)).collect();
                let _ = writeln!(text, "{name:label$}{}", cells.trim_end());
            }
            text.push('\n');
        }
        self.legend(&mut text, scale);
        text
    }

    /// Least and largest finite number of the grid.
    fn scale(&self) -> Option<(f64, f64)> {
        let cells = self.rows.iter().flat_map(|(_, cells)| cells);
        cells
            .filter_map(|cell| match cell {
                Heat::Value(value) if value.is_finite() => Some((*value, *value)),
                _ => None,
            })
            .reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))
    }

    fn legend(&self, text: &mut String, scale: Option<(f64, f64)>) {
        let _ = match scale {
            Some((low, high)) => {
                let levels: String = (0..RAMP.len())
                    .map(|level| styled(level, &level.to_string()))
                    .collect();
                let [low, high] = [low, high].map(self.show);
                writeln!(text, "{}: {levels} from {low} to {high}", self.what)
            }
            None => writeln!(text, "{}", self.what),
        };
        let cells = || self.rows.iter().flat_map(|(_, cells)| cells);
        let has = |wanted: fn(&Heat) -> bool| cells().any(wanted);
        if has(|heat| *heat == Heat::Undefined) {
            text.push_str("-: undefined, one side is zero or not finite\n");
        }
        if has(|heat| matches!(heat, Heat::Value(value) if !value.is_finite())) {
            text.push_str("!: not finite\n");
        }
        for (name, heat) in &self.beside {
            let value = match heat {
                Heat::Value(value) => (self.show)(*value),
                Heat::Absent | Heat::Undefined => "-".to_owned(),
            };
            let _ = writeln!(text, "{name}: {value}");
        }
    }
}

fn drawn(heat: Heat, scale: Option<(f64, f64)>, width: usize) -> String {
    match (heat, scale) {
        (Heat::Value(value), Some((low, high))) if value.is_finite() => {
            let share = if high > low {
                (value - low) / (high - low)
            } else {
                0.0
            };
            let level = ((share * RAMP.len() as f64) as usize).min(RAMP.len() - 1);
            styled(level, &format!("{level:>width$}"))
        }
        (Heat::Value(_), _) => format!("{:>width$}", '!'),
        (Heat::Undefined, _) => format!("{:>width$}", '-'),
        (Heat::Absent, _) => " ".repeat(width),
    }
}

fn styled(level: usize, text: &str) -> String {
    let ink = if level < BRIGHT {
        BRIGHT_TEXT
    } else {
        DARK_TEXT
    };
    let style = Style::new()
        .bg_color(Some(Ansi256Color(RAMP[level]).into()))
        .fg_color(Some(Ansi256Color(ink).into()));
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(layers: usize) -> HeatMap {
        let value = |layer: usize| Heat::Value(layer as f64);
        let mut broken: Vec<Heat> = (0..layers).map(|_| Heat::Absent).collect();
        broken[0] = Heat::Undefined;
        broken[1] = Heat::Value(f64::NAN);
        HeatMap {
            what: "norm".to_owned(),
            columns: (0..layers).map(|layer| layer.to_string()).collect(),
            rows: vec![
                ("mlp".to_owned(), (0..layers).map(value).collect()),
                ("größe".to_owned(), broken),
            ],
            beside: vec![("embedding".to_owned(), Heat::Value(2.5))],
            show: |value| value.to_string(),
        }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn digits_from_the_least_to_the_largest() {
        insta::assert_snapshot!(plain(&map(11).render(usize::MAX)), @"
               0  1  2  3  4  5  6  7  8  9 10
        mlp    0  1  2  3  4  5  6  7  8  9  9
        größe  -  !

        norm: 0123456789 from 0 to 10
        -: undefined, one side is zero or not finite
        !: not finite
        embedding: 2.5
        ");
    }

    #[test]
    fn a_narrow_terminal_gets_several_maps() {
        let text = plain(&map(11).render(20));
        let grid: Vec<&str> = text
            .lines()
            .take_while(|line| !line.contains(':'))
            .collect();
        assert!(grid.iter().all(|line| line.width() <= 20), "{text}");
        assert_eq!(text.matches("mlp").count(), 3, "{text}");
        // No terminal is too narrow for a column.
        assert_eq!(plain(&map(11).render(1)).matches("mlp").count(), 11);
    }

    #[test]
    fn equal_numbers_and_none() {
        let mut flat = map(2);
        flat.rows = vec![("mlp".to_owned(), vec![Heat::Value(3.0); 2])];
        assert!(plain(&flat.render(80)).contains("mlp 0 0\n"));
        flat.rows = Vec::new();
        flat.columns = Vec::new();
        assert_eq!(plain(&flat.render(80)), "norm\nembedding: 2.5\n");
    }

    #[test]
    fn colours_stand_behind_digits() {
        let text = map(2).render(80);
        assert!(
            text.contains("\u{1b}[") && text.contains("48;5;220m"),
            "{text:?}"
        );
    }
}
