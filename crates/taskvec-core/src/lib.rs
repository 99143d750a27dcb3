//! Arithmetic on the weights of language models.
//!
//! The way through this crate: a [`Reference`] opens a [`Checkpoint`] (headers only, all of it validated); an
//! expression over checkpoints becomes a plan, in which every tensor's name, shape and bytes are known before
//! the first is read; the plan is streamed into an output directory in bounded memory.

mod adapter;
pub mod checkpoint;
pub mod coefficient;
pub mod content_hash;
pub mod dtype;
pub mod error;
pub mod execute;
pub mod expression;
pub mod hub;
pub mod mergekit;
pub mod method;
pub mod output;
pub mod partition;
pub mod plan;
pub mod provenance;
pub mod reference;
pub mod safetensors;
mod spelling;
pub mod statistics;
pub mod verification;
mod xxh3;

pub use adapter::{
    AdapterError, FactoredModule, LeftOut, LeftOutReason, LoraOptions, LoraReport, write_lora,
};
pub use checkpoint::{
    Checkpoint, CheckpointKind, EmbeddedDirectory, Library, Shard, SideFile, WeightFormat,
};
pub use coefficient::Coefficient;
pub use content_hash::ContentHash;
pub use dtype::Dtype;
pub use error::{Error, Result};
pub use execute::{Progress, Tally, WriteOptions, WriteReport, write, write_all};
pub use expression::{Expression, Kind};
pub use hub::{Hub, HubError, HubProgress, HubSettings};
pub use output::{OutputDirectory, OutputFile, OutputOptions, ShardWriter};
pub use partition::{TensorGroup, partition};
pub use plan::{Bindings, Plan, PlanOptions, PlannedTensor};
pub use provenance::Provenance;
pub use reference::Reference;
pub use safetensors::TensorInfo;
pub use statistics::{
    InspectOptions, Inspection, Lineage, LineageOptions, RoundingEstimate, WeightStatistics,
    inspect, lineage,
};
pub use verification::{Verification, VerifyOptions, verify};
pub use xxh3::Xxh3;
