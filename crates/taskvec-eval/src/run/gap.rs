//! What a run meant to ask and has no answer to.
//!
//! A run that was interrupted leaves a record file that looks like that of a smaller run. Each record says how many answers its
//! run wanted of that model to that task; which models were to be asked is known where a file beside the records says it.

use super::Record;
use crate::condition::Condition;
use crate::task::Registry;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How many models or gaps a sentence names.
const NAMED: usize = 12;

/// A task under a condition that a model has not answered wholly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The model's label.
    pub model: String,
    /// Task name.
    pub task: String,
    /// The condition.
    pub condition: Condition,
    /// Answers that there are.
    pub found: usize,
    /// Answers that were to be; 0 where nothing says how many.
    pub planned: usize,
}

/// Models that were all to be asked the same.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Their labels.
    pub models: &'a [&'a str],
    /// Names of the tasks.
    pub tasks: &'a [String],
    /// The conditions; a task is asked under those of them that it has.
    pub conditions: &'a [Condition],
}

/// What a record file lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// The file.
    pub path: String,
    /// How many models were to be asked.
    pub models: usize,
    /// Those that have not one answer.
    pub unasked: Vec<String>,
    /// What the others lack.
    pub gaps: Vec<Gap>,
}

/// Answers of a model to a task under a condition: how many there are, and how many there were to be.
type Counts<'a> = BTreeMap<(&'a str, &'a str, Condition), (usize, usize)>;

impl Unfinished {
    /// What the `records` in `path` lack: of `wanted`, where that is known, and else of what each of them says. `None` where
    /// nothing is missing, as far as that can be told.
    #[must_use]
    pub fn of<'a>(
        path: &str,
        wanted: Option<Wanted<'_>>,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Option<Self> {
        let mut counts = Counts::new();
        for record in records {
            let place = (
                record.model.as_str(),
                record.task.as_str(),
                record.condition,
            );
            let (found, planned) = counts.entry(place).or_default();
            *found += 1;
            *planned = record.planned.max(*planned);
        }
        let asked: BTreeSet<&str> = counts.keys().map(|(model, ..)| *model).collect();
        let (models, unasked, gaps) = match wanted {
            Some(wanted) => {
                let models = wanted.models.iter().copied();
                let unasked = models.filter(|model| !asked.contains(model));
                let unasked: Vec<String> = unasked.map(str::to_owned).collect();
                (wanted.models.len(), unasked, wanted.gaps(&asked, &counts))
            }
            None => {
                let short = counts
                    .iter()
                    .filter(|(_, (found, planned))| found < planned);
                let gaps = short.map(|(place, count)| gap(*place, *count));
                (asked.len(), Vec::new(), gaps.collect())
            }
        };
        let is_whole = unasked.is_empty() && gaps.is_empty();
        (!is_whole).then(|| Self {
            path: path.to_owned(),
            models,
            unasked,
            gaps,
        })
    }

    /// Whether a model lacks answers.
    #[must_use]
    pub fn lacks(&self, model: &str) -> bool {
        self.unasked.iter().any(|label| label == model)
            || self.gaps.iter().any(|gap| gap.model == model)
    }

    /// What is missing, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut parts = Vec::new();
        if !self.unasked.is_empty() {
            let names = self.unasked.iter().map(|label| format!("`{label}`"));
            parts.push(format!(
                "{} of {} models have no answers ({})",
                self.unasked.len(),
                self.models,
                listed(names.collect())
            ));
        }
        if !self.gaps.is_empty() {
            parts.push(listed(self.gaps.iter().map(Gap::sentence).collect()));
        }
        format!(
            "`{}` is unfinished: {}; the same command, run again, asks the rest",
            self.path,
            parts.join("; ")
        )
    }
}

impl Wanted<'_> {
    fn gaps(&self, asked: &BTreeSet<&str>, counts: &Counts<'_>) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for (task, condition) in self.cells(counts) {
            // All are asked the same, so what one has, the others are to have.
            let same = counts
                .iter()
                .filter(|((_, other, under), _)| *other == task && *under == condition);
            let planned = same.map(|(_, (found, planned))| (*found).max(*planned));
            let planned = planned.max().unwrap_or(0);
            for model in self.models.iter().filter(|model| asked.contains(*model)) {
                let place = (*model, task, condition);
                let found = counts.get(&place).map_or(0, |(found, _)| *found);
                if found == 0 || found < planned {
                    gaps.push(gap(place, (found, planned)));
                }
            }
        }
        gaps
    }

    fn cells(&self, counts: &Counts<'_>) -> Vec<(&str, Condition)> {
        let registry = Registry::standard();
        let mut cells = Vec::new();
        for name in self.tasks {
            for &condition in self.conditions {
                let has = match registry.get(name) {
                    Ok(task) => task.conditions().contains(&condition),
                    // Of a later version, perhaps: what anybody was asked of it is known.
                    Err(_) => counts
                        .keys()
                        .any(|(_, task, under)| task == name && *under == condition),
                };
                if has {
                    cells.push((name.as_str(), condition));
                }
            }
        }
        cells
    }
}

