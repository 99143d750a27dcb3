//! Sweeps, the best of their points, and reports.

use insta::assert_snapshot;

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
    let curve = stdout(&here, SWEEP);
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
    std::fs::write(here.path("s/records.jsonl"), half + "{\"torn").unwrap();
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

#[test]
fn sweeps_that_make_no_sense() {
    let here = Workplace::new();
    assert_snapshot!(here.run("sweep 'micro:target + (micro:grpo - micro:sft)' --over a=0:1:0.5 --tasks micro-chat --out s"), @"");
    assert_snapshot!(here.run("sweep 'a*(micro:grpo - micro:sft)' --over a=0:1:0.5 --tasks micro-chat --out s"), @"");
    assert_snapshot!(here.run("sweep 'micro:target + a*(micro:grpo - micro:sft)' --over a=1 --let a=micro:base --tasks micro-chat --out s"), @"");
    assert_snapshot!(here.run("sweep 'micro:target + (micro:grpo - micro:sft)/a' --over a=0,1 --tasks micro-chat --out s"), @"");
    assert_eq!(here.names(), [""; 0]);
}

#[test]
fn a_directory_of_another_sweep() {
    let here = Workplace::new();
    std::fs::create_dir(here.path("s")).unwrap();
    std::fs::write(here.path("s/sweep.json"), "{}").unwrap();
    assert_snapshot!(here.run(SWEEP), @"");
    std::fs::remove_file(here.path("s/sweep.json")).unwrap();
    stdout(
        &here,
        "sweep 'micro:target + a*(micro:grpo - micro:sft)' --over a=1 --tasks micro-chat --limit 1 --out s -q",
    );
    assert_snapshot!(here.run("sweep 'micro:base + a*(micro:grpo - micro:sft)' --over a=1 --tasks micro-chat --limit 1 --out s"), @"");
}

#[test]
fn reports_of_nothing_and_over_something() {
    let here = Workplace::new();
    assert_snapshot!(here.run("report r"), @"");
    std::fs::write(here.path("r.jsonl"), "").unwrap();
    assert_snapshot!(here.run("report r.jsonl"), @"");
    std::fs::write(here.path("mine.html"), "<p>mine</p>").unwrap();
    assert_snapshot!(here.run("report r.jsonl -o mine.html"), @"");
    assert_snapshot!(here.run("best r"), @"");
}
