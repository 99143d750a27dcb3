//! The provenance record of a write.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::input_hashes::record_lengths;
use super::layout::{ShardLayout, kind};
use crate::checkpoint::Checkpoint;
use crate::content_hash::ContentHash;
use crate::error::{Error, Result};
use crate::output::ShardWriter;
use crate::plan::Plan;
use crate::provenance::{InputRecord, OutputRecord, Provenance, RoundingRecord};
use crate::statistics::RoundingEstimate;

/// What is known before anything is computed.
pub(crate) fn provenance(plan: &Plan) -> Provenance {
    let mut provenance = Provenance::new(
        kind(plan),
        plan.expression().to_string(),
        plan.output_dtype(),
    );
    provenance.flags = plan.flags();
    provenance.aliases = plan.aliases().clone();
    provenance.inputs = plan
        .inputs()
        .map(|(name, checkpoint)| InputRecord::of(name, checkpoint))
        .collect();
    provenance
}

/// The same record with everything that may still come, each at its longest.
pub(super) fn at_its_longest(
    plan: &Plan,
    record: &Provenance,
    hashed: bool,
    rounded: bool,
) -> Provenance {
    let mut longest = record.clone();
    record_lengths(plan, &mut longest);
    if hashed {
        let files = longest.inputs.iter_mut().flat_map(|input| &mut input.files);
        files.for_each(|file| file.sha256 = Some(ContentHash::of(&[])));
    }
    // No double is printed in more characters.
    let share = -f64::MIN_POSITIVE;
    longest.rounding = rounded.then_some(RoundingRecord {
        lost: share,
        survived: share,
        vanished: share,
        sampled: share,
    });
    longest
}

/// The estimate as it is recorded; none when nothing changed or something is not finite.
pub(super) fn rounding_record(estimate: &RoundingEstimate) -> Option<RoundingRecord> {
    let rounding = &estimate.rounding;
    Some(RoundingRecord {
        lost: rounding.lost_share()?,
        survived: rounding.survived_share()?,
        vanished: rounding.vanished_share()?,
        sampled: estimate.sampled_share(),
    })
}

/// A weight file of the output as it is recorded, without a hash of the whole.
pub(super) fn shard_record(shard: &ShardLayout) -> OutputRecord {
    OutputRecord {
        name: shard.file_name.clone(),
        bytes: shard.header.file_bytes(),
        header_sha256: Some(ContentHash::of(shard.header.json())),
        sha256: None,
        xxh3: None,
    }
}

/// Any other file of the output as it is recorded.
pub(crate) fn file_record(name: &str, bytes: &[u8]) -> OutputRecord {
    OutputRecord {
        name: name.to_owned(),
        bytes: bytes.len() as u64,
        header_sha256: None,
        sha256: Some(ContentHash::of(bytes)),
        xxh3: None,
    }
}

/// An output whose weight files, and whose inputs', are to be hashed.
pub(super) struct ToHash<'a> {
    pub(super) plan: &'a Plan,
    pub(super) writers: &'a [ShardWriter],
    pub(super) record: &'a mut Provenance,
    /// In the order of the writers; none for a single file, which cannot hold its own hash.
    pub(super) outputs: &'a mut [OutputRecord],
}

/// Hashes the weight files of all inputs, each once, and of the outputs. Files are hashed side by side; SHA-256 of one
/// file cannot be.
pub(super) fn hash_weights(
    outputs: &mut [ToHash<'_>],
    threads: Option<NonZeroUsize>,
    cancelled: Option<&AtomicBool>,
) -> Result<()> {
    enum File<'a> {
        Input(&'a Checkpoint, usize),
        Output(&'a ShardWriter),
    }
    // Before the records are filled in: which hash goes where.
    let mut files: Vec<File<'_>> = Vec::new();
    let mut places = Vec::new();
    for ToHash {
        plan,
        writers,
        record,
        outputs,
    } in outputs.iter()
    {
        for (input, listed) in record.inputs.iter().enumerate() {
            let checkpoint = plan.input(input);
            for index in 0..listed.files.len() {
                let known = files.iter().position(|file| {
                    matches!(file, File::Input(other, at) if *at == index && other.is(checkpoint))
                });
                places.push(known.unwrap_or(files.len()));
                if known.is_none() {
                    files.push(File::Input(checkpoint, index));
                }
            }
        }
        for writer in writers.iter().take(outputs.len()) {
            places.push(files.len());
            files.push(File::Output(writer));
        }
    }
    let hashes = side_by_side(files.len(), threads, &|index| {
        if cancelled.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(Error::Cancelled);
        }
        match &files[index] {
            File::Input(checkpoint, file) => checkpoint.hash_file(*file, &mut |_| {}),
            File::Output(writer) => writer.content_hash(),
        }
    })?;
    let mut hashes = places.into_iter().map(|place| hashes[place]);
    for output in outputs {
        let files = output.record.inputs.iter_mut();
        for file in files.flat_map(|input| &mut input.files) {
            file.sha256 = hashes.next();
        }
        for (record, _) in output.outputs.iter_mut().zip(output.writers) {
            record.sha256 = hashes.next();
        }
    }
    Ok(())
}

/// Results of `work` on `0..count`, in order, made by several threads. The first failure is returned.
pub(crate) fn side_by_side<T: Send>(
    count: usize,
    threads: Option<NonZeroUsize>,
    work: &(dyn Fn(usize) -> Result<T> + Sync),
) -> Result<Vec<T>> {
    let threads = threads
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get)
        .min(count);
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let done: Vec<Mutex<Option<Result<T>>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let labour = || {
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(place) = done.get(index) else { return };
            let result = work(index);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            if let Ok(mut place) = place.lock() {
                *place = Some(result);
            }
        }
    };
    if threads <= 1 {
        labour();
    } else {
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(labour);
            }
        });
    }
    // Work is handed out in order, so what lacks a result lies behind a failure.
    done.into_iter()
        .filter_map(|place| place.into_inner().ok().flatten())
        .collect()
}
