//! Measuring models: benchmarks as typed Rust, answer extraction, perturbations, records, statistics and
//! reports.
//!
//! Not covered here: tensors and tokens. A language model is whatever implements [`Generator`].

pub mod condition;
pub mod generator;
pub mod micro;
pub mod random;

pub use condition::Condition;
pub use generator::Generator;
