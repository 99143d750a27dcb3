//! Which tensor of a result goes where.

use std::collections::BTreeMap;

use crate::checkpoint::{CheckpointKind, KIND_KEY};
use crate::expression::Kind;
use crate::plan::{Plan, PlannedTensor};
use crate::provenance::{PROVENANCE_FILE, Provenance};
use crate::safetensors::{
    EncodedHeader, HeaderError, TensorSpec, encode_header, encode_header_of, shard_file_name,
};

/// A weight file to be written.
pub(super) struct ShardLayout {
    pub(super) file_name: String,
    pub(super) tensors: Vec<String>,
    pub(super) header: EncodedHeader,
}

/// Where a tensor goes.
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    pub(super) shard: usize,
    /// First byte in the file.
    pub(super) offset: u64,
}

/// Every tensor's place, shard by shard.
pub(super) fn places(shards: &[ShardLayout]) -> Vec<Place<'_>> {
    shards
        .iter()
        .enumerate()
        .flat_map(|(shard, layout)| {
            let offsets = layout.header.offsets();
            layout
                .tensors
                .iter()
                .zip(offsets)
                .map(move |(name, offset)| Place {
                    name,
                    shard,
                    offset: *offset,
                })
        })
        .collect()
}

/// Shards as those of the layout, without tensors that the result does not have.
pub(super) fn lay_out_shards(plan: &Plan) -> Result<Vec<ShardLayout>, HeaderError> {
    let mut lists: Vec<Vec<String>> = Vec::new();
    let order = plan.tensors_in_file_order();
    let mut rest = order.as_slice();
    for shard in plan.layout().shards() {
        let count = shard
            .tensors
            .iter()
            .filter(|name| plan.tensors().contains_key(*name))
            .count();
        let (now, later) = rest.split_at(count);
        lists.push(now.iter().map(|&name| name.to_owned()).collect());
        rest = later;
    }
    // Tensors that the layout does not have follow in the last shard.
    let rest = rest.iter().map(|&name| name.to_owned());
    match lists.last_mut() {
        Some(last) => last.extend(rest),
        None => lists.push(rest.collect()),
    }
    if lists.len() > 1 {
        lists.retain(|list| !list.is_empty());
    }
    let metadata = metadata(plan);
    let count = lists.len();
    lists
        .into_iter()
        .enumerate()
        .map(|(index, tensors)| {
            let header = encode_header(&specs(plan, &tensors), &metadata)?;
            Ok(ShardLayout {
                file_name: shard_file_name(kind(plan).name(), index, count),
                tensors,
                header,
            })
        })
        .collect()
}

/// All in one file, which carries the record in its header: it has no place beside it. The header takes at least
/// `header_bytes`, so that a record that has become known later fits where an earlier one was.
pub(super) fn lay_out_file(
    plan: &Plan,
    record: &Provenance,
    header_bytes: usize,
) -> Result<ShardLayout, HeaderError> {
    let tensors: Vec<String> = plan
        .tensors_in_file_order()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let mut metadata = metadata(plan);
    let text = String::from_utf8_lossy(&record.to_json()).into_owned();
    metadata.insert(PROVENANCE_FILE.to_owned(), text);
    let header = encode_header_of(&specs(plan, &tensors), &metadata, header_bytes)?;
    Ok(ShardLayout {
        file_name: shard_file_name(kind(plan).name(), 0, 1),
        tensors,
        header,
    })
}

fn metadata(plan: &Plan) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    if plan.kind() == Kind::Model {
        metadata.extend(plan.layout().metadata().clone());
        metadata.remove(KIND_KEY);
    } else {
        metadata.insert(KIND_KEY.to_owned(), kind(plan).name().to_owned());
    }
    // The template's own record is not that of the result.
    metadata.remove(PROVENANCE_FILE);
    metadata
}

fn specs<'a>(plan: &'a Plan, tensors: &'a [String]) -> Vec<TensorSpec<'a>> {
    tensors
        .iter()
        .map(|name| {
            let PlannedTensor { dtype, shape, .. } = &plan.tensors()[name];
            TensorSpec {
                name,
                dtype: *dtype,
                shape,
            }
        })
        .collect()
}

pub(super) fn kind(plan: &Plan) -> CheckpointKind {
    if plan.kind() == Kind::Model {
        CheckpointKind::Model
    } else {
        CheckpointKind::Vector
    }
}
