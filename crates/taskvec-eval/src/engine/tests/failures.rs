use super::scripted::{Reply, Scripted};
use super::*;
use crate::engine::ServerError;
use crate::generator::{Completion, Generator};
use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Instant;

/// Asks one thing and gives back the answer, or why there is none.
fn ask(server: &Scripted, options: OpenAiOptions) -> Result<Completion, ServerError> {
    let mut engine = OpenAi::connect(&server.url(), None, options)?;
    let result = engine.generate(&[request("hi")], &mut |_, _| {});
    result
        .map(|mut completions| completions.remove(0))
        .map_err(|error| *error.downcast().unwrap())
}

fn fails(server: &Scripted, options: OpenAiOptions) -> ServerError {
    ask(server, options).unwrap_err()
}

#[test]
fn answers_come_in_order_from_many_connections() {
    let server = Scripted::serve(|asked, _| {
        let number: u64 = asked.text().parse().unwrap();
        std::thread::sleep(Duration::from_millis(7 * (40 - number) % 23));
        Reply::ok(chat(&format!("answer {number}")))
    });
    let mut engine = connect(&server);
    assert_eq!(
        engine.describe(),
        format!(
            "taskvec {} openai (unknown, {}, m)",
            env!("CARGO_PKG_VERSION"),
            server.url()
        )
    );
    let requests: Vec<GenerateRequest> =
        (0..40).map(|number| request(&number.to_string())).collect();
    let mut heard = Vec::new();
    let completions = engine
        .generate(&requests, &mut |index, completion| {
            heard.push((index, completion.text.clone()))
        })
        .unwrap();
    for (index, completion) in completions.iter().enumerate() {
        assert_eq!(
            (completion.text.as_str(), completion.token_count),
            (format!("answer {index}").as_str(), 2)
        );
    }
    assert_ne!(heard[0].0 + 1, 40, "not one after the other");
    heard.sort();
    assert_eq!(heard.len(), 40);
    assert!(
        heard
            .iter()
            .all(|(index, text)| *text == format!("answer {index}"))
    );
    let asked = server.asked();
    assert_eq!(asked.len(), 40);
    assert!(
        asked
            .iter()
            .all(|asked| asked.path == "/v1/chat/completions"
                && asked.header("authorization") == Some("Bearer sk-very-secret")
                && asked.body["model"] == "m")
    );
}

#[test]
fn no_tokens_are_not_asked_for() {
    let server = Scripted::serve(|_, _| Reply::error(500, "no"));
    let nothing = GenerateRequest {
        max_new_tokens: 0,
        ..request("hi")
    };
    let completions = connect(&server)
        .generate(&[nothing], &mut |_, _| {})
        .unwrap();
    assert_eq!(completions[0].text, "");
    assert!(server.asked().is_empty());
}

#[test]
fn too_many_requests_are_repeated_when_the_server_says() {
    let times = std::sync::Arc::new(Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&times);
    let server = Scripted::serve(move |_, before| {
        seen.lock().unwrap().push(Instant::now());
        match before {
            0 => Reply::Json(
                429,
                vec![("retry-after", "1".to_owned())],
                json!({"error": {"message": "slow down"}}),
            ),
            _ => Reply::ok(chat("yo")),
        }
    });
    assert_eq!(ask(&server, options()).unwrap().text, "yo");
    let times = times.lock().unwrap();
    assert_eq!(times.len(), 2);
    assert!(times[1] - times[0] >= Duration::from_secs(1));
}

#[test]
fn an_exhausted_budget_holds_everybody_back() {
    let times = std::sync::Arc::new(Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&times);
    let server = Scripted::serve(move |_, before| {
        seen.lock().unwrap().push(Instant::now());
        let budget = |left: &str| {
            vec![
                ("x-ratelimit-remaining-requests", left.to_owned()),
                ("x-ratelimit-reset-requests", "700ms".to_owned()),
            ]
        };
        Reply::Json(200, budget(if before == 0 { "0" } else { "9" }), chat("yo"))
    });
    let one_at_a_time = OpenAiOptions {
        concurrency: std::num::NonZeroUsize::MIN,
        ..options()
    };
    let mut engine = OpenAi::connect(&server.url(), None, one_at_a_time).unwrap();
    engine
        .generate(&[request("1"), request("2"), request("3")], &mut |_, _| {})
        .unwrap();
    let times = times.lock().unwrap();
    assert!(times[1] - times[0] >= Duration::from_millis(700));
    assert!(times[2] - times[1] < Duration::from_millis(600));
}

