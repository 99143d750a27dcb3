//! Servers that are started here. Python's own file server stands in for one: a directory holds its answers.

use super::scripted::{Reply, Scripted};
use crate::engine::client::Client;
use crate::engine::endpoint::BaseUrl;
use crate::engine::process::is_ready;
use crate::engine::{OpenAi, OpenAiOptions, ServeError, ServeOptions, Served};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A directory that answers as a server of `m` would, removed with the server.
fn model(parent: &Path) -> PathBuf {
    let model = parent.join("it's a model");
    std::fs::create_dir_all(model.join("v1")).unwrap();
    std::fs::write(
        model.join("v1/models"),
        r#"{"data": [{"id": "m", "owned_by": "vllm"}]}"#,
    )
    .unwrap();
    std::fs::write(model.join("health"), "").unwrap();
    model
}

/// A server with a child of its own, which must go too. Its name tells it from all other processes.
fn options(model: &Path) -> ServeOptions {
    ServeOptions {
        command: "sleep 987 & cd {model} && echo started && python3 -m http.server {port}"
            .to_owned(),
        model: model.to_owned(),
        remove: Some(model.to_owned()),
        patience: Duration::from_secs(30),
        key: None,
    }
}

/// Whether anything is left of the process group.
fn lives(group: u32) -> bool {
    let status = Command::new("sh")
        .args([
            "-c",
            "kill -s 0 -- \"-$1\" 2>/dev/null",
            "sh",
            &group.to_string(),
        ])
        .status();
    status.unwrap().success()
}

fn wait_until(mut what: impl FnMut() -> bool) {
    let started = Instant::now();
    while !what() {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "it did not come to pass"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_server_lives_as_long_as_it_is_needed() {
    let parent = tempfile::tempdir().unwrap();
    let model = model(parent.path());
    let options = options(&model);
    let served = Served::start(&options).unwrap();
    let group = served.child.id();
    let engine = OpenAi::started(
        served.base_url(),
        "a name",
        &options.command,
        OpenAiOptions::default(),
    )
    .unwrap();
    assert_eq!(engine.model(), "m");
    assert!(lives(group) && model.exists());
    drop(served);
    assert!(!lives(group) && !model.exists());
}

#[test]
fn ready_is_what_calls_itself_healthy_or_lists_its_models() {
    for (health, models, expected) in [
        // vLLM's healthy answer is an empty one.
        (200, 500, true),
        // It loads.
        (503, 200, false),
        // It has no word for its health.
        (404, 200, true),
        (404, 503, false),
        (401, 401, false),
    ] {
        let server = Scripted::serve_all(move |asked, _| match asked.path.as_str() {
            "/health" => Reply::Body(health, String::new()),
            _ => Reply::Json(models, Vec::new(), json!({"data": []})),
        });
        let base = BaseUrl::parse(&server.url()).unwrap();
        let client = Client::new(base, None, 1, Duration::from_secs(5), 1 << 20);
        assert_eq!(is_ready(&client).is_ok(), expected, "{health} {models}");
    }
}

#[test]
fn what_cannot_start_says_why() {
    let parent = tempfile::tempdir().unwrap();
    let start = |command: &str, patience: u64| {
        let model = model(parent.path());
        let options = ServeOptions {
            command: command.to_owned(),
            patience: Duration::from_millis(patience),
            ..options(&model)
        };
        let error = Served::start(&options).unwrap_err();
        (error, model.exists())
    };
    let (error, left) = start(
        "for n in $(seq 50); do echo line $n {port}; done; echo cannot load {model} >&2; exit 3",
        30_000,
    );
    let ServeError::Ended { status, last_lines } = &error else {
        panic!("{error}")
    };
    assert_eq!(status.code(), Some(3));
    assert!(
        last_lines.iter().any(|line| line.ends_with("it's a model")),
        "{last_lines:?}"
    );
    assert!(last_lines.len() == 20 && !left, "{last_lines:?}");

    let (error, left) = start("echo {port} {model}; sleep 988", 300);
    assert!(matches!(error, ServeError::Silent { .. }), "{error}");
    assert!(error.to_string().contains("\n  | ") && !left);

    for (command, lacks) in [
        ("vllm serve {model}", "{port}"),
        ("vllm serve --port {port}", "{model}"),
    ] {
        let (error, _) = start(command, 300);
        assert_eq!(
            error.to_string(),
            format!("the command `{command}` has no `{lacks}`")
        );
    }
}

#[test]
fn a_server_that_dies_later_is_noticed() {
    let parent = tempfile::tempdir().unwrap();
    let mut served = Served::start(&options(&model(parent.path()))).unwrap();
    assert!(served.death().is_none());
    served.child.kill().unwrap();
    wait_until(|| served.death().is_some());
}

const HOLD: &str = "TASKVEC_TEST_HOLD_SERVER";

/// Not a test of its own: the process that is killed by the next.
#[test]
fn hold_a_server_until_killed() {
    let Some(directory) = std::env::var_os(HOLD) else {
        return;
    };
    let directory = PathBuf::from(directory);
    let served = Served::start(&options(&model(&directory))).unwrap();
    std::fs::write(directory.join("group.new"), served.child.id().to_string()).unwrap();
    std::fs::rename(directory.join("group.new"), directory.join("group")).unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_server_ends_even_where_we_are_killed() {
    let parent = tempfile::tempdir().unwrap();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "engine::tests::processes::hold_a_server_until_killed",
        ])
        .env(HOLD, parent.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let group = parent.path().join("group");
    wait_until(|| group.exists());
    let group: u32 = std::fs::read_to_string(group).unwrap().parse().unwrap();
    assert!(lives(group));
    holder.kill().unwrap();
    holder.wait().unwrap();
    wait_until(|| !lives(group) && !parent.path().join("it's a model").exists());
}
