//! A report for reading.

use super::{Difference, Report, Row, SIGNIFICANCE, Table, Verdict};
use crate::condition::Condition;
use std::collections::BTreeSet;

impl Report {
    /// Models down, tasks and conditions across: accuracy in percent, and in parentheses the difference to
    /// the baseline in points, starred where it is one ([`Difference::verdict`]).
    #[must_use]
    pub fn overview(&self) -> Table {
        self.overview_of(&self.models(), &self.cells())
    }

    /// [`Report::overview`] of some models on some tasks under some conditions.
    #[must_use]
    pub fn overview_of(&self, models: &[&str], cells: &[(&str, Condition)]) -> Table {
        let mut header = vec!["model".to_owned()];
        header.extend(
            cells
                .iter()
                .map(|&(task, condition)| title(task, condition)),
        );
        let row = |model: &&str| {
            let values = cells.iter().map(|&(task, condition)| {
                self.row(model, task, condition)
                    .map_or_else(String::new, summary)
            });
            std::iter::once((*model).to_owned()).chain(values).collect()
        };
        Table {
            header,
            rows: models.iter().map(row).collect(),
        }
    }

    /// For each task and condition a table with intervals, differences, and tests.
    #[must_use]
    pub fn details(&self) -> Vec<(String, Table)> {
        let header = [
            "model",
            "n",
            "accuracy",
            "95 % interval",
            "difference",
            "95 % interval",
            "p",
            "adjusted p",
        ];
        self.cells()
            .into_iter()
            .map(|(task, condition)| {
                let rows: Vec<&Row> = self
                    .rows
                    .iter()
                    .filter(|row| row.task == task && row.condition == condition)
                    .collect();
                let ks = shown_ks(&rows);
                let of_k = ks.iter().map(|k| format!("pass@{k}"));
                let table = Table {
                    header: header.map(str::to_owned).into_iter().chain(of_k).collect(),
                    rows: rows.iter().map(|row| detail(row, &ks)).collect(),
                };
                (title(task, condition), table)
            })
            .collect()
    }

    /// Overview, details, legend and conclusion for a terminal.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = self.overview().to_text();
        for (title, table) in self.details() {
            text.push_str(&format!("\n{title}\n{}", table.to_text()));
        }
        text.push_str(&format!("\n{}\n", self.legend()));
        if let Some(conclusion) = &self.conclusion {
            text.push_str(&format!("\n{conclusion}\n"));
        }
        text
    }

    /// The same as Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = self.overview().to_markdown();
        for (title, table) in self.details() {
            text.push_str(&format!("\n### {title}\n\n{}", table.to_markdown()));
        }
        text.push_str(&format!("\n{}\n", self.legend()));
        if let Some(conclusion) = &self.conclusion {
            text.push_str(&format!("\n{conclusion}\n"));
        }
        text
    }

    /// How the numbers were made.
    #[must_use]
    pub fn legend(&self) -> String {
        let mut accuracy = "Accuracy in percent with Wilson's 95 % interval.".to_owned();
        if self.rows.iter().any(|row| row.questions < row.n) {
            accuracy.push_str(
                " Where questions have several answers: n counts answers, the intervals are by bootstrap over questions, the \
                 test is the sign test of questions; pass@k is the chance that one of k answers is right (unbiased, Chen et \
                 al. 2021).",
            );
        }
        match &self.baseline {
            None => accuracy,
            Some(baseline) => format!(
                "{accuracy} Difference to `{baseline}` in points on the same questions, with Newcombe's paired \
                 interval and McNemar's exact test; p adjusted for all comparisons in this report (Holm). \
                 * marks a difference whose interval excludes 0 and whose adjusted p is below {SIGNIFICANCE}."
            ),
        }
    }

    pub(crate) fn models(&self) -> Vec<&str> {
        distinct(self.rows.iter().map(|row| row.model.as_str()))
    }

    pub(crate) fn cells(&self) -> Vec<(&str, Condition)> {
        distinct(
            self.rows
                .iter()
                .map(|row| (row.task.as_str(), row.condition)),
        )
    }
}

fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

pub(crate) fn title(task: &str, condition: Condition) -> String {
    match condition {
        Condition::Clean => task.to_owned(),
        _ => format!("{task} {condition}"),
    }
}

pub(super) fn star(difference: &Difference) -> &'static str {
    match difference.verdict() {
        Verdict::Undecided => "",
        Verdict::Higher | Verdict::Lower => "*",
    }
}

fn summary(row: &Row) -> String {
    let accuracy = percent(row.accuracy);
    match &row.difference {
        Some(difference) => format!(
            "{accuracy} ({}{})",
            points(difference.value),
            star(difference)
        ),
        None => accuracy,
    }
}

/// The k beyond 1 for which some row has an estimate of pass@k, ascending.
#[must_use]
pub fn shown_ks(rows: &[&Row]) -> Vec<u64> {
    let all = rows.iter().flat_map(|row| &row.pass_at_k);
    let ks: BTreeSet<u64> = all.map(|pass| pass.k).filter(|k| *k > 1).collect();
    ks.into_iter().collect()
}

impl Row {
    /// The estimate of pass@k in percent; empty where there is none.
    #[must_use]
    pub fn pass_at(&self, k: u64) -> String {
        let found = self.pass_at_k.iter().find(|pass| pass.k == k);
        found.map_or_else(String::new, |pass| percent(pass.value))
    }
}

fn detail(row: &Row, ks: &[u64]) -> Vec<String> {
    let mut cells = vec![
        row.model.clone(),
        row.n.to_string(),
        percent(row.accuracy),
        format!("{} to {}", percent(row.ci_low), percent(row.ci_high)),
    ];
    match &row.difference {
        Some(difference) => cells.extend([
            format!("{}{}", points(difference.value), star(difference)),
            format!(
                "{} to {}",
                points(difference.ci_low),
                points(difference.ci_high)
            ),
            p_value(difference.p_value),
            p_value(difference.p_value_adjusted),
        ]),
        None => cells.extend(std::iter::repeat_n(String::new(), 4)),
    }
    cells.extend(ks.iter().map(|k| row.pass_at(*k)));
    cells
}

/// A share in percent, one decimal.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// A difference of shares in points, one decimal, always signed; what rounds to zero has no minus.
pub(crate) fn points(difference: f64) -> String {
    let text = format!("{:+.1}", 100.0 * difference);
    if text == "-0.0" {
        "+0.0".to_owned()
    } else {
        text
    }
}

/// Three decimals, or `<0.001`.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.001 {
        "<0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}

/// So many significant digits, with an exponent only where zeros would hide them.
pub(super) fn significant(value: f64, digits: i32) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e5).contains(&size) {
        return format!("{value:.*e}", (digits - 1).max(0) as usize);
    }
    let decimals = (digits - 1 - size.log10().floor() as i32).clamp(0, 6) as usize;
    format!("{value:.decimals$}")
}
