//! One figure for each measurement, with every run in it.

use super::data::{TrainedRun, TrainingData};
use super::metric::{self, Metric, SPREAD, SPREAD_OF};
use crate::report::Figure;
use crate::report::figure::{Measured, Sheet, Trace, traces};

pub(super) fn all(data: &TrainingData) -> Vec<Figure> {
    metric::of(data.kind)
        .iter()
        .filter_map(|metric| {
            let found: Vec<Trace<'_>> = data
                .runs
                .iter()
                .map(|run| trace(run, metric))
                .filter(|trace| !trace.points.is_empty())
                .collect();
            let sheet = Sheet {
                id: format!("training-{}", metric.field.replace('_', "-")),
                field: metric.field,
                title: metric.title,
                axis: metric.axis,
                form: metric.form,
                spread: (metric.field == SPREAD_OF).then_some(SPREAD),
            };
            (!found.is_empty()).then(|| traces(&sheet, &found))
        })
        .collect()
}

fn trace<'a>(run: &'a TrainedRun, metric: &Metric) -> Trace<'a> {
    Trace {
        name: &run.label,
        points: run
            .steps
            .iter()
            .filter_map(|step| {
                Some(Measured {
                    step: step.step,
                    value: *step.values.get(metric.field)?,
                    spread: (metric.field == SPREAD_OF)
                        .then(|| step.values.get(SPREAD).copied())
                        .flatten(),
                    collapse: step.collapse,
                })
            })
            .collect(),
    }
}
