//! Measuring models: benchmarks as typed Rust, answer extraction, perturbations, records, statistics and
//! reports.
//!
//! The way of a number: a [`Task`] gives documents and prompts, a [`Generator`] answers them,
//! [`run::evaluate`] scores the answers and keeps a [`run::Record`] of each, [`statistics`] says how sure
//! one may be, and a [`Report`] is the table. Not covered: tensors and tokens; a language model is whatever
//! implements [`Generator`].

mod asked;
pub mod comparison;
pub mod completions;
pub mod condition;
pub mod division;
pub mod engine;
mod error;
pub mod extraction;
pub mod generator;
pub mod micro;
pub mod random;
pub mod report;
pub mod run;
pub mod sandbox;
pub mod search;
mod split;
pub mod statistics;
pub mod study;
pub mod sweep;
pub mod task;

pub use comparison::Comparison;
pub use condition::Condition;
pub use error::{Error, Result};
pub use generator::Generator;
pub use report::Report;
pub use split::Split;
pub use task::{Registry, Task};
