//! A comparison for reading.

use super::{Comparison, Example, Row};
use crate::generator::Prompt;
use crate::report::render::{p_value, percent, points, title};
use crate::report::{SIGNIFICANCE, Table, Verdict};
use std::collections::BTreeSet;

/// What is shown of a completion.
const LONGEST_SHOWN: usize = 600;

impl Comparison {
    /// A row for each task and condition.
    #[must_use]
    pub fn table(&self) -> Table {
        let header = [
            "task",
            "n",
            "first",
            "second",
            "difference",
            "95 % interval",
            "gained",
            "lost",
            "p",
            "adjusted p",
        ];
        let all = self.rows.iter().flat_map(|row| &row.pass_at_k);
        let ks: BTreeSet<u64> = all.map(|pass| pass.k).filter(|k| *k > 1).collect();
        let of_k = ks
            .iter()
            .flat_map(|k| ["first", "second"].map(|run| format!("{run} pass@{k}")));
        Table {
            header: header.map(str::to_owned).into_iter().chain(of_k).collect(),
            rows: self.rows.iter().map(|row| cells(row, &ks)).collect(),
        }
    }

    /// How the numbers were made, and what to mind about them.
    #[must_use]
    pub fn legend(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "Accuracy in percent on the samples that both runs have; difference second less first, in points. * marks \
             a difference whose interval excludes 0 and whose adjusted p is below {SIGNIFICANCE}."
        )];
        if self.rows.iter().any(|row| row.p_value.is_some()) {
            lines.push("Newcombe's paired interval and McNemar's exact test.".to_owned());
        }
        if self.rows.iter().any(|row| row.p_value.is_none()) {
            lines.push(
                "Where documents have several samples: paired bootstrap over documents (BCa) where there are ten or more, and no \
                 test; pass@k by the unbiased estimator."
                    .to_owned(),
            );
        }
        if self.rows.len() > 1 {
            lines.push(format!(
                "p is adjusted for the {} rows of this table (Holm); comparisons made elsewhere are not counted.",
                self.rows.len()
            ));
        }
        for row in &self.rows {
            let name = title(&row.task, row.condition);
            if row.only_first + row.only_second > 0 {
                lines.push(format!(
                    "{name}: {} samples are in the first run only, {} in the second only; they are not counted.",
                    row.only_first, row.only_second
                ));
            }
            if row.other_prompts > 0 {
                lines.push(format!(
                    "{name}: {} of {} prompts are not the same in both.",
                    row.other_prompts, row.n
                ));
            }
        }
        lines
    }
}

fn cells(row: &Row, ks: &BTreeSet<u64>) -> Vec<String> {
    let star = match row.verdict() {
        Verdict::Undecided => "",
        Verdict::Higher | Verdict::Lower => "*",
    };
    let p = |value: Option<f64>| value.map_or_else(String::new, p_value);
    let mut cells = vec![
        title(&row.task, row.condition),
        row.n.to_string(),
        percent(row.first_accuracy),
        percent(row.second_accuracy),
        format!("{}{star}", points(row.difference)),
        format!("{} to {}", points(row.ci_low), points(row.ci_high)),
        row.gained.to_string(),
        row.lost.to_string(),
        p(row.p_value),
        p(row.p_value_adjusted),
    ];
    for k in ks {
        let found = row.pass_at_k.iter().find(|pass| pass.k == *k);
        cells.extend(match found {
            Some(pass) => [pass.first, pass.second].map(percent),
            None => [String::new(), String::new()],
        });
    }
    cells
}

impl Example {
    /// Question, reference and both answers, a few lines of each.
    #[must_use]
    pub fn to_text(&self) -> String {
        let question = match &self.prompt {
            Prompt::Text(text) => text.as_str(),
            Prompt::Chat(messages) => messages
                .last()
                .map_or("", |message| message.content.as_str()),
        };
        let answer = |answer: &Option<String>| {
            answer
                .as_ref()
                .map_or_else(|| "nothing".to_owned(), |text| format!("`{text}`"))
        };
        format!(
            "{} {}, sample {}\n  question: {}\n  reference: `{}`\n  first, read as {}: {}\n  second, read as {}: {}\n",
            title(&self.task, self.condition),
            self.doc_id,
            self.sample,
            end_of(question),
            self.reference,
            answer(&self.first_answer),
            indented(&self.first_completion),
            answer(&self.second_answer),
            indented(&self.second_completion),
        )
    }
}

/// A question stands at the end of its prompt, after the examples.
fn end_of(text: &str) -> String {
    let text = text.trim();
    let skipped = text.chars().count().saturating_sub(LONGEST_SHOWN);
    let end: String = text.chars().skip(skipped).collect();
    let mark = if skipped > 0 { "…" } else { "" };
    indented(&format!("{mark}{end}"))
}

fn indented(text: &str) -> String {
    let text = text.trim();
    let shown: String = text.chars().take(LONGEST_SHOWN + 1).collect();
    let mark = if shown.chars().count() < text.chars().count() {
        "…"
    } else {
        ""
    };
    format!("{shown}{mark}").replace('\n', "\n    ")
}
