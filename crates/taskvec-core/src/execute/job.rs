//! What a run is to do, how, and where results go.

use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;

use super::computation::Computation;
use super::float::FloatFormat;
use super::input_hashes::InputHashes;
use super::linear::Tally;
use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::statistics::SampledBlock;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the result that are done.
    pub bytes_done: u64,
    /// Bytes of the whole result.
    pub bytes_total: u64,
}

/// How a run is made.
pub(crate) struct RunOptions<'a> {
    /// Threads; all cores when none is given.
    pub(crate) threads: Option<NonZeroUsize>,
    pub(crate) chunk: Chunk,
    pub(crate) cancelled: Option<&'a AtomicBool>,
    pub(crate) progress: &'a (dyn Fn(Progress) + Sync),
    pub(crate) bytes_total: u64,
    /// Takes the content of the inputs, where somebody wants it hashed.
    pub(crate) hashes: Option<&'a InputHashes>,
}

/// How large a unit of output is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chunk {
    /// Chosen by the run.
    Automatic,
    /// At most so many bytes in each buffer.
    Bytes(NonZeroUsize),
    /// So many elements, for consumers whose results depend on borders.
    Elements(u64),
}

/// What is to be done for one tensor.
pub(crate) enum Job {
    /// Bytes passed on as they are; counted when their format is known.
    Copy {
        checkpoint: Checkpoint,
        name: String,
        bytes: u64,
        format: Option<FloatFormat>,
    },
    Compute {
        computation: Computation,
        /// What is looked at in passing.
        surveys: Vec<Survey>,
    },
    /// Nothing but what is looked at.
    Survey(Survey),
}

/// Values that are computed on some blocks of a tensor only.
pub(crate) struct Survey {
    /// Of the same formula as what it is a survey of, so that passes over the tensor are made once for both.
    pub(crate) computation: Computation,
    /// In the tensor's order.
    pub(crate) blocks: Vec<SampledBlock>,
}

/// Which block of a survey it is.
pub(crate) struct Surveyed {
    /// The survey's number among those of the job.
    pub(crate) survey: usize,
    /// Its number among the survey's blocks.
    pub(crate) index: u64,
    pub(crate) block: SampledBlock,
}

impl Job {
    /// What makes passes over the tensor; none for a copy.
    pub(super) fn computation(&self) -> Option<&Computation> {
        match self {
            Self::Copy { .. } => None,
            Self::Compute { computation, .. } | Self::Survey(Survey { computation, .. }) => {
                Some(computation)
            }
        }
    }
}

/// A piece of a result.
pub(crate) struct Part<'a> {
    /// Where in the tensor it belongs, in bytes of the first output.
    pub(crate) byte_offset: u64,
    /// Stored bytes of each root on the same elements.
    pub(crate) outputs: &'a [&'a [u8]],
    /// What is not finite in each output.
    pub(crate) tallies: &'a [Tally],
}

/// Where results go. Parts come from several threads in any order.
pub(crate) trait Consumer: Sync {
    fn consume(&self, tensor: usize, part: Part<'_>) -> Result<()>;

    /// How often the bytes of the first output count as progress.
    fn copies(&self, _tensor: usize) -> u64 {
        1
    }

    /// Takes the stored bytes of a survey's roots on a block, which comes whole whatever a chunk is.
    fn survey(&self, _tensor: usize, _block: Surveyed, _outputs: &[&[u8]]) -> Result<()> {
        Ok(())
    }
}
