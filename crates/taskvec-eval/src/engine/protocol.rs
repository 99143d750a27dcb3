//! Requests and answers of `/v1/completions` and `/v1/chat/completions`.
//!
//! Everything that a server would otherwise take from the checkpoint's `generation_config.json` is said outright: vLLM,
//! SGLang and transformers apply its penalties and cut-offs to requests that are silent about them, greedy ones too.

use super::{ServerError, ServerKind};
use crate::generator::{Completion, Finish, GenerateRequest, Prompt, Role, Sampling};
use serde_json::{Map, Value, json};

/// The most stop strings that OpenAI takes. What is left out is still cut here.
const MOST_STOP_STRINGS: usize = 4;

/// Where a completion of `prompt` is asked for.
pub(super) fn path(prompt: &Prompt) -> &'static str {
    match prompt {
        Prompt::Text(_) => "/completions",
        Prompt::Chat(_) => "/chat/completions",
    }
}

/// How to ask for a completion: the body.
pub(super) fn completion_request(
    url: &str,
    kind: ServerKind,
    model: &str,
    request: &GenerateRequest,
) -> Result<Value, ServerError> {
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(model));
    match &request.prompt {
        Prompt::Text(text) => {
            body.insert("prompt".to_owned(), json!(text));
        }
        Prompt::Chat(messages) => {
            body.insert("messages".to_owned(), json!(messages));
            if messages
                .last()
                .is_some_and(|message| message.role == Role::Assistant)
            {
                match kind {
                    ServerKind::Vllm => {
                        body.insert("add_generation_prompt".to_owned(), json!(false));
                        body.insert("continue_final_message".to_owned(), json!(true));
                    }
                    ServerKind::SgLang => {
                        body.insert("continue_final_message".to_owned(), json!(true));
                    }
                    ServerKind::LlamaCpp | ServerKind::Unknown => {
                        return Err(ServerError::OpenTurn {
                            url: url.to_owned(),
                        });
                    }
                }
            }
        }
    }
    body.insert("max_tokens".to_owned(), json!(request.max_new_tokens));
    let stop: Vec<&String> = request
        .stop
        .iter()
        .filter(|stop| !stop.is_empty())
        .collect();
    let sent = match kind {
        ServerKind::Unknown => stop.len().min(MOST_STOP_STRINGS),
        _ => stop.len(),
    };
    if sent > 0 {
        body.insert("stop".to_owned(), json!(stop[..sent]));
    }
    sampling(url, kind, request.sampling, &mut body)?;
    Ok(Value::Object(body))
}

fn sampling(
    url: &str,
    kind: ServerKind,
    sampling: Sampling,
    body: &mut Map<String, Value>,
) -> Result<(), ServerError> {
    let is_greedy = sampling.temperature == 0.0;
    let mut say = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    say("temperature", json!(sampling.temperature));
    say("top_p", json!(if is_greedy { 1.0 } else { sampling.top_p }));
    say("frequency_penalty", json!(0.0));
    if !is_greedy {
        // 31 bits: what every server's integer holds, and never the "any seed" of those that have one.
        say("seed", json!(sampling.seed % (1 << 31)));
    }
    let top_k = sampling.top_k.filter(|_| !is_greedy);
    match kind {
        ServerKind::Unknown => {
            if top_k.is_some() {
                return Err(ServerError::TopK {
                    url: url.to_owned(),
                });
            }
        }
        ServerKind::Vllm | ServerKind::SgLang => {
            say("top_k", top_k.map_or(json!(-1), |k| json!(k)));
            say("min_p", json!(0.0));
            say("repetition_penalty", json!(1.0));
        }
        ServerKind::LlamaCpp => {
            say("top_k", json!(top_k.unwrap_or(0)));
            say("min_p", json!(0.0));
            say("repeat_penalty", json!(1.0));
        }
    }
    Ok(())
}

/// A field that is not what it should be.
pub(super) fn wrong(
    url: &str,
    field: &'static str,
    expected: &'static str,
    got: &Value,
) -> ServerError {
    ServerError::Field {
        url: url.to_owned(),
        field,
        expected,
        got: described(got),
    }
}

/// A value in a few words.
pub(super) fn described(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => {
            let text: String = other.to_string().chars().take(60).collect();
            format!("`{text}`")
        }
    }
}

/// The first and only choice of an answer.
pub(super) fn choice<'body>(url: &str, body: &'body Value) -> Result<&'body Value, ServerError> {
    let choices = &body["choices"];
    choices
        .get(0)
        .ok_or_else(|| wrong(url, "choices", "a list with one choice", choices))
}

