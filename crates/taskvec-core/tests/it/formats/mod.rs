//! Checkpoints and outputs as a user of the crate meets them: directories on disk.

mod adapter;
mod checkpoint;
pub(crate) mod fixture;
mod output;
mod refusal;
