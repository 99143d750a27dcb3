//! An output of a plan, from its layout to the moment at which it appears.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::card::{CARD, model_card};
use super::config_dtype::with_dtype;
use super::input_hashes::InputHashes;
use super::layout::{Form, Place, ShardLayout, kind, lay_out_file, lay_out_shards, places};
use super::linear::Tally;
use super::ordered::Ordered;
use super::record::{self, ToHash};
use super::write::WriteOptions;
use crate::checkpoint::encode_index;
use crate::error::{Error, Result};
use crate::output::{OutputDirectory, OutputFile, OutputOptions, ShardWriter};
use crate::plan::Plan;
use crate::provenance::{OutputRecord, Provenance};
use crate::safetensors::HeaderError;
use crate::statistics::{
    MeasuredChange, Rounding, RoundingEstimate, SampledBlock, Sampling, Storage,
};
use crate::xxh3::{TensorHasher, Xxh3};

/// Where the rounding of a result is looked at: at one block in 64 of a large model. Blocks of a few thousand elements
/// are read as fast as a whole chunk, and short enough that small tensors are cut as well.
fn rounding_sample(measured: &BTreeMap<&str, MeasuredChange<'_>>) -> Sampling {
    let elements = measured.values().map(|change| change.elements).sum();
    Sampling::of(elements, 8 << 20, 64, 1 << 12, 0)
}

/// An output of which nothing is on disk yet.
pub(super) struct Draft<'a> {
    pub(super) plan: &'a Plan,
    pub(super) destination: &'a Path,
    /// Tensors whose rounding is looked at, by name.
    pub(super) measured: BTreeMap<&'a str, MeasuredChange<'a>>,
    /// Where it is looked at.
    pub(super) sample: Sampling,
    pub(super) provenance: Provenance,
    pub(super) shards: Vec<ShardLayout>,
    /// The forms in which matrices are stored, where they were chosen.
    storage: Option<&'a Storage>,
    /// One file with the record in its header, and no directory.
    is_file: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn of(
        plan: &'a Plan,
        destination: &'a Path,
        options: &WriteOptions<'a>,
    ) -> Result<Self> {
        let provenance = record::provenance(plan);
        let measured: BTreeMap<&str, MeasuredChange<'_>> = plan
            .tensors()
            .keys()
            .filter_map(|name| Some((name.as_str(), MeasuredChange::rounded(plan, name)?)))
            .collect();
        let is_file = destination
            .extension()
            .is_some_and(|extension| extension == "safetensors");
        let shards = if is_file {
            let is_rounded = !measured.is_empty();
            let longest = record::at_its_longest(plan, &provenance, options.hash, is_rounded);
            lay_out_file(plan, options.storage, &longest, 0).map(|shard| vec![shard])
        } else {
            lay_out_shards(plan, options.storage)
        }
        .map_err(invalid_header(destination))?;
        Ok(Self {
            plan,
            destination,
            sample: rounding_sample(&measured),
            measured,
            provenance,
            shards,
            storage: options.storage,
            is_file,
        })
    }

    pub(super) fn file_bytes(&self) -> u64 {
        let shards = self.shards.iter();
        shards.map(|shard| shard.header.file_bytes()).sum()
    }

    pub(super) fn data_bytes(&self) -> u64 {
        let shards = self.shards.iter();
        shards.map(|shard| shard.header.data_bytes()).sum()
    }

    /// Makes the hidden sibling with everything but the weights; `needed` bytes must be free.
    pub(super) fn create(self, needed: u64, options: &WriteOptions<'_>) -> Result<Pending<'a>> {
        let output_options = OutputOptions {
            overwrite: options.overwrite,
            expected_bytes: Some(needed),
            sync: options.sync,
        };
        let mut side_files = SideFiles::default();
        let (output, writers) = if self.is_file
            && let [shard] = self.shards.as_slice()
        {
            let (file, writer) =
                OutputFile::create(self.destination, &shard.header, &output_options)?;
            (Output::File(file), vec![writer])
        } else {
            let directory = OutputDirectory::create(self.destination, &output_options)?;
            side_files = put_side_files(self.plan, &directory)?;
            let writers = self
                .shards
                .iter()
                .map(|shard| directory.create_shard(&shard.file_name, &shard.header))
                .collect::<Result<_>>()?;
            (Output::Directory(directory), writers)
        };
        let outputs = match output {
            Output::File(_) => Vec::new(),
            Output::Directory(_) => self.shards.iter().map(record::shard_record).collect(),
        };
        let names = self.shards.iter().flat_map(|shard| &shard.tensors);
        let hashers: Vec<TensorHasher> = names
            .map(|name| TensorHasher::new(self.plan.tensors()[name].byte_len()))
            .collect();
        Ok(Pending {
            roundings: hashers.iter().map(|_| Mutex::default()).collect(),
            draft: self,
            output,
            writers,
            outputs,
            side_files,
            not_finite: Mutex::default(),
            hashers,
        })
    }
}

