//! A search on the screen: while it runs, and when it is done.

use taskvec_eval::search::{Against, Difference, Outcome, Place, Search, Stage};

use super::Counted;
use crate::printer::{CurvePoint, Measured, Printer, Table, curve};

/// What has been measured so far.
pub(super) struct Board<'a> {
    search: &'a Search,
    count: usize,
    start: Option<u64>,
    questions: u64,
    /// The best so far: its right answers and its label.
    best: Option<(u64, String)>,
    latest: String,
    /// What is right without each group.
    left_out: Vec<Option<u64>>,
}

impl<'a> Board<'a> {
    pub(super) fn new(search: &'a Search) -> Self {
        Self {
            search,
            count: 0,
            start: None,
            questions: 0,
            best: None,
            latest: String::new(),
            left_out: vec![None; search.groups.len()],
        }
    }

    pub(super) fn add(&mut self, place: &Place, stage: Stage, counted: Counted) {
        let label = self.search.label(place);
        self.count += 1;
        self.questions = counted.questions;
        match stage {
            Stage::Start => self.start = Some(counted.right),
            Stage::LeaveOut(group) => self.left_out[group] = Some(counted.right),
            Stage::Without | Stage::Uniform | Stage::Move(_) => {}
        }
        self.latest = format!("{label}: {}", self.percent(counted.right));
        if self
            .best
            .as_ref()
            .is_none_or(|(right, _)| counted.right > *right)
        {
            self.best = Some((counted.right, label));
        }
    }

    fn percent(&self, right: u64) -> String {
        format!(
            "{:.1} %",
            100.0 * right as f64 / self.questions.max(1) as f64
        )
    }

    /// What is said where nothing is drawn.
    pub(super) fn line(&self, seconds: f64) -> String {
        format!(
            "{} of {} validation questions ({} of {} evaluations, {seconds:.0} s)",
            self.latest, self.questions, self.count, self.search.budget
        )
    }

    /// What is drawn over itself: what each group is worth, and how far the search has come.
    pub(super) fn block(&self, seconds: f64, width: usize) -> String {
        let share = |right: u64| right as f64 / self.questions.max(1) as f64;
        let points: Vec<CurvePoint> = self
            .search
            .groups
            .iter()
            .zip(&self.left_out)
            .map(|(group, right)| CurvePoint {
                label: format!("without {}", group.name),
                measured: right.map(|right| {
                    let interval = taskvec_eval::statistics::wilson(
                        right,
                        self.questions,
                        taskvec_eval::statistics::Z_95,
                    );
                    Measured {
                        value: share(right),
                        low: interval.low,
                        high: interval.high,
                    }
                }),
            })
            .collect();
        let mut text = curve("left out", &points, width);
        if let (Some(start), Some((best, label))) = (self.start, &self.best) {
            text.push_str(&format!(
                "\nstart {}, best {}: {label}\n",
                self.percent(start),
                self.percent(*best)
            ));
        }
        text.push_str(&format!(
            "{} of {} evaluations, {seconds:.0} s\n",
            self.count, self.search.budget
        ));
        text
    }
}

/// Prints what was found, what it is worth and what each group is.
pub(super) fn print(search: &Search, outcome: &Outcome, printer: &Printer) -> anyhow::Result<()> {
    printer.data(printer.wrapped(&format!(
        "What leaving out a group changes, from {}, on {} validation questions",
        outcome.start.model, outcome.validation_questions
    )))?;
    printer.table(&Table::from(&outcome.importance_table()))?;
    printer.data("\nWhat was found")?;
    printer.table(&Table::from(&outcome.picks_table()))?;
    printer.data(format!("\n{}", printer.wrapped(&prose(search, outcome))))?;
    printer.data("\nTest questions of every task and condition")?;
    printer.table(&Table::from(&outcome.report.overview()))?;
    printer.data(format!("\n{}", outcome.found.expression))
}

fn prose(search: &Search, outcome: &Outcome) -> String {
    let end = if outcome.is_settled {
        "it came to rest there"
    } else {
        "the budget ended it"
    };
    let condition = search.conditions.first().map_or("", |it| it.name());
    let mut text = format!(
        "Chosen among {} points on {} validation questions of {} ({condition}); {end}. On {} test questions, which had no \
         say, it has {:.1} % right (95 % interval {:.1} to {:.1}).",
        outcome.evaluations,
        outcome.validation_questions,
        search.tasks.join(", "),
        outcome.test_questions,
        100.0 * outcome.found.test,
        100.0 * outcome.found.ci_low,
        100.0 * outcome.found.ci_high,
    );
    outcome
        .against
        .iter()
        .for_each(|other| text.push_str(&against(other)));
    text
}

fn against(other: &Against) -> String {
    format!(
        " Against {} ({}): {} points on validation, {} on test ({}, p {:.3}).",
        other.other,
        other.role,
        points(other.validation.value),
        points(other.test.value),
        interval(&other.test),
        other.test.p_value,
    )
}

fn points(value: f64) -> String {
    format!("{:+.1}", 100.0 * value).replace("-0.0", "+0.0")
}

fn interval(difference: &Difference) -> String {
    format!(
        "{} to {}",
        points(difference.ci_low),
        points(difference.ci_high)
    )
}
