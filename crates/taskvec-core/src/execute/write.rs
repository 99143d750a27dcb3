//! Plans to files.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use super::computation::{Computation, Root};
use super::config_dtype::with_dtype;
use super::float::FloatFormat;
use super::linear::Tally;
use super::run::{Chunk, Consumer, Job, Part, Progress, RunOptions, run};
use crate::checkpoint::{CheckpointKind, KIND_KEY, encode_index};
use crate::error::{Error, Result};
use crate::expression::Kind;
use crate::output::{OutputDirectory, OutputFile, OutputOptions, ShardWriter};
use crate::plan::{Plan, PlannedTensor, Production};
use crate::provenance::{InputRecord, PROVENANCE_FILE, Provenance};
use crate::safetensors::{EncodedHeader, TensorSpec, encode_header, shard_file_name};

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
            cancelled: None,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteReport {
    /// Where the output appeared.
    pub destination: PathBuf,
    /// Tensors in it.
    pub tensors: usize,
    /// Elements in it.
    pub elements: u64,
    /// Bytes of its tensors.
    pub data_bytes: u64,
    /// What is not finite, by tensor; tensors that are finite are not listed.
    pub not_finite: BTreeMap<String, Tally>,
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
/// where that was given.
///
/// The output appears whole or not at all.
///
/// # Errors
///
/// When the destination is taken, the disk is full or refuses, an input cannot be read or has changed since the plan
/// was built, or the write was cancelled.
pub fn write(
    plan: &Plan,
    destination: &Path,
    options: &WriteOptions<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<WriteReport> {
    let single = destination
        .extension()
        .is_some_and(|extension| extension == "safetensors");
    let shards = lay_out(plan, single).map_err(|source| Error::Header {
        file: destination.to_path_buf(),
        source,
    })?;
    let data_bytes = shards.iter().map(|shard| shard.header.data_bytes()).sum();
    let output_options = OutputOptions {
        overwrite: options.overwrite,
        expected_bytes: Some(shards.iter().map(|shard| shard.header.file_bytes()).sum()),
        sync: options.sync,
    };

    let mut config_dtype_changed = false;
    let (output, writers) = if single && let [shard] = shards.as_slice() {
        let (file, writer) = OutputFile::create(destination, &shard.header, &output_options)?;
        (Output::File(file), vec![writer])
    } else {
        let directory = OutputDirectory::create(destination, &output_options)?;
        config_dtype_changed = put_side_files(plan, &directory)?;
        let writers = shards
            .iter()
            .map(|shard| directory.create_shard(&shard.file_name, &shard.header))
            .collect::<Result<_>>()?;
        (Output::Directory(directory), writers)
    };

    let places: Vec<Place> = shards
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
        .collect();
    // One lane for each shard: their places follow one another.
    let mut lanes = Vec::with_capacity(shards.len());
    let mut end = 0;
    for shard in &shards {
        lanes.push(end..end + shard.tensors.len());
        end += shard.tensors.len();
    }
    let files = Files {
        writers,
        places: &places,
        not_finite: Mutex::new(BTreeMap::new()),
    };
    let run_options = RunOptions {
        threads: options.threads,
        chunk: options.chunk_bytes.map_or(Chunk::Automatic, Chunk::Bytes),
        cancelled: options.cancelled,
        progress,
        bytes_total: data_bytes,
    };
    run(
        &lanes,
        &|index| job(plan, places[index].name),
        &files,
        &run_options,
    )?;
    plan.inputs()
        .try_for_each(|(_, checkpoint)| checkpoint.verify_unchanged())?;

    let not_finite = files.not_finite.into_inner().unwrap_or_default();
    drop(files.writers);
    let destination = match output {
        Output::File(file) => file.commit()?,
        Output::Directory(mut directory) => {
            if let [_, _, ..] = shards.as_slice() {
                let lists = shards
                    .iter()
                    .map(|shard| (shard.file_name.as_str(), shard.tensors.as_slice()));
                let name = format!("{}.safetensors.index.json", stem(plan));
                directory.set_index(&name, encode_index(lists, data_bytes));
            }
            directory.set_provenance(&provenance(plan));
            directory.commit()?
        }
    };
    Ok(WriteReport {
        destination,
        tensors: plan.tensors().len(),
        elements: plan
            .tensors()
            .values()
            .map(PlannedTensor::element_count)
            .sum(),
        data_bytes,
        not_finite,
        config_dtype_changed,
    })
}

enum Output {
    File(OutputFile),
    Directory(OutputDirectory),
}

/// A weight file to be written.
struct ShardLayout {
    file_name: String,
    tensors: Vec<String>,
    header: EncodedHeader,
}

/// Where a tensor goes.
struct Place<'a> {
    name: &'a str,
    shard: usize,
    /// First byte in the file.
    offset: u64,
}

/// The consumer that writes.
struct Files<'a> {
    writers: Vec<ShardWriter>,
    places: &'a [Place<'a>],
    not_finite: Mutex<BTreeMap<String, Tally>>,
}

