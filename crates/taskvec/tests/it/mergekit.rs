//! mergekit files where an expression may stand.

use std::fs;

use serde_json::Value;

use crate::workplace::Workplace;

const FILE: &str = "\
merge_method: task_arithmetic
base_model: micro:base
models:
  - model: micro:sft
    parameters:
      weight: {filter: mlp, value: [0, 1]}
parameters: {weight: 0.5}
dtype: float32
";

#[test]
fn a_file_is_written_as_its_expression_would_be() {
    let here = Workplace::new();
    fs::write(here.path("merge.yml"), FILE).unwrap();
    for (argument, output) in [
        ("merge.yml", "from-file"),
        (
            "'micro:base + {\"mlp\": [0, 1], else: 0.5}*(micro:sft - micro:base)' --dtype F32",
            "from-expression",
        ),
    ] {
        let run = here.output(&format!("write {argument} -o {output}"));
        assert!(run.status.success(), "{}", here.rendered(&run));
    }
    let weights = |output: &str| fs::read(here.path(output).join("model.safetensors")).unwrap();
    assert_eq!(weights("from-file"), weights("from-expression"));
    let record = fs::read(here.path("from-file/taskvec.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(
        record["expression"],
        "base + {\"mlp\": [0, 1], else: 0.5}*(sft - base)"
    );
    let verified = here.output("verify from-file");
    assert!(verified.status.success(), "{}", here.rendered(&verified));
}

#[test]
fn a_file_at_fault_is_refused_with_its_line() {
    let here = Workplace::new();
    fs::write(here.path("merge.yml"), FILE.replace("dtype", "dtpye")).unwrap();
    let run = here.output("check merge.yml");
    assert_eq!(run.status.code(), Some(1));
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(
        said.contains("`merge.yml`, line 8, column 1: a mergekit file has no key `dtpye`"),
        "{said}"
    );
    assert!(said.contains("hint: there is `dtype`"), "{said}");
}

#[test]
fn names_beside_a_file_are_refused() {
    let here = Workplace::new();
    fs::write(here.path("merge.yml"), FILE).unwrap();
    let run = here.output("check merge.yml --let base=micro:base");
    assert_eq!(run.status.code(), Some(2));
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(
        said.contains("`--let` says nothing about `merge.yml`"),
        "{said}"
    );
}
