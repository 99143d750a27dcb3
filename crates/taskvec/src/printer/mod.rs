//! All that is printed. stdout is data, stderr is talk.
//!
//! What names and messages bring along is spelled out where a terminal would obey it, see [`plain`].
//! Colours go to terminals only and heed `--color`, `NO_COLOR` and `CLICOLOR_FORCE`. Bars are drawn on
//! terminals only; elsewhere long work says a line now and then.

mod curve;
mod heat_map;
mod live;
mod plain;
mod progress;
mod table;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr;

use crate::args::output::{OutputArgs, When};
use crate::failure::OutputError;
use plain::Plain;

pub(crate) use curve::{CurvePoint, Measured, curve};
pub(crate) use heat_map::{Heat, HeatMap};
pub(crate) use live::Live;
pub(crate) use progress::{Progress, Unit};
pub(crate) use table::{Align, Table};

/// Width where nobody says how wide: enough for any table, as pipes have no edge.
const UNBOUNDED: usize = usize::MAX;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// How much talk there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verbosity {
    /// Failures alone.
    Quiet,
    /// What was done.
    Normal,
    /// And how.
    Verbose,
}

/// Prints everything.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    verbosity: Verbosity,
    color: ColorChoice,
    width: usize,
    draws: bool,
    mute: bool,
}

impl Printer {
    /// A printer as the global flags want it.
    pub(crate) fn new(output: &OutputArgs) -> Self {
        let verbosity = match (output.quiet, output.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        let color = match output.color {
            When::Auto => ColorChoice::Auto,
            When::Always => ColorChoice::Always,
            When::Never => ColorChoice::Never,
        };
        let width = terminal_size::terminal_size_of(io::stdout())
            .map_or(UNBOUNDED, |(width, _)| usize::from(width.0));
        let draws = io::stderr().is_terminal() && verbosity > Verbosity::Quiet;
        Self {
            verbosity,
            color,
            width,
            draws,
            mute: false,
        }
    }

    /// A printer that prints nothing.
    pub(crate) fn silent() -> Self {
        Self {
            verbosity: Verbosity::Quiet,
            color: ColorChoice::Never,
            width: UNBOUNDED,
            draws: false,
            mute: true,
        }
    }

    /// Columns that a line of data may have.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Begins a block of talk that changes as work goes on.
    pub(crate) fn live(&self) -> Live<'_> {
        Live::begin(self)
    }

    /// Prose in lines that fit stdout; one line where it is no terminal.
    pub(crate) fn wrapped(&self, prose: &str) -> String {
        let mut lines: Vec<String> = vec![String::new()];
        for word in prose.split_whitespace() {
            let line = lines
                .last_mut()
                .filter(|line| line.is_empty() || line.width() + 1 + word.width() <= self.width);
            match line {
                Some(line) if line.is_empty() => line.push_str(word),
                Some(line) => line.extend([" ", word]),
                None => lines.push(word.to_owned()),
            }
        }
        lines.join("\n")
    }

    /// Prints data.
    ///
    /// # Errors
    ///
    /// When stdout cannot be written to, a closed pipe among that.
    pub(crate) fn data(&self, text: impl Display) -> anyhow::Result<()> {
        let mut stdout = AutoStream::new(io::stdout().lock(), self.color);
        writeln!(stdout, "{}", Plain(text)).map_err(|error| OutputError::from(error).into())
    }

    /// Prints a table as data.
    ///
    /// # Errors
    ///
    /// As [`Printer::data`].
    pub(crate) fn table(&self, table: &Table) -> anyhow::Result<()> {
        let mut stdout = AutoStream::new(io::stdout().lock(), self.color);
        write!(stdout, "{}", table.render(self.width))
            .map_err(|error| OutputError::from(error).into())
    }

    /// Prints a heat map as data.
    ///
    /// # Errors
    ///
    /// As [`Printer::data`].
    pub(crate) fn heat_map(&self, map: &HeatMap) -> anyhow::Result<()> {
        let mut stdout = AutoStream::new(io::stdout().lock(), self.color);
        write!(stdout, "{}", map.render(self.width))
            .map_err(|error| OutputError::from(error).into())
    }

    /// Prints records as comma-separated values under the names of the first one's fields. Null is an empty field.
    ///
    /// # Errors
    ///
    /// As [`Printer::data`].
    pub(crate) fn csv(&self, records: &[Map<String, Value>]) -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_writer(io::stdout().lock());
        let mut write = || -> io::Result<()> {
            if let Some(first) = records.first() {
                writer.write_record(first.keys())?;
            }
            for record in records {
                writer.write_record(record.values().map(|value| match value {
                    Value::Null => String::new(),
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                }))?;
            }
            writer.flush()
        };
        write().map_err(|error| OutputError::from(error).into())
    }

    /// Prints one JSON value as data, indented.
    ///
    /// # Errors
    ///
    /// As [`Printer::data`].
    pub(crate) fn json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        serde_json::to_writer_pretty(&mut stdout, value)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(stdout))
            .map_err(|error| OutputError::from(error).into())
    }

    /// Hands everything printed to the system; a full disk behind stdout is noticed here at the latest.
    ///
    /// # Errors
    ///
    /// As [`Printer::data`].
    pub(crate) fn finish(&self) -> anyhow::Result<()> {
        io::stdout()
            .flush()
            .map_err(|error| OutputError::from(error).into())
    }

    /// Says what was done.
    pub(crate) fn note(&self, text: impl Display) {
        if self.verbosity >= Verbosity::Normal {
            self.talk(Plain(text));
        }
    }

    /// Says how, for those who asked.
    pub(crate) fn detail(&self, text: impl Display) {
        if self.verbosity == Verbosity::Verbose {
            self.talk(Plain(text));
        }
    }

    /// Says what the user should know before relying on the result.
    pub(crate) fn warn(&self, text: impl Display) {
        if self.verbosity >= Verbosity::Normal {
            self.talk(format_args!("{WARNING}warning:{WARNING:#} {}", Plain(text)));
        }
    }

    /// Says why the work failed, from the outermost message to the first cause, and what may help.
    pub(crate) fn failure(&self, causes: &[String], hint: Option<&str>) {
        let mut text = String::new();
        for (depth, message) in causes.iter().enumerate() {
            let message = Plain(message).to_string();
            match depth {
                0 => text.push_str(&format!("{ERROR}error:{ERROR:#} {message}")),
                _ => text.push_str(&format!("\n  because {}", message.replace('\n', "\n  "))),
            }
        }
        if let Some(hint) = hint {
            text.push_str(&format!("\n\n{HINT}hint:{HINT:#} {}", Plain(hint)));
        }
        self.talk(text);
    }

    /// Says what is left of work that the user stopped.
    pub(crate) fn stopped(&self, what: impl Display) {
        self.talk(Plain(what));
    }

    /// Follows a piece of work that takes `total` units.
    pub(crate) fn progress(&self, label: impl Into<String>, total: u64, unit: Unit) -> Progress {
        let label = Plain(label.into()).to_string();
        if self.draws {
            Progress::bar(label, total, unit)
        } else if self.verbosity >= Verbosity::Normal {
            Progress::lines(label, total, unit)
        } else {
            Progress::hidden()
        }
    }

    fn talk(&self, text: impl Display) {
        if self.mute {
            return;
        }
        let mut stderr = AutoStream::new(io::stderr().lock(), self.color);
        // Where stderr is gone there is nobody to tell.
        let _ = writeln!(stderr, "{text}");
    }
}

/// Says something on stderr where no printer is at hand: in the panic hook and on a signal.
pub(crate) fn alarm(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
