//! Training: supervised fine-tuning and group relative policy optimisation.
//!
//! B = batch, T = positions, N = rows that carry loss, C = hidden size, V = vocabulary.
//!
//! An optimiser step is a set of examples fixed by seed and step number. It is cut into slices fixed by
//! configuration, the slices' gradients are computed on however many threads there are, added in order,
//! clipped, and applied by AdamW. Every loss is divided by what the whole step is averaged over, so cutting
//! changes nothing but the rounding of sums, and threads change nothing at all.
//!
//! Not covered: adapters, mixed precision, several machines. The optimiser works on host memory.

pub mod batch;
pub mod grpo;
pub mod initialization;
pub mod learner;
pub mod loss;
pub mod metrics;
pub mod optimizer;
pub mod parallel;
pub mod parameters;
pub mod resume;
pub mod rows;
pub mod sft;
