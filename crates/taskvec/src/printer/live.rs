//! A block of lines that is drawn over itself, such as a table that fills.

use std::io::{self, Write};

use anstream::AutoStream;

use unicode_width::UnicodeWidthStr;

use super::{Printer, UNBOUNDED};

/// On a terminal the latest block, elsewhere a line for each.
#[derive(Debug)]
pub(crate) struct Live<'a> {
    printer: &'a Printer,
    /// Lines of the block that is on the screen.
    drawn: usize,
}

impl<'a> Live<'a> {
    pub(super) fn begin(printer: &'a Printer) -> Self {
        Self { printer, drawn: 0 }
    }

    /// Columns that a block may have.
    pub(crate) fn width(&self) -> usize {
        // One less than there are: some terminals begin a new line when the last column is filled.
        terminal_size::terminal_size_of(io::stderr()).map_or(UNBOUNDED, |(width, _)| {
            usize::from(width.0).saturating_sub(1)
        })
    }

    /// Replaces the block; says `line` where there is no terminal, or none that is high enough.
    pub(crate) fn show(&mut self, block: &str, line: &str) {
        let height = terminal_size::terminal_size_of(io::stderr())
            .map_or(0, |(_, height)| usize::from(height.0));
        // A line that is wider than the terminal takes several of its lines.
        let columns = self.width().saturating_add(1);
        let rows = |line: &str| line.width().div_ceil(columns).max(1);
        let lines = block.lines().map(rows).sum::<usize>();
        // A bar is drawn below.
        if !self.printer.draws || lines + 2 > height {
            self.clear();
            self.printer.note(line);
            return;
        }
        self.clear();
        let mut stderr = AutoStream::new(io::stderr().lock(), self.printer.color);
        // Where stderr is gone there is nobody to tell.
        let _ = write!(stderr, "{block}");
        self.drawn = lines;
    }

    /// Takes the block off the screen.
    pub(crate) fn clear(&mut self) {
        if self.drawn > 0 {
            // Moving the cursor is no colour: it is not left out for NO_COLOR, and there is a terminal.
            let _ = write!(io::stderr().lock(), "\u{1b}[{}A\u{1b}[J", self.drawn);
            self.drawn = 0;
        }
    }
}
