//! Self-consistency: how often drawn answers agree.
//!
//! A model that is sure of an answer gives it again when it is asked again. The share of drawn answers that agree with the most
//! frequent one is the criterion (Wang et al. 2023, arXiv 2203.11171, section 3.1, whose majority vote it counts). It can be
//! fooled by a model that always says the same.

use crate::run::Record;
use std::collections::BTreeMap;

/// The share of `answers` to one question that agree with the most frequent one.
pub(super) fn agreement(answers: &[&Record]) -> f64 {
    let given = answers.iter().map(|record| {
        let score = &record.score;
        let answer = score.strict.as_ref().or(score.flexible.as_ref());
        answer.map_or("", String::as_str)
    });
    share_of_most(given)
}

fn share_of_most<'a>(answers: impl ExactSizeIterator<Item = &'a str>) -> f64 {
    let asked = answers.len();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    // What is no answer agrees with nothing.
    for answer in answers.filter(|answer| !answer.is_empty()) {
        *counts.entry(answer).or_default() += 1;
    }
    counts.values().copied().max().unwrap_or(0) as f64 / asked.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_with_the_most_frequent_answer() {
        let agreement = |answers: &[&str]| share_of_most(answers.iter().copied());
        assert_eq!(agreement(&["3", "4", "3", "3"]), 0.75);
        assert_eq!(agreement(&["3", "", "", ""]), 0.25);
        assert_eq!(agreement(&["", ""]), 0.0);
    }
}
