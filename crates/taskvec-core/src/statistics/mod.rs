//! What can be said about weights by looking at them once.

mod change;
mod group;
mod inspect;
mod lineage;
mod overlap;
mod rounding;
mod sampling;
mod spectrum;
mod storage;
mod sums;
mod weight_statistics;

pub(crate) use change::MeasuredChange;
pub(crate) use group::LayerName;
pub use group::{Group, Module, NetworkPart};
pub use inspect::{Beside, Foreseen, InspectOptions, Inspection, Measured, Subject, inspect};
pub use lineage::{Distance, Kinship, Lineage, LineageOptions, Verdict, lineage};
pub use overlap::{Measurement, Overlap, Undefined};
pub use rounding::{Rounding, RoundingEstimate};
pub(crate) use sampling::{SampledBlock, Sampling};
pub use spectrum::{NoSpectrum, Spectra, Spectrum, SpectrumOptions, spectra};
pub(crate) use storage::BLOCK_ELEMENTS;
pub use storage::{Storage, smallest_storage};
pub(crate) use sums::{sum, sum_of_squares};
pub use weight_statistics::WeightStatistics;
