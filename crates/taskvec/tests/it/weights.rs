//! Arithmetic on checkpoints, seen from the shell.

use std::fs;

use insta::assert_snapshot;
use serde_json::Value;

use crate::checkpoint::{file, model, tensors};
use crate::workplace::Workplace;

/// A tuned model, its base, and a target.
fn study() -> Workplace {
    let here = Workplace::new();
    model(&here.path("tuned"), "Tiny", &tensors(1.0, 0.5));
    model(&here.path("base"), "Tiny", &tensors(1.0, 0.25));
    model(&here.path("target"), "Tiny", &tensors(2.0, 0.125));
    here
}

#[test]
fn what_is_extracted_and_applied_again_is_what_was() {
    let here = study();
    assert_snapshot!(here.run("extract --tuned tuned --base base -o vector"), @"
    exit code 0
    --- stdout
    vector
    --- stderr
    wrote a vector of 3 tensors, 80 B: tuned - base
    ");
    assert_snapshot!(here.run("apply --model base --vector vector -o again"), @"
    exit code 0
    --- stdout
    again
    --- stderr
    wrote a model of 3 tensors, 80 B: model + vector
    ");
    let weights = |name: &str| fs::read(here.path(name).join("model.safetensors")).unwrap();
    let data = |bytes: Vec<u8>| bytes[bytes.len() - 20 * 4..].to_vec();
    assert_eq!(data(weights("again")), data(weights("tuned")));
    let config = |name: &str| fs::read(here.path(name).join("config.json")).unwrap();
    assert_eq!(config("again"), config("base"));
    assert_eq!(here.names(), ["again", "base", "target", "tuned", "vector"]);
}

#[test]
fn an_expression_is_written_with_its_provenance() {
    let here = study();
    let output = here.run("write 'target+0.50*(tuned − base)' -o out --let target=target --let tuned=./tuned --let base=base");
    assert_snapshot!(output, @"
    exit code 0
    --- stdout
    out
    --- stderr
    wrote a model of 3 tensors, 80 B: target + 0.5*(tuned - base)
    ");
    let provenance: Value =
        serde_json::from_slice(&fs::read(here.path("out/taskvec.json")).unwrap()).unwrap();
    assert_eq!(provenance["expression"], "target + 0.5*(tuned - base)");
    assert_eq!(provenance["inputs"][1]["reference"], "./tuned");
}

#[test]
fn a_single_file_and_another_type() {
    let here = study();
    let output = here.run("-q write '\"tuned\" - \"base\"' -o v.safetensors --dtype bf16");
    assert_snapshot!(output, @"
    exit code 0
    --- stdout
    v.safetensors
    ");
    assert!(here.path("v.safetensors").is_file());
}

#[test]
fn an_inspection_as_table_and_as_json() {
    let here = study();
    assert_snapshot!(here.run("inspect '\"tuned\" - \"base\"'"), @r#"
    exit code 0
    --- stdout
    "tuned" - "base": a vector of 3 tensors, 20 elements; relative to "base"

    group                elements    norm  relative  largest  zero %
    ────────────────────────────────────────────────────────────────
    embedding                  12   5.624    0.6424    2.750     8.3
    layer 0 attention.q         2  0.2500    0.1562   0.2500    50.0
    layer 0 mlp                 6   1.854    0.4505    1.250    16.7
    total                      20   5.927    0.6045    2.750    15.0
    "#);
    assert_snapshot!(here.run("inspect '\"tuned\" - \"base\"' --by tensor --json"), @r#"
    exit code 0
    --- stdout
    {
      "schema_version": 1,
      "taskvec": "[VERSION]",
      "expression": "\"tuned\" - \"base\"",
      "kind": "vector",
      "measured": "vector",
      "origin": "\"base\"",
      "by": "tensor",
      "total": {
        "elements": 20,
        "norm": 5.926634795564849,
        "relative_norm": 0.6044912099334995,
        "origin_norm": 9.80433577556379,
        "largest": 2.75,
        "zeros": 3,
        "nan": 0,
        "infinite": 0,
        "survival": null,
        "rounding_error": null,
        "vanished": null
      },
      "rows": [
        {
          "name": "model.embed_tokens.weight",
          "layer": null,
          "module": "embedding",
          "elements": 12,
          "norm": 5.623610939600996,
          "relative_norm": 0.6424362277210226,
          "origin_norm": 8.753570700005799,
          "largest": 2.75,
          "zeros": 1,
          "nan": 0,
          "infinite": 0,
          "survival": null,
          "rounding_error": null,
          "vanished": null
        },
        {
          "name": "model.layers.0.mlp.up_proj.weight",
          "layer": 0,
          "module": "mlp",
          "elements": 6,
          "norm": 1.8540496217739157,
          "relative_norm": 0.45050197504594275,
          "origin_norm": 4.115519408288582,
          "largest": 1.25,
          "zeros": 1,
          "nan": 0,
          "infinite": 0,
          "survival": null,
          "rounding_error": null,
          "vanished": null
        },
        {
          "name": "model.layers.0.self_attn.q_proj.bias",
          "layer": 0,
          "module": "attention.q",
          "elements": 2,
          "norm": 0.25,
          "relative_norm": 0.15617376188860607,
          "origin_norm": 1.6007810593582121,
          "largest": 0.25,
          "zeros": 1,
          "nan": 0,
          "infinite": 0,
          "survival": null,
          "rounding_error": null,
          "vanished": null
        }
      ],
      "not_finite": []
    }
    "#);
}

#[test]
fn what_is_not_finite_is_written_and_never_unmentioned() {
    let here = study();
    let mut broken = tensors(1.0, 0.5);
    broken[1].2[3] = f32::NAN;
    broken[2].2[0] = f32::INFINITY;
    file(&here.path("broken.safetensors"), &broken);
    assert_snapshot!(here.run("write '\"broken.safetensors\" - \"base\"' -o v"), @r#"
    exit code 0
    --- stdout
    v
    --- stderr
    warning: 1 NaN and 1 infinite values in 2 of 3 tensors, `model.layers.0.mlp.up_proj.weight` the first
    wrote a vector of 3 tensors, 80 B: "broken.safetensors" - "base"
    "#);
    assert_snapshot!(here.run("inspect '\"broken.safetensors\" - \"base\"'"), @r#"
    exit code 0
    --- stdout
    "broken.safetensors" - "base": a vector of 3 tensors, 20 elements; relative to "base"

    group                elements   norm  relative  largest  zero %  NaN  infinite
    ──────────────────────────────────────────────────────────────────────────────
    embedding                  12  5.624    0.6424    2.750     8.3    0         0
    layer 0 attention.q         2    inf       inf   0.2500     0.0    0         1
    layer 0 mlp                 6    NaN       NaN    1.250    16.7    1         0
    total                      20    NaN       NaN    2.750    10.0    1         1
    --- stderr
    warning: `"broken.safetensors" - "base"` has elements that are not finite in 2 of 3 tensors
      `model.layers.0.mlp.up_proj.weight`: 1 NaN, 0 infinite
      `model.layers.0.self_attn.q_proj.bias`: 0 NaN, 1 infinite
    "#);
}

#[test]
fn what_an_earlier_run_wrote_is_replaced_on_demand() {
    let here = study();
    assert!(
        here.output("extract --tuned tuned --base base -o v")
            .status
            .success()
    );
    let before = fs::read(here.path("v/vector.safetensors")).unwrap();
    assert!(
        here.output("extract --tuned target --base base -o v --overwrite")
            .status
            .success()
    );
    assert_ne!(fs::read(here.path("v/vector.safetensors")).unwrap(), before);
}

#[test]
fn quiet_says_nothing_and_verbose_says_more() {
    let here = study();
    let quiet = here.output("-q extract --tuned tuned --base base -o a");
    assert!(quiet.stderr.is_empty() && quiet.status.success());
    let verbose = here.output("extract -v --tuned tuned --base base -o b");
    assert!(String::from_utf8_lossy(&verbose.stderr).contains("tuned: 3 tensors"));
}

#[test]
fn auto_takes_the_smallest_type_that_loses_nothing() {
    let here = Workplace::new();
    model(&here.path("a"), "Tiny", &tensors(1.0, 0.5));
    model(&here.path("b"), "Tiny", &tensors(1.0, 0.25));
    model(&here.path("c"), "Tiny", &tensors(0.1, 0.3));
    for (expression, dtype) in [("a - b", "BF16"), ("a - c", "F64"), ("a - a", "BF16")] {
        let command = format!(
            "write '{expression}' --let a=a --let b=b --let c=c --dtype auto --overwrite -o v.safetensors"
        );
        let run = here.output(&command);
        assert!(run.status.success(), "{}", here.rendered(&run));
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(said.contains("holds every element exactly"), "{said}");
        let bytes = std::fs::read(here.path("v.safetensors")).unwrap();
        let header = String::from_utf8_lossy(&bytes);
        assert!(
            header.contains(&format!("\"dtype\":\"{dtype}\"")),
            "{expression}: {header}"
        );
    }
    let run = here.output("write a --let a=a --dtype auto -o copy");
    assert_eq!(run.status.code(), Some(1));
    assert!(!here.path("copy").exists());
}
