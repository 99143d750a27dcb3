//! The report for programs.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use taskvec_core::plan::ConfigMeaning;

use super::Report;
use super::tables::{architecture, bytes, copied_and_computed, dtypes, tied};
use crate::commands::JSON_SCHEMA;

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    schema_version: u32,
    taskvec: &'static str,
    expression: String,
    kind: String,
    template: Option<&'a str>,
    inputs: Vec<Input<'a>>,
    /// Null where the checkpoints do not fit together.
    output: Option<Output>,
    mismatches: Vec<String>,
    config_differences: Vec<ConfigDifference<'a>>,
    tokenizers: Vec<Tokenizers<'a>>,
    lineage: Vec<Kin<'a>>,
    /// The share of the weights that distances were estimated from.
    lineage_sampled: Option<f64>,
    warnings: Vec<String>,
    would_write: bool,
}

#[derive(Serialize)]
struct Input<'a> {
    name: &'a str,
    reference: String,
    kind: &'static str,
    architecture: Option<&'a str>,
    dtypes: Vec<&'static str>,
    tensors: usize,
    bytes: u64,
    tied_embeddings: Option<bool>,
}

#[derive(Serialize)]
struct Output {
    tensors: usize,
    copied: usize,
    computed: usize,
    bytes: u64,
    /// Tensors by type.
    dtypes: BTreeMap<&'static str, usize>,
}

#[derive(Serialize)]
struct ConfigDifference<'a> {
    key: &'static str,
    left: &'a str,
    left_value: &'a Value,
    right: &'a str,
    right_value: &'a Value,
    /// `decisive` or `kept`.
    meaning: &'static str,
}

#[derive(Serialize)]
struct Tokenizers<'a> {
    left: &'a str,
    right: &'a str,
    same_file: bool,
    same_vocabulary: bool,
    same_merges: bool,
    shared: usize,
    only_left: usize,
    only_right: usize,
    added_left: Vec<&'a str>,
    added_right: Vec<&'a str>,
}

#[derive(Serialize)]
struct Kin<'a> {
    left: &'a str,
    right: &'a str,
    verdict: &'static str,
    /// `‖left − right‖ / ‖right‖` over all matrices.
    matrices: Option<f64>,
    parts: BTreeMap<&'static str, Option<f64>>,
}

impl<'a> Document<'a> {
    pub(super) fn new(report: &'a Report<'_>) -> Self {
        let check = report.check;
        let template = check.template.and_then(|index| check.inputs.get(index));
        Self {
            schema_version: JSON_SCHEMA,
            taskvec: env!("CARGO_PKG_VERSION"),
            expression: report.expression.to_string(),
            kind: check.kind.to_string(),
            template: template.map(|(name, _)| name.as_str()),
            inputs: check
                .inputs
                .iter()
                .map(|(name, checkpoint)| Input {
                    name,
                    reference: checkpoint.reference().to_string(),
                    kind: checkpoint.kind().name(),
                    architecture: architecture(checkpoint),
                    dtypes: dtypes(checkpoint),
                    tensors: checkpoint.tensors().len(),
                    bytes: bytes(checkpoint),
                    tied_embeddings: tied(checkpoint),
                })
                .collect(),
            output: check.outcome.as_ref().ok().map(|plan| {
                let (copied, computed) = copied_and_computed(plan);
                let mut dtypes = BTreeMap::new();
                for tensor in plan.tensors().values() {
                    *dtypes.entry(tensor.dtype.name()).or_default() += 1;
                }
                Output {
                    tensors: plan.tensors().len(),
                    copied,
                    computed,
                    bytes: plan
                        .tensors()
                        .values()
                        .map(|tensor| tensor.byte_len())
                        .sum(),
                    dtypes,
                }
            }),
            mismatches: check
                .outcome
                .as_ref()
                .err()
                .map(|found| found.mismatches.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            config_differences: check
                .config_differences
                .iter()
                .map(|difference| ConfigDifference {
                    key: difference.key,
                    left: &difference.left.0,
                    left_value: &difference.left.1,
                    right: &difference.right.0,
                    right_value: &difference.right.1,
                    meaning: match difference.meaning {
                        ConfigMeaning::Decisive => "decisive",
                        _ => "kept",
                    },
                })
                .collect(),
            tokenizers: report
                .tokenizers
                .iter()
                .map(|pair| {
                    let found = &pair.comparison;
                    Tokenizers {
                        left: pair.left,
                        right: pair.right,
                        same_file: found.same_bytes,
                        same_vocabulary: found.same_vocabulary(),
                        same_merges: found.same_merges,
                        shared: found.shared,
                        only_left: found.only_left.len(),
                        only_right: found.only_right.len(),
                        added_left: found.added_left.iter().map(String::as_str).collect(),
                        added_right: found.added_right.iter().map(String::as_str).collect(),
                    }
                })
                .collect(),
            lineage: report
                .pairs()
                .iter()
                .map(|pair| Kin {
                    left: &pair.left,
                    right: &pair.right,
                    verdict: pair.verdict().name(),
                    matrices: pair.matrices.relative(),
                    parts: pair
                        .parts
                        .iter()
                        .map(|(part, distance)| (part.name(), distance.relative()))
                        .collect(),
                })
                .collect(),
            lineage_sampled: report.lineage.as_ref().map(|found| found.sampled),
            warnings: report.warnings(),
            would_write: report.refusal().is_none(),
        }
    }
}
