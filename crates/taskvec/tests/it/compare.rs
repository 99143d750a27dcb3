//! Two evaluations against one another.

use std::fs;

use serde_json::Value;

use crate::workplace::Workplace;

#[test]
fn two_models_on_the_same_questions() {
    let here = Workplace::new();
    let enhanced = "'micro:target + 0.5*(micro:grpo - micro:sft)'";
    for (model, out) in [("micro:target", "before"), (enhanced, "after")] {
        let run = here.output(&format!(
            "-q eval {model} --tasks micro-gsm,micro-chat --limit 40 --out {out}"
        ));
        assert!(run.status.success(), "{}", here.rendered(&run));
    }
    let run = here.output("compare before after --json --examples 1");
    assert!(run.status.success(), "{}", here.rendered(&run));
    let json: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(
        (&json["schema_version"], &json["command"]),
        (&1.into(), &"taskvec compare".into())
    );
    let row = &json["rows"][0];
    assert_eq!((&row["task"], &row["n"]), (&"micro-gsm".into(), &40.into()));
    let difference =
        row["second_accuracy"].as_f64().unwrap() - row["first_accuracy"].as_f64().unwrap();
    assert!(
        (row["difference"].as_f64().unwrap() - difference).abs() < 1e-12,
        "{row}"
    );
    let moved = row["gained"].as_f64().unwrap() - row["lost"].as_f64().unwrap();
    assert!((moved / 40.0 - difference).abs() < 1e-12, "{row}");

    let table = here.output("compare before/records.jsonl after --examples 1");
    let text = String::from_utf8(table.stdout).unwrap();
    assert!(
        text.contains("changed") && text.contains("weights") && text.contains("95 % interval"),
        "{text}"
    );
    assert_eq!(
        text.contains("\ngained: micro-gsm micro-gsm/test/0/"),
        row["gained"] != 0,
        "{text}"
    );
    assert!(
        String::from_utf8(table.stderr)
            .unwrap()
            .contains("McNemar's exact test")
    );
}

#[test]
fn records_that_cannot_be_compared() {
    let here = Workplace::new();
    let run = here.output("-q eval micro:target --tasks micro-gsm --limit 3 --out a.jsonl");
    assert!(run.status.success(), "{}", here.rendered(&run));
    let whole = fs::read_to_string(here.path("a.jsonl")).unwrap();
    let refusal = |text: &str| {
        fs::write(here.path("b.jsonl"), text).unwrap();
        let run = here.output("compare a.jsonl b.jsonl");
        assert_eq!(run.status.code(), Some(1));
        assert!(run.stdout.is_empty());
        String::from_utf8(run.stderr).unwrap()
    };
    let said = refusal(&whole.replacen("\"task_version\":\"", "\"task_version\":\"9", 3));
    assert!(
        said.contains("`micro-gsm` is version ") && said.contains(" in the first run and 9"),
        "{said}"
    );
    let said = refusal(&format!("{whole}nonsense\n"));
    assert!(
        said.contains("line 4 of the records `b.jsonl` is no record"),
        "{said}"
    );
    assert!(refusal("").contains("there are no records in `b.jsonl`"));
    assert!(refusal("{\"doc_id\": \"1\"}\n").contains("missing field"));
    let said = refusal(
        &(whole.clone() + &whole.replace("\"model\":\"micro:target\"", "\"model\":\"other\"")),
    );
    assert!(
        said.contains("2 models: `micro:target`, `other`") && said.contains("--second-model"),
        "{said}"
    );
    let run = here.output("compare a.jsonl b.jsonl --second-model other");
    assert!(run.status.success(), "{}", here.rendered(&run));
}
