//! Flags about what runs a model.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::number;

/// What runs the model, and how a server is asked.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Engine")]
pub(crate) struct EngineArgs {
    /// What runs the model: this process, or a server that speaks the OpenAI protocol [default: openai with --base-url or
    /// --serve, else local]
    #[arg(long, value_name = "NAME")]
    pub(crate) engine: Option<Engine>,
    /// Address of the server, such as http://localhost:8000/v1; EXPR is then only a label for what it runs
    #[arg(long, value_name = "URL", conflicts_with = "serve")]
    pub(crate) base_url: Option<String>,
    /// What the server calls the model [default: the only one it serves]
    #[arg(long, value_name = "NAME", requires = "base_url")]
    pub(crate) model: Option<String>,
    /// Write EXPR, start this server on it, and end it afterwards: 'vllm serve {model} --port {port}'
    #[arg(long, value_name = "COMMAND")]
    pub(crate) serve: Option<String>,
    /// Write EXPR for the server into a directory made here, and removed afterwards [default: where the system keeps
    /// temporary files]
    #[arg(long, value_name = "DIR", requires = "serve")]
    pub(crate) serve_dir: Option<PathBuf>,
    /// Seconds until a started server must answer
    #[arg(long, value_name = "N", default_value = "1800", value_parser = number::seconds, requires = "serve")]
    pub(crate) serve_timeout: NonZeroU64,
    /// Requests to the server under way at once
    #[arg(long, value_name = "N", default_value = "16", value_parser = number::requests)]
    pub(crate) concurrency: NonZeroUsize,
    /// Seconds that one request may take
    #[arg(long, value_name = "N", default_value = "600", value_parser = number::seconds)]
    pub(crate) request_timeout: NonZeroU64,
    /// Environment variable that holds the server's key; it is neither printed nor recorded
    #[arg(long, value_name = "NAME", default_value = "OPENAI_API_KEY")]
    pub(crate) api_key_env: String,
}

/// What runs a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Local,
    Openai,
}