fn invalid_header(destination: &Path) -> impl FnOnce(HeaderError) -> Error {
    |source| Error::Header {
        file: destination.to_path_buf(),
        source,
    }
}

enum Output {
    File(OutputFile),
    Directory(OutputDirectory),
}

/// Blocks of one place on their way into its total, and the total.
type PlaceRounding = (Ordered<(Rounding, SampledBlock)>, RoundingEstimate);

/// An output in the making.
pub(super) struct Pending<'a> {
    pub(super) draft: Draft<'a>,
    output: Output,
    pub(super) writers: Vec<ShardWriter>,
    /// Records of the weight files.
    outputs: Vec<OutputRecord>,
    pub(super) side_files: SideFiles,
    not_finite: Mutex<BTreeMap<String, Tally>>,
    /// Of each place, what was found in the blocks that were looked at.
    roundings: Vec<Mutex<PlaceRounding>>,
    /// Of each place, the hash of what is written there.
    hashers: Vec<TensorHasher>,
}

impl Pending<'_> {
    /// Every tensor's place, shard by shard.
    pub(super) fn places(&self) -> Vec<Place<'_>> {
        places(self.draft.plan, &self.draft.shards, self.draft.storage)
    }

    /// Takes a tensor's bytes from `byte_offset` on.
    pub(super) fn write_at(
        &self,
        place: usize,
        (shard, name): (usize, &str),
        form: &Form<'_>,
        byte_offset: u64,
        bytes: &[u8],
    ) -> Result<()> {
        let writer = &self.writers[shard];
        // A single file has no record beside it that could hold its hash.
        if !self.outputs.is_empty() {
            self.hashers[place].take(byte_offset, bytes);
        }
        match form {
            Form::Dense { offset } => writer.write_at(offset + byte_offset, bytes),
            Form::Sparse(sparse) => sparse.write(name, byte_offset, bytes, writer),
        }
    }

    pub(super) fn count(&self, name: &str, tally: Tally) {
        if !tally.is_finite()
            && let Ok(mut not_finite) = self.not_finite.lock()
        {
            not_finite.entry(name.to_owned()).or_default().merge(tally);
        }
    }

    /// Takes block `index` of those that are looked at in the tensor at `place`.
    pub(super) fn look_at(
        &self,
        (place, name): (usize, &str),
        index: u64,
        block: SampledBlock,
        outputs: &[&[u8]],
    ) {
        let Some(measured) = self.draft.measured.get(name) else {
            return;
        };
        let found = measured.rounding(outputs);
        if let Ok(mut rounding) = self.roundings[place].lock() {
            let (ordered, total) = &mut *rounding;
            // In the tensor's order, on which sums depend.
            ordered.push(index, (found, block), |(found, block)| {
                total.rounding.add(&found, block.weight);
                total.sampled += block.elements as u64;
            });
        }
    }

    /// What was found in all tensors, added up in their order.
    pub(super) fn rounding(&self) -> Option<RoundingEstimate> {
        let mut total = RoundingEstimate::default();
        for (place, found) in self.places().iter().zip(&self.roundings) {
            if let (Some(measured), Ok(found)) = (self.draft.measured.get(place.name), found.lock())
            {
                let mut found = found.1;
                found.elements = measured.elements;
                total.merge(&found);
            }
        }
        (total.elements > 0).then_some(total)
    }

    /// What is not finite, by tensor.
    pub(super) fn take_not_finite(&mut self) -> BTreeMap<String, Tally> {
        let found = self.not_finite.get_mut();
        std::mem::take(found.unwrap_or_else(PoisonError::into_inner))
    }

    /// Records what is known after everything was read and computed.
    pub(super) fn record(&mut self, rounding: Option<&RoundingEstimate>, hashes: &InputHashes) {
        let draft = &mut self.draft;
        draft.provenance.rounding = rounding.and_then(record::rounding_record);
        hashes.record(draft.plan, &mut draft.provenance);
        let mut hashers = self.hashers.iter();
        for (shard, output) in draft.shards.iter().zip(&mut self.outputs) {
            let of_shard: Vec<_> = hashers.by_ref().take(shard.tensors.len()).collect();
            let names = shard.tensors.iter().map(String::as_str);
            let hashes: Option<BTreeMap<&str, Xxh3>> = names
                .zip(of_shard)
                .map(|(name, hasher)| Some((name, hasher.finish()?)))
                .collect();
            output.xxh3 = hashes.map(|hashes| Xxh3::of_tensors(&hashes));
        }
    }

    pub(super) fn weights_to_hash(&mut self) -> ToHash<'_> {
        ToHash {
            plan: self.draft.plan,
            writers: &self.writers,
            record: &mut self.draft.provenance,
            outputs: &mut self.outputs,
        }
    }

    /// Adds card, index and record. Only the rename is left to do.
    pub(super) fn complete(&mut self, results: &BTreeMap<String, String>) -> Result<()> {
        let draft = &mut self.draft;
        let directory = match &mut self.output {
            Output::File(file) => {
                if let ([shard], [writer]) = (draft.shards.as_slice(), self.writers.as_slice()) {
                    let length = shard.header.bytes().len();
                    let known = lay_out_file(draft.plan, draft.storage, &draft.provenance, length)
                        .map_err(invalid_header(draft.destination))?;
                    writer.replace_header(&shard.header, &known.header)?;
                }
                self.writers.clear();
                return file.complete();
            }
            Output::Directory(directory) => directory,
        };
        self.writers.clear();
        let mut outputs = std::mem::take(&mut self.outputs);
        outputs.append(&mut self.side_files.records);
        let results = results.get(&draft.provenance.expression);
        let card = model_card(&draft.provenance, results.map_or("", String::as_str));
        // Not recorded: a card is there to be edited, and the weights are what they are whatever it says.
        directory.put_file(CARD, card.as_bytes())?;
        if let [_, _, ..] = draft.shards.as_slice() {
            let lists = draft
                .shards
                .iter()
                .map(|shard| (shard.file_name.as_str(), shard.stored.as_slice()));
            let name = format!("{}.safetensors.index.json", kind(draft.plan).name());
            let index = encode_index(lists, draft.data_bytes());
            outputs.push(record::file_record(&name, &index));
            directory.set_index(&name, index);
        }
        outputs.sort_by(|one, two| one.name.cmp(&two.name));
        draft.provenance.outputs = outputs;
        directory.set_provenance(&draft.provenance);
        directory.complete()
    }

    /// Makes the output appear.
    pub(super) fn commit(self) -> Result<PathBuf> {
        match self.output {
            Output::File(file) => file.commit(),
            Output::Directory(directory) => directory.commit(),
        }
    }
}

/// What was put beside the weights.
#[derive(Default)]
pub(super) struct SideFiles {
    records: Vec<OutputRecord>,
    pub(super) config_dtype_changed: bool,
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
