//! Plain tables: columns by display width, no rules but one line below the heading.

use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Space between columns.
const GAP: usize = 2;
/// The first column is not narrowed below this.
const NARROWEST: usize = 20;
/// A table that would be cut into more parts than this is shown row by row.
const MOST_PARTS: usize = 2;
/// With more rows than this it is cut all the same: what is read down a column should stay one.
const MANY_ROWS: usize = 40;
/// How far the fields of a row that is shown by itself stand in.
const INDENT: usize = 2;

/// To which side of its column a cell leans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows under headings.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    headings: Vec<String>,
    alignments: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns.
    pub(crate) fn new<'text>(columns: impl IntoIterator<Item = (&'text str, Align)>) -> Self {
        let (headings, alignments) = columns
            .into_iter()
            .map(|(heading, align)| (heading.to_owned(), align))
            .unzip();
        Self {
            headings,
            alignments,
            rows: Vec::new(),
        }
    }

    /// Adds a row; cells that it lacks are empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table in lines of at most `width` columns.
    ///
    /// Too wide, its first column is narrowed as far as its texts stay telling; wider still, it is cut into two tables
    /// that repeat the first column; where that does not do either, each row is shown by itself, a line for each column.
    pub(crate) fn render(&self, width: usize) -> String {
        let mut widths = self.widths();
        let Some(&natural) = widths.first() else {
            return String::new();
        };
        let excess = total(&widths).saturating_sub(width);
        if excess <= natural.saturating_sub(NARROWEST) {
            widths[0] = natural - excess;
        } else {
            widths[0] = natural.min(NARROWEST);
        }
        match parts(&widths, width) {
            Some(parts) if parts.len() <= MOST_PARTS || self.rows.len() > MANY_ROWS => {
                // What the widest part leaves is the first column's.
                let used = |part: &Vec<usize>| {
                    total(&part.iter().map(|&it| widths[it]).collect::<Vec<_>>())
                };
                let widest = parts.iter().map(used).max().unwrap_or(0);
                widths[0] = natural.min(widths[0] + width.saturating_sub(widest));
                let blocks: Vec<String> = parts
                    .iter()
                    .map(|shown| self.block(shown, &widths))
                    .collect();
                blocks.join("\n")
            }
            _ => self.records(width),
        }
    }

    /// Each row by itself: its first cell, and below that a line for each of the others that is not empty.
    fn records(&self, width: usize) -> String {
        let cells = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        // A heading that leaves no room for its column's cells stands above them.
        let widest = (1..self.headings.len())
            .filter_map(|column| {
                let heading = self.headings[column].width();
                let cell = cells(column).map(|cell| cell.width()).max().unwrap_or(0);
                (INDENT + heading + GAP + cell <= width).then_some(heading)
            })
            .max()
            .unwrap_or(0);
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            let mut cells = self.headings.iter().zip(row);
            if let Some((heading, cell)) = cells.next() {
                let name = if cell.is_empty() { heading } else { cell };
                fold(&mut text, name, width, 0);
            }
            for (heading, cell) in cells.filter(|(_, cell)| !cell.is_empty()) {
                let indent = INDENT + widest + GAP;
                if heading.width() > widest {
                    fold(&mut text, heading, width, INDENT);
                } else {
                    let space = " ".repeat(widest - heading.width() + GAP);
                    let _ = write!(text, "{:INDENT$}{heading}{space}", "");
                    if cell.width() + indent <= width {
                        let _ = writeln!(text, "{cell}");
                        continue;
                    }
                    text.truncate(text.trim_end().len());
                    text.push('\n');
                }
                fold(&mut text, cell, width, 2 * INDENT);
            }
        }
        text
    }

    fn block(&self, shown: &[usize], widths: &[usize]) -> String {
        let mut text = String::new();
        self.line(&mut text, &self.headings, shown, widths);
        let rule: usize = total(
            &shown
                .iter()
                .map(|&column| widths[column])
                .collect::<Vec<_>>(),
        );
        let _ = writeln!(text, "{}", "─".repeat(rule));
        for row in &self.rows {
            self.line(&mut text, row, shown, widths);
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        (0..self.headings.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells
                    .chain([&self.headings[column]])
                    .map(|cell| cell.width())
                    .max()
                    .unwrap_or(0)
            })
            .collect()
    }

    fn line(&self, text: &mut String, cells: &[String], shown: &[usize], widths: &[usize]) {
        let mut line = String::new();
        for &column in shown {
            if column > 0 {
                line.push_str(&" ".repeat(GAP));
            }
            let width = widths[column];
            let cell = shortened(cells.get(column).map_or("", String::as_str), width);
            let space = " ".repeat(width.saturating_sub(cell.width()));
            match self.alignments[column] {
                Align::Left => line.extend([cell.as_str(), &space]),
                Align::Right => line.extend([space.as_str(), &cell]),
            }
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

impl From<&taskvec_eval::report::Table> for Table {
    fn from(table: &taskvec_eval::report::Table) -> Self {
        let alignments = (0..table.header.len())
            .map(|column| {
                if column == 0 {
                    Align::Left
                } else {
                    Align::Right
                }
            })
            .collect();
        Self {
            headings: table.header.clone(),
            alignments,
            rows: table.rows.clone(),
        }
    }
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// The columns of each part of a table in which no line is longer than `width`, the first column in all of them. `None` where
/// there are none.
fn parts(widths: &[usize], width: usize) -> Option<Vec<Vec<usize>>> {
    let first = *widths.first()?;
    let mut parts = vec![vec![0]];
    let mut used = first;
    for (column, &wide) in widths.iter().enumerate().skip(1) {
        if used + GAP + wide > width {
            if first + GAP + wide > width {
                return None;
            }
            // A part with nothing beside the first column would be none.
            if parts.last().is_some_and(|part| part.len() > 1) {
                parts.push(vec![0]);
            }
            used = first;
        }
        used += GAP + wide;
        parts.last_mut()?.push(column);
    }
    (first <= width).then_some(parts)
}

/// Appends the text in lines of at most `width` columns, each `indent` in; what has no space to be cut at is cut anywhere.
fn fold(text: &mut String, prose: &str, width: usize, indent: usize) {
    let room = width.saturating_sub(indent).max(1);
    let mut line = String::new();
    let mut end = |line: &mut String| {
        let _ = writeln!(text, "{:indent$}{}", "", line.trim_end());
        line.clear();
    };
    for word in prose.split_whitespace() {
        if !line.is_empty() && line.width() + 1 + word.width() > room {
            end(&mut line);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for character in word.chars() {
            if line.width() + character.width().unwrap_or(0) > room {
                end(&mut line);
            }
            line.push(character);
        }
    }
    end(&mut line);
}

/// The text, or as much of its beginning and end as fits around an ellipsis: tensor names differ in the middle
/// and tell most at their end.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let characters: Vec<char> = text.chars().collect();
    let mut kept = characters.len();
    loop {
        kept = kept.saturating_sub(1);
        let head: String = characters[..kept / 2].iter().collect();
        let tail: String = characters[characters.len() - (kept - kept / 2)..]
            .iter()
            .collect();
        let candidate = format!("{head}…{tail}");
        if kept == 0 || candidate.width() <= width {
            return candidate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([("tensor", Align::Left), ("norm", Align::Right)]);
        table.row([
            "model.layers.11.mlp.up_proj.weight".to_owned(),
            "1.25".to_owned(),
        ]);
        table.row(["größe".to_owned(), "10.5".to_owned()]);
        table
    }

    #[test]
    fn columns_align_by_display_width() {
        insta::assert_snapshot!(table().render(usize::MAX), @"
        tensor                              norm
        ────────────────────────────────────────
        model.layers.11.mlp.up_proj.weight  1.25
        größe                               10.5
        ");
    }

    #[test]
    fn a_narrow_terminal_narrows_the_first_column() {
        let text = table().render(28);
        assert!(text.lines().all(|line| line.width() <= 28), "{text}");
        assert!(
            text.contains("model.lay") && text.contains("oj.weight"),
            "{text}"
        );
        assert!(
            text.contains('…') && text.contains("10.5") && text.contains("1.25"),
            "{text}"
        );
    }

    #[test]
    fn a_narrower_one_cuts_between_columns() {
        let mut table = Table::new([
            ("m", Align::Left),
            ("first", Align::Right),
            ("second", Align::Right),
        ]);
        table.row(["x".to_owned(), "1".to_owned(), "2".to_owned()]);
        insta::assert_snapshot!(table.render(10), @"
        m  first
        ────────
        x      1

        m  second
        ─────────
        x       2
        ");
    }

    /// As `report` and `study` have them.
    fn results() -> Table {
        let mut table = Table::new([
            ("model", Align::Left),
            ("micro-gsm", Align::Right),
            ("micro-gsm adversarial", Align::Right),
            ("micro-bbh", Align::Right),
            ("micro-bbh adversarial", Align::Right),
            ("micro-sciq", Align::Right),
            ("micro-chat", Align::Right),
        ]);
        for model in ["target", "target + 0.5*(grpo - sft)"] {
            let cells = [
                "52.0 (+9.5*)",
                "41.5 (+3.0)",
                "60.0",
                "48.5",
                "71.5",
                "100.0",
            ];
            table.row([model].into_iter().chain(cells).map(str::to_owned));
        }
        table
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [10, 20, 40, 60, 80, 100, 120, 200] {
            let text = results().render(width);
            assert!(
                text.lines().all(|line| line.width() <= width),
                "{width}:\n{text}"
            );
            // Nothing is left out.
            let whole: String = text.split_whitespace().collect();
            for cell in ["52.0(+9.5*)", "41.5(+3.0)", "60.0", "48.5", "71.5", "100.0"] {
                assert_eq!(whole.matches(cell).count(), 2, "{cell} at {width}:\n{text}");
            }
        }
        assert_eq!(results().render(120).lines().count(), 4);
    }

    #[test]
    fn a_wide_table_becomes_two_and_then_a_list() {
        insta::assert_snapshot!(results().render(80), @"
        model                         micro-gsm  micro-gsm adversarial  micro-bbh
        ─────────────────────────────────────────────────────────────────────────
        target                     52.0 (+9.5*)            41.5 (+3.0)       60.0
        target + 0.5*(grpo - sft)  52.0 (+9.5*)            41.5 (+3.0)       60.0

        model                      micro-bbh adversarial  micro-sciq  micro-chat
        ────────────────────────────────────────────────────────────────────────
        target                                      48.5        71.5       100.0
        target + 0.5*(grpo - sft)                   48.5        71.5       100.0
        ");
        insta::assert_snapshot!(results().render(40), @"
        target
          micro-gsm              52.0 (+9.5*)
          micro-gsm adversarial  41.5 (+3.0)
          micro-bbh              60.0
          micro-bbh adversarial  48.5
          micro-sciq             71.5
          micro-chat             100.0

        target + 0.5*(grpo - sft)
          micro-gsm              52.0 (+9.5*)
          micro-gsm adversarial  41.5 (+3.0)
          micro-bbh              60.0
          micro-bbh adversarial  48.5
          micro-sciq             71.5
          micro-chat             100.0
        ");
    }

    #[test]
    fn long_cells_are_folded() {
        let mut table = Table::new([("task", Align::Left), ("what it asks", Align::Left)]);
        table.row([
            "micro-gsm".to_owned(),
            "word problems in a few steps, whose answer is a number".to_owned(),
        ]);
        table.row(["bbh".to_owned(), String::new()]);
        insta::assert_snapshot!(table.render(30), @"
        micro-gsm
          what it asks
            word problems in a few
            steps, whose answer is a
            number

        bbh
        ");
    }
}
