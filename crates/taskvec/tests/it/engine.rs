//! The same models behind a server: `transformers serve`, and flags that do not fit.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use serde_json::Value;

use crate::workplace::Workplace;
use scripted::{Reply, Scripted};

#[path = "../../../taskvec-eval/src/engine/tests/scripted.rs"]
#[allow(dead_code, reason = "the tests of the engine use the rest")]
mod scripted;

/// The Python of `scripts/serve-env.sh`, or nothing where nothing may be fetched.
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
fn python() -> Option<PathBuf> {
    if std::env::var_os("TASKVEC_OFFLINE").is_some_and(|value| value == "1") {
        println!("skipped: TASKVEC_OFFLINE=1, and the server needs packages from a registry");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/serve-env.sh");
    let made = Command::new("sh")
        .arg(&script)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "no Python environment to serve from; TASKVEC_OFFLINE=1 skips this test\n{}",
        String::from_utf8_lossy(&made.stderr)
    );
    Some(PathBuf::from(
        String::from_utf8(made.stdout).unwrap().trim(),
    ))
}

/// Completion and score of every sample.
fn answers(path: &Path) -> BTreeMap<String, (String, bool)> {
    let text = fs::read_to_string(path).unwrap();
    let record = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        let key = format!("{} {}", record["doc_id"], record["condition"]);
        let completion = record["completion"].as_str().unwrap().to_owned();
        (key, (completion, record["correct"].as_bool().unwrap()))
    };
    text.lines().map(record).collect()
}

const EXPRESSION: &str = "'micro:target + 0.5*(micro:grpo - micro:sft)'";
const SAMPLES: &str = "--conditions clean,adversarial --limit 12 --tasks micro-gsm,micro-chat";

