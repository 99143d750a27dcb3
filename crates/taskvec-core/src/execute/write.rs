//! Plans to files.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use super::computation::{Computation, Root};
use super::config_dtype::with_dtype;
use super::float::FloatFormat;
use super::layout::{Form, Place, ShardLayout, kind, lay_out_file, lay_out_shards, places};
use super::linear::Tally;
use super::ordered::Ordered;
use super::record;
use super::run::{Chunk, Consumer, Job, Part, Progress, RunOptions, Survey, Surveyed, run};
use super::sparse::CHUNK_ELEMENTS;
use crate::checkpoint::encode_index;
use crate::error::{Error, Result};
use crate::output::{OutputDirectory, OutputFile, OutputOptions, ShardWriter};
use crate::plan::{Plan, PlannedTensor, Production, TensorFormula};
use crate::provenance::{OutputRecord, Provenance};
use crate::safetensors::HeaderError;
use crate::statistics::{
    LineageOptions, MeasuredChange, Rounding, RoundingEstimate, SampledBlock, Sampling, Storage,
    lineage,
};

/// Where the rounding of a result is looked at: at one block in 64 of a large model. Blocks of a few thousand elements
/// are read as fast as a whole chunk, and short enough that small tensors are cut as well.
fn rounding_sample(measured: &BTreeMap<&str, MeasuredChange<'_>>) -> Sampling {
    let elements = measured.values().map(|change| change.elements).sum();
    Sampling::of(elements, 8 << 20, 64, 1 << 12, 0)
}

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
    /// Record the SHA-256 of every weight file, inputs and outputs, which reads each once more.
    pub hash: bool,
    /// Store each matrix in the form, dense or sparse, in which [`smallest_storage`](crate::statistics::smallest_storage)
    /// of this expression found it smallest.
    pub storage: Option<&'a Storage>,
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
            cancelled: None,
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
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
/// where that was given.
///
/// The output appears whole or not at all.
///
/// # Errors
///
/// [`Error::Strangers`] when models take part that do not descend from one initialisation, unless
/// [`PlanOptions::allow_strangers`](crate::plan::PlanOptions) is set. When the destination is taken, the disk is full or refuses, an input cannot be read or has changed since the plan
/// was built, or the write was cancelled.
pub fn write(
    plan: &Plan,
    destination: &Path,
    options: &WriteOptions<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<WriteReport> {
    if !plan.allows_strangers() {
        let lineage_options = LineageOptions {
            threads: options.threads,
            cancelled: options.cancelled,
        };
        lineage(plan, &lineage_options)?.refuse_strangers()?;
    }
    let mut provenance = record::provenance(plan);
    let measured = measured_changes(plan);
    let sample = rounding_sample(&measured);
    let single = destination
        .extension()
        .is_some_and(|extension| extension == "safetensors");
    let shards = if single {
        let longest = record::at_its_longest(&provenance, options.hash, !measured.is_empty());
        lay_out_file(plan, options.storage, &longest, 0).map(|shard| vec![shard])
    } else {
        lay_out_shards(plan, options.storage)
    }
    .map_err(invalid_header(destination))?;
    let sparse_tensors = options.storage.map_or(0, Storage::sparse_tensors);
    let dense_bytes = plan.tensors().values().map(PlannedTensor::byte_len).sum();
    let data_bytes = shards.iter().map(|shard| shard.header.data_bytes()).sum();
    let output_options = OutputOptions {
        overwrite: options.overwrite,
        expected_bytes: Some(shards.iter().map(|shard| shard.header.file_bytes()).sum()),
        sync: options.sync,
    };

    let mut side_files = SideFiles::default();
    let (output, writers) = if single && let [shard] = shards.as_slice() {
        let (file, writer) = OutputFile::create(destination, &shard.header, &output_options)?;
        (Output::File(file), vec![writer])
    } else {
        let directory = OutputDirectory::create(destination, &output_options)?;
        side_files = put_side_files(plan, &directory)?;
        let writers = shards
            .iter()
            .map(|shard| directory.create_shard(&shard.file_name, &shard.header))
            .collect::<Result<_>>()?;
        (Output::Directory(directory), writers)
    };

    let places = places(plan, &shards, options.storage);
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
        measured: &measured,
        roundings: places.iter().map(|_| Mutex::default()).collect(),
    };
    let run_options = RunOptions {
        threads: options.threads,
        chunk: match options.chunk_bytes {
            _ if sparse_tensors > 0 => Chunk::Elements(CHUNK_ELEMENTS),
            None => Chunk::Automatic,
            Some(bytes) => Chunk::Bytes(bytes),
        },
        cancelled: options.cancelled,
        progress,
        bytes_total: dense_bytes,
    };
    run(
        &lanes,
        &|index| {
            let name = places[index].name;
            let measured = measured.get(name).map(|change| (change, sample));
            match places[index].form {
                Form::Dense { .. } => job(plan, name, measured),
                // Cut where its elements were counted, a copy too.
                Form::Sparse(_) => compute(plan, name, &plan.tensors()[name].formula(), measured),
            }
        },
        &files,
        &run_options,
    )?;
    plan.inputs()
        .try_for_each(|(_, checkpoint)| checkpoint.verify_unchanged())?;

    let rounding = files.rounding();
    provenance.rounding = rounding.as_ref().and_then(record::rounding_record);
    let not_finite = files.not_finite.into_inner().unwrap_or_default();
    let mut outputs = match output {
        Output::File(_) => Vec::new(),
        Output::Directory(_) => shards.iter().map(record::shard_record).collect(),
    };
    if options.hash {
        record::hash_weights(
            plan,
            &files.writers,
            &mut provenance,
            &mut outputs,
            options.threads,
            options.cancelled,
        )?;
    }
    outputs.append(&mut side_files.records);
    if let (Output::File(_), [shard], [writer]) =
        (&output, shards.as_slice(), files.writers.as_slice())
    {
        let known = lay_out_file(
            plan,
            options.storage,
            &provenance,
            shard.header.bytes().len(),
        )
        .map_err(invalid_header(destination))?;
        writer.replace_header(&shard.header, &known.header)?;
    }
    drop(files.writers);
    let destination = finish(plan, output, &shards, data_bytes, outputs, provenance)?;
    Ok(WriteReport {
        destination,
        tensors: plan.tensors().len(),
        elements: plan
            .tensors()
            .values()
            .map(PlannedTensor::element_count)
            .sum(),
        data_bytes,
        dense_bytes,
        sparse_tensors,
        not_finite,
        rounding,
        config_dtype_changed: side_files.config_dtype_changed,
    })
}

