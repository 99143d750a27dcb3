//! Tasks by name.

use super::{MicroBenchmark, Task};
use crate::error::{Error, Result};
use crate::micro::MicroTask;
use std::sync::Arc;

/// The tasks that a name can mean, in the order of reports.
#[derive(Clone, Default)]
pub struct Registry {
    tasks: Vec<Arc<dyn Task>>,
    groups: Vec<(String, Vec<String>)>,
}

impl Registry {
    /// No tasks at all.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Every task that ships with taskvec; the group `micro` is all of the micro world.
    #[must_use]
    pub fn standard() -> Self {
        let micro: Vec<String> = MicroTask::ALL
            .iter()
            .map(|task| task.name().to_owned())
            .collect();
        MicroTask::ALL
            .into_iter()
            .fold(Self::empty(), |registry, task| {
                registry.with(Arc::new(MicroBenchmark(task)))
            })
            .with_group("micro", micro)
    }

    /// Adds a task; one of the same name is replaced.
    #[must_use]
    pub fn with(mut self, task: Arc<dyn Task>) -> Self {
        match self
            .tasks
            .iter_mut()
            .find(|known| known.name() == task.name())
        {
            Some(known) => *known = task,
            None => self.tasks.push(task),
        }
        self
    }

    /// Lets `name` stand for several tasks.
    #[must_use]
    pub fn with_group(mut self, name: &str, members: Vec<String>) -> Self {
        self.groups.push((name.to_owned(), members));
        self
    }

    /// Every task, in order.
    pub fn tasks(&self) -> impl Iterator<Item = &Arc<dyn Task>> {
        self.tasks.iter()
    }

    /// The task of that name.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTask`], with the name most like it.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Task>> {
        let found = self.tasks.iter().find(|task| task.name() == name);
        found.cloned().ok_or_else(|| self.unknown(name))
    }

    /// The tasks of a list such as `micro-gsm,micro-bbh` or `micro`: groups unfolded, each task once.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTask`] for the first name that means nothing, an empty one included.
    pub fn select(&self, list: &str) -> Result<Vec<Arc<dyn Task>>> {
        let mut selected: Vec<Arc<dyn Task>> = Vec::new();
        for name in list.split(',').map(str::trim) {
            let group = self.groups.iter().find(|(group, _)| group == name);
            let names = group.map_or_else(|| vec![name.to_owned()], |(_, members)| members.clone());
            for name in names {
                if selected.iter().all(|task| task.name() != name) {
                    selected.push(self.get(&name)?);
                }
            }
        }
        Ok(selected)
    }

    fn unknown(&self, name: &str) -> Error {
        let known: Vec<String> = self
            .tasks
            .iter()
            .map(|task| task.name().to_owned())
            .chain(self.groups.iter().map(|(group, _)| group.clone()))
            .collect();
        // Farther than a third of the word is another word, not a misspelling.
        let nearest = known
            .iter()
            .map(|candidate| (edit_distance(name, candidate), candidate))
            .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, candidate)| candidate.clone());
        Error::UnknownTask {
            name: name.to_owned(),
            known,
            nearest,
        }
    }
}

/// Levenshtein distance in characters.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, character) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, &other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(character != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<String> {
        let selected = Registry::standard().select(list).unwrap();
        selected.iter().map(|task| task.name().to_owned()).collect()
    }

    #[test]
    fn lists_and_groups() {
        assert_eq!(names("micro-bbh, micro-gsm"), ["micro-bbh", "micro-gsm"]);
        assert_eq!(
            names("micro-sciq,micro"),
            ["micro-sciq", "micro-gsm", "micro-bbh", "micro-chat"]
        );
    }

    #[test]
    fn a_misspelt_name_gets_a_suggestion_and_a_strange_one_does_not() {
        let near = Registry::standard().get("micro-gms").err().unwrap();
        assert_eq!(near.hint().unwrap(), "did you mean `micro-gsm`?");
        let far = Registry::standard().get("chess").err().unwrap();
        assert_eq!(far.hint(), None);
        assert_eq!(
            far.to_string(),
            "unknown task `chess`: the tasks are micro-gsm, micro-bbh, micro-sciq, micro-chat, micro"
        );
        assert!(Registry::standard().select("micro-gsm,").is_err());
    }

    #[test]
    fn distances() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("größe", "große"), 1);
    }
}
