//! Completions that were made elsewhere.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use insta::assert_snapshot;

use crate::workplace::Workplace;

const MADE: &str = concat!(
    "{\"doc_id\": 0, \"completion\": \" 16-3-4=9, 9*2=18\\n#### 18\"}\n",
    "{\"doc_id\": 1, \"completion\": \"#### 4, no: 3\"}\n",
);

#[test]
fn strict_and_flexible() {
    let here = Workplace::new();
    fs::write(here.path("made.jsonl"), MADE).unwrap();
    let output = here.output("score gsm8k made.jsonl --partial --samples scores.jsonl --json");
    assert!(output.status.success(), "{}", here.rendered(&output));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (
            &summary["strict"],
            &summary["flexible"],
            &summary["answered"],
            &summary["metric"]
        ),
        (&0.5.into(), &1.0.into(), &2.into(), &"exact_match".into())
    );
    let scores = fs::read_to_string(here.path("scores.jsonl")).unwrap();
    let second: serde_json::Value = serde_json::from_str(scores.lines().nth(1).unwrap()).unwrap();
    assert_eq!(
        (
            &second["doc_id"],
            &second["strict"],
            &second["flexible"],
            &second["is_right"]
        ),
        (&"1".into(), &"4,".into(), &"3".into(), &false.into())
    );
    assert_eq!(here.names(), ["made.jsonl", "scores.jsonl"]);
}

#[test]
fn completions_come_from_stdin_too() {
    let here = Workplace::new();
    let score = |given: &str| {
        let mut child = here
            .command("score gsm8k - --partial --json")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(given.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    };
    let output = score(MADE);
    assert!(output.status.success(), "{}", here.rendered(&output));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["samples"], 2);
    let said = here.rendered(&score("{\"doc_id\": 0}"));
    assert!(
        said.contains("error: line 1 of `standard input`: `completion` is missing"),
        "{said}"
    );
    assert!(here.names().is_empty());
}

#[test]
fn what_is_missing_or_malformed_is_named_and_nothing_is_left() {
    let here = Workplace::new();
    fs::write(here.path("made.jsonl"), MADE).unwrap();
    assert_snapshot!(here.run("score gsm8k made.jsonl --samples scores.jsonl"), @"
    exit code 1
    --- stderr
    error: `made.jsonl` has no completion for 1317 of the 1319 documents of `gsm8k`, `2` for one

    hint: pass `--partial` to score what there is
    ");
    fs::write(
        here.path("made.jsonl"),
        format!("{MADE}{{\"doc_id\": 7}}\n"),
    )
    .unwrap();
    assert_snapshot!(here.run("score gsm8k made.jsonl --samples scores.jsonl"), @"
    exit code 1
    --- stderr
    error: line 3 of `made.jsonl`: `completion` is missing, expected a text

    hint: each line is a JSON object with `doc_id`, `completion` and perhaps `sample`, or a sample as lm-evaluation-harness keeps it; one JSON array of such objects will do too
    ");
    assert_eq!(here.names(), ["made.jsonl"]);
}

/// The program is run: its answers decide, whatever it prints, and it sees nothing of this machine.
#[cfg(target_os = "linux")]
#[test]
fn generated_programs_are_run_in_the_sandbox() {
    let right = "    pairs = [(a, b) for i, a in enumerate(numbers) for b in numbers[i + 1:]]\n    \
                 return any(abs(a - b) < threshold for a, b in pairs)\n";
    let wrong = "    print('passed')\n    return False\n";
    let nosy = "    return bool(open('/etc/passwd').read())\n";
    let here = Workplace::new();
    let programs = [right, wrong, nosy];
    let lines = programs.iter().enumerate().map(|(sample, completion)| {
        let line = serde_json::json!({"doc_id": "HumanEval/0", "completion": completion, "sample": sample});
        format!("{line}\n")
    });
    fs::write(here.path("made.jsonl"), lines.collect::<String>()).unwrap();
    let output = here.output("score humaneval made.jsonl --partial --samples scores.jsonl --json");
    assert!(output.status.success(), "{}", here.rendered(&output));
    let scores = fs::read_to_string(here.path("scores.jsonl")).unwrap();
    let scores: Vec<serde_json::Value> = scores
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let right: Vec<&serde_json::Value> = scores.iter().map(|score| &score["is_right"]).collect();
    assert_eq!(right, [true, false, false], "{scores:#?}");
    let outcome = scores[2]["strict"].as_str().unwrap();
    assert!(outcome.contains("Error"), "{outcome}");
}

#[test]
fn questions_that_do_not_ship_are_asked_for() {
    let here = Workplace::new();
    fs::write(here.path("made.jsonl"), MADE).unwrap();
    assert_snapshot!(here.run("score gsm_plus_chat made.jsonl"), @"
    exit code 1
    --- stderr
    error: task `gsm_plus_chat` reads its questions from `gsm_plus/gsmplus_testmini.jsonl`, and `--data` is not given

    hint: pass `--data DIR`, where `DIR/gsm_plus/gsmplus_testmini.jsonl` or `DIR/gsm_plus/gsmplus_testmini.jsonl.gz` is the file as published, or `--data hf` to fetch the same from the Hub; its licence: CC BY-SA 4.0
    ");
}

#[test]
fn tasks_are_listed_with_their_licences() {
    let here = Workplace::new();
    let output = here.output("tasks --json");
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let tasks = listed["tasks"].as_array().unwrap();
    let find = |name: &str| tasks.iter().find(|task| task["name"] == name).unwrap();
    assert_eq!(find("gsm8k")["licence"], "MIT");
    assert_eq!(find("sciq")["file"], "sciq/test.json");
    assert_eq!(find("sciq")["repository"], "allenai/sciq");
    assert!(
        tasks
            .iter()
            .all(|task| task["name"] != "bbh_zeroshot_snarks")
    );
}

#[test]
fn scores_are_written_over_nothing_but_scores() {
    let here = Workplace::new();
    let made = "{\"doc_id\": 0, \"completion\": \"#### 18\"}\n";
    std::fs::write(here.path("made.jsonl"), made).unwrap();
    std::fs::write(here.path("notes.txt"), "mine").unwrap();
    for (path, what) in [
        ("made.jsonl", "holds the completions"),
        ("notes.txt", "exists and holds no scores"),
        (".", "is no regular file"),
    ] {
        let said = here.run(&format!(
            "score gsm8k made.jsonl --partial --samples {path}"
        ));
        assert!(said.to_string().contains(what), "{said}");
    }
    assert_eq!(
        std::fs::read_to_string(here.path("made.jsonl")).unwrap(),
        made
    );
    assert_eq!(
        std::fs::read_to_string(here.path("notes.txt")).unwrap(),
        "mine"
    );
    for _ in 0..2 {
        here.output("score gsm8k made.jsonl --partial --samples scores.jsonl");
    }
}
