//! Integration tests of the language model, one binary.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unforeseen happens"
)]

mod generation;
mod logits;
mod qwen25;
mod random_model;
mod training;
mod training_golden;
mod training_gradients;
mod training_invariance;
mod transformers;