/// How many tokens the server says that it generated.
pub(super) fn generated_tokens(url: &str, body: &Value) -> Result<usize, ServerError> {
    let count = &body["usage"]["completion_tokens"];
    count
        .as_u64()
        .and_then(|count| usize::try_from(count).ok())
        .ok_or_else(|| wrong(url, "usage.completion_tokens", "a number of tokens", count))
}

/// Reads the answer to [`completion_request`].
pub(super) fn completion(
    url: &str,
    request: &GenerateRequest,
    body: &Value,
) -> Result<Completion, ServerError> {
    let choice = choice(url, body)?;
    let token_count = generated_tokens(url, body)?;
    let reason = &choice["finish_reason"];
    let text = match &request.prompt {
        Prompt::Text(_) => {
            let text = &choice["text"];
            text.as_str()
                .ok_or_else(|| wrong(url, "choices[0].text", "a text", text))?
        }
        Prompt::Chat(_) => {
            let message = &choice["message"];
            if ["reasoning_content", "reasoning"].iter().any(|field| {
                message[*field]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
            }) {
                return Err(ServerError::Reasoning {
                    url: url.to_owned(),
                });
            }
            match &message["content"] {
                Value::String(text) => text,
                // Some say nothing at all where the model ended its turn at once.
                Value::Null if message.is_object() && reason == "stop" && token_count <= 1 => "",
                other => return Err(wrong(url, "choices[0].message.content", "a text", other)),
            }
        }
    };
    // The server's cut is not relied upon: transformers leaves the stop string in, and others know of four only.
    let cut = request
        .stop
        .iter()
        .filter(|stop| !stop.is_empty())
        .filter_map(|stop| text.find(stop.as_str()))
        .min();
    let finish = match (cut, reason.as_str()) {
        (Some(_), Some(_)) => Finish::Stop,
        (None, Some("length")) => Finish::Length,
        (None, Some("stop" | "eos" | "eos_token" | "stop_sequence")) => ended_by(choice, request),
        _ => {
            return Err(wrong(
                url,
                "choices[0].finish_reason",
                "`stop` or `length`",
                reason,
            ));
        }
    };
    Ok(Completion {
        text: text[..cut.unwrap_or(text.len())].to_owned(),
        token_count,
        mean_log_probability: None,
        finish,
    })
}

