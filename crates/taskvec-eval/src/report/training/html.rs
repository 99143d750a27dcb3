//! The page of training runs as HTML.

use super::data::{TrainedRun, TrainingData};
use super::metric::{self, Metric};
use super::parse::Sample;
use crate::report::Figure;
use crate::report::html::{FigureView, document, figure_view};
use serde::Serialize;

const TEMPLATE: &str = include_str!("training.html");

/// More steps with completions are thinned in the table: who reads wants to see how they change, and the data of the page
/// holds them all.
const SHOWN_STEPS: usize = 40;

/// What the template shows that is not in the data as it stands.
#[derive(Serialize)]
struct View {
    figures: Vec<FigureView>,
    runs: Vec<RunView>,
}

#[derive(Serialize)]
struct RunView {
    cards: Vec<MetricView>,
    rows: Vec<MetricView>,
    /// Indices of the samples that are shown.
    samples: Vec<usize>,
    is_thinned: bool,
    lacks_divergence: bool,
}

#[derive(Serialize)]
struct MetricView {
    summary: usize,
    title: &'static str,
    form: &'static str,
    unit: &'static str,
    has_best: bool,
}

pub(super) fn render(data: &TrainingData, figures: &[Figure]) -> String {
    let view = View {
        figures: figures.iter().map(figure_view).collect(),
        runs: data.runs.iter().map(|run| run_view(data, run)).collect(),
    };
    document(TEMPLATE, "", data, &view, figures)
}

fn run_view(data: &TrainingData, run: &TrainedRun) -> RunView {
    let metrics = metric::of(data.kind);
    let found = |is_wanted: &dyn Fn(&Metric) -> bool| {
        run.summaries
            .iter()
            .enumerate()
            .filter_map(|(summary, found)| {
                let metric = metrics.iter().find(|metric| metric.field == found.metric)?;
                is_wanted(metric).then(|| MetricView {
                    summary,
                    title: metric.title,
                    form: metric.form,
                    unit: match metric.form {
                        "percent" => "%",
                        "tokens" => "tokens",
                        _ => "",
                    },
                    has_best: found.best.is_some(),
                })
            })
            .collect()
    };
    let samples = shown_samples(&run.samples);
    RunView {
        cards: found(&|metric| metric.is_headline),
        rows: found(&|_| true),
        is_thinned: samples.len() < run.samples.len(),
        lacks_divergence: run.lacks_divergence(data.kind),
        samples,
    }
}

/// The samples of steps that are spread over the run, its ends among them.
fn shown_samples(samples: &[Sample]) -> Vec<usize> {
    let mut steps: Vec<u64> = samples.iter().map(|sample| sample.step).collect();
    steps.dedup();
    let shown: Vec<u64> = if steps.len() <= SHOWN_STEPS {
        steps
    } else {
        let last = steps.len() - 1;
        (0..SHOWN_STEPS)
            .map(|index| steps[index * last / (SHOWN_STEPS - 1)])
            .collect()
    };
    let samples = samples.iter().enumerate();
    samples
        .filter(|(_, sample)| shown.binary_search(&sample.step).is_ok())
        .map(|(index, _)| index)
        .collect()
}
