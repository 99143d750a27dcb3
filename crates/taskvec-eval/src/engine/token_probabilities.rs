//! How likely a server's own tokens were, where it says so.
//!
//! What is recorded is the mean of ln p under the model's own distribution. Above temperature 0 some servers give that, and
//! others the probability that a token was drawn with; the answer does not say which. So it is asked for only where the
//! two are the same: in greedy answers, for which all give the model's own, and at temperature 1 with nothing cut off.
//! Whether a server gives any is found by asking once, since some refuse a request that has the field, some ignore it, and
//! some fail.

use super::protocol::choice;
use crate::generator::{GenerateRequest, Message, Prompt, Sampling};
use serde_json::{Value, json};

/// What some servers write for the logarithm of 0, which JSON has no number for.
const NONE_AT_ALL: f64 = -9999.0;
/// By how much rounding may take a logarithm above that of 1.
const ROUNDING: f64 = 1e-3;

/// Whether a server's numbers for an answer to `request` would be those of the model's own distribution.
pub(super) fn are_wanted(request: &GenerateRequest) -> bool {
    let sampling = request.sampling;
    let is_plain = sampling.temperature == 1.0 && sampling.top_p == 1.0 && sampling.top_k.is_none();
    request.max_new_tokens > 0 && (sampling.temperature == 0.0 || is_plain)
}

/// A short request in the form of `prompt`, by whose answer one knows whether there are any.
pub(super) fn probe(prompt: &Prompt) -> GenerateRequest {
    let text = "One two three".to_owned();
    GenerateRequest {
        prompt: match prompt {
            Prompt::Text(_) => Prompt::Text(text),
            Prompt::Chat(_) => Prompt::Chat(vec![Message::user(text)]),
        },
        max_new_tokens: 1,
        stop: Vec::new(),
        sampling: Sampling::greedy(),
    }
}

/// Asks for them in the body of a request.
pub(super) fn ask_for(body: &mut Value, prompt: &Prompt) {
    body["logprobs"] = match prompt {
        Prompt::Text(_) => json!(1),
        Prompt::Chat(_) => json!(true),
    };
}

/// Their mean in the answer to `request`, which has `token_count` tokens; `None` where there are none, too few for the
/// tokens, or numbers that are no logarithms of probabilities.
pub(super) fn mean(body: &Value, request: &GenerateRequest, token_count: usize) -> Option<f64> {
    let given = &choice("", body).ok()?["logprobs"];
    // llama.cpp's server has the form of chats for plain text too.
    let values: Option<Vec<f64>> = match (&given["content"], &given["token_logprobs"]) {
        (Value::Array(tokens), _) => tokens
            .iter()
            .map(|token| token["logprob"].as_f64())
            .collect(),
        (_, Value::Array(values)) => values.iter().map(Value::as_f64).collect(),
        _ => None,
    };
    let values = values.filter(|values| !values.is_empty())?;
    // Some leave out what ended the answer: the end of the sequence, or the tokens of a stop string, which are at most as
    // many as its bytes.
    let ending = request
        .stop
        .iter()
        .map(String::len)
        .max()
        .unwrap_or(0)
        .max(1);
    let is_whole = values.len() <= token_count && token_count <= values.len() + ending;
    let are_logarithms = values
        .iter()
        .all(|value| *value > NONE_AT_ALL && *value <= ROUNDING);
    (is_whole && are_logarithms).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(logprobs: Value, stop: &[&str], token_count: usize) -> Option<f64> {
        let request = GenerateRequest {
            stop: stop.iter().map(|&stop| stop.to_owned()).collect(),
            ..probe(&Prompt::Text(String::new()))
        };
        let body = json!({"choices": [{"text": "x", "logprobs": logprobs}]});
        mean(&body, &request, token_count)
    }

    #[test]
    fn both_forms_are_read() {
        let text =
            json!({"tokens": ["a", "b"], "token_logprobs": [-0.5, -1.5], "top_logprobs": null});
        assert_eq!(of(text, &[], 2), Some(-1.0));
        let chat =
            json!({"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": 0}]});
        assert_eq!(of(chat.clone(), &[], 2), Some(-0.25));
        // The end of the sequence may be left out, and a stop string.
        assert_eq!(of(chat.clone(), &[], 3), Some(-0.25));
        assert_eq!(of(chat.clone(), &["Q:\n"], 5), Some(-0.25));
        assert_eq!(of(chat.clone(), &["Q:\n"], 6), None);
        assert_eq!(of(chat.clone(), &[], 4), None);
        assert_eq!(of(chat, &[], 1), None);
    }

    #[test]
    fn what_is_no_mean_is_left_out_and_never_zero() {
        for none in [
            Value::Null,
            json!({}),
            json!([]),
            json!({"content": null}),
            json!({"content": []}),
            json!({"content": [{"token": "a"}]}),
            json!({"content": [{"token": "a", "logprob": "low"}]}),
            json!({"content": [{"token": "a", "logprob": 0.5}]}),
            json!({"token_logprobs": [null]}),
            json!({"token_logprobs": [-9999.0]}),
            json!({"token_logprobs": [-3.4e38]}),
        ] {
            assert_eq!(of(none.clone(), &[], 1), None, "{none}");
        }
        assert_eq!(of(json!({"token_logprobs": []}), &[], 0), None);
        let request = probe(&Prompt::Text(String::new()));
        assert_eq!(mean(&json!({}), &request, 1), None);
    }

    #[test]
    fn only_the_models_own_distribution_counts() {
        let are_wanted_at = |sampling| {
            are_wanted(&GenerateRequest {
                sampling,
                ..probe(&Prompt::Text(String::new()))
            })
        };
        let plain = Sampling::random(1.0, 3);
        let (top_p, top_k) = (0.9, Some(5));
        assert!(are_wanted_at(Sampling::greedy()) && are_wanted_at(plain));
        assert!(!are_wanted_at(Sampling::random(0.7, 3)));
        assert!(!are_wanted_at(Sampling { top_p, ..plain }));
        assert!(!are_wanted_at(Sampling { top_k, ..plain }));
    }
}