#[test]
fn a_wait_longer_than_allowed_ends_the_run() {
    let server = Scripted::serve(|_, _| {
        Reply::Json(429, vec![("retry-after", "3600".to_owned())], json!({}))
    });
    let error = fails(&server, options());
    assert!(
        error
            .to_string()
            .ends_with("asks to wait 3600 s, more than the 5 s allowed"),
        "{error}"
    );
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_used_up_quota_is_not_waited_for() {
    let server = Scripted::serve(|_, _| {
        Reply::Json(
            429,
            Vec::new(),
            json!({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}),
        )
    });
    let error = fails(&server, options());
    assert!(
        error
            .to_string()
            .ends_with("answered 429: You exceeded your quota"),
        "{error}"
    );
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn what_passes_is_tried_again_and_what_stays_is_told() {
    let passing: [fn() -> Reply; 4] = [
        || Reply::error(500, "oops"),
        || Reply::error(503, "loading"),
        || Reply::Cut(chat("yo").to_string()),
        || Reply::Nothing(Duration::ZERO),
    ];
    for reply in passing {
        let server = Scripted::serve(move |_, before| {
            if before == 0 {
                reply()
            } else {
                Reply::ok(chat("yo"))
            }
        });
        assert_eq!(ask(&server, options()).unwrap().text, "yo");
        assert_eq!(server.asked().len(), 2);
        let server = Scripted::serve(move |_, _| reply());
        let error = fails(
            &server,
            OpenAiOptions {
                tries: 2,
                ..options()
            },
        );
        assert_eq!(error.to_string(), "gave up after 2 tries");
        assert_eq!(server.asked().len(), 2);
    }
}

#[test]
fn nobody_listens() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let refused = OpenAi::connect(
        &format!("http://127.0.0.1:{port}"),
        None,
        OpenAiOptions {
            tries: 2,
            ..options()
        },
    );
    let error = refused.unwrap_err();
    let ServerError::GaveUp { tries: 2, source } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        source.to_string(),
        format!("no answer from http://127.0.0.1:{port}/v1/models")
    );
    assert_eq!(
        error.hint().unwrap(),
        "is the server running, and is this its address?"
    );
    let unknown = OpenAi::connect(
        "http://no-such-host.invalid/v1",
        None,
        OpenAiOptions {
            tries: 1,
            ..options()
        },
    );
    assert!(matches!(
        unknown.unwrap_err(),
        ServerError::Unreachable { .. }
    ));
}

#[test]
fn a_slow_answer() {
    let server = Scripted::serve(|_, _| Reply::Nothing(Duration::from_secs(3)));
    let hasty = OpenAiOptions {
        timeout: Duration::from_millis(300),
        tries: 1,
        ..options()
    };
    let error = fails(&server, hasty);
    assert!(matches!(error, ServerError::Slow { .. }), "{error:?}");
    assert!(error.to_string().ends_with("within 0.3 s"), "{error}");
}

#[test]
fn an_endless_answer() {
    let server = Scripted::serve(|_, _| Reply::Endless);
    let error = fails(
        &server,
        OpenAiOptions {
            max_body_bytes: 100_000,
            ..options()
        },
    );
    assert!(
        matches!(error, ServerError::TooLong { limit: 100_000, .. }),
        "{error:?}"
    );
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn answers_that_are_none() {
    let server = Scripted::serve(|_, _| Reply::Body(200, "<html>Welcome</html>".to_owned()));
    let error = fails(&server, options());
    assert!(
        error
            .to_string()
            .ends_with("is no JSON: it begins with `<html>Welcome</html>`"),
        "{error}"
    );
    assert_eq!(server.asked().len(), 1);

    let server =
        Scripted::serve(|_, _| Reply::ok(json!({"choices": [{"message": {"content": "4"}}]})));
    let error = fails(&server, options());
    assert!(
        error
            .to_string()
            .contains("nothing for `usage.completion_tokens`"),
        "{error}"
    );
    assert_eq!(server.asked().len(), 1);

    for (list, field) in [(json!([]), "data"), (json!({"data": [{}]}), "data[].id")] {
        let server = Scripted::serve_all(move |_, _| Reply::ok(list.clone()));
        let error = OpenAi::connect(&server.url(), None, options()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("nothing for `{field}`")),
            "{error}"
        );
    }
}

