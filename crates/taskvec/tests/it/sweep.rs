//! Sweeps, the best of their points, and reports.

use crate::workplace::Workplace;

const SWEEP: &str = "sweep 'micro:target + a*(micro:grpo - micro:sft)' --over a=0:1:0.5 --tasks micro-chat --limit 12 --out s";

fn text(here: &Workplace, name: &str) -> String {
    std::fs::read_to_string(here.path(name)).unwrap()
}

fn stdout(here: &Workplace, arguments: &str) -> String {
    let output = here.output(arguments);
    assert!(
        output.status.success(),
        "{arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_sweep_is_kept_resumed_chosen_from_and_reported() {
    let here = Workplace::new();
    let first = here.output(SWEEP);
    let (curve, talk) = [first.stdout, first.stderr]
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .into();
    // A line for each point where there is no terminal, and nothing that only a terminal understands.
    assert!(
        talk.contains("(3 of 3 points, ") && talk.matches(" of 3 points").count() == 3,
        "{talk}"
    );
    assert!(!talk.contains('\u{1b}') && !curve.contains('\u{1b}'));
    assert!(
        curve.starts_with("micro-chat  accuracy %  95 % interval"),
        "{curve}"
    );
    assert_eq!(
        curve.lines().filter(|line| line.contains('●')).count(),
        3,
        "{curve}"
    );
    // Records and what was asked; no weights.
    let mut kept: Vec<_> = std::fs::read_dir(here.path("s"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["records.jsonl", "sweep.json"]);

    // The ends come first.
    let whole = text(&here, "s/records.jsonl");
    let models: Vec<String> = whole
        .lines()
        .map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            record["model"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        (models[0].as_str(), models[12].as_str(), models[24].as_str()),
        ("a = 0", "a = 1", "a = 0.5")
    );

    // What an interruption left is asked no more, and the end is the same.
    let half: String = whole
        .lines()
        .take(17)
        .flat_map(|line| [line, "\n"])
        .collect();
    std::fs::write(here.path("s/records.jsonl"), half + "{\"model\":\"torn").unwrap();
    assert_eq!(stdout(&here, SWEEP), curve);
    assert_eq!(text(&here, "s/records.jsonl"), whole);

    // A point is the model that the expression at that point is.
    let point =
        "eval 'micro:target + 0.5*(micro:grpo - micro:sft)' --tasks micro-chat --limit 12 --json";
    let alone: serde_json::Value = serde_json::from_str(&stdout(&here, point)).unwrap();
    let swept: serde_json::Value =
        serde_json::from_str(&stdout(&here, &format!("{SWEEP} --json"))).unwrap();
    assert_eq!(swept["report"]["rows"][1]["model"], "a = 0.5");
    assert_eq!(
        alone["rows"][0]["correct"],
        swept["report"]["rows"][1]["correct"]
    );
    assert_eq!(
        alone["rows"][0]["mean_tokens"],
        swept["report"]["rows"][1]["mean_tokens"]
    );

    let best: serde_json::Value = serde_json::from_str(&stdout(&here, "best s --json")).unwrap();
    let questions = |part: &str| best[part].as_u64().unwrap();
    assert_eq!(
        questions("validation_questions") + questions("test_questions"),
        12
    );
    assert!(stdout(&here, "best s").contains("which had no say"));
    assert!(here.run("best s").contains("fewer than 30 in either part"));

    assert_eq!(stdout(&here, "report s -o r.html --figures f"), "r.html\n");
    assert!(text(&here, "r.html").contains("id=\"curve-clean\""));
    assert!(text(&here, "f/curve-clean.csv").starts_with("curve,a,model,n,"));
    assert!(text(&here, "f/curve-clean.svg").starts_with("<svg "));
    // An older report is replaced.
    stdout(&here, "report s -o r.html --title again");
    assert!(text(&here, "r.html").contains("<title>again</title>"));
    assert!(
        stdout(&here, "report s --format model-index").starts_with("model-index:\n- name: \"a = ")
    );
    assert!(
        stdout(&here, "report s --format markdown")
            .starts_with("# micro:target + a*(micro:grpo - micro:sft)\n")
    );
}

/// What a refused command says; nothing of it is on stdout.
fn refused(here: &Workplace, arguments: &str, code: i32, says: &[&str]) {
    let output = here.output(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
    assert!(output.stdout.is_empty());
    for part in says {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}

#[test]
fn sweeps_that_make_no_sense() {
    let here = Workplace::new();
    let sweep = |rest: &str| format!("sweep {rest} --tasks micro-chat --out s");
    refused(
        &here,
        &sweep("'micro:target + a*(micro:grpo - micro:sft)' --over a=0.5,1 --limit 0"),
        2,
        &["error: invalid value '0' for '--limit <N>': expected a whole number from 1"],
    );
    assert!(!here.path("s").exists());
    refused(
        &here,
        "best s",
        1,
        &["error: `s` holds no sweep", "hint: make one with"],
    );
    refused(
        &here,
        &sweep("'micro:target + (micro:grpo - micro:sft)' --over a=0:1:0.5"),
        2,
        &[
            "error: `a` is given values, but it is not in `micro:target",
            "hint: write it where it counts",
        ],
    );
    refused(
        &here,
        &sweep("'a*(micro:grpo - micro:sft)' --over a=0.5,1"),
        2,
        &["is a vector; a model is needed to evaluate"],
    );
    refused(
        &here,
        &sweep("'micro:target + a*(micro:grpo - micro:sft)' --over a=1 --let a=micro:base"),
        2,
        &["error: `a` is a checkpoint and a coefficient"],
    );
    refused(
        &here,
        &sweep("'micro:target + a*(micro:grpo - micro:sft)' --over a=1 --over a=2"),
        2,
        &["error: `a` is given values twice"],
    );
    refused(
        &here,
        &sweep("'micro:target + (micro:grpo - micro:sft)/a' --over a=1,0"),
        2,
        &["cannot measure `a = 0`", "zero"],
    );
    // Found before anything was made.
    assert_eq!(here.names(), [""; 0]);
}

#[test]
fn a_directory_of_another_sweep() {
    let here = Workplace::new();
    std::fs::create_dir(here.path("s")).unwrap();
    std::fs::write(here.path("s/sweep.json"), "{}").unwrap();
    refused(
        &here,
        SWEEP,
        1,
        &["sweep.json` does not describe a sweep: missing field"],
    );
    std::fs::remove_file(here.path("s/sweep.json")).unwrap();
    let sweep = |model: &str| {
        format!(
            "sweep '{model} + a*(micro:grpo - micro:sft)' --over a=1 --tasks micro-chat --limit 1 --out s"
        )
    };
    stdout(&here, &sweep("micro:target"));
    refused(
        &here,
        &sweep("micro:base"),
        1,
        &[
            "`s` holds a sweep of `micro:target + a*(micro:grpo - micro:sft)`",
            "hint: pass another directory",
        ],
    );
}

#[test]
fn reports_of_nothing_and_over_something() {
    let here = Workplace::new();
    refused(&here, "report r", 1, &["cannot read `r`"]);
    std::fs::write(here.path("r.jsonl"), "").unwrap();
    refused(
        &here,
        "report r.jsonl",
        1,
        &["there are no records to report", "hint: "],
    );
    std::fs::write(here.path("mine.html"), "<p>mine</p>").unwrap();
    refused(
        &here,
        "report r.jsonl -o mine.html",
        1,
        &["`mine.html` exists and is no report"],
    );
    assert_eq!(text(&here, "mine.html"), "<p>mine</p>");
    std::fs::write(here.path("r.jsonl"), "{}\n{}\n").unwrap();
    refused(
        &here,
        "report r.jsonl",
        1,
        &["line 1 of the records `r.jsonl` is no record"],
    );
    // A reader mends nothing.
    assert_eq!(text(&here, "r.jsonl"), "{}\n{}\n");
    refused(&here, "best r", 1, &["`r` holds no sweep"]);
}

#[test]
fn answers_are_drawn_and_choose_without_labels() {
    let here = Workplace::new();
    let draw = "sweep 'micro:target + a*(micro:grpo - micro:sft)' --over a=0:1:0.5 --tasks micro-chat --limit 12 \
                --samples 3 --temperature 0.7 --out drawn";
    stdout(&here, SWEEP);
    stdout(&here, draw);
    let records = text(&here, "drawn/records.jsonl");
    assert_eq!(records.lines().count(), 3 * 12 * 3);
    // Drawn again, they are the same.
    let half: String = records
        .lines()
        .take(50)
        .flat_map(|line| [line, "\n"])
        .collect();
    std::fs::write(here.path("drawn/records.jsonl"), half).unwrap();
    stdout(&here, draw);
    assert_eq!(text(&here, "drawn/records.jsonl"), records);
    let chosen = stdout(&here, "best s --drawn drawn");
    assert!(
        chosen.contains("Without labels, by self-consistency"),
        "{chosen}"
    );
    let chosen = stdout(&here, "best s --perplexity");
    assert!(
        chosen.contains("Without labels, by perplexity") && !chosen.contains("self-consistency"),
        "{chosen}"
    );
    let refused = here.run("best s --drawn s");
    assert!(refused.contains("one answer to some question"), "{refused}");
    for (arguments, expected) in [
        ("--samples 3", "--temperature"),
        ("--temperature 0", "a number above 0"),
        ("--temperature nan", "a number above 0"),
        ("--samples 0 --temperature 1", "0"),
    ] {
        let refused = here.run(&format!("eval micro:target --tasks micro-chat {arguments}"));
        assert!(
            refused.contains("exit code 2") && refused.contains(expected),
            "{refused}"
        );
    }
}
