//! What a perturbation of the text costs each model.

use crate::condition::Condition;
use crate::run::Record;
use crate::statistics::{PairedCounts, Z_95, newcombe_paired};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One model on one task: perturbed less clean, on the same questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Robustness {
    /// The model's label.
    pub model: String,
    /// Task name.
    pub task: String,
    /// The perturbation.
    pub condition: Condition,
    /// Questions asked under both conditions.
    pub n: u64,
    /// Share right as they are.
    pub clean: f64,
    /// Share right perturbed.
    pub perturbed: f64,
    /// `perturbed` less `clean`.
    pub change: f64,
    /// Lower end of Newcombe's paired interval of the change.
    pub ci_low: f64,
    /// Upper end of it.
    pub ci_high: f64,
}

/// Every model, task and perturbation that was asked clean too, in the order of the records.
#[must_use]
pub fn robustness(records: &[Record]) -> Vec<Robustness> {
    type Place<'a> = (&'a str, &'a str, &'a str);
    let mut clean: BTreeMap<Place<'_>, BTreeMap<(&str, u32), bool>> = BTreeMap::new();
    type Sample<'a> = (&'a str, u32, bool);
    let mut perturbed: Vec<(Place<'_>, Condition, Vec<Sample<'_>>)> = Vec::new();
    for record in records {
        let place = (
            record.model.as_str(),
            record.task.as_str(),
            record.task_version.as_str(),
        );
        let (document, sample) = (record.doc_id.as_str(), record.sample);
        let correct = record.score.correct;
        if record.condition == Condition::Clean {
            clean
                .entry(place)
                .or_default()
                .insert((document, sample), correct);
            continue;
        }
        let found = perturbed
            .iter_mut()
            .find(|(other, condition, _)| *other == place && *condition == record.condition);
        match found {
            Some((_, _, samples)) => samples.push((document, sample, correct)),
            None => perturbed.push((place, record.condition, vec![(document, sample, correct)])),
        }
    }
    perturbed
        .into_iter()
        .filter_map(|(place, condition, samples)| {
            let clean = clean.get(&place)?;
            let pairs = samples.iter().filter_map(|&(document, sample, correct)| {
                Some((correct, *clean.get(&(document, sample))?))
            });
            let counts = PairedCounts::count(pairs);
            let n = counts.n();
            if n == 0 {
                return None;
            }
            let interval = newcombe_paired(counts, Z_95);
            Some(Robustness {
                model: place.0.to_owned(),
                task: place.1.to_owned(),
                condition,
                n,
                clean: counts.second_accuracy(),
                perturbed: counts.first_accuracy(),
                change: counts.difference(),
                ci_low: interval.low,
                ci_high: interval.high,
            })
        })
        .collect()
}
