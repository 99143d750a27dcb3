//! Threads, and the units of work they take.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::computation::{Computation, Emitted, Known, Workspace};
use super::job::{Chunk, Consumer, Job, Part, Progress, RunOptions, Survey, Surveyed};
use super::linear::Tally;
use super::ordered::Ordered;
use crate::error::{Error, Result};
use crate::method::Extent;
use crate::xxh3::TensorHasher;

/// Elements of a block that a method observes. Fixed, because sums over a block depend on its borders.
const OBSERVED_ELEMENTS: u64 = 1 << 14;
/// Blocks are observed together up to so many elements: small reads cost more for the call than for the bytes.
const OBSERVED_TOGETHER: u64 = 1 << 16;
/// Elements among which one unit of a survey looks for its blocks.
const SURVEYED_ELEMENTS: u64 = 1 << 20;
/// Largest buffer by default: operands and result of a chunk then fit a second-level cache or nearly so, and a system
/// call moves enough to be cheap.
const BUFFER_BYTES: usize = 256 << 10;
/// Least buffer that is still worth a system call.
const SMALLEST_BUFFER_BYTES: usize = 16 << 10;
/// What all buffers of all threads may take together.
const ALL_BUFFERS_BYTES: usize = 32 << 20;
/// Output between two reports of progress.
const REPORTED_BYTES: u64 = 4 << 20;

/// Makes the jobs that the lanes name and gives their results to `consumer`.
///
/// A lane is a range of jobs that is worked through in order. Threads begin in different lanes and help in the others
/// when theirs is done: a file takes one write at a time, so threads that write to one file wait for one another.
pub(crate) fn run(
    lanes: &[Range<usize>],
    job: &(dyn Fn(usize) -> Job + Sync),
    consumer: &dyn Consumer,
    options: &RunOptions<'_>,
) -> Result<()> {
    let threads = options
        .threads
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get);
    let cursors = lanes
        .iter()
        .map(|lane| {
            Mutex::new(Cursor {
                rest: lane.clone(),
                current: None,
                stage: 0,
                at: 0,
            })
        })
        .collect();
    let run = Run {
        job,
        consumer,
        options,
        threads,
        cursors,
        stopped: AtomicBool::new(false),
        failure: Mutex::new(None),
        done: AtomicU64::new(0),
        whole: Mutex::new(()),
    };
    if threads == 1 {
        run.work(0);
    } else {
        thread::scope(|scope| {
            for index in 0..threads {
                let run = &run;
                // As far apart as they can be.
                let lane = if threads < lanes.len() {
                    index * lanes.len() / threads
                } else {
                    index
                };
                scope.spawn(move || run.work(lane));
            }
        });
    }
    match run
        .failure
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
    {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

struct Run<'a> {
    job: &'a (dyn Fn(usize) -> Job + Sync),
    consumer: &'a dyn Consumer,
    options: &'a RunOptions<'a>,
    threads: usize,
    cursors: Vec<Mutex<Cursor>>,
    stopped: AtomicBool,
    failure: Mutex<Option<Error>>,
    done: AtomicU64,
    /// Held while a method sees a whole tensor.
    whole: Mutex<()>,
}

/// The next unit to hand out in a lane.
struct Cursor {
    /// Jobs that were not begun.
    rest: Range<usize>,
    current: Option<Arc<TensorRun>>,
    stage: usize,
    at: u64,
}

/// A tensor that is being worked on.
struct TensorRun {
    index: usize,
    job: Job,
    /// Of each input that its output is made from; none for one that another tensor's run hashes.
    hashers: Vec<Option<Arc<TensorHasher>>>,
    stages: Vec<(usize, usize)>,
    /// Of each stage, how many elements make a block.
    observed: Vec<u64>,
    /// Elements, or bytes of a copy.
    length: u64,
    /// Of the same unit: how many make a chunk.
    chunk: u64,
    gathered: Mutex<Gathered>,
    progressed: Condvar,
}