/// What `stop` means, where the text shows no stop string: vLLM and SGLang say which, and where nobody does, a request
/// with stop strings is taken to have met one, cut off by the server.
fn ended_by(choice: &Value, request: &GenerateRequest) -> Finish {
    for field in ["stop_reason", "matched_stop"] {
        match choice.get(field) {
            Some(Value::String(_)) => return Finish::Stop,
            Some(Value::Null | Value::Number(_)) => return Finish::EndOfSequence,
            _ => {}
        }
    }
    if request.stop.is_empty() {
        Finish::EndOfSequence
    } else {
        Finish::Stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::Message;

    fn request(prompt: Prompt, stop: &[&str], sampling: Sampling) -> GenerateRequest {
        GenerateRequest {
            prompt,
            max_new_tokens: 8,
            stop: stop.iter().map(|&stop| stop.to_owned()).collect(),
            sampling,
        }
    }

    fn text() -> Prompt {
        Prompt::Text("Q:".to_owned())
    }

    #[test]
    fn every_default_of_a_checkpoint_is_overruled() {
        let greedy = request(
            text(),
            &["\n"],
            Sampling {
                top_p: 0.3,
                top_k: Some(5),
                ..Sampling::greedy()
            },
        );
        let body = completion_request("u", ServerKind::Vllm, "m", &greedy).unwrap();
        assert_eq!(path(&greedy.prompt), "/completions");
        assert_eq!(
            body,
            json!({"model": "m", "prompt": "Q:", "max_tokens": 8, "stop": ["\n"], "temperature": 0.0, "top_p": 1.0,
                "frequency_penalty": 0.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0})
        );
        let drawn = request(
            text(),
            &[],
            Sampling {
                top_p: 0.9,
                ..Sampling::random(0.7, u64::MAX)
            },
        );
        let body = completion_request("u", ServerKind::Unknown, "m", &drawn).unwrap();
        assert_eq!(
            body,
            json!({"model": "m", "prompt": "Q:", "max_tokens": 8, "temperature": 0.7, "top_p": 0.9,
                "frequency_penalty": 0.0, "seed": (1u64 << 31) - 1})
        );
    }

    #[test]
    fn what_an_unknown_server_may_not_know_is_refused() {
        let open = vec![Message::user("2+2?"), Message::assistant("The answer is")];
        let open = request(Prompt::Chat(open), &[], Sampling::greedy());
        for kind in [ServerKind::Unknown, ServerKind::LlamaCpp] {
            let error = completion_request("u", kind, "m", &open).unwrap_err();
            assert!(matches!(error, ServerError::OpenTurn { .. }), "{error}");
        }
        let body = completion_request("u", ServerKind::Vllm, "m", &open).unwrap();
        assert_eq!(path(&open.prompt), "/chat/completions");
        assert_eq!(
            (
                &body["continue_final_message"],
                &body["add_generation_prompt"]
            ),
            (&json!(true), &json!(false))
        );
        let top_k = request(
            text(),
            &[],
            Sampling {
                top_k: Some(5),
                ..Sampling::random(1.0, 0)
            },
        );
        let error = completion_request("u", ServerKind::Unknown, "m", &top_k).unwrap_err();
        assert!(matches!(error, ServerError::TopK { .. }), "{error}");
        let five = request(text(), &["a", "b", "c", "d", "e"], Sampling::greedy());
        let sent = |kind| {
            completion_request("u", kind, "m", &five).unwrap()["stop"]
                .as_array()
                .unwrap()
                .len()
        };
        assert_eq!(
            (sent(ServerKind::Unknown), sent(ServerKind::SgLang)),
            (4, 5)
        );
    }

    fn answer(text: &str, reason: Value, more: Value) -> Value {
        let mut choice = json!({"index": 0, "text": text, "finish_reason": reason});
        for (name, value) in more.as_object().unwrap() {
            choice[name] = value.clone();
        }
        json!({"choices": [choice], "usage": {"completion_tokens": 3}})
    }

    #[test]
    fn how_a_completion_ended() {
        let read = |stop: &[&str], body: &Value| {
            completion("u", &request(text(), stop, Sampling::greedy()), body).unwrap()
        };
        let plain = |reason: &str| answer(" 4\nQ: next", json!(reason), json!({}));
        let cut = read(&["Q:", "\n"], &plain("length"));
        assert_eq!(
            (cut.text.as_str(), cut.finish, cut.token_count),
            (" 4", Finish::Stop, 3)
        );
        assert_eq!(read(&[], &plain("length")).finish, Finish::Length);
        assert_eq!(read(&[], &plain("stop")).finish, Finish::EndOfSequence);
        assert_eq!(read(&["#"], &plain("stop")).finish, Finish::Stop);
        let told = |more: Value| read(&["#"], &answer("x", json!("stop"), more)).finish;
        assert_eq!(told(json!({"stop_reason": null})), Finish::EndOfSequence);
        assert_eq!(told(json!({"stop_reason": "#"})), Finish::Stop);
        assert_eq!(
            told(json!({"matched_stop": 151_645})),
            Finish::EndOfSequence
        );
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let read = |body: &Value| {
            completion("u", &request(text(), &[], Sampling::greedy()), body)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            read(&json!({})),
            "the answer of u has nothing for `choices`, expected a list with one choice"
        );
        assert!(read(&json!({"choices": []})).contains("a list for `choices`"));
        let body = answer("x", json!("content_filter"), json!({}));
        assert!(
            read(&body).contains("`\"content_filter\"` for `choices[0].finish_reason`"),
            "{}",
            read(&body)
        );
        assert!(
            read(&answer("x", Value::Null, json!({})))
                .contains("nothing for `choices[0].finish_reason`")
        );
        assert!(read(&json!({"choices": [{"text": 4, "finish_reason": "stop"}], "usage": {"completion_tokens": 1}}))
            .contains("`4` for `choices[0].text`"));
        assert!(
            read(&json!({"choices": [{"text": "x", "finish_reason": "stop"}]}))
                .contains("usage.completion_tokens")
        );
    }

    #[test]
    fn chat_answers() {
        let chat = request(
            Prompt::Chat(vec![Message::user("hi")]),
            &[],
            Sampling::greedy(),
        );
        let body = |message: Value, reason: &str, tokens: u32| json!({"choices": [{"message": message, "finish_reason": reason}], "usage": {"completion_tokens": tokens}});
        let read = |body: &Value| completion("u", &chat, body);
        assert_eq!(
            read(&body(json!({"content": "yo"}), "stop", 2))
                .unwrap()
                .text,
            "yo"
        );
        assert_eq!(
            read(&body(json!({"role": "assistant"}), "stop", 1))
                .unwrap()
                .text,
            ""
        );
        assert!(read(&body(json!({"content": null}), "length", 8)).is_err());
        assert!(read(&body(json!({"content": null}), "tool_calls", 1)).is_err());
        let reasoning = body(
            json!({"content": "4", "reasoning_content": "2+2"}),
            "stop",
            5,
        );
        assert!(matches!(
            read(&reasoning).unwrap_err(),
            ServerError::Reasoning { .. }
        ));
        assert!(
            read(
                &json!({"choices": [{"finish_reason": "stop"}], "usage": {"completion_tokens": 1}})
            )
            .is_err()
        );
    }
}
