//! Whether a run only adds to what was asked before in the same place.
//!
//! A directory of records may grow: more tasks, more questions, more points. What was asked there before must be asked by a later
//! run too, and in the same way. Else what lies there would be forgotten by the file that says what was asked, or two ways of
//! asking would be counted together.

use crate::condition::Condition;

/// What every model of a run is asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked<'a> {
    pub(crate) tasks: Vec<&'a str>,
    pub(crate) conditions: &'a [Condition],
    pub(crate) limit: Option<usize>,
    pub(crate) seed: u64,
    pub(crate) samples: u32,
    pub(crate) temperature: f64,
    pub(crate) prompt_form: &'a str,
}

impl Asked<'_> {
    /// Why `self` is no addition to `earlier`, as the end of a sentence that begins with what holds it; `None` where it is one.
    pub(crate) fn clash(&self, earlier: &Self) -> Option<String> {
        if let Some(task) = earlier.tasks.iter().find(|task| !self.tasks.contains(task)) {
            return Some(format!("that asked `{task}`, which this one leaves out"));
        }
        let mut conditions = earlier.conditions.iter();
        if let Some(condition) = conditions.find(|it| !self.conditions.contains(it)) {
            return Some(format!(
                "that asked under `{condition}`, which this one leaves out"
            ));
        }
        let is_fewer = match (earlier.limit, self.limit) {
            (Some(earlier), Some(now)) => now < earlier,
            // As many as the task says by itself, which may be more or less.
            (earlier, now) => earlier != now,
        };
        if is_fewer {
            return Some(format!(
                "that asked {}, and this one asks {}",
                count(earlier.limit),
                count(self.limit)
            ));
        }
        if self.samples < earlier.samples {
            return Some(format!(
                "with {} answers to each question, and this one draws {}",
                earlier.samples, self.samples
            ));
        }
        let ways = [
            ("seed", earlier.seed.to_string(), self.seed.to_string()),
            (
                "temperature",
                earlier.temperature.to_string(),
                self.temperature.to_string(),
            ),
            (
                "prompt form",
                earlier.prompt_form.to_owned(),
                self.prompt_form.to_owned(),
            ),
        ];
        let mut differing = ways.into_iter().filter(|(_, earlier, now)| earlier != now);
        let (what, earlier, now) = differing.next()?;
        Some(format!("with the {what} {earlier}, and this one has {now}"))
    }
}

fn count(limit: Option<usize>) -> String {
    limit.map_or_else(
        || "as many questions as each task says by itself".to_owned(),
        |limit| format!("{limit} questions of each task"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked<'static> {
        Asked {
            tasks: vec!["gsm", "chat"],
            conditions: &[Condition::Clean, Condition::Noise],
            limit: Some(20),
            seed: 0,
            samples: 3,
            temperature: 0.5,
            prompt_form: "auto",
        }
    }

    #[test]
    fn more_of_the_same_is_an_addition() {
        let more = Asked {
            tasks: vec!["sciq", "chat", "gsm"],
            conditions: &[Condition::Adversarial, Condition::Noise, Condition::Clean],
            limit: Some(30),
            samples: 5,
            ..asked()
        };
        assert_eq!(more.clash(&asked()), None);
        assert_eq!(asked().clash(&asked()), None);
    }

    #[test]
    fn less_and_otherwise_are_not() {
        type Change = fn(&mut Asked<'static>);
        let clash = |change: Change| {
            let mut now = asked();
            change(&mut now);
            now.clash(&asked()).unwrap()
        };
        let cases: [(Change, &str); 8] = [
            (
                |it| it.tasks = vec!["gsm"],
                "`chat`, which this one leaves out",
            ),
            (|it| it.conditions = &[Condition::Clean], "under `noise`"),
            (
                |it| it.limit = Some(19),
                "20 questions of each task, and this one asks 19 ",
            ),
            (
                |it| it.samples = 2,
                "3 answers to each question, and this one draws 2",
            ),
            (
                |it| it.temperature = 0.7,
                "the temperature 0.5, and this one has 0.7",
            ),
            (|it| it.seed = 1, "the seed 0, and this one has 1"),
            (|it| it.prompt_form = "base", "the prompt form auto"),
            (
                |it| it.limit = None,
                "this one asks as many questions as each task says",
            ),
        ];
        for (change, says) in cases {
            let said = clash(change);
            assert!(said.contains(says), "{says}: {said}");
        }
    }
}
