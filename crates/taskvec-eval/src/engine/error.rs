//! What a server can do to a request.

use std::time::Duration;

/// Why a server gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address is none that can be asked.
    #[error("`{url}` is no address of a server: {problem}")]
    Address {
        /// What was given, without a password.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No connection, or one that broke before the answer was whole.
    #[error("no answer from {url}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What the network said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer took longer than one may wait.
    #[error("no answer from {url} within {} s", limit.as_secs_f64())]
    Slow {
        /// What was asked.
        url: String,
        /// The limit on one request.
        limit: Duration,
    },
    /// A status that is no success.
    #[error("{url} answered {status}{}", after_colon(said))]
    Status {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The server's own words, shortened.
        said: String,
    },
    /// The server points elsewhere. Following would take the key there.
    #[error("{url} answered {status}: it has moved to `{location}`")]
    Moved {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Where to.
        location: String,
    },
    /// More bytes than any answer to such a request has.
    #[error("the answer of {url} has more than {limit} bytes")]
    TooLong {
        /// What was asked.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// The body is no JSON.
    #[error("the answer of {url} is no JSON: it begins with `{start}`")]
    NotJson {
        /// What was asked.
        url: String,
        /// The first characters.
        start: String,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// JSON, but not what the protocol promises.
    #[error("the answer of {url} has {got} for `{field}`, expected {expected}")]
    Field {
        /// What was asked.
        url: String,
        /// Path of the field in the answer.
        field: &'static str,
        /// What was to be there.
        expected: &'static str,
        /// What is there.
        got: String,
    },
    /// The server asked for more patience than was allowed.
    #[error("{url} asks to wait {} s, more than the {} s allowed", wait.as_secs(), limit.as_secs())]
    Busy {
        /// What was asked.
        url: String,
        /// How long the server wants us to wait.
        wait: Duration,
        /// How long we may.
        limit: Duration,
    },
    /// Every try failed.
    #[error("gave up after {tries} tries")]
    GaveUp {
        /// How often it was tried.
        tries: u32,
        /// The last failure.
        #[source]
        source: Box<ServerError>,
    },
    /// The server does not serve that model.
    #[error("{url} does not serve `{model}`: it serves {}", listed(known))]
    UnknownModel {
        /// The server.
        url: String,
        /// What was asked for.
        model: String,
        /// What it serves.
        known: Vec<String>,
    },
    /// No model was named and the server serves none or several.
    #[error("no model was named, and {url} serves {}", listed(known))]
    Unnamed {
        /// The server.
        url: String,
        /// What it serves.
        known: Vec<String>,
    },
    /// Prompt log-probabilities were asked for and none came.
    #[error("{url} gives no log-probabilities of prompts{}", after_colon(said))]
    NoPromptProbabilities {
        /// What was asked.
        url: String,
        /// What came instead.
        said: String,
    },
    /// The likelihood of a turn cannot be had through the protocol.
    #[error(
        "the likelihood of a continuation of a chat cannot be asked of {url}: the protocol has no way to put it"
    )]
    ChatLikelihood {
        /// The server.
        url: String,
    },
    /// An assistant's turn left open, which a server of unknown kind would silently close.
    #[error("{url} is not known to continue a turn of the assistant")]
    OpenTurn {
        /// The server.
        url: String,
    },
    /// `top_k`, which a server of unknown kind may silently ignore.
    #[error("{url} is not known to heed `top_k`")]
    TopK {
        /// The server.
        url: String,
    },
    /// The server took the reasoning out of the text that is to be scored.
    #[error("{url} cut the model's reasoning out of its answer")]
    Reasoning {
        /// What was asked.
        url: String,
    },
}

fn after_colon(said: &str) -> String {
    match said {
        "" => String::new(),
        said => format!(": {said}"),
    }
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let mut shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    if names.len() > SHOWN {
        shown.push(format!("{} more", names.len() - SHOWN));
    }
    if shown.is_empty() {
        "none that it lists".to_owned()
    } else {
        shown.join(", ")
    }
}

impl ServerError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Address { .. } => "give it as http://HOST:PORT/v1".to_owned(),
            Self::Unreachable { .. } => "is the server running, and is this its address?".to_owned(),
            Self::Slow { .. } => "raise `--request-timeout`, or lower `--concurrency`".to_owned(),
            Self::Status { status, .. } => match status {
                401 | 403 => {
                    "put the server's key into OPENAI_API_KEY, or name its variable with `--api-key-env`"
                        .to_owned()
                }
                404 => "does the base URL end as the server wants it, mostly in `/v1`, and is the model's name right?"
                    .to_owned(),
                408 | 429 | 500..=599 => "lower `--concurrency`, or look at the server's own log".to_owned(),
                _ => return None,
            },
            Self::Moved { location, .. } => format!("if you trust it, pass the new address: `{location}`"),
            Self::TooLong { .. } | Self::NotJson { .. } | Self::Field { .. } => {
                "is this a server that speaks the OpenAI protocol?".to_owned()
            }
            Self::Busy { .. } => "run again later".to_owned(),
            Self::GaveUp { source, .. } => return source.hint(),
            Self::UnknownModel { .. } => "name one of these with `--model`".to_owned(),
            Self::Unnamed { .. } => "name the model with `--model`".to_owned(),
            Self::NoPromptProbabilities { .. } => {
                "tasks that compare likelihoods need a server that gives them, such as vLLM, SGLang or llama.cpp's for \
                 Python; or `--engine local`"
                    .to_owned()
            }
            Self::ChatLikelihood { .. } => "ask in the base form with `--prompt-form base`, or use `--engine local`".to_owned(),
            Self::OpenTurn { .. } => "vLLM and SGLang do; or use `--engine local`".to_owned(),
            Self::TopK { .. } => "leave `--top-k` out; vLLM, SGLang and llama.cpp have it".to_owned(),
            Self::Reasoning { .. } => "start the server without a reasoning parser".to_owned(),
        };
        Some(hint)
    }
}
