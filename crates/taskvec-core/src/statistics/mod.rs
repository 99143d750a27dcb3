//! What can be said about weights by looking at them once.

mod change;
mod group;
mod inspect;
mod lineage;
mod rounding;
mod sampling;
mod storage;
mod sums;

pub(crate) use change::MeasuredChange;
pub use group::{Group, Module};
pub use inspect::{InspectOptions, Inspection, WeightStatistics, inspect};
pub use lineage::{Distance, Kinship, Lineage, LineageOptions, NetworkPart, Verdict, lineage};
pub use rounding::{Rounding, RoundingEstimate};
pub(crate) use sampling::{SampledBlock, Sampling};
pub(crate) use storage::BLOCK_ELEMENTS;
pub use storage::{Storage, smallest_storage};
pub(crate) use sums::{sum, sum_of_squares};
