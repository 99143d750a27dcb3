//! Log-probabilities of prompts, in the two forms that servers give them.
//!
//! `echo` with `logprobs`, as OpenAI's completions once had it and vLLM, SGLang and llama-cpp-python still have; and
//! vLLM's own `prompt_logprobs`. A continuation is scored by asking for prompt and continuation together and summing
//! from the first token that is not the prompt's own, as the local engine does.

use super::ServerError;
use super::protocol::{choice, generated_tokens, wrong};
use crate::generator::Likelihood;
use serde_json::{Value, json};

/// In which form a server gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `echo` and `logprobs`.
    Echo,
    /// `prompt_logprobs`.
    Prompt,
}

/// One token of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    /// Its text, or its number: whatever tells it from others.
    name: String,
    /// `None` for the first, which nothing comes before.
    log_probability: Option<f64>,
    /// Whether it is the likeliest.
    is_greedy: bool,
}

impl Form {
    /// The body that asks for the tokens of `text`. One token is generated besides, since not every server takes 0.
    pub(super) fn request(self, model: &str, text: &str) -> Value {
        let mut body = json!({"model": model, "prompt": text, "max_tokens": 1, "temperature": 0.0});
        match self {
            Self::Echo => {
                body["echo"] = json!(true);
                body["logprobs"] = json!(1);
            }
            Self::Prompt => body["prompt_logprobs"] = json!(1),
        }
        body
    }

    /// The prompt's tokens in an answer to [`Form::request`].
    pub(super) fn tokens(self, url: &str, body: &Value) -> Result<Vec<Token>, ServerError> {
        let choice = choice(url, body)?;
        match self {
            Self::Echo => echoed(url, choice, generated_tokens(url, body)?),
            Self::Prompt => ranked(url, choice),
        }
    }
}

fn echoed(url: &str, choice: &Value, generated: usize) -> Result<Vec<Token>, ServerError> {
    let given = &choice["logprobs"];
    let list = |field: &'static str, path: &'static str| {
        given[field]
            .as_array()
            .ok_or_else(|| wrong(url, path, "a list", &given[field]))
    };
    let names = list("tokens", "choices[0].logprobs.tokens")?;
    let values = list("token_logprobs", "choices[0].logprobs.token_logprobs")?;
    let best = list("top_logprobs", "choices[0].logprobs.top_logprobs")?;
    if values.len() != names.len() || best.len() != names.len() || names.len() < generated {
        let lengths = json!([names.len(), values.len(), best.len()]).to_string();
        return Err(wrong(
            url,
            "choices[0].logprobs",
            "lists of one length",
            &json!(lengths),
        ));
    }
    (0..names.len() - generated)
        .map(|index| {
            let name = names[index]
                .as_str()
                .ok_or_else(|| wrong(url, "choices[0].logprobs.tokens[]", "a text", &names[index]))?;
            let log_probability = number(url, &values[index], index)?;
            let highest = best[index]
                .as_object()
                .map(|choices| choices.values().filter_map(Value::as_f64).fold(f64::NEG_INFINITY, f64::max));
            Ok(Token {
                name: name.to_owned(),
                log_probability,
                // Some list the likeliest only, some the token's own beside it.
                is_greedy: matches!((log_probability, highest), (Some(own), Some(highest)) if own >= highest),
            })
        })
        .collect()
}

fn ranked(url: &str, choice: &Value) -> Result<Vec<Token>, ServerError> {
    let entries = &choice["prompt_logprobs"];
    let entries = entries
        .as_array()
        .ok_or_else(|| wrong(url, "choices[0].prompt_logprobs", "a list", entries))?;
    entries
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            let Some(candidates) = entry.as_object() else {
                number(url, entry, index)?;
                return Ok(Token {
                    name: String::new(),
                    log_probability: None,
                    is_greedy: false,
                });
            };
            // The token itself, and the likeliest where that is another: the one of the higher rank is the token.
            let own = candidates
                .iter()
                .max_by_key(|(_, value)| value["rank"].as_u64());
            let (name, value) =
                own.ok_or_else(|| wrong(url, "choices[0].prompt_logprobs[]", "a token", entry))?;
            let rank = value["rank"]
                .as_u64()
                .ok_or_else(|| wrong(url, "choices[0].prompt_logprobs[].rank", "a rank", value))?;
            Ok(Token {
                name: name.clone(),
                log_probability: number(url, &value["logprob"], 1)?,
                is_greedy: rank == 1,
            })
        })
        .collect()
}

/// A log-probability; only the first token may lack one.
fn number(url: &str, value: &Value, index: usize) -> Result<Option<f64>, ServerError> {
    match (value.as_f64(), value) {
        (Some(number), _) => Ok(Some(number)),
        (None, Value::Null) if index == 0 => Ok(None),
        _ => Err(wrong(url, "log-probability of a token", "a number", value)),
    }
}