fn invalid_header(destination: &Path) -> impl FnOnce(HeaderError) -> Error {
    |source| Error::Header {
        file: destination.to_path_buf(),
        source,
    }
}

/// Tensors whose rounding is looked at, by name.
fn measured_changes(plan: &Plan) -> BTreeMap<&str, MeasuredChange<'_>> {
    plan.tensors()
        .keys()
        .filter_map(|name| Some((name.as_str(), MeasuredChange::rounded(plan, name)?)))
        .collect()
}

/// Adds index and record, and makes the output appear.
fn finish(
    plan: &Plan,
    output: Output,
    shards: &[ShardLayout],
    data_bytes: u64,
    mut outputs: Vec<OutputRecord>,
    mut provenance: Provenance,
) -> Result<PathBuf> {
    let mut directory = match output {
        Output::File(file) => return file.commit(),
        Output::Directory(directory) => directory,
    };
    if let [_, _, ..] = shards {
        let lists = shards
            .iter()
            .map(|shard| (shard.file_name.as_str(), shard.stored.as_slice()));
        let name = format!("{}.safetensors.index.json", kind(plan).name());
        let index = encode_index(lists, data_bytes);
        outputs.push(record::file_record(&name, &index));
        directory.set_index(&name, index);
    }
    outputs.sort_by(|one, two| one.name.cmp(&two.name));
    provenance.outputs = outputs;
    directory.set_provenance(&provenance);
    directory.commit()
}

enum Output {
    File(OutputFile),
    Directory(OutputDirectory),
}

/// Blocks of one place on their way into its total, and the total.
type PlaceRounding = (Ordered<(Rounding, SampledBlock)>, RoundingEstimate);

