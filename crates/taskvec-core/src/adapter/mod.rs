//! Adapters of the PEFT library, as vectors and from vectors.
//!
//! A LoRA adapter (arXiv 2106.09685) is a change of weights in factors: of each module that it targets it holds `A` with
//! shape `[r, in]` and `B` with shape `[out, r]`, and the module's weight changes by `scale · B·A`. That is a vector, and
//! stands in an expression wherever a vector may. Its tensors are computed from the factors when they are read, a block
//! at a time: [`product`] does that, after [`config`] and [`read`] have found out what there is.
//!
//! A vector becomes an adapter by truncated singular value decompositions, [`factor`], which [`write`] stores as PEFT does.
//!
//! Not covered: adapters that are no sum with the weights (DoRA, activated LoRA, QALoRA) or replace weights, other
//! methods of PEFT, factors of convolutions. All of them are refused by name.

mod config;
mod error;
mod factor;
mod product;
mod read;
mod write;

pub use error::AdapterError;
pub(crate) use factor::{Matrix, Search, factor, is_small, singular_values};
pub(crate) use read::Adapter;
pub(crate) use write::LORA_FLAG;
pub use write::{FactoredModule, LeftOut, LeftOutReason, LoraOptions, LoraReport, write_lora};

/// The file that says what the factors mean.
pub(crate) const CONFIG_FILE: &str = "adapter_config.json";
/// The file of the factors.
pub(crate) const WEIGHTS_FILE: &str = "adapter_model.safetensors";
/// Where PEFT kept the factors before it used safetensors.
pub(crate) const OLD_WEIGHTS_FILE: &str = "adapter_model.bin";