#[test]
fn a_wrong_model() {
    let server = Scripted::serve(|_, _| Reply::ok(chat("from another model")));
    let error = OpenAi::connect(&server.url(), Some("n"), options()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("does not serve `n`: it serves `m`"),
        "{error}"
    );
    assert!(server.asked().is_empty());
    // A server without a list is asked, and says so itself.
    for status in [404, 500] {
        let server = Scripted::serve_all(move |asked, _| match asked.path.as_str() {
            "/v1/models" => Reply::Body(status, "Internal Server Error".to_owned()),
            _ => Reply::error(404, "The model `n` does not exist."),
        });
        let error = OpenAi::connect(&server.url(), None, options()).unwrap_err();
        assert!(
            error.to_string().ends_with("serves none that it lists"),
            "{error}"
        );
        let mut engine = OpenAi::connect(&server.url(), Some("n"), options()).unwrap();
        let error = engine
            .generate(&[request("hi")], &mut |_, _| {})
            .unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("answered 404: The model `n` does not exist."),
            "{error}"
        );
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn a_wrong_key_is_named_and_not_shown() {
    let server = Scripted::serve(|asked, _| {
        Reply::error(
            401,
            &format!("Incorrect key: {}", asked.header("authorization").unwrap()),
        )
    });
    let error = fails(&server, options());
    assert!(
        error
            .to_string()
            .ends_with("answered 401: Incorrect key: Bearer [key]"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains(KEY));
    assert!(error.hint().unwrap().contains("OPENAI_API_KEY"));
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_redirection_does_not_get_the_key() {
    let elsewhere = Scripted::serve_all(|_, _| Reply::ok(chat("stolen")));
    for status in [301, 302, 307, 308] {
        let location = elsewhere.url();
        let server = Scripted::serve(move |_, _| {
            Reply::Json(status, vec![("location", location.clone())], json!({}))
        });
        let error = fails(&server, options());
        assert!(
            error
                .to_string()
                .ends_with(&format!("it has moved to `{}`", elsewhere.url())),
            "{error}"
        );
    }
    assert!(elsewhere.asked().is_empty());
}

#[test]
fn long_complaints_are_cut_and_pages_are_not_shown() {
    let server = Scripted::serve(|_, _| Reply::error(400, &"too long\n".repeat(1000)));
    let text = fails(&server, options()).to_string();
    assert!(
        text.chars().count() < 500 && text.ends_with('…') && !text.contains('\n'),
        "{text}"
    );
    let server = Scripted::serve(|_, _| Reply::Body(400, "<html><body>Bad Gateway".to_owned()));
    assert!(
        fails(&server, options())
            .to_string()
            .ends_with("answered 400: an HTML page")
    );
    let server = Scripted::serve(|_, _| {
        Reply::Json(422, Vec::new(), json!({"detail": "Unexpected fields"}))
    });
    assert!(
        fails(&server, options())
            .to_string()
            .ends_with("answered 422: Unexpected fields")
    );
}

#[test]
fn the_first_failure_ends_the_run_and_what_was_under_way_is_kept() {
    let server = Scripted::serve(|asked, _| match asked.text().as_str() {
        "3" => Reply::error(400, "not this one"),
        number => {
            std::thread::sleep(Duration::from_millis(if number == "2" { 200 } else { 0 }));
            Reply::ok(chat("yo"))
        }
    });
    let four = OpenAiOptions {
        concurrency: std::num::NonZeroUsize::new(4).unwrap(),
        ..options()
    };
    let mut engine = OpenAi::connect(&server.url(), None, four).unwrap();
    let requests: Vec<GenerateRequest> = (0..2000)
        .map(|number| request(&number.to_string()))
        .collect();
    let mut heard = Vec::new();
    let error = engine
        .generate(&requests, &mut |index, _| heard.push(index))
        .unwrap_err();
    assert!(
        error.to_string().ends_with("answered 400: not this one"),
        "{error}"
    );
    assert!(heard.contains(&2) && !heard.contains(&3), "{heard:?}");
    assert_eq!(heard.len() + 1, server.asked().len());
    assert!(heard.len() < 1000);
}
