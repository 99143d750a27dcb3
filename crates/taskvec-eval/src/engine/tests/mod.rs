//! The engine against servers that misbehave by script.

mod certainty;
mod failures;
mod likelihoods;
#[cfg(unix)]
mod processes;
mod runs;
mod scripted;

use super::{ApiKey, OpenAi, OpenAiOptions};
use crate::generator::{GenerateRequest, Message, Prompt, Sampling};
use scripted::Scripted;
use serde_json::{Value, json};
use std::time::Duration;

const KEY: &str = "sk-very-secret";

fn options() -> OpenAiOptions {
    OpenAiOptions {
        key: ApiKey::new(KEY),
        timeout: Duration::from_secs(10),
        tries: 3,
        longest_wait: Duration::from_secs(5),
        ..OpenAiOptions::default()
    }
}

fn connect(server: &Scripted) -> OpenAi {
    OpenAi::connect(&server.url(), None, options()).unwrap()
}

fn models(owner: &str) -> Value {
    json!({"object": "list", "data": [{"id": "m", "object": "model", "created": 17, "owned_by": owner}]})
}

fn chat(text: &str) -> Value {
    json!({
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    })
}

fn request(text: &str) -> GenerateRequest {
    GenerateRequest {
        prompt: Prompt::Chat(vec![Message::user(text)]),
        max_new_tokens: 8,
        stop: Vec::new(),
        sampling: Sampling::greedy(),
    }
}
