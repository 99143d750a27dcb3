//! In what two answers to one question may differ.

use super::{Record, Request};
use crate::generator::Prompt;

/// What determines an answer, by name.
pub(crate) type Aspect = (&'static str, fn(&Record) -> String);

/// All of them.
pub(crate) const ASPECTS: [Aspect; 6] = [
    ("model", |record| record.model.clone()),
    ("expression", |record| record.expression.clone()),
    ("weights", |record| record.fingerprint.clone()),
    ("engine", |record| record.engine.clone()),
    ("prompt form", |record| match record.prompt {
        Prompt::Text(_) => "base".to_owned(),
        Prompt::Chat(_) => "chat".to_owned(),
    }),
    ("sampling", |record| match &record.request {
        Request::Generate { sampling, .. } if sampling.temperature == 0.0 => "greedy".to_owned(),
        Request::Generate { sampling, .. } => format!(
            "temperature {}, top_p {}, top_k {}",
            sampling.temperature,
            sampling.top_p,
            sampling
                .top_k
                .map_or_else(|| "all".to_owned(), |k| k.to_string())
        ),
        Request::Likelihood { .. } => "likelihoods".to_owned(),
    }),
];

/// What is not the same of two answers of one model to one question.
pub(crate) fn differing(one: &Record, other: &Record) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = ASPECTS
        .into_iter()
        .filter(|(_, of)| of(one) != of(other))
        .map(|(what, _)| what)
        .collect();
    if one.prompt != other.prompt && !names.contains(&"prompt form") {
        names.push("prompt");
    }
    if (&one.document_sha256, &one.reference) != (&other.document_sha256, &other.reference) {
        names.push("question");
    }
    names
}
