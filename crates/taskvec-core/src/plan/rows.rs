//! Embeddings of different lengths: `--rows common`.
//!
//! A vocabulary of 151,665 tokens is stored in 151,936 rows by one model and in 152,064 by another: the rest pads the
//! matrix to a size that suits the hardware. Rows are tokens, in the order of their ids, so the rows that all checkpoints
//! have are the same tokens wherever the tokenizers agree, and can be combined.
//!
//! A model keeps its template's rows: in those beyond the common ones each other model counts as equal to the template,
//! and each vector as zero, so that sums and means leave them as they are. A vector has the common rows only.

use std::collections::{BTreeMap, BTreeSet};

use super::elaboration::Elaboration;
use crate::checkpoint::{Checkpoint, CheckpointKind, Rows};
use crate::expression::Kind;
use crate::safetensors::TensorInfo;
use crate::statistics::{Group, Module};

/// Whether a tensor of two shapes differs in the number of its tokens alone.
pub(super) fn differ_in_rows(tensor: &str, left: &[usize], right: &[usize]) -> bool {
    let is_vocabulary = matches!(Group::of(tensor).module, Module::Embedding | Module::LmHead);
    is_vocabulary
        && !left.is_empty()
        && !right.is_empty()
        && left[0] != right[0]
        && left[1..] == right[1..]
}

/// Gives tensors that differ in rows alone the same number in all inputs; says of each what was done.
pub(super) fn fit(elaboration: &mut Elaboration) -> Vec<String> {
    let inputs = &elaboration.inputs;
    let layout = elaboration.input_of(elaboration.layout());
    let template = elaboration
        .template()
        .map(|view| elaboration.input_of(view));
    let names: BTreeSet<&String> = inputs
        .iter()
        .flat_map(|input| input.checkpoint.tensors().keys())
        .collect();
    let mut notes = Vec::new();
    let mut fitted: Vec<BTreeMap<String, Rows>> = vec![BTreeMap::new(); inputs.len()];
    for name in names {
        let holders: Vec<(usize, &TensorInfo)> = inputs
            .iter()
            .enumerate()
            .filter_map(|(index, input)| Some((index, input.checkpoint.tensors().get(name)?)))
            .collect();
        let first = holders.iter().find(|(index, _)| *index == layout);
        let Some(&(_, reference)) = first.or(holders.first()) else {
            continue;
        };
        let differs = |info: &TensorInfo| info.shape != reference.shape;
        let fits = |info: &TensorInfo| {
            !differs(info) || differ_in_rows(name, &info.shape, &reference.shape)
        };
        if !holders.iter().any(|(_, info)| differs(info))
            || !holders.iter().all(|(_, info)| fits(info))
        {
            continue;
        }
        let rows = |info: &TensorInfo| info.shape[0];
        let common = holders
            .iter()
            .map(|(_, info)| rows(info))
            .min()
            .unwrap_or(0);
        // What the template lacks no model has; vectors alone have it then.
        let owner = template.filter(|template| holders.iter().any(|(index, _)| index == template));
        let wanted = if owner.is_some() {
            rows(reference)
        } else {
            common
        };
        let is_model = |index: usize| inputs[index].checkpoint.kind() == CheckpointKind::Model;
        // Numbers of another type would have to be converted, and might be rounded: that stays a mismatch.
        if wanted > common
            && holders
                .iter()
                .any(|(index, info)| is_model(*index) && info.dtype != reference.dtype)
        {
            continue;
        }
        for (index, _) in &holders {
            if Some(*index) == owner {
                continue;
            }
            let rest = owner
                .filter(|_| is_model(*index))
                .map(|owner| inputs[owner].checkpoint.clone());
            let rows = Rows {
                rows: wanted,
                own: common,
                rest,
            };
            fitted[*index].insert(name.clone(), rows);
        }
        let counts: Vec<String> = holders
            .iter()
            .map(|(index, info)| format!("`{}` has {}", inputs[*index].name, rows(info)))
            .collect();
        let outcome = if elaboration.kind == Kind::Model {
            "those beyond are the template's"
        } else {
            "those beyond are left out"
        };
        notes.push(format!(
            "of `{name}` the {common} rows that all have are combined, {outcome}: {}",
            counts.join(", ")
        ));
    }
    let views: Vec<Option<Checkpoint>> = elaboration
        .inputs
        .iter()
        .zip(fitted)
        .map(|(input, rows)| (!rows.is_empty()).then(|| input.checkpoint.with_rows(rows)))
        .collect();
    for (input, view) in elaboration.inputs.iter_mut().zip(views) {
        if let Some(view) = view {
            input.checkpoint = view;
        }
    }
    notes
}
