//! How far a piece of work is: a bar on a terminal, a line now and then elsewhere.

use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use super::UNBOUNDED;
use super::table::shortened;

/// On a terminal with fewer columns than this nothing is drawn beside the counts.
const NARROW: usize = 100;
/// A reader of a log wants to see that it lives, not to scroll.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes, shown in binary multiples with a rate.
    Bytes,
    /// Anything else, by its plural: `questions`, `steps`.
    Count(&'static str),
}

/// A piece of work under way. Gone when dropped.
#[derive(Debug)]
pub(crate) struct Progress(Kind);

#[derive(Debug)]
enum Kind {
    Hidden,
    Bar(ProgressBar),
    Lines(Mutex<Lines>),
}

#[derive(Debug)]
struct Lines {
    label: String,
    total: u64,
    unit: Unit,
    said: Instant,
    position: u64,
    message: String,
}

impl Progress {
    pub(super) fn hidden() -> Self {
        Self(Kind::Hidden)
    }

    pub(super) fn bar(label: String, total: u64, unit: Unit) -> Self {
        let counts = match unit {
            Unit::Bytes => "{bytes}/{total_bytes} {bytes_per_sec}".to_owned(),
            Unit::Count(unit) => format!("{{pos}}/{{len}} {unit}"),
        };
        // A narrow terminal has no room for the bar itself, and none for the whole of a long name.
        let columns = terminal_size::terminal_size_of(std::io::stderr())
            .map_or(UNBOUNDED, |(width, _)| usize::from(width.0));
        let (label, template) = if columns < NARROW {
            let template = format!("{{prefix}} {counts} {{msg}} [{{eta}} left]");
            (shortened(&label, columns / 3), template)
        } else {
            let template = format!(
                "{{prefix}} {{bar:24.cyan/dim}} {counts} {{msg}} [{{elapsed}}, {{eta}} left]"
            );
            (label, template)
        };
        let style = ProgressStyle::with_template(&template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━╸─");
        let bar = ProgressBar::new(total).with_style(style).with_prefix(label);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(Kind::Bar(bar))
    }

    pub(super) fn lines(label: String, total: u64, unit: Unit) -> Self {
        Self(Kind::Lines(Mutex::new(Lines {
            label,
            total,
            unit,
            said: Instant::now(),
            position: 0,
            message: String::new(),
        })))
    }

    /// Says how far the work is.
    pub(crate) fn set(&self, position: u64) {
        match &self.0 {
            Kind::Hidden => {}
            Kind::Bar(bar) => bar.set_position(position),
            Kind::Lines(lines) => Lines::update(lines, |lines| lines.position = position),
        }
    }

    /// Says that `units` more are done.
    pub(crate) fn add(&self, units: u64) {
        match &self.0 {
            Kind::Hidden => {}
            Kind::Bar(bar) => bar.inc(units),
            Kind::Lines(lines) => Lines::update(lines, |lines| lines.position += units),
        }
    }

    /// Shows how far a pass over weights has come.
    pub(crate) fn follow(&self, progress: taskvec_core::Progress) {
        self.set_total(progress.bytes_total);
        self.set(progress.bytes_done);
    }

    /// Says how large the work is, where that became known late.
    pub(crate) fn set_total(&self, total: u64) {
        match &self.0 {
            Kind::Hidden => {}
            Kind::Bar(bar) => bar.set_length(total),
            Kind::Lines(lines) => Lines::update(lines, |lines| lines.total = total),
        }
    }

    /// Shows a word beside the count, such as the loss.
    pub(crate) fn message(&self, message: impl Into<String>) {
        match &self.0 {
            Kind::Hidden => {}
            Kind::Bar(bar) => bar.set_message(message.into()),
            Kind::Lines(lines) => Lines::update(lines, |lines| lines.message = message.into()),
        }
    }

    /// Prints above the bar without tearing it.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        match &self.0 {
            Kind::Bar(bar) => bar.suspend(print),
            Kind::Hidden | Kind::Lines(_) => print(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Kind::Bar(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Lines {
    fn update(lines: &Mutex<Self>, change: impl FnOnce(&mut Self)) {
        // A panic elsewhere leaves counters that are still true.
        let mut lines = lines
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut lines);
        if lines.said.elapsed() >= LINE_EVERY {
            lines.said = Instant::now();
            let _ = writeln!(std::io::stderr().lock(), "{}", lines.line());
        }
    }

    fn line(&self) -> String {
        let counts = match self.unit {
            Unit::Bytes => format!(
                "{} of {}",
                HumanBytes(self.position),
                HumanBytes(self.total)
            ),
            Unit::Count(unit) => format!("{} of {} {unit}", self.position, self.total),
        };
        match self.message.as_str() {
            "" => format!("{}: {counts}", self.label),
            message => format!("{}: {counts}, {message}", self.label),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_and_how_far() {
        let progress = Progress::lines("writing".into(), 4096, Unit::Bytes);
        let Kind::Lines(lines) = &progress.0 else {
            panic!("asked for lines")
        };
        Lines::update(lines, |lines| lines.position = 1024);
        assert_eq!(
            lines.lock().unwrap().line(),
            "writing: 1.00 KiB of 4.00 KiB"
        );
        Lines::update(lines, |lines| {
            lines.unit = Unit::Count("steps");
            lines.message = "loss 1.5".into();
        });
        assert_eq!(
            lines.lock().unwrap().line(),
            "writing: 1024 of 4096 steps, loss 1.5"
        );
    }
}