/// The consumer that writes.
struct Files<'a> {
    writers: Vec<ShardWriter>,
    places: &'a [Place<'a>],
    not_finite: Mutex<BTreeMap<String, Tally>>,
    measured: &'a BTreeMap<&'a str, MeasuredChange<'a>>,
    /// Of each place, what was found in the blocks that were looked at.
    roundings: Vec<Mutex<PlaceRounding>>,
}

impl Files<'_> {
    /// What was found in all tensors, added up in their order.
    fn rounding(&self) -> Option<RoundingEstimate> {
        let mut total = RoundingEstimate::default();
        for (place, found) in self.places.iter().zip(&self.roundings) {
            if let (Some(measured), Ok(found)) = (self.measured.get(place.name), found.lock()) {
                let mut found = found.1;
                found.elements = measured.elements;
                total.merge(&found);
            }
        }
        (total.elements > 0).then_some(total)
    }
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
        let writer = &self.writers[place.shard];
        part.outputs.iter().try_for_each(|bytes| match &place.form {
            Form::Dense { offset } => writer.write_at(offset + part.byte_offset, bytes),
            Form::Sparse(sparse) => sparse.write(place.name, part.byte_offset, bytes, writer),
        })
    }

    fn survey(&self, tensor: usize, surveyed: Surveyed, outputs: &[&[u8]]) -> Result<()> {
        let Some(measured) = self.measured.get(self.places[tensor].name) else {
            return Ok(());
        };
        let found = measured.rounding(outputs);
        if let Ok(mut rounding) = self.roundings[tensor].lock() {
            let (ordered, total) = &mut *rounding;
            // In the tensor's order, on which sums depend.
            ordered.push(surveyed.index, (found, surveyed.block), |(found, block)| {
                total.rounding.add(&found, block.weight);
                total.sampled += block.elements as u64;
            });
        }
        Ok(())
    }
}

/// The work that makes one tensor of the result, and looks at what rounding does to its change on the way.
pub(super) fn job(
    plan: &Plan,
    name: &str,
    measured: Option<(&MeasuredChange<'_>, Sampling)>,
) -> Job {
    let tensor = &plan.tensors()[name];
    match &tensor.production {
        Production::Copy { input } => Job::Copy {
            checkpoint: plan.input(*input).checkpoint.clone(),
            name: name.to_owned(),
            bytes: tensor.byte_len(),
            format: FloatFormat::of(tensor.dtype),
        },
        Production::Compute(formula) => compute(plan, name, formula, measured),
    }
}

/// The work that computes a tensor by a formula.
fn compute(
    plan: &Plan,
    name: &str,
    formula: &TensorFormula,
    measured: Option<(&MeasuredChange<'_>, Sampling)>,
) -> Job {
    let tensor = &plan.tensors()[name];
    // Only floats are computed, see the plan's rules.
    let format = FloatFormat::of(tensor.dtype).unwrap_or(FloatFormat::F32);
    let root = Root {
        terms: &formula.terms,
        format,
    };
    let elements = tensor.element_count();
    Job::Compute {
        computation: Computation::new(plan, name, elements, formula, &[root]),
        survey: measured.map(|(measured, sample)| Survey {
            computation: measured.computation(plan),
            blocks: sample.blocks(name, elements),
        }),
    }
}

/// What was put beside the weights.
#[derive(Default)]
struct SideFiles {
    records: Vec<OutputRecord>,
    config_dtype_changed: bool,
}

/// Copies what lies beside the template's weights.
fn put_side_files(plan: &Plan, directory: &OutputDirectory) -> Result<SideFiles> {
    let mut put = SideFiles::default();
    let Some(template) = plan.template() else {
        return Ok(put);
    };
    for file in template.side_files()? {
        let mut bytes = file.read()?;
        if let Some(dtype) = plan.output_dtype()
            && file.name() == "config.json"
            && let Some(patched) = with_dtype(&bytes, dtype)
        {
            bytes = patched;
            put.config_dtype_changed = true;
        }
        directory.put_file(file.name(), &bytes)?;
        put.records.push(record::file_record(file.name(), &bytes));
    }
    Ok(put)
}
