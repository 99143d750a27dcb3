//! Rectangles of text.

use serde::{Deserialize, Serialize};

/// A table whose first column is text and whose others are numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Names of the columns.
    pub header: Vec<String>,
    /// The cells, as many in each row as the header has.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Aligned columns for a terminal, two spaces between them, a line under the header.
    #[must_use]
    pub fn to_text(&self) -> String {
        let widths = self.widths(|cell| cell.chars().count());
        let rule: Vec<String> = widths.iter().map(|&width| "─".repeat(width)).collect();
        std::iter::once(&self.header)
            .chain(std::iter::once(&rule))
            .chain(&self.rows)
            .map(|cells| format!("{}\n", align(cells, &widths, "  ").trim_end()))
            .collect()
    }

    /// A Markdown table, aligned in its source too.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let escaped = Self {
            header: self.header.iter().map(|cell| escape(cell)).collect(),
            rows: self
                .rows
                .iter()
                .map(|cells| cells.iter().map(|cell| escape(cell)).collect())
                .collect(),
        };
        let widths = escaped.widths(|cell| cell.chars().count().max(3));
        let rule: Vec<String> = widths
            .iter()
            .enumerate()
            .map(|(column, &width)| {
                if column == 0 {
                    "-".repeat(width)
                } else {
                    format!("{}:", "-".repeat(width - 1))
                }
            })
            .collect();
        std::iter::once(&escaped.header)
            .chain(std::iter::once(&rule))
            .chain(&escaped.rows)
            .map(|cells| format!("| {} |\n", align(cells, &widths, " | ")))
            .collect()
    }

    /// Rows as columns; `corner` is what stands where the names of both meet.
    pub(crate) fn transposed(&self, corner: &str) -> Self {
        let column = |index: usize| -> Vec<String> {
            let rows = self.rows.iter().filter_map(|row| row.get(index));
            rows.cloned().collect()
        };
        let with = |first: &str, rest: Vec<String>| {
            std::iter::once(first.to_owned()).chain(rest).collect()
        };
        Self {
            header: with(corner, column(0)),
            rows: (1..self.header.len())
                .map(|index| with(&self.header[index], column(index)))
                .collect(),
        }
    }

    fn widths(&self, width: impl Fn(&str) -> usize) -> Vec<usize> {
        (0..self.header.len())
            .map(|column| {
                let cells = std::iter::once(&self.header)
                    .chain(&self.rows)
                    .filter_map(|cells| cells.get(column));
                cells.map(|cell| width(cell)).max().unwrap_or(0)
            })
            .collect()
    }
}

fn align(cells: &[String], widths: &[usize], separator: &str) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(column, (cell, &width))| {
            if column == 0 {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        })
        .collect();
    padded.join(separator)
}

fn escape(cell: &str) -> String {
    cell.replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        Table {
            header: row(["model", "n"]),
            rows: vec![row(["a|b", "12"]), row(["−1 größer", "3"])],
        }
    }

    #[test]
    fn text_is_aligned() {
        assert_eq!(
            table().to_text(),
            "model       n\n─────────  ──\na|b        12\n−1 größer   3\n"
        );
    }

    #[test]
    fn rows_become_columns() {
        let transposed = table().transposed("what");
        assert_eq!(transposed.header, ["what", "a|b", "−1 größer"]);
        assert_eq!(transposed.rows, [["n", "12", "3"]]);
        assert_eq!(transposed.transposed("model"), table());
    }

    #[test]
    fn markdown_keeps_bars_in_their_cells() {
        assert_eq!(
            table().to_markdown(),
            "| model     |   n |\n| --------- | --: |\n| a\\|b      |  12 |\n| −1 größer |   3 |\n"
        );
    }
}
