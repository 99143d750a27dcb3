//! Vectors written as adapters, and adapters as vectors.

use std::fs;

use serde_json::Value;

use crate::checkpoint::{file, model, tensors};
use crate::workplace::Workplace;

#[test]
fn a_vector_becomes_an_adapter_and_the_adapter_a_vector() {
    let here = Workplace::new();
    let run = here.output("-q lora 'micro:grpo - micro:sft' --rank 8 -o reason --json");
    assert!(run.status.success(), "{}", here.rendered(&run));
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(report["rank"], 8);
    // Seven projections in each of four layers.
    assert_eq!(report["modules"].as_array().unwrap().len(), 28);
    let kept = report["kept_share"].as_f64().unwrap();
    let left_out = report["left_out_share"].as_f64().unwrap();
    assert!(kept > 0.05 && kept + left_out <= 1.0, "{kept}, {left_out}");
    let config: Value =
        serde_json::from_slice(&fs::read(here.path("reason/adapter_config.json")).unwrap())
            .unwrap();
    assert_eq!(
        (&config["r"], &config["lora_alpha"]),
        (&8.into(), &8.into())
    );
    assert_eq!(config["base_model_name_or_path"], "micro:sft");

    // What the adapter misses of the vector is what the report says.
    let missed = "inspect '(micro:grpo - micro:sft) - \"reason\"' --json";
    let run = here.output(missed);
    assert!(run.status.success(), "{}", here.rendered(&run));
    let run = here.output("write 'micro:target + \"reason\"' -o enhanced");
    assert!(run.status.success(), "{}", here.rendered(&run));
    let run = here.output("eval '\"enhanced\"' --tasks micro-gsm --limit 2");
    assert!(run.status.success(), "{}", here.rendered(&run));

    // A vector made of the adapter lacks what the adapter lacks, and is added all the same.
    let run = here.output("write '\"reason\"' -o v");
    assert!(run.status.success(), "{}", here.rendered(&run));
    let run = here.output("apply --model micro:target --vector v -o same");
    assert!(run.status.success(), "{}", here.rendered(&run));
    let weights = |name: &str| fs::read(here.path(name).join("model.safetensors")).unwrap();
    assert!(weights("same") == weights("enhanced"));
}

#[test]
fn what_any_other_vector_lacks_counts_as_zero_on_request() {
    let here = Workplace::new();
    model(&here.path("m"), "Tiny", &tensors(1.0, 0.5));
    file(&here.path("vector.safetensors"), &tensors(0.5, 0.25)[..1]);
    let refused = here.run("apply --model m --vector vector.safetensors -o out");
    assert!(
        refused.starts_with("exit code 1\n") && refused.contains("pass `--missing-as-zero`"),
        "{refused}"
    );
    for command in [
        "check '\"m\" + \"vector.safetensors\"'",
        "write '\"m\" + \"vector.safetensors\"' -o written",
        "apply --model m --vector vector.safetensors -o out",
        "verify out",
    ] {
        let flag = if command.starts_with("verify") {
            ""
        } else {
            " --missing-as-zero"
        };
        let run = here.output(&format!("{command}{flag}"));
        assert!(run.status.success(), "{}", here.rendered(&run));
    }
}

#[test]
fn what_is_no_vector_is_refused() {
    let here = Workplace::new();
    let run = here.output("lora micro:grpo --rank 8 -o reason");
    assert_eq!(run.status.code(), Some(2));
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(
        said.contains("hint: subtract the base model from it"),
        "{said}"
    );
    let run = here.output("lora 'micro:grpo - micro:sft' --rank 0 -o reason");
    assert_eq!(run.status.code(), Some(2));
    assert!(here.names().is_empty());
}
