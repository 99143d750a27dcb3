use super::scripted::{Asked, Reply, Scripted};
use super::*;
use crate::engine::ServerError;
use crate::generator::{Generator, LikelihoodRequest};

/// Splits at spaces, which stay with what follows; a token's log-probability is minus its length.
fn tokens(text: &str) -> Vec<String> {
    text.split_inclusive(' ')
        .flat_map(|word| {
            let bare = word.trim_end_matches(' ');
            [bare.to_owned(), word[bare.len()..].to_owned()]
        })
        .filter(|token| !token.is_empty())
        .collect()
}

fn echo(asked: &Asked) -> Value {
    let mut tokens = tokens(&asked.text());
    tokens.push("generated".to_owned());
    let value = |(index, token): (usize, &String)| {
        if index == 0 {
            Value::Null
        } else {
            json!(-(token.len() as f64))
        }
    };
    let values: Vec<Value> = tokens.iter().enumerate().map(value).collect();
    let top: Vec<Value> = tokens
        .iter()
        .map(|token| json!({token: -(token.len() as f64), "likelier": -2.0}))
        .collect();
    json!({
        "choices": [{"text": tokens.concat(), "finish_reason": "length",
            "logprobs": {"tokens": tokens, "token_logprobs": values, "top_logprobs": top}}],
        "usage": {"completion_tokens": 1},
    })
}

fn questions() -> Vec<LikelihoodRequest> {
    [("a bb", " ccc"), ("a bb", " c d"), ("x", " dddd")]
        .map(|(prompt, continuation)| LikelihoodRequest {
            prompt: Prompt::Text(prompt.to_owned()),
            continuation: continuation.to_owned(),
        })
        .to_vec()
}

#[test]
fn continuations_are_summed_beyond_the_prompt() {
    let server = Scripted::serve(|asked, _| Reply::ok(echo(asked)));
    let mut engine = connect(&server);
    let mut heard = 0;
    let results = engine
        .log_likelihood(&questions(), &mut |_, _| heard += 1)
        .unwrap();
    let sums: Vec<(f64, usize, bool)> = results
        .iter()
        .map(|result| (result.log_probability, result.token_count, result.is_greedy))
        .collect();
    // " " and "ccc"; " ", "c", " ", "d"; " " and "dddd".
    assert_eq!(sums, [(-4.0, 2, false), (-4.0, 4, true), (-5.0, 2, false)]);
    assert_eq!(heard, 3);
    // One to find the form; each prompt once, each continuation once.
    assert_eq!(server.asked().len(), 1 + 2 + 3);
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| asked.body["echo"] == true && asked.body["max_tokens"] == 1)
    );
    engine.log_likelihood(&questions(), &mut |_, _| {}).unwrap();
    assert_eq!(server.asked().len(), 6 + 5);
}

#[test]
fn prompt_log_probabilities_do_where_echo_does_not() {
    let server = Scripted::serve(|asked, _| {
        if asked.body["echo"] == true {
            return Reply::error(400, "echo is not supported");
        }
        let entry = |(index, token): (usize, &String)| match index {
            0 => Value::Null,
            _ => json!({token: {"logprob": -(token.len() as f64), "rank": 1}}),
        };
        let list: Vec<Value> = tokens(&asked.text())
            .iter()
            .enumerate()
            .map(entry)
            .collect();
        Reply::ok(
            json!({"choices": [{"text": "x", "prompt_logprobs": list}], "usage": {"completion_tokens": 1}}),
        )
    });
    let results = connect(&server)
        .log_likelihood(&questions(), &mut |_, _| {})
        .unwrap();
    assert_eq!(results[1].log_probability, -4.0);
    assert!(
        server.asked()[1..]
            .iter()
            .all(|asked| asked.body["prompt_logprobs"] == 1)
    );
}

#[test]
fn a_server_that_gives_none_is_refused_after_being_asked_once() {
    let silent: [fn(&Asked) -> Reply; 3] = [
        // As transformers' server: it ignores what it does not know.
        |_| {
            Reply::ok(
                json!({"choices": [{"text": " x", "finish_reason": "length"}], "usage": {"completion_tokens": 1}}),
            )
        },
        |_| Reply::error(400, "logprobs are not supported"),
        // Of what it generated, and not of the prompt.
        |_| {
            Reply::ok(
                json!({"choices": [{"text": " x", "finish_reason": "length", "logprobs":
            {"tokens": [" x"], "token_logprobs": [-1.0], "top_logprobs": [{" x": -1.0}]}}], "usage": {"completion_tokens": 1}}),
            )
        },
    ];
    for reply in silent {
        let server = Scripted::serve(move |asked, _| reply(asked));
        let error = connect(&server)
            .log_likelihood(&questions(), &mut |_, _| {})
            .unwrap_err();
        let error = error.downcast::<ServerError>().unwrap();
        assert!(
            matches!(*error, ServerError::NoPromptProbabilities { .. }),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("--engine local"));
        assert_eq!(server.asked().len(), 2);
    }
}

#[test]
fn a_chat_has_no_likelihood() {
    let server = Scripted::serve(|asked, _| Reply::ok(echo(asked)));
    let question = LikelihoodRequest {
        prompt: Prompt::Chat(vec![Message::user("hi")]),
        continuation: "x".to_owned(),
    };
    let error = connect(&server)
        .log_likelihood(&[question], &mut |_, _| {})
        .unwrap_err();
    assert!(matches!(
        *error.downcast::<ServerError>().unwrap(),
        ServerError::ChatLikelihood { .. }
    ));
    assert!(server.asked().is_empty());
}
