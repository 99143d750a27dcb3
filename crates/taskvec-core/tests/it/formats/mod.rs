//! Checkpoints and outputs as a user of the crate meets them: directories on disk.

mod adapter;
mod checkpoint;
mod fixture;
mod output;
mod refusal;