impl Consumer for Files<'_> {
    fn consume(&self, tensor: usize, part: Part<'_>) -> Result<()> {
        let place = &self.places[tensor];
        if !part.tally.is_finite()
            && let Ok(mut not_finite) = self.not_finite.lock()
        {
            not_finite
                .entry(place.name.to_owned())
                .or_default()
                .merge(part.tally);
        }
        part.outputs.iter().try_for_each(|bytes| {
            self.writers[place.shard].write_at(place.offset + part.byte_offset, bytes)
        })
    }
}

/// The work that makes one tensor of the result.
pub(super) fn job(plan: &Plan, name: &str) -> Job {
    let tensor = &plan.tensors()[name];
    match &tensor.production {
        Production::Copy { input } => Job::Copy {
            checkpoint: plan.input(*input).checkpoint.clone(),
            name: name.to_owned(),
            bytes: tensor.byte_len(),
            format: FloatFormat::of(tensor.dtype),
        },
        Production::Compute(formula) => {
            // Only floats are computed, see the plan's rules.
            let format = FloatFormat::of(tensor.dtype).unwrap_or(FloatFormat::F32);
            let root = Root {
                terms: &formula.terms,
                format,
            };
            Job::Compute(Computation::new(
                plan,
                name,
                tensor.element_count(),
                formula,
                &[root],
            ))
        }
    }
}

fn kind(plan: &Plan) -> CheckpointKind {
    if plan.kind() == Kind::Model {
        CheckpointKind::Model
    } else {
        CheckpointKind::Vector
    }
}

fn stem(plan: &Plan) -> &'static str {
    kind(plan).name()
}

/// Shards as those of the layout, without tensors that the result does not have; all in one when `single`.
fn lay_out(plan: &Plan, single: bool) -> Result<Vec<ShardLayout>, crate::safetensors::HeaderError> {
    let mut lists: Vec<Vec<String>> = Vec::new();
    let order = plan.tensors_in_file_order();
    let mut rest = order.as_slice();
    if !single {
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
    let mut metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    if plan.kind() == Kind::Model {
        metadata.extend(plan.layout().metadata().clone());
        metadata.remove(KIND_KEY);
    } else {
        metadata.insert(KIND_KEY.to_owned(), stem(plan).to_owned());
    }
    metadata.remove(PROVENANCE_FILE);
    if single {
        // A file has no place beside it for the record, so it carries the record in its header.
        let record = String::from_utf8_lossy(&provenance(plan).to_json()).into_owned();
        metadata.insert(PROVENANCE_FILE.to_owned(), record);
    }
    let count = lists.len();
    lists
        .into_iter()
        .enumerate()
        .map(|(index, tensors)| {
            let specs: Vec<TensorSpec<'_>> = tensors
                .iter()
                .map(|name| {
                    let PlannedTensor { dtype, shape, .. } = &plan.tensors()[name];
                    TensorSpec {
                        name,
                        dtype: *dtype,
                        shape,
                    }
                })
                .collect();
            let header = encode_header(&specs, &metadata)?;
            Ok(ShardLayout {
                file_name: shard_file_name(stem(plan), index, count),
                tensors,
                header,
            })
        })
        .collect()
}

/// Copies what lies beside the template's weights. Returns whether the config's dtype was changed.
fn put_side_files(plan: &Plan, directory: &OutputDirectory) -> Result<bool> {
    let mut changed = false;
    let Some(template) = plan.template() else {
        return Ok(changed);
    };
    for file in template.side_files()? {
        let patched = match plan.output_dtype() {
            Some(dtype) if file.name() == "config.json" => with_dtype(&file.read()?, dtype),
            _ => None,
        };
        match patched {
            Some(bytes) => {
                directory.put_file(file.name(), &bytes)?;
                changed = true;
            }
            None => directory.put_side_file(&file)?,
        }
    }
    Ok(changed)
}

fn provenance(plan: &Plan) -> Provenance {
    let mut provenance = Provenance::new(
        kind(plan),
        plan.expression().to_string(),
        plan.output_dtype(),
    );
    provenance.flags = plan.flags();
    provenance.inputs = plan
        .inputs()
        .map(|(name, checkpoint)| InputRecord {
            name: name.to_owned(),
            reference: checkpoint.reference().to_string(),
            revision: None,
            files: checkpoint.file_records(),
        })
        .collect();
    provenance
}
