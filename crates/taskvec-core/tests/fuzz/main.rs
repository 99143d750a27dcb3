//! Fuzz targets: what comes from outside, mutated, must be refused or read, and never panic.
//!
//! `cargo test` runs each for a bounded number of inputs; with cargo-bolero a coverage-guided engine takes over and runs
//! as long as it is let: `cargo bolero test -p taskvec-core safetensors_header`.
//!
//! Random bytes hardly ever get past the first brace. So every input is a valid one with a few edits, some of which insert
//! what the format is sensitive to.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unforeseen happens"
)]

use std::fs;

use bolero::{TypeGenerator, check};
use taskvec_core::mergekit::translate;
use taskvec_core::safetensors::Header;
use taskvec_core::{Checkpoint, Expression, Library, Reference};

/// Inputs of each target in `cargo test`.
const ITERATIONS: usize = 4_000;

/// One change to a text.
#[derive(Debug, Clone, TypeGenerator)]
enum Edit {
    Replace(u16, u8),
    Insert(u16, u8),
    Remove(u16, u8),
    /// Inserts a word of the format.
    Word(u16, u8),
    /// Copies a stretch of the text to another place.
    Copy(u16, u16, u8),
}

fn edited(original: &[u8], words: &[&str], edits: &[Edit]) -> Vec<u8> {
    let mut text = original.to_vec();
    for edit in edits.iter().take(12) {
        let place = |at: u16, text: &[u8]| usize::from(at) % (text.len() + 1);
        match *edit {
            Edit::Replace(at, byte) => {
                let at = place(at, &text);
                if let Some(old) = text.get_mut(at) {
                    *old = byte;
                }
            }
            Edit::Insert(at, byte) => text.insert(place(at, &text), byte),
            Edit::Remove(at, length) => {
                let at = place(at, &text);
                let end = (at + usize::from(length % 16)).min(text.len());
                text.drain(at..end);
            }
            Edit::Word(at, word) => {
                let at = place(at, &text);
                let word = words[usize::from(word) % words.len()];
                text.splice(at..at, word.bytes());
            }
            Edit::Copy(from, to, length) => {
                let from = place(from, &text);
                let end = (from + usize::from(length)).min(text.len());
                let stretch = text[from..end].to_vec();
                let to = place(to, &text);
                text.splice(to..to, stretch);
            }
        }
    }
    text
}

const JSON_WORDS: [&str; 14] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "-1",
    "1e999",
    "18446744073709551615",
    "\\u0000",
    "\"__metadata__\":{}",
    "\"data_offsets\":[0,0]",
];

#[test]
fn safetensors_header() {
    let json = br#"{"__metadata__":{"format":"pt"},"a.weight":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[],"data_offsets":[12,16]}}"#;
    check!()
        .with_type::<(Vec<Edit>, Option<u64>)>()
        .with_iterations(ITERATIONS)
        .for_each(|(edits, length)| {
            let json = edited(json, &JSON_WORDS, edits);
            let length = length.unwrap_or(json.len() as u64);
            let mut file = length.to_le_bytes().to_vec();
            file.extend_from_slice(&json);
            file.extend([0; 16]);
            if let Ok(header) = Header::from_file_bytes(&file) {
                // What is accepted lies within the file, in order, without overlap.
                let mut end = 0;
                for tensor in header.tensors() {
                    assert_eq!(tensor.begin, end);
                    end = tensor.end;
                }
                assert_eq!(end, file.len() as u64 - 8 - length);
            }
        });
}

