//! Plans carried out: streamed from checkpoints to wherever the result is wanted, in bounded memory, on all cores.
//!
//! Work is cut into units, a chunk of a tensor each, that threads take in the order of the files. Each thread reads the
//! chunk of every operand into buffers of its own, computes, and hands the bytes on. No result depends on the number of
//! threads or the size of chunks: elements of linear expressions are computed one by one, and whatever methods sum is
//! merged in the order of the tensor.

mod block;
mod card;
mod compile;
mod computation;
mod config_dtype;
mod direct;
mod exact;
mod family;
mod float;
mod input_hashes;
mod job;
mod layout;
mod linear;
mod load;
mod ordered;
mod pending;
mod recompute;
mod record;
mod run;
mod singles;
mod sparse;
mod write;

pub(crate) use block::widen;
pub(crate) use computation::{Computation, Root};
pub(crate) use float::{Decoded, FloatFormat, widen_f16};
pub(crate) use input_hashes::{InputHashes, hash_tensor};
pub use job::Progress;
pub(crate) use job::{Chunk, Consumer, Job, Part, RunOptions};
pub use linear::Tally;
pub(crate) use load::load_computed;
pub(crate) use ordered::Ordered;
pub(crate) use recompute::recompute;
pub use recompute::{Difference, Recomputation};
pub(crate) use record::{file_record, provenance, side_by_side};
pub(crate) use run::run;
pub use write::{WriteOptions, WriteReport, write, write_all};
