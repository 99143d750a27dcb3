//! What can be asked before a write, what a write says, and what can be checked after it.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use serde_json::Value;

use crate::checkpoint::{Tensor, file, model, tensors};
use crate::workplace::Workplace;

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn study() -> Workplace {
    let here = Workplace::new();
    model(&here.path("tuned"), "Tiny", &tensors(1.0, 0.5));
    model(&here.path("base"), "Tiny", &tensors(1.0, 0.25));
    here
}

/// A matrix whose elements have nothing to do with those of another seed.
fn scattered(seed: u64) -> Vec<Tensor<'static>> {
    let values = (0..4096u64).map(|index| {
        let mut mixed = (index + (seed << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    });
    vec![(
        "model.layers.0.mlp.up_proj.weight",
        &[64, 64],
        values.collect(),
    )]
}

fn strangers() -> Workplace {
    let here = Workplace::new();
    model(&here.path("one"), "Tiny", &scattered(1));
    model(&here.path("other"), "Tiny", &scattered(2));
    here
}

fn flip_the_last_bit(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_write_says_what_rounding_did_and_records_it() {
    let here = Workplace::new();
    let output = here.output("write 'micro:target + 0.5*(micro:grpo - micro:sft)' -o out");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("rounding error: ") && said.contains("% of it survives"),
        "{said}"
    );
    let record = json(&fs::read(here.path("out/taskvec.json")).unwrap());
    for share in ["lost", "survived", "vanished", "sampled"] {
        let share = record["rounding"][share].as_f64().unwrap();
        assert!((0.0..1.2).contains(&share), "{record}");
    }
    let inspected = here.output("inspect 'micro:target + 0.5*(micro:grpo - micro:sft)' --json");
    let total = &json(&inspected.stdout)["total"];
    let lost = record["rounding"]["lost"].as_f64().unwrap();
    let exact = total["rounding_error"].as_f64().unwrap();
    // Small models are looked at whole.
    assert!((lost - exact).abs() < 1e-9, "{lost} {exact}");
    assert!(total["vanished"].as_u64().unwrap() > 0);

    // A vector stored as it is by default loses nothing worth a word; in bf16 it does.
    let vector = here.output("inspect 'micro:grpo - micro:sft' --dtype bf16");
    let table = String::from_utf8_lossy(&vector.stdout);
    assert!(
        table.contains("survives %") && table.contains("lost %") && table.contains("vanished %"),
        "{table}"
    );
    let wide = here.output("write 'micro:grpo - micro:sft' -o v");
    assert!(!String::from_utf8_lossy(&wide.stderr).contains("rounding"));
}

#[test]
fn a_check_reports_what_a_write_would_do() {
    let here = Workplace::new();
    let output = here.output("check 'micro:target + (micro:grpo - micro:sft)'");
    assert!(output.status.success(), "{}", here.rendered(&output));
    let said = String::from_utf8_lossy(&output.stdout);
    for expected in [
        "config, tokenizer, types and shards of micro:target",
        "Qwen2ForCausalLM",
        "would write 50 tensors",
        "micro:grpo − micro:target",
        "relatives",
        "tokenizers of micro:target and micro:grpo",
    ] {
        assert!(said.contains(expected), "{expected} in\n{said}");
    }

    let output = here.output("check 'micro:target + (micro:grpo - micro:sft)' --json");
    let found = json(&output.stdout);
    assert_eq!(
        (&found["schema_version"], &found["would_write"]),
        (&1.into(), &true.into())
    );
    assert_eq!(found["template"], "micro:target");
    assert_eq!(found["lineage"].as_array().unwrap().len(), 3);
    assert_eq!(found["tokenizers"][0]["same_vocabulary"], true);
    assert_eq!(found["inputs"][0]["tied_embeddings"], true);
    assert_eq!(found["output"]["copied"], 0);
}

#[test]
fn a_check_lists_what_stands_in_the_way() {
    let here = study();
    let mut other = tensors(1.0, 0.5);
    other[0].1 = &[3, 4];
    model(&here.path("narrow"), "Tiny", &other);
    let output = here.run("check '\"narrow\" - \"base\"'");
    assert_snapshot!(output, @r#"
    exit code 1
    --- stdout
    "narrow" - "base": a vector

    input     kind   architecture  types  tensors  bytes  embeddings
    ────────────────────────────────────────────────────────────────
    "narrow"  model  Tiny          F32          3   80 B
    "base"    model  Tiny          F32          3   80 B
    --- stderr
    error: the checkpoints of `"narrow" - "base"` do not fit together: 1 shape differs (3 tensors compared)
      `model.embed_tokens.weight`: `"narrow"` is [3, 4], `"base"` is [4, 3]
    "#);
    let output = here.output("check '\"narrow\" - \"base\"' --json");
    assert_eq!(output.status.code(), Some(1));
    let found = json(&output.stdout);
    assert_eq!(found["would_write"], false);
    assert_eq!(found["mismatches"].as_array().unwrap().len(), 1);
    assert!(found["output"].is_null());

    assert_snapshot!(here.run("check '\"nowhere\"'"), @r#"
    exit code 1
    --- stderr
    error: `nowhere` does not exist
    "#);
}

#[test]
fn tokenizers_that_differ_are_mentioned() {
    let here = study();
    let tokenizer = |name: &str, added: &str| {
        let text = format!(
            r#"{{"added_tokens": [{added}], "model": {{"vocab": {{"a": 0, "b": 1}}, "merges": []}}}}"#
        );
        fs::write(here.path(name).join("tokenizer.json"), text).unwrap();
    };
    tokenizer("base", r#"{"id": 2, "content": "<end>"}"#);
    tokenizer(
        "tuned",
        r#"{"id": 2, "content": "<end>"}, {"id": 3, "content": "<think>"}"#,
    );
    let output = here.output("check '\"tuned\" - \"base\"'");
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("3 tokens shared") && said.contains("added only in the first: <think>"),
        "{said}"
    );
    fs::write(here.path("tuned/tokenizer.json"), "<html>").unwrap();
    assert_eq!(
        here.output("check '\"tuned\" - \"base\"'").status.code(),
        Some(1)
    );
}

#[test]
fn strangers_are_refused_until_they_are_allowed() {
    let here = strangers();
    let refusal = here.run("extract --tuned one --base other -o v");
    assert!(
        refusal.contains("error: the models do not descend from one initialisation")
            && refusal.contains("pass `--allow-strangers`"),
        "{refusal}"
    );
    assert!(refusal.starts_with("exit code 1\n"));
    assert!(!here.path("v").exists());
    assert_eq!(
        here.output("check '\"one\" - \"other\"'").status.code(),
        Some(1)
    );

    let allowed = here.output("extract --tuned one --base other -o v --allow-strangers");
    assert!(allowed.status.success(), "{}", here.rendered(&allowed));
    let record = json(&fs::read(here.path("v/taskvec.json")).unwrap());
    assert_eq!(record["flags"]["allow_strangers"], true);
    let check = here.output("check '\"one\" - \"other\"' --allow-strangers");
    assert!(check.status.success());
    assert!(String::from_utf8_lossy(&check.stderr).contains("warning: "));
    assert!(here.output("verify v").status.success());
}

#[test]
fn what_was_written_verifies_and_what_was_edited_does_not() {
    let here = study();
    assert!(
        here.output("extract --tuned tuned --base base -o v --hash")
            .status
            .success()
    );
    let verified = here
        .run("verify v")
        .replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
    assert_snapshot!(verified, @"
    exit code 0
    --- stdout
    tuned - base: a vector written by taskvec [VERSION]

    file                of      found
    ────────────────────────────────────────
    vector.safetensors  output  same content
    model.safetensors   tuned   same content
    model.safetensors   base    same content

    computed again: 20 of 20 elements (100.0 %), all the same bit for bit
    ");
    let found = json(&here.output("verify v --json").stdout);
    assert_eq!(found["sound"], true);
    assert!(
        found["files"]
            .as_array()
            .unwrap()
            .iter()
            .all(|file| file["whole"] == true)
    );

    flip_the_last_bit(&here.path("v/vector.safetensors"));
    let output = here.output("verify v");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("error: `v` is not what its record says it is")
            && said.contains("SHA-256")
            && said.contains("1 of 20 compared elements differ, element 1 of `model.layers.0.self_attn.q_proj.bias`"),
        "{said}"
    );
    let found = json(&here.output("verify v --json").stdout);
    assert_eq!(found["sound"], false);
    assert_eq!(found["recomputation"]["different"], 1);
}

#[test]
fn a_parent_that_changed_moved_or_went() {
    let here = study();
    assert!(
        here.output("extract --tuned tuned --base base -o v.safetensors")
            .status
            .success()
    );
    assert!(here.output("verify v.safetensors").status.success());
    fs::rename(here.path("tuned"), here.path("elsewhere")).unwrap();
    let output = here.output("verify v.safetensors");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`tuned` does not exist"));
    assert!(
        here.output("verify v.safetensors --let tuned=elsewhere")
            .status
            .success()
    );
    flip_the_last_bit(&here.path("elsewhere/model.safetensors"));
    let output = here.output("verify v.safetensors --let tuned=elsewhere");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("`model.safetensors` of `tuned`: changed: XXH3 of the content "),
        "{said}"
    );
}

#[test]
fn records_that_are_missing_edited_or_lead_elsewhere() {
    let here = study();
    file(&here.path("bare.safetensors"), &tensors(1.0, 0.5));
    assert_snapshot!(here.run("verify bare.safetensors"), @"
    exit code 1
    --- stderr
    error: `bare.safetensors` carries no record of what made it

    hint: `taskvec.json` in a directory, or the header of a single file, holds it; what other tools wrote has none
    ");
    assert_eq!(here.output("verify nowhere").status.code(), Some(1));

    assert!(
        here.output("extract --tuned tuned --base base -o v")
            .status
            .success()
    );
    let file = here.path("v/taskvec.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("tuned - base", "2*(tuned - base)")).unwrap();
    let output = here.output("verify v");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("stored is"));
    fs::write(
        &file,
        text.replace("\"name\": \"vector.safetensors\"", "\"name\": \"../x\""),
    )
    .unwrap();
    assert_eq!(here.output("verify v").status.code(), Some(1));
    fs::write(&file, "{\"schema\": 1").unwrap();
    assert_eq!(here.output("verify v").status.code(), Some(1));
    fs::write(&file, text).unwrap();
    let weights = here.path("v/vector.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() - 4]).unwrap();
    let cut = here.output("verify v");
    assert_eq!(cut.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&cut.stderr).contains("is not a valid safetensors file"));
}

#[test]
fn a_training_run_is_not_computed_again() {
    let here = Workplace::new();
    let row = "{\"prompt\": \"Q: Who has figs?\\nA:\", \"completion\": \" Ben has figs.\"}\n";
    fs::write(here.path("data.jsonl"), row.repeat(8)).unwrap();
    let output = here.output("sft --model micro:base --data data.jsonl -o tuned --max-steps 1");
    assert!(output.status.success(), "{}", here.rendered(&output));
    let output = here.output("verify tuned");
    assert!(output.status.success(), "{}", here.rendered(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("a training run made the weights"));
}
