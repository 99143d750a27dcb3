//! Plain tables: columns by display width, no rules but one line below the heading.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use super::plain::in_one_line;

/// Space between columns.
const GAP: usize = 2;
/// The first column is not narrowed below this.
const NARROWEST: usize = 20;

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
        let cells = cells.into_iter().map(|cell| in_one_line(&cell));
        self.rows.push(cells.collect());
    }

    /// The table in lines of at most `width` columns.
    ///
    /// Too wide, its first column is narrowed as far as its texts stay telling; wider still, it is cut into
    /// several tables that repeat the first column.
    pub(crate) fn render(&self, width: usize) -> String {
        let mut widths = self.widths();
        let Some(&natural) = widths.first() else {
            return String::new();
        };
        let excess = total(&widths).saturating_sub(width);
        if excess <= natural.saturating_sub(NARROWEST) {
            widths[0] = natural - excess;
        }
        let mut text = String::new();
        let mut next = 1;
        loop {
            let mut shown = vec![0];
            let mut used = widths[0];
            while next < widths.len() && (shown.len() == 1 || used + GAP + widths[next] <= width) {
                used += GAP + widths[next];
                shown.push(next);
                next += 1;
            }
            self.block(&mut text, &shown, &widths);
            if next >= widths.len() {
                return text;
            }
            text.push('\n');
        }
    }

    fn block(&self, text: &mut String, shown: &[usize], widths: &[usize]) {
        self.line(text, &self.headings, shown, widths);
        let rule: usize = total(
            &shown
                .iter()
                .map(|&column| widths[column])
                .collect::<Vec<_>>(),
        );
        let _ = writeln!(text, "{}", "─".repeat(rule));
        for row in &self.rows {
            self.line(text, row, shown, widths);
        }
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
        let plain = |cells: &Vec<String>| cells.iter().map(|cell| in_one_line(cell)).collect();
        Self {
            headings: plain(&table.header),
            alignments,
            rows: table.rows.iter().map(plain).collect(),
        }
    }
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// The text, or as much of its beginning and end as fits around an ellipsis: tensor names differ in the middle
/// and tell most at their end.
fn shortened(text: &str, width: usize) -> String {
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
}
