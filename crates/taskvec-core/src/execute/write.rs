//! Plans to files.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::family::{Family, lanes_and_tasks};
use super::input_hashes::InputHashes;
use super::job::{Chunk, Progress, RunOptions};
use super::linear::Tally;
use super::pending::{Draft, Pending};
use super::record;
use super::run::run;
use super::sparse::CHUNK_ELEMENTS;
use crate::error::Result;
use crate::plan::{Plan, PlannedTensor};
use crate::statistics::{LineageOptions, RoundingEstimate, Storage, lineage};

/// How a plan is written.
#[derive(Debug, Clone)]
pub struct WriteOptions<'a> {
    /// Threads; all cores when none is given.
    pub threads: Option<NonZeroUsize>,
    /// Largest buffer; chosen for the number of threads when none is given. Results do not depend on it.
    pub chunk_bytes: Option<NonZeroUsize>,
    /// Replace what an earlier run wrote at the destination.
    pub overwrite: bool,
    /// Wait for the disk before the output appears, so that it survives a power failure.
    pub sync: bool,
    /// Record the SHA-256 of every weight file, inputs and outputs, which reads each once more. The content of what is read
    /// and written is recorded as [`Xxh3`](crate::Xxh3) in any case.
    pub hash: bool,
    /// Store each matrix in the form, dense or sparse, in which [`smallest_storage`](crate::statistics::smallest_storage)
    /// of this expression found it smallest.
    pub storage: Option<&'a Storage>,
    /// What the model cards say of results: by expression as printed, the lines of `model-index` in the Hub's metadata.
    pub results: BTreeMap<String, String>,
    /// Stops the write as soon as it becomes true; nothing has appeared then.
    pub cancelled: Option<&'a AtomicBool>,
}