/// The likelihood of what `whole` has beyond `prompt`.
pub(super) fn beyond(
    url: &str,
    prompt: &[Token],
    whole: &[Token],
) -> Result<Likelihood, ServerError> {
    let common = prompt
        .iter()
        .zip(whole)
        .take_while(|(a, b)| a.name == b.name)
        .count();
    let tokens = &whole[common..];
    let mut log_probability = 0.0;
    for token in tokens {
        log_probability += token
            .log_probability
            .ok_or_else(|| wrong(url, "log-probability of a token", "a number", &Value::Null))?;
    }
    Ok(Likelihood {
        log_probability,
        is_greedy: tokens.iter().all(|token| token.is_greedy),
        token_count: tokens.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(tokens: &[&str], values: &[Option<f64>], best: &[f64]) -> Value {
        let top: Vec<Value> = best.iter().map(|best| json!({"x": best})).collect();
        json!({
            "choices": [{"text": tokens.concat(), "finish_reason": "length",
                "logprobs": {"tokens": tokens, "token_logprobs": values, "top_logprobs": top, "text_offset": []}}],
            "usage": {"completion_tokens": 1},
        })
    }

    #[test]
    fn echoed_prompts() {
        let prompt = echo(
            &["Q", ":", " 7"],
            &[None, Some(-1.0), Some(-0.5)],
            &[0.0, -0.5, -0.5],
        );
        let whole = echo(
            &["Q", ":", " 4", "2", "\n"],
            &[None, Some(-1.0), Some(-2.0), Some(-0.25), Some(-0.5)],
            &[0.0, -0.5, -0.5, -0.25, -0.5],
        );
        let read = |body: &Value| Form::Echo.tokens("u", body).unwrap();
        let likelihood = beyond("u", &read(&prompt), &read(&whole)).unwrap();
        assert_eq!(
            likelihood,
            Likelihood {
                log_probability: -2.25,
                is_greedy: false,
                token_count: 2
            }
        );
        // The prompt's last token grew into the continuation.
        let merged = echo(
            &["Q", ":4", "\n"],
            &[None, Some(-3.0), Some(-1.0)],
            &[0.0, -3.0, -1.0],
        );
        let likelihood = beyond("u", &read(&prompt), &read(&merged)).unwrap();
        assert_eq!(
            likelihood,
            Likelihood {
                log_probability: -3.0,
                is_greedy: true,
                token_count: 1
            }
        );
    }

    #[test]
    fn ranked_prompts() {
        let body = |entries: Value| json!({"choices": [{"text": "x", "prompt_logprobs": entries}]});
        let entry = |id: &str, logprob: f64, rank: u32| {
            (id.to_owned(), json!({"logprob": logprob, "rank": rank}))
        };
        let entries = |list: &[Vec<(String, Value)>]| {
            let mut all = vec![Value::Null];
            all.extend(
                list.iter()
                    .map(|entry| Value::Object(entry.iter().cloned().collect())),
            );
            body(Value::Array(all))
        };
        let prompt = entries(&[vec![entry("5", -1.0, 1)]]);
        let whole = entries(&[
            vec![entry("5", -1.0, 1)],
            vec![entry("9", -4.0, 3), entry("2", -0.1, 1)],
            vec![entry("7", -0.2, 1)],
        ]);
        let read = |body: &Value| Form::Prompt.tokens("u", body).unwrap();
        let likelihood = beyond("u", &read(&prompt), &read(&whole)).unwrap();
        assert_eq!(
            likelihood,
            Likelihood {
                log_probability: -4.2,
                is_greedy: false,
                token_count: 2
            }
        );
        assert!(
            Form::Prompt
                .tokens("u", &body(json!([null, null])))
                .is_err()
        );
        assert!(Form::Prompt.tokens("u", &body(json!([null, {}]))).is_err());
        assert!(
            Form::Prompt
                .tokens(
                    "u",
                    &body(json!([null, {"5": {"logprob": "low", "rank": 1}}]))
                )
                .is_err()
        );
    }

    #[test]
    fn lists_that_do_not_fit_are_refused() {
        let mut short = echo(&["Q", ":"], &[None, Some(-1.0)], &[0.0, 0.0]);
        short["choices"][0]["logprobs"]["token_logprobs"] = json!([null]);
        assert!(Form::Echo.tokens("u", &short).is_err());
        let hole = echo(
            &["Q", ":", "x"],
            &[None, None, Some(-1.0)],
            &[0.0, 0.0, 0.0],
        );
        assert!(Form::Echo.tokens("u", &hole).is_err());
        let mut none = echo(&["Q"], &[None], &[0.0]);
        none["choices"][0]["logprobs"] = Value::Null;
        assert!(Form::Echo.tokens("u", &none).is_err());
    }
}