#[test]
fn a_served_expression_answers_as_it_does_in_this_process() {
    let Some(python) = python() else { return };
    let here = Workplace::new();
    // What the server downloaded earlier, on whose machine ever, is none of this.
    fs::create_dir_all(here.path("home/hub")).unwrap();
    let serve = format!(
        "HF_HUB_OFFLINE=1 HF_HOME=home {} -m transformers.cli.transformers serve {{model}} --port {{port}} --device cpu --dtype float32",
        python.display()
    );
    let local = here.output(&format!("-q eval {EXPRESSION} {SAMPLES} --out local.jsonl"));
    assert!(local.status.success(), "{}", here.rendered(&local));
    // Likelihoods of prompts are what this server does not give; asked for last, they cost no start of their own.
    for (form, more, code) in [("chat", "", 0), ("base", ",micro-sciq", 1)] {
        let local = here.output(&format!(
            "-q eval {EXPRESSION} {SAMPLES} --prompt-form {form} --out local-{form}.jsonl"
        ));
        assert!(local.status.success(), "{}", here.rendered(&local));
        let served = here
            .command(&format!(
                "eval {EXPRESSION} {SAMPLES}{more} --prompt-form {form} --concurrency 2 --out served-{form}.jsonl --serve-dir ."
            ))
            .args(["--serve", &serve])
            .output()
            .unwrap();
        let said = here.rendered(&served);
        assert_eq!(served.status.code(), Some(code), "{said}");
        for refusal in ["gives no log-probabilities of prompts", "--engine local"] {
            assert_eq!(said.contains(refusal), code == 1, "{said}");
        }
        assert_eq!(
            answers(&here.path(&format!("served-{form}.jsonl"))),
            answers(&here.path(&format!("local-{form}.jsonl")))
        );
    }
    // The template was seen from outside too.
    assert_eq!(
        answers(&here.path("local.jsonl")),
        answers(&here.path("local-chat.jsonl"))
    );
    let left: Vec<String> = here
        .names()
        .into_iter()
        .filter(|name| name.starts_with("taskvec-serve-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    let compared = here.output("compare local-chat.jsonl served-chat.jsonl --json");
    let compared: Value = serde_json::from_slice(&compared.stdout).unwrap();
    assert_eq!(compared["rows"][0]["gained"], 0);
    // The weights are known to be the same, whoever ran them.
    let changed: Vec<&str> = compared["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["what"].as_str().unwrap())
        .collect();
    assert_eq!(changed, ["engine"]);
}

#[test]
fn a_server_that_cannot_start_shows_its_last_words() {
    let here = Workplace::new();
    let run = here.output("-q eval micro:target --tasks micro-gsm --limit 1 --serve-dir . --serve 'echo {port}: no GPU for {model} >&2; exit 7'");
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("error: the server ended with exit status: 7\n  | "),
        "{said}"
    );
    assert!(
        said.contains(": no GPU for ") && said.contains("/model"),
        "{said}"
    );
    assert!(here.names().is_empty(), "{:?}", here.names());
}

#[test]
fn an_interrupted_run_takes_its_server_along() {
    let here = Workplace::new();
    let mut child = here
        .command("-q eval micro:target --tasks micro-gsm --limit 1 --serve-dir . --serve 'echo $$ > group; sleep 600 # {model} {port}'")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let wait_until = |what: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !what() {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "it did not come to pass"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_until(&|| fs::read_to_string(here.path("group")).is_ok_and(|text| text.ends_with('\n')));
    let group = fs::read_to_string(here.path("group")).unwrap();
    let signal = |name: &str, to: &str| {
        Command::new("kill")
            .args(["-s", name, "--", to])
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    };
    let group = format!("-{}", group.trim());
    assert!(signal("0", &group));
    assert!(signal("INT", &child.id().to_string()));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    wait_until(&|| !signal("0", &group) && here.names() == ["group"]);
}

#[test]
fn flags_that_do_not_fit() {
    let here = Workplace::new();
    assert_snapshot!(here.run("eval micro:target --tasks micro-gsm --engine openai"), @"
    exit code 2
    --- stderr
    error: `--engine openai` needs `--base-url` or `--serve`
    ");
    assert_snapshot!(here.run("eval --tasks micro-gsm"), @"
    exit code 2
    --- stderr
    error: no EXPR was given, and no `--base-url` of a server that runs a model
    ");
    assert_snapshot!(here.run("generate --prompt hi --engine local --base-url http://localhost:1"), @"
    exit code 2
    --- stderr
    error: `--engine local` asks no server, and `--base-url` names one
    ");
    assert_snapshot!(here.run("eval micro:target --tasks micro-gsm --serve-dir . --serve 'vllm serve {model}'"), @"
    exit code 1
    --- stderr
    error: the command `vllm serve {model}` has no `{port}`

    hint: write it as 'vllm serve {model} --port {port}'
    ");
    assert_snapshot!(here.run("generate --prompt hi --base-url ftp://localhost"), @"
    exit code 1
    --- stderr
    error: `ftp://localhost` is no address of a server: it begins with neither http:// nor https://

    hint: give it as http://HOST:PORT/v1
    ");
    assert!(here.names().is_empty());
}

/// What a [`Scripted`] server lists.
fn models(owner: &str) -> Value {
    serde_json::json!({"data": [{"id": "m", "owned_by": owner}]})
}

#[test]
fn a_server_that_runs_already_is_asked_as_the_flags_say() {
    const KEY: &str = "sk-quite-secret";
    let here = Workplace::new();
    let counts = Arc::new([const { AtomicUsize::new(0) }; 3]);
    let seen = Arc::clone(&counts);
    let server = Scripted::serve(move |asked, _| {
        if asked.header("authorization") != Some(format!("Bearer {KEY}").as_str()) {
            return Reply::error(401, "who are you?");
        }
        let [under_way, most, answered] = &*seen;
        most.fetch_max(
            1 + under_way.fetch_add(1, Ordering::SeqCst),
            Ordering::SeqCst,
        );
        std::thread::sleep(Duration::from_millis(30));
        under_way.fetch_sub(1, Ordering::SeqCst);
        match answered.fetch_add(1, Ordering::SeqCst) {
            2 => Reply::error(503, "one moment"),
            _ => Reply::ok(serde_json::json!({
                "choices": [{"message": {"content": "The answer is 4."}, "finish_reason": "stop"}],
                "usage": {"completion_tokens": 6},
            })),
        }
    });
    let ask = |flags: &str| {
        let questions = "--tasks micro-gsm --limit 6 --out r.jsonl";
        let url = server.url();
        let mut command = here.command(&format!("eval tuned --base-url {url} {questions} {flags}"));
        command.env("MY_KEY", KEY).env_remove("OPENAI_API_KEY");
        command.output().unwrap()
    };
    let locked = ask("");
    let said = here.rendered(&locked);
    assert!(
        said.starts_with("exit code 1") && said.contains("answered 401: who are you?"),
        "{said}"
    );
    assert!(said.contains("`--api-key-env`"), "{said}");
    assert_eq!(fs::read_to_string(here.path("r.jsonl")).unwrap(), "");

    let flags = "--api-key-env MY_KEY --concurrency 2";
    let said = here.rendered(&ask(flags));
    let records = fs::read_to_string(here.path("r.jsonl")).unwrap();
    assert!(said.starts_with("exit code 0"), "{said}");
    assert_eq!(records.lines().count(), 6);
    assert!(records.contains("\"model\":\"tuned\"") && !records.contains(KEY));
    assert!(!said.contains(KEY), "{said}");
    let [_, most, answered] = &*counts;
    // Six and the one that was tried again.
    let numbers = [most, answered].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(numbers, [2, 7]);

    let said = here.rendered(&ask(flags));
    assert!(
        said.contains("6 answers of `tuned` were in r.jsonl already"),
        "{said}"
    );
    assert_eq!(answered.load(Ordering::SeqCst), 7);
    assert_eq!(fs::read_to_string(here.path("r.jsonl")).unwrap(), records);
}
