//! The micro world: the paper's experiment in miniature, trained by this crate's own code.
//!
//! Four checkpoints of Qwen2's architecture with 0.8 million parameters each ship with the crate:
//! `micro:base`, the donors `micro:sft` and `micro:grpo`, and `micro:target`, a chat model made of
//! the same base with other data. [`train`] makes them again from nothing.

mod architecture;
mod curriculum;
mod embedded;
mod train;

pub use architecture::{MAX_POSITIONS, config};
pub use curriculum::{CHAT_TEMPLATE, Curriculum, END_OF_TEXT, END_OF_TURN, tokenizer};
pub use embedded::embedded;
pub use train::{Lengths, Measured, MicroObserver, train};

use std::path::Path;

use burn::tensor::Device;
use taskvec_core::expression::Expression;
use taskvec_core::{Bindings, Library, Plan, PlanOptions, Reference};

use crate::Result;
use crate::model::Model;

/// The checkpoints, in the order they are made.
pub const NAMES: [&str; 4] = ["base", "sft", "grpo", "target"];

/// Loads the model in a directory.
fn load(directory: &Path, device: &Device) -> Result<Model> {
    let expression: Expression = "model".parse().map_err(taskvec_core::Error::from)?;
    let bindings = Bindings::default().with("model", Reference::Path(directory.to_owned()));
    let plan = Plan::build(
        &expression,
        &bindings,
        &Library::new(),
        &PlanOptions::default(),
    )?;
    Model::load(&plan, device)
}
