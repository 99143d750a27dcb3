//! The language model: tokenizer, chat template, decoder, generation, training and the micro world.

pub mod chat;
pub mod decoder;
mod error;
pub mod generate;
pub mod micro;
pub mod model;
pub mod tokenizer;
pub mod train;

pub use error::{Error, Result};
