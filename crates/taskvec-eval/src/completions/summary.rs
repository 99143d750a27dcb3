//! What scored completions come to.

use super::ScoredCompletion;
use crate::statistics::{Interval, PassAtK, Z_95, mean, pass_at_some_k, wilson};
use crate::task::{Metric, Task};
use serde::Serialize;
use std::collections::BTreeMap;

/// Scores in total.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Task name.
    pub task: String,
    /// Task version.
    pub task_version: String,
    /// What `accuracy` counts.
    pub metric: Metric,
    /// Documents of the task, and how many of them have completions.
    pub documents: usize,
    /// Documents with at least one completion.
    pub answered: usize,
    /// Completions.
    pub samples: usize,
    /// Completions that are right by `metric`, over all.
    pub accuracy: f64,
    /// Standard error as the harness gives it; nothing for a single completion.
    pub standard_error: Option<f64>,
    /// Wilson interval of `accuracy`.
    pub interval: Interval,
    /// Share of completions that are right, strictly read.
    pub strict: f64,
    /// Share of completions that are right, flexibly read.
    pub flexible: f64,
    /// Over the documents with completions; nothing where each of them has one alone.
    pub pass_at_k: Vec<PassAtK>,
    /// Each subtask, where there are several.
    pub kinds: Vec<KindSummary>,
}

/// One subtask.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KindSummary {
    /// Its name.
    pub kind: String,
    /// Completions.
    pub samples: usize,
    /// Share that is right by the task's metric.
    pub accuracy: f64,
}

impl Summary {
    pub(super) fn build(task: &dyn Task, documents: usize, scored: &[ScoredCompletion]) -> Self {
        let share = |is_counted: &dyn Fn(&ScoredCompletion) -> bool| {
            let count = scored.iter().filter(|sample| is_counted(sample)).count();
            count as f64 / scored.len().max(1) as f64
        };
        let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for sample in scored {
            let (n, right) = counts.entry(&sample.doc_id).or_default();
            *n += 1;
            *right += u64::from(sample.is_right);
            let (n, right) = kinds.entry(&sample.kind).or_default();
            *n += 1;
            *right += usize::from(sample.is_right);
        }
        let values: Vec<f64> = scored
            .iter()
            .map(|sample| f64::from(u8::from(sample.is_right)))
            .collect();
        let right = scored.iter().filter(|sample| sample.is_right).count() as u64;
        let counted: Vec<(u64, u64)> = counts.values().copied().collect();
        Self {
            task: task.name().to_owned(),
            task_version: task.version().to_owned(),
            metric: task.metric(),
            documents,
            answered: counts.len(),
            samples: scored.len(),
            accuracy: share(&|sample| sample.is_right),
            standard_error: mean(&values).and_then(|mean| mean.standard_error),
            interval: wilson(right, scored.len() as u64, Z_95),
            strict: share(&|sample| sample.score.correct),
            flexible: share(&|sample| sample.score.flexible_correct),
            pass_at_k: pass_at_some_k(&counted),
            kinds: if kinds.len() < 2 {
                Vec::new()
            } else {
                let summary = |(kind, (n, right)): (&str, (usize, usize))| KindSummary {
                    kind: kind.to_owned(),
                    samples: n,
                    accuracy: right as f64 / n as f64,
                };
                kinds.into_iter().map(summary).collect()
            },
        }
    }
}
