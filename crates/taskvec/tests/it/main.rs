//! The command as its users meet it: a command line in; exit code, stdout, stderr and files out.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unforeseen happens"
)]

mod checkpoint;
mod compare;
mod data;
mod engine;
mod examples;
mod harness;
mod inspect;
mod interruption;
mod language;
mod lora;
mod mergekit;
mod references;
mod refusal;
mod results;
mod scales;
mod score;
mod search;
mod study;
mod sweep;
mod training_report;
mod trust;
mod usage;
mod weights;
mod workplace;
