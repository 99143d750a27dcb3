//! Engines that are not this process: any server that speaks the OpenAI protocol, and its life where we start it.
//!
//! [`OpenAi`] stands behind [`Generator`](crate::Generator) as the local engine does, so that a benchmark
//! does not know where its answers come from. What the protocol leaves open differs between servers; one that
//! names itself in `/v1/models` (vLLM, SGLang, llama.cpp) is asked in its own dialect, and any other only
//! what every server knows.
//!
//! Guarantees: a request that failed is an error and never an empty answer; every completion is cut before the
//! first stop string, whatever the server did; neither the key nor a password is in any message or record.
//!
//! Not covered: streaming, tools, images; which weights a server holds, which only whoever started it knows.

mod client;
mod endpoint;
mod error;
mod likelihood;
mod openai;
mod patience;
mod process;
mod protocol;
mod server;
mod token_probabilities;

#[cfg(test)]
mod tests;

pub use endpoint::ApiKey;
pub use error::ServerError;
pub use openai::{OpenAi, OpenAiOptions};
pub use process::{ServeError, ServeOptions, Served};
pub use server::ServerKind;