/// What the passes over a tensor have found so far.
struct Gathered {
    stage: usize,
    partials: Ordered<Vec<f64>>,
    total: Option<Vec<f64>>,
    known: Known,
}

struct Unit {
    tensor: Arc<TensorRun>,
    /// A stage of the tensor, or the number of stages for its output.
    stage: usize,
    at: u64,
    length: usize,
}

/// What one thread works in.
#[derive(Default)]
struct Buffers {
    workspace: Workspace,
    /// Blocks of a survey are short: in the same buffers they would shrink what the next chunk has to grow, and clear, again.
    surveyed: Workspace,
    copied: Vec<u8>,
}

/// Stops the others when a thread panics, so that none waits for it.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere ends the run anyway; what it left behind is not used.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run<'_> {
    fn work(&self, first_lane: usize) {
        let _guard = StopOnPanic(&self.stopped);
        let mut buffers = Buffers::default();
        let mut lanes = (0..self.cursors.len())
            .map(|offset| &self.cursors[(first_lane + offset) % self.cursors.len()]);
        let mut lane = lanes.next();
        while let Some(cursor) = lane
            && !self.stopped.load(Ordering::Relaxed)
        {
            let outcome = match self.next(cursor) {
                Some(unit) if self.is_cancelled() => {
                    drop(unit);
                    Err(Error::Cancelled)
                }
                Some(unit) => self.perform(&unit, &mut buffers),
                None => {
                    lane = lanes.next();
                    continue;
                }
            };
            if let Err(error) = outcome {
                lock(&self.failure).get_or_insert(error);
                self.stopped.store(true, Ordering::Relaxed);
            }
        }
    }

    fn is_cancelled(&self) -> bool {
        self.options
            .cancelled
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// The next unit of a lane, none when all are handed out.
    fn next(&self, cursor: &Mutex<Cursor>) -> Option<Unit> {
        let mut cursor = lock(cursor);
        loop {
            let tensor = match &cursor.current {
                Some(tensor) => Arc::clone(tensor),
                None => {
                    let tensor = Arc::new(self.begin(cursor.rest.next()?));
                    cursor.current = Some(Arc::clone(&tensor));
                    (cursor.stage, cursor.at) = (0, 0);
                    tensor
                }
            };
            if cursor.at < tensor.length {
                let step = match tensor.observed.get(cursor.stage) {
                    Some(block) => (OBSERVED_TOGETHER / block).max(1) * block,
                    None => tensor.chunk,
                };
                let length = step.min(tensor.length - cursor.at);
                let unit = Unit {
                    tensor,
                    stage: cursor.stage,
                    at: cursor.at,
                    length: length as usize,
                };
                cursor.at += length;
                return Some(unit);
            }
            cursor.at = 0;
            cursor.stage += 1;
            if cursor.stage > tensor.stages.len() {
                cursor.current = None;
            }
        }
    }

    fn begin(&self, index: usize) -> TensorRun {
        let job = (self.job)(index);
        let grain = job.computation().map_or(1, Computation::grain);
        let (stages, steps, length, widest, buffers) = match (&job, job.computation()) {
            (Job::Copy { bytes, .. }, _) => (Vec::new(), 0, *bytes, 1, 1),
            (_, None) => (Vec::new(), 0, 0, 1, 1),
            (_, Some(computation)) => (
                computation.stages(),
                computation.steps(),
                computation.elements(),
                computation.widest(),
                computation.buffers(),
            ),
        };
        let buffer_bytes = match self.options.chunk {
            Chunk::Bytes(bytes) => bytes.get(),
            Chunk::Automatic | Chunk::Elements(_) => (ALL_BUFFERS_BYTES
                / (self.threads * buffers.max(1)))
            .clamp(SMALLEST_BUFFER_BYTES, BUFFER_BYTES),
        };
        let chunk = match (self.options.chunk, &job) {
            (Chunk::Elements(elements), Job::Compute { .. }) => elements.max(1),
            // Few of its elements are computed, so that a unit may be long.
            (_, Job::Survey(_)) => SURVEYED_ELEMENTS,
            // A copy is cut between elements, whatever their size.
            (_, Job::Copy { .. }) => (buffer_bytes as u64).next_multiple_of(8),
            _ => (buffer_bytes as u64 / widest as u64 / grain).max(1) * grain,
        };
        let observed = job.computation().map_or_else(Vec::new, |computation| {
            let stages = stages.iter().map(|stage| computation.observed(*stage));
            stages
                .map(|extent| match extent {
                    Extent::Elements => OBSERVED_ELEMENTS,
                    Extent::Rows => OBSERVED_ELEMENTS.next_multiple_of(computation.row()),
                    Extent::Tensor => length,
                })
                .collect()
        });
        let known = Arc::new(vec![Vec::new(); steps]);
        let gathered = Gathered {
            stage: 0,
            partials: Ordered::default(),
            total: None,
            known,
        };
        let hashers = match (self.options.hashes, &job) {
            (
                Some(hashes),
                Job::Copy {
                    checkpoint, name, ..
                },
            ) => vec![hashes.claim(checkpoint, name)],
            (Some(hashes), Job::Compute { computation, .. }) => computation
                .inputs()
                .map(|checkpoint| hashes.claim(checkpoint, computation.name()))
                .collect(),
            _ => Vec::new(),
        };
        TensorRun {
            index,
            job,
            hashers,
            stages,
            observed,
            length,
            chunk,
            gathered: Mutex::new(gathered),
            progressed: Condvar::new(),
        }
    }

    fn perform(&self, unit: &Unit, buffers: &mut Buffers) -> Result<()> {
        let Buffers {
            workspace,
            surveyed,
            copied,
        } = buffers;
        let tensor = &*unit.tensor;
        match &tensor.job {
            Job::Copy {
                checkpoint,
                name,
                format,
                ..
            } => {
                copied.resize(unit.length, 0);
                checkpoint.read_at(name, unit.at, copied)?;
                tensor.hash([(unit.at, copied.as_slice())]);
                let mut tally = Tally::default();
                if let Some(format) = format {
                    tally.count_stored(*format, copied);
                }
                let part = Part {
                    byte_offset: unit.at,
                    outputs: &[copied],
                    tallies: &[tally],
                };
                self.deliver(tensor.index, part)
            }
            Job::Compute {
                computation,
                surveys,
            } => {
                let Some(known) = self.reach(tensor, unit, computation, workspace)? else {
                    return Ok(());
                };
                let Emitted {
                    outputs,
                    tallies,
                    inputs,
                } = computation.emit(unit.at, unit.length, &known, workspace)?;
                tensor.hash(inputs);
                let byte_offset = unit.at * computation.root_size() as u64;
                let part = Part {
                    byte_offset,
                    outputs: &outputs,
                    tallies: &tallies,
                };
                self.deliver(tensor.index, part)?;
                surveys
                    .iter()
                    .enumerate()
                    .try_for_each(|survey| self.survey(unit, survey, &known, surveyed))
            }
            Job::Survey(survey) => {
                let computation = &survey.computation;
                if let Some(known) = self.reach(tensor, unit, computation, workspace)? {
                    self.survey(unit, (0, survey), &known, surveyed)?;
                    self.advance((unit.length * computation.root_size()) as u64);
                }
                Ok(())
            }
        }
    }

    /// Makes a unit of a pass; for a unit of output returns what the passes found. None when nothing is left to do.
    fn reach(
        &self,
        tensor: &TensorRun,
        unit: &Unit,
        computation: &Computation,
        workspace: &mut Workspace,
    ) -> Result<Option<Known>> {
        // Units are handed out in order, so whatever this one waits for is in the hands of another thread.
        let Some(known) = self.wait_for(tensor, unit.stage) else {
            return Ok(None);
        };
        let Some(&stage) = tensor.stages.get(unit.stage) else {
            return Ok(Some(known));
        };
        // Whole tensors are large: one at a time.
        let is_whole = computation.observed(stage) == Extent::Tensor;
        let alone = is_whole.then(|| lock(&self.whole));
        let block = tensor.observed[unit.stage];
        let place = (unit.at, unit.length);
        let partials = computation.observe(stage, place, block, &known, workspace)?;
        drop((known, alone));
        for (index, partial) in (unit.at / block..).zip(partials) {
            tensor.gather(computation, index, partial);
        }
        Ok(None)
    }

    /// Computes the blocks that begin in a unit: whole ones, so that no result depends on where units end.
    fn survey(
        &self,
        unit: &Unit,
        (number, survey): (usize, &Survey),
        known: &Known,
        workspace: &mut Workspace,
    ) -> Result<()> {
        let first = survey.blocks.partition_point(|block| block.begin < unit.at);
        let end = unit.at + unit.length as u64;
        let blocks = survey.blocks.iter().enumerate().skip(first);
        for (index, block) in blocks.take_while(|(_, block)| block.begin < end) {
            let emitted = survey
                .computation
                .emit(block.begin, block.elements, known, workspace)?;
            let surveyed = Surveyed {
                survey: number,
                index: index as u64,
                block: *block,
            };
            self.consumer
                .survey(unit.tensor.index, surveyed, &emitted.outputs)?;
        }
        Ok(())
    }

    fn deliver(&self, tensor: usize, part: Part<'_>) -> Result<()> {
        let bytes = part.outputs.first().map_or(0, |output| output.len() as u64);
        self.consumer.consume(tensor, part)?;
        self.advance(bytes * self.consumer.copies(tensor));
        Ok(())
    }

    fn advance(&self, bytes: u64) {
        let before = self.done.fetch_add(bytes, Ordering::Relaxed);
        let bytes_done = before + bytes;
        let bytes_total = self.options.bytes_total;
        if before / REPORTED_BYTES != bytes_done / REPORTED_BYTES || bytes_done == bytes_total {
            (self.options.progress)(Progress {
                bytes_done,
                bytes_total,
            });
        }
    }

    /// Waits until the stages before `stage` are complete. None when the run was stopped meanwhile.
    fn wait_for(&self, tensor: &TensorRun, stage: usize) -> Option<Known> {
        let mut gathered = lock(&tensor.gathered);
        while gathered.stage < stage {
            if self.stopped.load(Ordering::Relaxed) {
                return None;
            }
            // The timeout is for the case that the run is stopped and nobody is left to notify.
            gathered = tensor
                .progressed
                .wait_timeout(gathered, Duration::from_millis(50))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Some(Arc::clone(&gathered.known))
    }
}

impl TensorRun {
    /// Takes a unit's bytes of each input, behind the place of the first in the tensor.
    fn hash<'w>(&self, inputs: impl IntoIterator<Item = (u64, &'w [u8])>) {
        for (hasher, (offset, bytes)) in self.hashers.iter().zip(inputs) {
            if let Some(hasher) = hasher {
                hasher.take(offset, bytes);
            }
        }
    }

    /// Accepts what a block returned; the last one completes the stage.
    fn gather(&self, computation: &Computation, block: u64, partial: Vec<f64>) {
        let mut gathered = lock(&self.gathered);
        let Gathered {
            stage,
            partials,
            total,
            known,
        } = &mut *gathered;
        let current = self.stages[*stage];
        let blocks = self.length.div_ceil(self.observed[*stage]);
        let merged = partials.push(block, partial, |partial| match total {
            None => *total = Some(partial),
            Some(total) => computation.merge(current, total, &partial),
        });
        if merged == blocks {
            Arc::make_mut(known)[current.0].push(total.take().unwrap_or_default());
            *partials = Ordered::default();
            *stage += 1;
            self.progressed.notify_all();
        }
    }
}