impl Gap {
    fn sentence(&self) -> String {
        let task = match self.condition {
            Condition::Clean => self.task.clone(),
            condition => format!("{} {condition}", self.task),
        };
        let count = match (self.found, self.planned) {
            (0, 0) => "no answers".to_owned(),
            (found, planned) => format!("{found} of {planned} answers"),
        };
        format!("`{}` has {count} to {task}", self.model)
    }
}

fn gap((model, task, condition): (&str, &str, Condition), (found, planned): (usize, usize)) -> Gap {
    Gap {
        model: model.to_owned(),
        task: task.to_owned(),
        condition,
        found,
        planned,
    }
}

/// The first few, and how many more.
fn listed(mut parts: Vec<String>) -> String {
    let more = parts.len().saturating_sub(NAMED);
    parts.truncate(NAMED);
    if more > 0 {
        parts.push(format!("and {more} more"));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::fixture::record;

    fn answers(model: &str, task: &str, count: usize, planned: usize) -> Vec<Record> {
        let answer = |index| Record {
            planned,
            ..record(model, task, &format!("d/{index}"), true)
        };
        (0..count).map(answer).collect()
    }

    #[test]
    fn records_say_what_they_lack() {
        let mut records = answers("target", "micro-gsm", 12, 12);
        assert_eq!(Unfinished::of("r", None, &records), None);
        // Of an older version, which does not say.
        records.extend(answers("old", "micro-gsm", 3, 0));
        assert_eq!(Unfinished::of("r", None, &records), None);
        records.extend(answers("tuned", "micro-gsm", 7, 12));
        let lacking = Unfinished::of("r", None, &records).unwrap();
        assert_eq!(
            lacking.sentence(),
            "`r` is unfinished: `tuned` has 7 of 12 answers to micro-gsm; the same command, run again, asks the rest"
        );
        assert!(lacking.lacks("tuned") && !lacking.lacks("target"));
    }

    #[test]
    fn models_and_tasks_that_were_never_reached_are_missing() {
        let tasks = ["micro-gsm", "micro-chat"].map(str::to_owned);
        let wanted = Wanted {
            models: &["a = 0", "a = 1", "a = 2"],
            tasks: &tasks,
            conditions: &[Condition::Clean, Condition::Noise],
        };
        let mut records = answers("a = 0", "micro-gsm", 5, 5);
        let noisy = answers("a = 0", "micro-gsm", 5, 5)
            .into_iter()
            .map(|record| Record {
                condition: Condition::Noise,
                ..record
            });
        records.extend(noisy);
        // An older file says less, and still what one model has and another has not.
        records.extend(answers("a = 1", "micro-gsm", 2, 0));
        let lacking = Unfinished::of("s", Some(wanted), &records).unwrap();
        assert_eq!(
            (lacking.models, lacking.unasked.as_slice()),
            (3, &["a = 2".to_owned()][..])
        );
        let sentence = lacking.sentence();
        for part in [
            "1 of 3 models have no answers (`a = 2`)",
            "`a = 1` has 2 of 5 answers to micro-gsm,",
            "`a = 1` has 0 of 5 answers to micro-gsm noise",
            // Chat has no noise, and nobody has said how many questions it is to have.
            "`a = 0` has no answers to micro-chat,",
        ] {
            assert!(sentence.contains(part), "{part}: {sentence}");
        }
        assert!(!sentence.contains("micro-chat noise"), "{sentence}");
    }

    #[test]
    fn many_are_counted() {
        let models: Vec<String> = (0..40).map(|index| format!("a = {index}")).collect();
        let models: Vec<&str> = models.iter().map(String::as_str).collect();
        let tasks = ["t".to_owned()];
        let wanted = Wanted {
            models: &models,
            tasks: &tasks,
            conditions: &[Condition::Clean],
        };
        let lacking = Unfinished::of("s", Some(wanted), &answers("a = 3", "t", 1, 1)).unwrap();
        let sentence = lacking.sentence();
        assert!(
            sentence.contains("39 of 40 models") && sentence.contains("and 27 more"),
            "{sentence}"
        );
    }
}
