//! How likely the tokens of an answer were, from servers that say so and from those that do not.

use super::scripted::{Asked, Reply, Scripted};
use super::*;
use crate::generator::{Completion, Generator};

/// Answers that say it, in the form of the path; of the second question to a path less than there are tokens.
fn saying(asked: &Asked, before: usize) -> Reply {
    let mut body = chat("yo");
    if asked.path == "/v1/completions" {
        body["choices"][0]["text"] = json!("yo");
    }
    body["choices"][0]["logprobs"] = match (&asked.body["logprobs"], before) {
        (Value::Null, _) => Value::Null,
        (_, 1) => json!({"content": []}),
        (Value::Bool(true), _) => {
            json!({"content": [{"token": "y", "logprob": -0.25}, {"token": "o", "logprob": -0.5}]})
        }
        _ => json!({"tokens": ["y", "o"], "token_logprobs": [-1.0, -2.0]}),
    };
    Reply::ok(body)
}

fn serve(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Scripted {
    Scripted::serve_all(move |asked, before| match asked.path.as_str() {
        "/v1/models" => Reply::ok(models("test")),
        _ => answer(asked, before),
    })
}

fn means(engine: &mut OpenAi, requests: &[GenerateRequest]) -> Vec<Option<f64>> {
    let completions: Vec<Completion> = engine.generate(requests, &mut |_, _| {}).unwrap();
    completions
        .iter()
        .map(|completion| completion.mean_log_probability)
        .collect()
}

fn plain() -> GenerateRequest {
    GenerateRequest {
        prompt: Prompt::Text("hi".to_owned()),
        ..request("hi")
    }
}

fn one_at_a_time(server: &Scripted) -> OpenAi {
    let options = OpenAiOptions {
        concurrency: std::num::NonZeroUsize::MIN,
        ..options()
    };
    OpenAi::connect(&server.url(), None, options).unwrap()
}

#[test]
fn a_server_that_says_it_is_asked_and_believed() {
    let server = serve(saying);
    let mut engine = one_at_a_time(&server);
    let found = means(
        &mut engine,
        &[request("1"), request("2"), request("3"), plain()],
    );
    assert_eq!(found, [Some(-0.375), None, Some(-0.375), Some(-1.5)]);
    // Once for chats and once for plain text, however many questions follow.
    assert_eq!(server.probes(), 2);
    means(&mut engine, &[request("4"), plain()]);
    assert_eq!(server.probes(), 2);
    assert!(server.asked().iter().all(|asked| {
        let expected = if asked.path == "/v1/completions" {
            json!(1)
        } else {
            json!(true)
        };
        asked.body["logprobs"] == expected
    }));
}

#[test]
fn a_server_that_does_not_is_left_in_peace() {
    let silent: [fn() -> Reply; 5] = [
        || Reply::error(400, "logprobs are not supported"),
        || Reply::error(422, "unexpected field"),
        || {
            Reply::error(
                500,
                "logprobs is not supported for models created with logits_all=False",
            )
        },
        || Reply::Body(200, "<html>".to_owned()),
        || Reply::ok(chat("yo")),
    ];
    for reply in silent {
        let server = serve(move |asked, _| match asked.body.get("logprobs") {
            Some(_) => reply(),
            None => Reply::ok(chat("yo")),
        });
        let found = means(
            &mut connect(&server),
            &[request("1"), request("2"), request("3")],
        );
        assert_eq!(found, [None, None, None]);
        assert_eq!((server.probes(), server.asked().len()), (1, 3));
    }
}

#[test]
fn of_answers_drawn_otherwise_nothing_is_asked() {
    let server = serve(saying);
    let drawn = |temperature| GenerateRequest {
        sampling: Sampling::random(temperature, 1),
        ..request("hi")
    };
    let mut engine = one_at_a_time(&server);
    assert_eq!(means(&mut engine, &[drawn(0.7)]), [None]);
    assert_eq!(server.probes(), 0);
    assert!(server.asked()[0].body.get("logprobs").is_none());
    // Once it is known, a greedy question beside a drawn one has it.
    assert_eq!(
        means(&mut engine, &[drawn(0.7), drawn(1.0), request("hi")])[0],
        None
    );
    assert_eq!(server.probes(), 1);
}

#[test]
fn numbers_by_which_nothing_can_be_chosen_are_not_asked_for() {
    let server = serve(saying);
    let wrong = GenerateRequest {
        sampling: Sampling::random(f64::NAN, 1),
        ..request("hi")
    };
    let error = connect(&server)
        .generate(&[request("hi"), wrong], &mut |_, _| {})
        .unwrap_err();
    assert!(
        error.to_string().contains("`temperature` is NaN"),
        "{error}"
    );
    assert_eq!((server.probes(), server.asked().len()), (0, 0));
}