impl Default for WriteOptions<'_> {
    fn default() -> Self {
        Self {
            threads: None,
            chunk_bytes: None,
            overwrite: false,
            sync: true,
            hash: false,
            storage: None,
            results: BTreeMap::new(),
            cancelled: None,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WriteReport {
    /// Where the output appeared.
    pub destination: PathBuf,
    /// Tensors in it.
    pub tensors: usize,
    /// Elements in it.
    pub elements: u64,
    /// Bytes of its tensors as they are stored.
    pub data_bytes: u64,
    /// Bytes they would take if none were sparse.
    pub dense_bytes: u64,
    /// Tensors of which only what is not zero is stored.
    pub sparse_tensors: usize,
    /// What is not finite, by tensor; tensors that are finite are not listed.
    pub not_finite: BTreeMap<String, Tally>,
    /// What rounding did to the change, estimated from a sample that depends on nothing but the plan. None where
    /// nothing is computed that is stored in fewer bits than a single has.
    pub rounding: Option<RoundingEstimate>,
    /// Whether the copied config's dtype field was changed to the output's.
    pub config_dtype_changed: bool,
}

impl WriteReport {
    /// All that is not finite.
    pub fn tally(&self) -> Tally {
        let mut sum = Tally::default();
        self.not_finite.values().for_each(|tally| sum.merge(*tally));
        sum
    }
}

/// Writes the result of a plan.
///
/// A `destination` that ends in `.safetensors` becomes one file, whose header metadata holds the provenance record under
/// the key `taskvec.json`; any other becomes a directory with shards named and
/// filled as the template's are. A model's directory also gets every file that lies beside the template's weights, byte
/// for byte, save that the dtype field of `config.json` follows [`PlanOptions::output_dtype`](crate::plan::PlanOptions)
/// where that was given, and a model card, `README.md`.
///
/// The output appears whole or not at all.
///
/// # Errors
///
/// [`crate::Error::Strangers`] when models take part that do not descend from one initialisation, unless
/// [`PlanOptions::allow_strangers`](crate::plan::PlanOptions) is set. When the destination is taken, the disk is full or refuses, an input cannot be read or has changed since the plan
/// was built, or the write was cancelled.
pub fn write(
    plan: &Plan,
    destination: &Path,
    options: &WriteOptions<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<WriteReport> {
    let mut reports = write_all(&[(plan, destination)], options, progress)?;
    Ok(reports.pop().unwrap_or_default())
}

/// Writes the results of several plans in one pass over their inputs.
///
/// Each output is, byte for byte, what [`write()`] would make of its plan; reports come in the order of the plans. What
/// plans from one [`Plan::build_all`] have in common is read once for all of them, and methods in it work once. A tensor
/// that is an input's own, unchanged, in some outputs and computed in others is read once for each of the two.
///
/// Nothing appears before every output is complete. Then each appears whole, in the order of the plans: where that stops
/// half way, those that have appeared stay.
///
/// # Errors
///
/// As [`write()`], for whichever output it is. Everything that can be refused is refused before anything is computed.
pub fn write_all(
    outputs: &[(&Plan, &Path)],
    options: &WriteOptions<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<WriteReport>> {
    for (plan, _) in outputs {
        if !plan.allows_strangers() {
            let lineage_options = LineageOptions {
                threads: options.threads,
                cancelled: options.cancelled,
            };
            lineage(plan, &lineage_options)?.refuse_strangers()?;
        }
    }
    let drafts = outputs
        .iter()
        .map(|(plan, destination)| Draft::of(plan, destination, options))
        .collect::<Result<Vec<_>>>()?;
    // Outputs side by side take their space from one disk.
    let needed: Vec<u64> = drafts
        .iter()
        .map(|draft| {
            let beside = drafts
                .iter()
                .filter(|other| other.destination.parent() == draft.destination.parent());
            beside.map(Draft::file_bytes).sum()
        })
        .collect();
    let outputs = drafts
        .into_iter()
        .zip(needed)
        .map(|(draft, needed)| draft.create(needed, options))
        .collect::<Result<Vec<_>>>()?;

    let hashes = InputHashes::default();
    compute(&outputs, &hashes, options, progress)?;
    for output in &outputs {
        let mut inputs = output.draft.plan.inputs();
        inputs.try_for_each(|(_, checkpoint)| checkpoint.verify_unchanged())?;
    }
    publish(outputs, &hashes, options)
}

/// Fills the weight files of all outputs.
fn compute(
    outputs: &[Pending<'_>],
    hashes: &InputHashes,
    options: &WriteOptions<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<()> {
    let (lanes, tasks) = lanes_and_tasks(outputs);
    let family = Family { outputs, tasks };
    let is_sparse = options
        .storage
        .is_some_and(|storage| storage.sparse_tensors() > 0);
    let run_options = RunOptions {
        threads: options.threads,
        chunk: match options.chunk_bytes {
            _ if is_sparse => Chunk::Elements(CHUNK_ELEMENTS),
            None => Chunk::Automatic,
            Some(bytes) => Chunk::Bytes(bytes),
        },
        cancelled: options.cancelled,
        progress,
        bytes_total: family.bytes_total(),
        hashes: Some(hashes),
    };
    run(&lanes, &|index| family.job(index), &family, &run_options)
}

/// Records what is known now, and lets the outputs appear.
fn publish(
    mut outputs: Vec<Pending<'_>>,
    hashes: &InputHashes,
    options: &WriteOptions<'_>,
) -> Result<Vec<WriteReport>> {
    let roundings: Vec<Option<RoundingEstimate>> = outputs.iter().map(Pending::rounding).collect();
    for (output, rounding) in outputs.iter_mut().zip(&roundings) {
        output.record(rounding.as_ref(), hashes);
    }
    if options.hash {
        let mut files: Vec<_> = outputs.iter_mut().map(Pending::weights_to_hash).collect();
        record::hash_weights(&mut files, options.threads, options.cancelled)?;
    }
    let mut reports = Vec::with_capacity(outputs.len());
    for (output, rounding) in outputs.iter_mut().zip(roundings) {
        let plan = output.draft.plan;
        reports.push(WriteReport {
            destination: PathBuf::new(),
            tensors: plan.tensors().len(),
            elements: plan
                .tensors()
                .values()
                .map(PlannedTensor::element_count)
                .sum(),
            data_bytes: output.draft.data_bytes(),
            dense_bytes: plan.tensors().values().map(PlannedTensor::byte_len).sum(),
            sparse_tensors: options.storage.map_or(0, Storage::sparse_tensors),
            not_finite: output.take_not_finite(),
            rounding,
            config_dtype_changed: output.side_files.config_dtype_changed,
        });
        output.complete(&options.results)?;
    }
    for (output, report) in outputs.into_iter().zip(&mut reports) {
        report.destination = output.commit()?;
    }
    Ok(reports)
}
