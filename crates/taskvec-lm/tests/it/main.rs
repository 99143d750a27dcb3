//! Integration tests of the language model, one binary.

mod training;
mod training_golden;
mod training_gradients;
mod training_invariance;
