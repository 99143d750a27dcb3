//! What can be said about weights by looking at them once.

mod group;
mod inspect;
mod sums;

pub use group::{Group, Module};
pub use inspect::{InspectOptions, Inspection, WeightStatistics, inspect};
pub(crate) use sums::{sum, sum_of_squares};
