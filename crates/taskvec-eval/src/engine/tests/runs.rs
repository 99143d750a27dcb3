//! Whole evaluations over a server.

use super::scripted::{Reply, Scripted};
use super::*;
use crate::condition::Condition;
use crate::error::Error;
use crate::generator::Generator;
use crate::run::{Record, RecordLog, RunOptions, Subject, cells, evaluate};
use crate::task::{PromptForm, Registry, Selection};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn run(engine: &mut OpenAi, path: &Path) -> Result<Vec<Record>, Error> {
    let mut log = RecordLog::open(path)?;
    let subject = Subject {
        model: "m".to_owned(),
        expression: "m".to_owned(),
        bindings: Default::default(),
        fingerprint: engine.fingerprint(),
    };
    let cells = cells(
        &Registry::standard().select("micro-gsm").unwrap(),
        &[Condition::Clean],
    );
    let options = RunOptions {
        selection: Selection {
            limit: Some(20),
            ..Selection::test()
        },
        ..RunOptions::greedy(PromptForm::Chat)
    };
    evaluate(engine, &subject, &cells, &options, &mut log, &mut |_| {})?;
    log.finish()
}

#[test]
fn a_failed_request_is_no_wrong_answer_and_the_run_goes_on_later() {
    let directory = tempfile::tempdir().unwrap();
    let broken = Arc::new(AtomicBool::new(true));
    let answered = Arc::new(AtomicUsize::new(0));
    let (is_broken, count) = (Arc::clone(&broken), Arc::clone(&answered));
    let server = Scripted::serve(move |asked, before| {
        if is_broken.load(Ordering::SeqCst) && before >= 7 {
            return Reply::error(400, "out of order");
        }
        count.fetch_add(1, Ordering::SeqCst);
        Reply::ok(chat(&format!("The answer is {}.", asked.text().len())))
    });
    let mut engine = connect(&server);
    let path = directory.path().join("records.jsonl");
    let error = run(&mut engine, &path).unwrap_err();
    let Error::Engine { source, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(
        source.to_string().ends_with("answered 400: out of order"),
        "{source}"
    );
    let lines = || std::fs::read_to_string(&path).unwrap().lines().count();
    assert_eq!((lines(), answered.load(Ordering::SeqCst)), (7, 7));

    broken.store(false, Ordering::SeqCst);
    let records = run(&mut engine, &path).unwrap();
    assert_eq!((records.len(), answered.load(Ordering::SeqCst)), (20, 20));
    let undisturbed = directory.path().join("undisturbed.jsonl");
    run(&mut engine, &undisturbed).unwrap();
    assert_eq!(
        std::fs::read(&path).unwrap(),
        std::fs::read(&undisturbed).unwrap()
    );
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains(KEY) && !text.contains("mean_log_probability"));
}

#[test]
fn answers_are_used_again_for_the_same_server_and_model_only() {
    let entry = |id: &str, created: u32, root: &str| json!({"data": [{"id": id, "created": created, "root": root, "owned_by": "vllm"}]});
    let fingerprint = |list: Value| {
        let server = Scripted::serve_all(move |_, _| Reply::ok(list.clone()));
        let command = "vllm serve {model} --port {port} --chat-template http://a/b";
        let engine = OpenAi::started(&server.url(), "m", command, options()).unwrap();
        // Neither the port nor the directory, which differ from run to run.
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            engine.describe(),
            format!("taskvec {version} openai (vllm, `{command}`)")
        );
        engine.fingerprint()
    };
    let known = fingerprint(entry("m", 1, "/a"));
    assert_eq!(known, fingerprint(entry("m", 2, "/a")));
    assert_ne!(known, fingerprint(entry("n", 1, "/a")));
    assert_ne!(known, fingerprint(entry("m", 1, "/b")));
    let one = Scripted::serve_all(move |_, _| Reply::ok(entry("m", 1, "/a")));
    let other = Scripted::serve_all(move |_, _| Reply::ok(entry("m", 1, "/a")));
    assert_ne!(connect(&one).fingerprint(), connect(&other).fingerprint());
    assert_eq!(connect(&one).fingerprint(), connect(&one).fingerprint());
}

#[test]
fn how_likely_an_answer_was_is_recorded_where_the_server_says_it() {
    let server = Scripted::serve_all(|asked, _| match asked.path.as_str() {
        "/v1/models" => Reply::ok(models("test")),
        _ => {
            let mut body = chat("no");
            body["choices"][0]["logprobs"] =
                json!({"content": [{"logprob": -0.123_456}, {"logprob": 0}]});
            Reply::ok(body)
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records.jsonl");
    let records = run(&mut connect(&server), &path).unwrap();
    assert!(
        records
            .iter()
            .all(|record| record.mean_log_probability == Some(-0.0617))
    );
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches("\"mean_log_probability\":-0.0617").count(), 20);
}
