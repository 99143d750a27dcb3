//! The language model: tokenizer, chat template, decoder, generation, training and the micro world.

#[allow(missing_docs)]
pub mod decoder;
mod error;
pub mod micro;
pub mod tokenizer;
pub mod train;

pub use error::{Error, Result};
