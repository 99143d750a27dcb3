//! What the numbers show, in one plain sentence.
//!
//! Worded by the verdicts alone: a gain is called a gain only if the paired interval and the corrected test
//! say so, a control that behaves like the vector is named, and "no measurable difference" comes with the
//! interval of what may be hidden in it.

use super::render::{p_value, percent, points};
use super::{Difference, Report, Row, Verdict};
use crate::condition::Condition;

/// Which rows play which part in a study of one vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Study {
    /// The task that the sentence is about.
    pub task: String,
    /// Labels of the models with the vector added, at several strengths.
    pub additions: Vec<String>,
    /// Label of the model with the vector subtracted.
    pub subtraction: Option<String>,
    /// Label of the control with a random vector of the same size.
    pub random: Option<String>,
}

impl Report {
    /// Sets [`Report::conclusion`] from the rows that `study` names.
    #[must_use]
    pub fn conclude(mut self, study: &Study) -> Self {
        self.conclusion = self.conclusion_of(study);
        self
    }

    /// The sentence; `None` where the report has no baseline or no row of an addition for the task.
    #[must_use]
    pub fn conclusion_of(&self, study: &Study) -> Option<String> {
        let row = |model: &str| self.row(model, &study.task, Condition::Clean);
        let compared =
            |model: &String| row(model).and_then(|row| Some((row, row.difference.as_ref()?)));
        let baseline = row(self.baseline.as_ref()?)?;

        let additions: Vec<(&Row, &Difference)> =
            study.additions.iter().filter_map(compared).collect();
        let (best, gain) = additions.iter().copied().reduce(|best, other| {
            if other.1.value > best.1.value {
                other
            } else {
                best
            }
        })?;
        let mut clauses = vec![lead(baseline, best, gain, &additions)];
        clauses.extend(
            additions
                .iter()
                .filter(|(other, difference)| {
                    difference.verdict() == Verdict::Lower
                        && other.model != best.model
                        && gain.verdict() != Verdict::Lower
                })
                .map(|(other, difference)| {
                    format!("`{}` lowers it {}", other.model, by(difference))
                }),
        );
        if let Some((_, difference)) = study.subtraction.as_ref().and_then(compared) {
            clauses.push(match difference.verdict() {
                Verdict::Lower => format!("subtracting it lowers accuracy {}", by(difference)),
                Verdict::Higher => format!("subtracting it raises accuracy {}", by(difference)),
                Verdict::Undecided => format!(
                    "subtracting it makes no measurable difference {}",
                    about(difference)
                ),
            });
        }
        if let Some((_, difference)) = study.random.as_ref().and_then(compared) {
            let control = "a random vector of the same size";
            clauses.push(match (difference.verdict(), gain.verdict()) {
                (Verdict::Undecided, _) => format!("{control} makes no measurable difference {}", about(difference)),
                (Verdict::Lower, _) => format!("{control} lowers accuracy {}", by(difference)),
                (Verdict::Higher, Verdict::Higher) => format!(
                    "but {control} raises accuracy too, {}, so the gain cannot be credited to the direction alone",
                    by(difference)
                ),
                (Verdict::Higher, _) => format!("{control} raises accuracy {}", by(difference)),
            });
        }
        let attacked = self.row(&best.model, &study.task, Condition::Adversarial);
        if let (Verdict::Higher, Some(difference)) = (
            gain.verdict(),
            attacked.and_then(|row| row.difference.as_ref()),
        ) {
            clauses.push(match difference.verdict() {
                Verdict::Higher => format!(
                    "under adversarial perturbation the gain is {}",
                    amount(difference)
                ),
                Verdict::Undecided => {
                    format!(
                        "under adversarial perturbation no gain is measurable {}",
                        about(difference)
                    )
                }
                Verdict::Lower => format!(
                    "but under adversarial perturbation it lowers accuracy {}",
                    by(difference)
                ),
            });
        }
        Some(format!("{}.", clauses.join("; ")))
    }
}

fn lead(
    baseline: &Row,
    best: &Row,
    gain: &Difference,
    additions: &[(&Row, &Difference)],
) -> String {
    let strengths = additions.len();
    let opening = format!("On {} (n = {})", best.task, best.n);
    let values = format!(
        "from {} % to {} %",
        percent(baseline.accuracy),
        percent(best.accuracy)
    );
    let (inside, apart) = match strengths {
        1 => (format!("`{}`", best.model), format!("`{}`", best.model)),
        _ => {
            let rank = format!("the best of {strengths} strengths tried");
            (
                format!("`{}`, {rank}", best.model),
                format!("`{}` ({rank})", best.model),
            )
        }
    };
    let test = format!("adjusted p {}", p_equation(gain.p_value_adjusted));
    match gain.verdict() {
        Verdict::Higher => {
            format!(
                "{opening}, adding the vector ({inside}) raises accuracy {values}, {}, {test}",
                by(gain)
            )
        }
        Verdict::Undecided => format!(
            "{opening}, adding the vector makes no measurable difference: {apart} takes accuracy {values}, {}, {test}",
            by_signed(gain)
        ),
        Verdict::Lower => {
            let all_lower = additions
                .iter()
                .all(|(_, other)| other.verdict() == Verdict::Lower);
            let every = if strengths > 1 && all_lower {
                " at every strength"
            } else {
                ""
            };
            format!(
                "{opening}, adding the vector lowers accuracy{every}: {apart} takes it {values}, {}, {test}",
                by(gain)
            )
        }
    }
}

fn interval(difference: &Difference, sign: f64) -> String {
    let (a, b) = (sign * difference.ci_low, sign * difference.ci_high);
    format!(
        "95 % interval {} to {}",
        percent_of(a.min(b)),
        percent_of(a.max(b))
    )
}

fn percent_of(share: f64) -> String {
    let text = percent(share);
    if text == "-0.0" {
        "0.0".to_owned()
    } else {
        text
    }
}

/// `by 3.0 points (95 % interval 1.0 to 5.0)`, the direction being in the verb.
fn by(difference: &Difference) -> String {
    let sign = if difference.value < 0.0 { -1.0 } else { 1.0 };
    format!(
        "by {} points ({})",
        percent_of(sign * difference.value),
        interval(difference, sign)
    )
}

fn by_signed(difference: &Difference) -> String {
    format!(
        "by {} points ({})",
        points(difference.value),
        interval(difference, 1.0)
    )
}

fn amount(difference: &Difference) -> String {
    format!(
        "{} points ({})",
        percent_of(difference.value),
        interval(difference, 1.0)
    )
}

/// `(+0.3 points, 95 % interval -2.0 to 2.6)`.
fn about(difference: &Difference) -> String {
    format!(
        "({} points, {})",
        points(difference.value),
        interval(difference, 1.0)
    )
}

fn p_equation(p: f64) -> String {
    let text = p_value(p);
    text.strip_prefix('<')
        .map_or_else(|| format!("= {text}"), |bound| format!("< {bound}"))
}
