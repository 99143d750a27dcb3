//! Checkpoints on the Hub, in its cache; vectors without their zeros; embeddings of different lengths.

use std::fs;
use std::process::Output;

use crate::checkpoint::{Tensor, file, model, tensors};
use crate::workplace::Workplace;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A cache with `org/name` at its branch `main`, as another tool left it.
fn cached() -> Workplace {
    let here = Workplace::new();
    let repository = here.path("cache").join("models--org--name");
    fs::create_dir_all(repository.join("snapshots")).unwrap();
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), COMMIT).unwrap();
    let snapshot = repository.join("snapshots").join(COMMIT);
    model(&snapshot, "Tiny", &tensors(1.0, 0.5));
    model(&here.path("base"), "Tiny", &tensors(1.0, 0.25));
    here
}

fn offline(here: &Workplace, arguments: &str) -> Output {
    let mut command = here.command(arguments);
    command.env("HF_HUB_OFFLINE", "1");
    command.env("HF_HUB_CACHE", here.path("cache"));
    command.output().unwrap()
}

#[test]
fn a_reference_to_the_hub_stands_wherever_a_reference_may() {
    let here = cached();
    fs::write(
        here.path("merge.yml"),
        "merge_method: linear\nparameters: {weight: 0.5}\nmodels: [{model: base}, {model: org/name@main}]\n",
    )
    .unwrap();
    for (number, arguments) in [
        r#"write '"hf:org/name" - "base"'"#,
        "write 'tuned - base' --let tuned=hf:org/name@main --let base=base",
        "extract --tuned hf:org/name --base base",
        "write merge.yml",
    ]
    .iter()
    .enumerate()
    {
        let to = format!("out{number}");
        let output = offline(&here, &format!("{arguments} -o {to}"));
        assert!(
            output.status.success(),
            "{arguments}: {}",
            here.rendered(&output)
        );
        let record = fs::read_to_string(here.path(&to).join("taskvec.json")).unwrap();
        assert!(
            record.contains(&format!("\"revision\": \"{COMMIT}\"")),
            "{record}"
        );
        let verified = offline(&here, &format!("verify {to}"));
        assert!(verified.status.success(), "{}", here.rendered(&verified));
    }
    let output = offline(&here, r#"check '"hf:org/other"'"#);
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(
        said.contains("cannot fetch `hf:org/other`") && said.contains("unset `HF_HUB_OFFLINE`"),
        "{said}"
    );
}

#[test]
fn nobody_at_the_endpoint_is_said() {
    let here = Workplace::new();
    let mut command = here.command(r#"inspect '"hf:org/name"'"#);
    command
        .env("HF_ENDPOINT", "http://127.0.0.1:1")
        .env("HF_HUB_CACHE", here.path("cache"))
        .env_remove("HF_HUB_OFFLINE");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(
        said.contains("no connection to `http://127.0.0.1:1/api/models/org/name"),
        "{said}"
    );
}

#[test]
fn auto_says_how_small_a_vector_of_zeros_became() {
    let here = Workplace::new();
    let matrix = |salt: f32| -> Vec<Tensor<'static>> {
        let values = (0..64 * 256).map(|index| if index % 20 == 0 { salt } else { 1.0 });
        vec![(
            "model.layers.0.mlp.up_proj.weight",
            &[64, 256],
            values.collect(),
        )]
    };
    model(&here.path("tuned"), "Tiny", &matrix(2.0));
    model(&here.path("base"), "Tiny", &matrix(1.0));
    let output = here.output("extract --tuned tuned --base base --dtype auto -o v");
    assert!(output.status.success(), "{}", here.rendered(&output));
    assert!(
        said(&output)
            .contains("1 of 1 tensors hold only what is not zero: 4.12 KiB instead of 32.00 KiB"),
        "{}",
        said(&output)
    );
    let output = here.output("verify v --all");
    assert!(output.status.success(), "{}", here.rendered(&output));
    let output = here.output("apply --model base --vector v -o again");
    assert!(output.status.success(), "{}", here.rendered(&output));
    let weights = |name: &str| fs::read(here.path(name).join("model.safetensors")).unwrap();
    let data = |bytes: Vec<u8>| bytes[bytes.len() - 64 * 256 * 4..].to_vec();
    assert_eq!(data(weights("again")), data(weights("tuned")));
}

#[test]
fn padded_embeddings_are_combined_where_that_is_asked_for() {
    let here = Workplace::new();
    let rows = |rows: &'static [usize; 2], start: f32| -> Vec<Tensor<'static>> {
        let values = |count: usize| (0..count).map(|index| start + index as f32).collect();
        vec![
            ("model.embed_tokens.weight", rows, values(rows[0] * rows[1])),
            ("model.layers.0.mlp.up_proj.weight", &[2, 3], values(6)),
        ]
    };
    model(&here.path("target"), "Tiny", &rows(&[6, 3], 100.0));
    model(&here.path("tuned"), "Tiny", &rows(&[4, 3], 100.5));
    model(&here.path("base"), "Tiny", &rows(&[5, 3], 100.0));
    let expression = r#"'"target" + ("tuned" - "base")'"#;
    for command in ["check", "write -o out"] {
        let output = here.output(&format!("{command} {expression}"));
        assert_eq!(output.status.code(), Some(1));
        assert!(
            said(&output).contains("`--rows common`"),
            "{}",
            said(&output)
        );
    }
    let what = "the 4 rows that all have are combined";
    let output = here.output(&format!("check {expression} --rows common"));
    assert!(output.status.success(), "{}", here.rendered(&output));
    assert!(
        here.rendered(&output).contains(what),
        "{}",
        here.rendered(&output)
    );
    let output = here.output(&format!("write {expression} --rows common -o out"));
    assert!(output.status.success(), "{}", here.rendered(&output));
    assert!(said(&output).contains(what), "{}", said(&output));
    let bytes = fs::read(here.path("out/model.safetensors")).unwrap();
    let values: Vec<f32> = bytes[bytes.len() - 4 * 24..]
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    let expected = |index: usize| 100.0 + index as f32 + if index < 12 { 0.5 } else { 0.0 };
    let expected: Vec<f32> = (0..18).map(expected).collect();
    assert_eq!(values[..18], expected);
    let output = here.output("verify out --all");
    assert!(output.status.success(), "{}", here.rendered(&output));
}

#[test]
fn write_compares_tokenizers_as_check_does() {
    let here = Workplace::new();
    for (name, step) in [("tuned", 0.5), ("base", 0.25)] {
        model(&here.path(name), "Tiny", &tensors(1.0, step));
        let text = format!(r#"{{"model": {{"vocab": {{"a": 0, "{name}": 1}}, "merges": []}}}}"#);
        fs::write(here.path(name).join("tokenizer.json"), text).unwrap();
    }
    let warning = "warning: the tokenizers of `base` and `tuned` differ, and rows of their embeddings are combined by number";
    let command =
        "write 'base + (tuned - base)' --let base=base --let tuned=tuned --overwrite -o out";
    let output = here.output(command);
    assert!(output.status.success(), "{}", here.rendered(&output));
    assert_eq!(
        said(&output).matches(warning).count(),
        1,
        "{}",
        said(&output)
    );
    // One that cannot be read stands in the way of the comparison, not of the weights.
    fs::write(here.path("tuned/tokenizer.json"), "<html>").unwrap();
    let output = here.output(command);
    assert!(output.status.success(), "{}", here.rendered(&output));
    assert!(
        said(&output).contains("tokenizers were not compared"),
        "{}",
        said(&output)
    );
    file(&here.path("bare.safetensors"), &tensors(1.0, 0.5));
    let output = here.output("write a --let a=bare.safetensors -o bare");
    assert!(!said(&output).contains("tokenizer"), "{}", said(&output));
}