#[test]
fn shard_index() {
    let index = br#"{"metadata":{"total_size":8},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#;
    let words = [
        "../",
        "/",
        "\\",
        "\"a\":\"model-00001-of-00002.safetensors\",",
        "model-00003-of-00002",
        "{",
        "}",
        "\"",
    ];
    let scratch = tempfile::tempdir().unwrap();
    for (file, tensor) in [("model-00001-of-00002", "a"), ("model-00002-of-00002", "b")] {
        let json = format!(r#"{{"{tensor}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        bytes.extend([0; 4]);
        fs::write(scratch.path().join(format!("{file}.safetensors")), bytes).unwrap();
    }
    fs::write(
        scratch.path().join("config.json"),
        r#"{"model_type":"tiny"}"#,
    )
    .unwrap();
    let reference = Reference::Path(scratch.path().to_owned());
    let path = scratch.path().join("model.safetensors.index.json");
    check!()
        .with_type::<Vec<Edit>>()
        .with_iterations(ITERATIONS / 4)
        .for_each(|edits| {
            fs::write(&path, edited(index, &words, edits)).unwrap();
            if let Ok(checkpoint) = Checkpoint::open(&reference, &Library::new()) {
                // Nothing that the shards hold is lost, and nothing is invented.
                let names: Vec<&str> = checkpoint.tensors().keys().map(String::as_str).collect();
                assert_eq!(names, ["a", "b"]);
            }
        });
}

#[test]
fn expression() {
    let source = br#"target + 0.7*only(grpo - sft, "layers.0-3.mlp") - ties(a, -b, density=1/3, combine="mean")"#;
    let words = [
        "(",
        ")",
        "+",
        "-",
        "*",
        "/",
        ",",
        "=",
        "\"",
        "mean",
        "1e-400",
        "0.5",
        "99999999999999999999",
        "((((((((",
        "1/0",
        "\u{3b1}",
        "a-b",
    ];
    check!()
        .with_type::<Vec<Edit>>()
        .with_iterations(ITERATIONS)
        .for_each(|edits| {
            let text = edited(source, &words, edits);
            let text = String::from_utf8_lossy(&text);
            match text.parse::<Expression>() {
                // Printer and parser are inverse on whatever is accepted.
                Ok(expression) => {
                    let printed = expression.to_string();
                    let again: Expression = printed.parse().unwrap();
                    assert_eq!(again.to_string(), printed);
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        });
}

#[test]
fn mergekit_yaml() {
    let yaml = include_bytes!("../goldens/recipes/task_arithmetic_filters.yml");
    let words = [
        "- ",
        ": ",
        "\n  ",
        "[",
        "]",
        "{",
        "}",
        "&a ",
        "*a",
        "!!binary ",
        "<<: *a\n",
        "'",
        "\"",
        "|\n",
        "---\n",
        "filter: mlp\n",
        "value: [0, 1]\n",
        "merge_method: ties\n",
        "density: 1e400\n",
        "\t",
        "#",
    ];
    check!()
        .with_type::<Vec<Edit>>()
        .with_iterations(ITERATIONS / 4)
        .for_each(|edits| {
            let text = edited(yaml, &words, edits);
            let text = String::from_utf8_lossy(&text);
            match translate(&text, "fuzzed.yml", &Library::new()) {
                Ok(merge) => {
                    let printed = merge.expression.to_string();
                    assert_eq!(printed.parse::<Expression>().unwrap().to_string(), printed);
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        });
}

#[test]
fn adapter_config() {
    let golden = std::path::Path::new("tests/goldens/peft/patterns");
    let json = fs::read(golden.join("adapter_config.json")).unwrap();
    let words = [
        &JSON_WORDS[..],
        &[
            "true",
            "\"r\":0",
            "\"use_dora\":true",
            "\"rank_pattern\":{\"(\":1}",
            "\"lora_alpha\":-1e-400",
        ],
    ]
    .concat();
    let scratch = tempfile::tempdir().unwrap();
    let weights = "adapter_model.safetensors";
    fs::copy(golden.join(weights), scratch.path().join(weights)).unwrap();
    let reference = Reference::Path(scratch.path().to_owned());
    let path = scratch.path().join("adapter_config.json");
    check!()
        .with_type::<Vec<Edit>>()
        .with_iterations(ITERATIONS / 4)
        .for_each(|edits| {
            fs::write(&path, edited(&json, &words, edits)).unwrap();
            if let Err(error) = Checkpoint::open(&reference, &Library::new()) {
                assert!(!error.to_string().is_empty());
            }
        });
}
