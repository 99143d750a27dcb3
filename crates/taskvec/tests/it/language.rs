//! What runs a model, on the embedded ones.

use std::fs;

use insta::assert_snapshot;
use serde_json::Value;

use crate::workplace::Workplace;

const PROMPT: &str = "--prompt 'Ben has 4 figs. He buys 5 more. How many figs does Ben have now?'";

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn greedy_text_is_the_same_every_time_and_on_any_number_of_threads() {
    let here = Workplace::new();
    let text = |flags: &str| {
        let output = here.output(&format!("generate micro:target {PROMPT} {flags}"));
        assert!(output.status.success(), "{}", here.rendered(&output));
        output.stdout
    };
    let once = text("");
    assert!(!once.is_empty());
    assert_eq!(text("--threads 1"), once);
    assert_eq!(
        text("--temperature 1 --seed 5"),
        text("--temperature 1 --seed 5")
    );
}

#[test]
fn a_base_model_continues_plain_text() {
    let here = Workplace::new();
    let output = here.output(&format!(
        "generate micro:base {PROMPT} --no-chat --max-new-tokens 4"
    ));
    assert!(output.status.success(), "{}", here.rendered(&output));
}

#[test]
fn an_evaluation_resumes_from_its_records() {
    let here = Workplace::new();
    let command = "eval micro:target --tasks micro-gsm,micro-sciq --conditions clean,adversarial --limit 4 --out kept --json";
    let first = here.output(command);
    assert!(first.status.success(), "{}", here.rendered(&first));
    let records = fs::read(here.path("kept/records.jsonl")).unwrap();
    assert_eq!(records.iter().filter(|&&byte| byte == b'\n').count(), 12);
    let second = here.output(command);
    assert_eq!(second.stdout, first.stdout);
    assert_eq!(fs::read(here.path("kept/records.jsonl")).unwrap(), records);

    let report = json(&first.stdout);
    assert_eq!(report["schema_version"], 1);
    let row = &report["rows"][0];
    for field in [
        "model",
        "expression",
        "task",
        "condition",
        "n",
        "correct",
        "accuracy",
        "ci_low",
        "ci_high",
    ] {
        assert!(!row[field].is_null(), "{field} in {row}");
    }
}

#[test]
fn the_demo_writes_what_it_prints() {
    let here = Workplace::new();
    let output = here.output("demo --limit 3 --json");
    assert!(output.status.success(), "{}", here.rendered(&output));
    let printed = json(&output.stdout);
    assert_eq!(json(&fs::read(here.path("report.json")).unwrap()), printed);
    let rows = printed["rows"].as_array().unwrap();
    let models: Vec<&Value> = rows
        .iter()
        .filter(|row| row["task"] == "micro-gsm" && row["condition"] == "adversarial")
        .map(|row| &row["model"])
        .collect();
    assert_eq!(
        models,
        [
            "target - v",
            "target",
            "target + 0.5 v",
            "target + 1.0 v",
            "target + random(v)",
            "target + (grpo - base)",
            "target + (sft - base)"
        ]
    );
    assert!(
        printed["conclusion"]
            .as_str()
            .unwrap()
            .starts_with("On micro-gsm (n = 3)")
    );

    // A report of its own is replaced.
    let again = here.output("demo --limit 2");
    assert!(again.status.success(), "{}", here.rendered(&again));
    let table = String::from_utf8(again.stdout).unwrap();
    assert!(
        table.contains("target + random(v)") && table.contains("95 % interval"),
        "{table}"
    );
}

#[test]
fn supervised_fine_tuning_from_a_file_resumes_and_finishes() {
    let here = Workplace::new();
    let row = "{\"prompt\": \"Q: Who has figs?\\nA:\", \"completion\": \" Ben has figs.\"}\n";
    fs::write(here.path("data.jsonl"), row.repeat(8)).unwrap();
    let command =
        "sft --model micro:base --data data.jsonl -o tuned --max-steps 3 --learning-rate 1e-3";
    let output = here.output(command);
    assert!(output.status.success(), "{}", here.rendered(&output));
    assert_eq!(here.names(), ["data.jsonl", "tuned", "tuned.training"]);
    let metrics = fs::read_to_string(here.path("tuned.training/metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 3);
    let report = here.output("report tuned.training --format markdown");
    assert!(report.status.success(), "{}", here.rendered(&report));
    let table = String::from_utf8(report.stdout).unwrap();
    assert!(
        table.contains("3 steps, 0 to 2.") && table.contains("| Loss "),
        "{table}"
    );
    let provenance = json(&fs::read(here.path("tuned/taskvec.json")).unwrap());
    assert_eq!(provenance["expression"], "sft(micro:base)");
    assert!(
        here.output("inspect '\"tuned\" - micro:base'")
            .status
            .success()
    );
    assert_snapshot!(here.run(command), @"
    exit code 1
    --- stderr
    error: `tuned` already exists and is not empty

    hint: choose another destination, or pass `--overwrite` to replace it
    ");
}

#[test]
fn a_row_that_cannot_be_learned_from() {
    let here = Workplace::new();
    fs::write(
        here.path("data.jsonl"),
        "{\"text\": \"fine\"}\n{\"prompt\": \"no answer\"}\n",
    )
    .unwrap();
    assert_snapshot!(here.run("sft --model micro:base --data data.jsonl -o tuned --max-steps 1"), @"
    exit code 1
    --- stderr
    error: `data.jsonl`, line 2: the row has `prompt` but no `completion`

    hint: a row is {\"prompt\": …, \"completion\": …}, {\"messages\": […]} or {\"text\": …}
    ");
    assert!(!here.path("tuned").exists());
}

#[test]
fn a_task_that_cannot_be_rewarded() {
    let here = Workplace::new();
    assert_snapshot!(here.run("grpo --model micro:base --task micro-sciq -o tuned"), @"
    exit code 1
    --- stderr
    error: `task` is micro-sciq, expected a task that is answered by writing
    ");
}

#[test]
fn embedded_models_are_listed_and_exported() {
    let here = Workplace::new();
    assert_eq!(
        json(&here.output("micro list --json").stdout)["models"][3]["name"],
        "micro:target"
    );
    let output = here.output("micro export target --out exported");
    assert!(output.status.success(), "{}", here.rendered(&output));
    for file in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "taskvec.json",
    ] {
        assert!(here.path("exported/target").join(file).is_file(), "{file}");
    }
    let same = here.output("inspect '\"exported/target\" - micro:target' --json");
    assert_eq!(json(&same.stdout)["total"]["norm"], 0.0);
    assert_snapshot!(here.run("micro export targe --out exported"), @"
    exit code 2
    --- stderr
    error: there is no micro model `targe`

    hint: did you mean `target`?
    ");
}
