//! Which tensor of a result goes where.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::sparse::SparseForm;
use crate::checkpoint::{COVERAGE_KEY, COVERS_PART, CheckpointKind, KIND_KEY, sparse};
use crate::dtype::Dtype;
use crate::expression::Kind;
use crate::plan::{Plan, PlannedTensor};
use crate::provenance::{PROVENANCE_FILE, Provenance};
use crate::safetensors::{
    EncodedHeader, HeaderError, TensorSpec, encode_header, encode_header_of, shard_file_name,
};
use crate::statistics::Storage;

/// A weight file to be written.
pub(super) struct ShardLayout {
    pub(super) file_name: String,
    pub(super) tensors: Vec<String>,
    /// Names in the file, which are others where a tensor is stored in parts.
    pub(super) stored: Vec<String>,
    pub(super) header: EncodedHeader,
}

/// Where a tensor goes.
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    pub(super) shard: usize,
    pub(super) form: Form<'a>,
}

/// How it is stored. Offsets are counted from the start of the file.
#[derive(Clone)]
pub(super) enum Form<'a> {
    Dense { offset: u64 },
    Sparse(SparseForm<'a>),
}

/// Every tensor's place, shard by shard.
pub(super) fn places<'a>(
    plan: &Plan,
    shards: &'a [ShardLayout],
    storage: Option<&'a Storage>,
) -> Vec<Place<'a>> {
    let mut places = Vec::new();
    for (shard, layout) in shards.iter().enumerate() {
        let stored = layout.stored.iter().map(String::as_str);
        let offsets: BTreeMap<&str, u64> = stored
            .zip(layout.header.offsets().iter().copied())
            .collect();
        let offset = |name: &str| offsets.get(name).copied().unwrap_or(0);
        for name in &layout.tensors {
            let planned = &plan.tensors()[name];
            let form = match counts(storage, name) {
                None => Form::Dense {
                    offset: offset(name),
                },
                Some((stem, before)) => {
                    let part = |ending: &str| offset(&format!("{stem}{ending}"));
                    Form::Sparse(SparseForm {
                        shape: planned.shape.iter().map(|&size| size as u64).collect(),
                        size: planned.dtype.bits() as usize / 8,
                        before,
                        shape_at: part(sparse::SHAPE),
                        offsets_at: part(sparse::ROW_OFFSETS),
                        bitmask_at: part(sparse::BITMASK),
                        values_at: part(sparse::COMPRESSED),
                    })
                }
            };
            places.push(Place { name, shard, form });
        }
    }
    places
}

/// Of a tensor that is stored sparse, its name without the ending and its counts.
fn counts<'a>(storage: Option<&'a Storage>, name: &'a str) -> Option<(&'a str, &'a [u64])> {
    let before = storage?.sparse.get(name)?;
    Some((name.strip_suffix(sparse::WEIGHT)?, before))
}

/// Shards as those of the checkpoints, without tensors that the result does not have.
pub(super) fn lay_out_shards(
    plan: &Plan,
    storage: Option<&Storage>,
) -> Result<Vec<ShardLayout>, HeaderError> {
    let files = plan.tensors_by_file();
    let lists: Vec<Vec<String>> = files
        .into_iter()
        .map(|file| file.into_iter().map(str::to_owned).collect())
        .collect();
    let metadata = metadata(plan);
    let count = lists.len();
    lists
        .into_iter()
        .enumerate()
        .map(|(index, tensors)| {
            let stored = stored(plan, &tensors, storage);
            let header = encode_header(&specs(&stored), &metadata)?;
            Ok(ShardLayout {
                file_name: shard_file_name(kind(plan).name(), index, count),
                tensors,
                stored: stored.into_iter().map(|(name, ..)| name).collect(),
                header,
            })
        })
        .collect()
}

/// All in one file, which carries the record in its header: it has no place beside it. The header takes at least
/// `header_bytes`, so that a record that has become known later fits where an earlier one was.
pub(super) fn lay_out_file(
    plan: &Plan,
    storage: Option<&Storage>,
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
    let stored = stored(plan, &tensors, storage);
    let header = encode_header_of(&specs(&stored), &metadata, header_bytes)?;
    Ok(ShardLayout {
        file_name: shard_file_name(kind(plan).name(), 0, 1),
        tensors,
        stored: stored.into_iter().map(|(name, ..)| name).collect(),
        header,
    })
}

fn metadata(plan: &Plan) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    if plan.kind() == Kind::Model {
        metadata.extend(plan.layout().metadata().clone());
        metadata.remove(KIND_KEY);
        metadata.remove(COVERAGE_KEY);
    } else {
        metadata.insert(KIND_KEY.to_owned(), kind(plan).name().to_owned());
        if plan.covers_part() {
            metadata.insert(COVERAGE_KEY.to_owned(), COVERS_PART.to_owned());
        }
    }
    // The template's own record is not that of the result.
    metadata.remove(PROVENANCE_FILE);
    metadata
}

/// Name, type and shape of a tensor in the file.
type Stored = (String, Dtype, Vec<usize>);

/// What the file holds for these tensors of the plan.
fn stored(plan: &Plan, tensors: &[String], storage: Option<&Storage>) -> Vec<Stored> {
    let mut stored = Vec::with_capacity(tensors.len());
    for name in tensors {
        let PlannedTensor { dtype, shape, .. } = &plan.tensors()[name];
        match (counts(storage, name), shape.as_slice()) {
            (Some((stem, before)), &[rows, columns]) => {
                let count = before.last().map_or(0, |count| *count as usize);
                let part = |ending: &str, dtype, shape| (format!("{stem}{ending}"), dtype, shape);
                stored.extend([
                    part(sparse::SHAPE, Dtype::I64, vec![2]),
                    part(sparse::ROW_OFFSETS, Dtype::I64, vec![rows]),
                    part(sparse::COMPRESSED, *dtype, vec![count]),
                    part(sparse::BITMASK, Dtype::U8, vec![rows, columns / 8]),
                ]);
            }
            _ => stored.push((name.clone(), *dtype, shape.clone())),
        }
    }
    if storage.is_some_and(|storage| !storage.sparse.is_empty()) {
        // The widest first, as the `safetensors` library orders them: then each begins at a multiple of its width,
        // which PyTorch asks for.
        stored.sort_by_key(|(_, dtype, _)| Reverse(dtype.bits()));
    }
    stored
}

fn specs(stored: &[Stored]) -> Vec<TensorSpec<'_>> {
    stored
        .iter()
        .map(|(name, dtype, shape)| TensorSpec {
            name,
            dtype: *dtype,
            shape,
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
