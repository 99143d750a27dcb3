//! Tasks by name.

use super::harness::{Bbh, Gsm, HumanEval, Sciq, SciqChat};
use super::{MicroBenchmark, Resources, Task};
use crate::error::{Error, Result};
use crate::micro::MicroTask;
use std::sync::Arc;

/// The tasks that a name can mean, in the order of reports.
#[derive(Clone, Default)]
pub struct Registry {
    tasks: Vec<Arc<dyn Task>>,
    /// How many of `tasks` are parts of others, and come last.
    parts: usize,
    groups: Vec<(String, Vec<String>)>,
}

impl Registry {
    /// No tasks at all.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Every task, with nobody to run programs and no data but what is embedded.
    #[must_use]
    pub fn standard() -> Self {
        Self::with_resources(&Resources::default())
    }

    /// Every task; the group `micro` is all of the micro world, `bbh` another name of `bbh_cot_fewshot`, as in
    /// the harness.
    #[must_use]
    pub fn with_resources(resources: &Resources) -> Self {
        let micro: Vec<String> = MicroTask::ALL
            .iter()
            .map(|task| task.name().to_owned())
            .collect();
        let (parts, wholes): (Vec<Bbh>, Vec<Bbh>) =
            Bbh::all(resources).into_iter().partition(Bbh::is_single);
        let tasks = MicroBenchmark::all(resources)
            .into_iter()
            .map(|task| Arc::new(task) as Arc<dyn Task>)
            .chain(
                Gsm::all(resources)
                    .into_iter()
                    .map(|task| Arc::new(task) as _),
            )
            .chain(
                HumanEval::all(resources)
                    .into_iter()
                    .map(|task| Arc::new(task) as _),
            )
            .chain([
                Arc::new(Sciq::new(resources)) as _,
                Arc::new(SciqChat::new(false, resources)) as _,
                Arc::new(SciqChat::new(true, resources)) as _,
            ])
            .chain(wholes.into_iter().map(|task| Arc::new(task) as _));
        let count = parts.len();
        Self {
            tasks: tasks
                .chain(parts.into_iter().map(|task| Arc::new(task) as _))
                .collect(),
            parts: count,
            groups: Vec::new(),
        }
        .with_group("micro", micro)
        .with_group("bbh", vec!["bbh_cot_fewshot".to_owned()])
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
            None => self.tasks.insert(self.tasks.len() - self.parts, task),
        }
        self
    }

    /// Lets `name` stand for several tasks.
    #[must_use]
    pub fn with_group(mut self, name: &str, members: Vec<String>) -> Self {
        self.groups.push((name.to_owned(), members));
        self
    }

    /// Every task, in order, without those that are one part of another.
    pub fn tasks(&self) -> impl Iterator<Item = &Arc<dyn Task>> {
        self.tasks.iter().take(self.tasks.len() - self.parts)
    }

    /// Every task, the parts included: `bbh_zeroshot_snarks` is one of `bbh_zeroshot`.
    pub fn all_tasks(&self) -> impl Iterator<Item = &Arc<dyn Task>> {
        self.tasks.iter()
    }

    /// Names that stand for several tasks, and which.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.groups
            .iter()
            .map(|(name, members)| (name.as_str(), members.as_slice()))
    }

    /// The task of that name, or the only one of the group of that name.
    ///
    /// # Errors
    ///
    /// [`Error::SeveralTasks`] for a group of several; [`Error::UnknownTask`], with the name most like it.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Task>> {
        if let Some(found) = self.tasks.iter().find(|task| task.name() == name) {
            return Ok(Arc::clone(found));
        }
        match self.groups().find(|(group, _)| *group == name) {
            Some((_, [only])) => self.get(only),
            Some((_, members)) => Err(Error::SeveralTasks {
                name: name.to_owned(),
                members: members.to_vec(),
            }),
            None => Err(self.unknown(name)),
        }
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
    use crate::task::Protocol;

    fn names(list: &str) -> Vec<String> {
        let selected = Registry::standard().select(list).unwrap();
        selected.iter().map(|task| task.name().to_owned()).collect()
    }

    #[test]
    fn lists_and_groups() {
        assert_eq!(names("micro-bbh, micro-gsm"), ["micro-bbh", "micro-gsm"]);
        assert_eq!(
            names("micro-sciq,micro"),
            [
                "micro-sciq",
                "micro-gsm",
                "micro-bbh",
                "micro-code",
                "micro-chat"
            ]
        );
    }

    #[test]
    fn a_misspelt_name_gets_a_suggestion_and_a_strange_one_does_not() {
        let near = Registry::standard().get("micro-gms").err().unwrap();
        assert_eq!(near.hint().unwrap(), "did you mean `micro-gsm`?");
        let far = Registry::standard().get("chess").err().unwrap();
        assert_eq!(far.hint().unwrap(), "`taskvec tasks` lists them");
        assert_eq!(far.to_string(), "unknown task `chess`");
        assert!(Registry::standard().select("micro-gsm,").is_err());
    }

    #[test]
    fn a_group_of_one_is_its_task() {
        let registry = Registry::standard();
        assert_eq!(registry.get("bbh").unwrap().name(), "bbh_cot_fewshot");
        let several = registry.get("micro").err().unwrap().to_string();
        assert!(
            several.starts_with("`micro` stands for 5 tasks: `micro-gsm`, "),
            "{several}"
        );
    }

    /// The table of docs/tasks.md: names, versions and limits are those of the tasks.
    #[test]
    fn the_documented_table_is_true() {
        let documented = include_str!("../../../../docs/tasks.md");
        let table = documented
            .split("\n\n")
            .find(|part| part.starts_with("| task | version |"));
        let rows: Vec<Vec<&str>> = table
            .unwrap()
            .lines()
            .skip(2)
            .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        assert_eq!(rows.len(), 9);
        let registry = Registry::standard();
        for row in rows {
            let name = row[0].split('`').nth(1).unwrap();
            let task = registry.get(name).unwrap();
            let (version, _) = task.version().split_once('+').unwrap();
            assert_eq!(version, row[1], "{name}");
            let tokens = match task.protocol() {
                Protocol::Generative(protocol) => protocol.max_new_tokens().to_string(),
                Protocol::MultipleChoice(_) => "–".to_owned(),
            };
            assert_eq!(tokens, row.last().unwrap().replace(',', ""), "{name}");
        }
    }

    #[test]
    fn distances() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("größe", "große"), 1);
    }
}
