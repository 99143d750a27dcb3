//! Adapters that are not read, and what is said of them.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs;
use std::path::Path;

use taskvec_core::safetensors::{TensorSpec, encode_header};
use taskvec_core::{Dtype, Error};
use tempfile::tempdir;

use super::fixture::{model, open, refusal};

const CONFIG: &str = r#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4}"#;
const A: &str = "base_model.model.q.lora_A.weight";
const B: &str = "base_model.model.q.lora_B.weight";

/// An adapter with these tensors, all zero.
fn adapter(directory: &Path, config: &str, tensors: &[(&str, Dtype, &[usize])]) {
    fs::create_dir_all(directory).unwrap();
    let specs: Vec<TensorSpec<'_>> = tensors
        .iter()
        .map(|&(name, dtype, shape)| TensorSpec { name, dtype, shape })
        .collect();
    let header = encode_header(&specs, &BTreeMap::new()).unwrap();
    let mut file = header.bytes().to_vec();
    file.resize(header.file_bytes() as usize, 0);
    fs::write(directory.join("adapter_model.safetensors"), file).unwrap();
    fs::write(directory.join("adapter_config.json"), config).unwrap();
}

/// The file and what is said of it.
fn cause(error: &Error) -> (String, String) {
    match error {
        Error::Adapter { file, .. } => (
            file.file_name().unwrap().to_string_lossy().into_owned(),
            error.source().unwrap().to_string(),
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn factors_that_do_not_fit_are_named_with_what_was_expected() {
    let f32 = Dtype::F32;
    for (tensors, message) in [
        (
            vec![(A, f32, &[3, 5][..]), (B, f32, &[4, 2])],
            format!("tensor `{A}` is [3, 5], expected [2, in]: the config says rank 2"),
        ),
        (
            vec![(A, f32, &[2, 5]), (B, f32, &[2, 4])],
            format!("tensor `{B}` is [2, 4], expected [out, 2]: the config says rank 2"),
        ),
        (
            vec![(A, f32, &[2, 5, 3, 3]), (B, f32, &[4, 2, 1, 1])],
            format!("tensor `{A}` is [2, 5, 3, 3], expected [2, in]: the config says rank 2"),
        ),
        (
            vec![(A, f32, &[0]), (B, f32, &[4, 2])],
            format!("tensor `{A}` is [0], expected [2, in]: the config says rank 2"),
        ),
        (vec![(A, f32, &[2, 5])], format!("tensor `{A}` has no counterpart `{B}`")),
        (
            vec![(A, f32, &[2, 5]), (B, Dtype::I64, &[4, 2])],
            format!("tensor `{B}` is I64, expected BF16, F16, F32 or F64"),
        ),
        (
            vec![(A, f32, &[2, 5]), (B, f32, &[4, 2]), ("base_model.model.q.lora_magnitude_vector", f32, &[4])],
            "tensor `base_model.model.q.lora_magnitude_vector` is no factor of a LoRA module".to_owned(),
        ),
        (
            vec![(A, f32, &[2, 5]), ("base_model.model.q.lora_A.default.weight", f32, &[2, 5]), (B, f32, &[4, 2])],
            format!("tensors `base_model.model.q.lora_A.default.weight` and `{A}` are the same factor of one module"),
        ),
        (
            vec![(A, f32, &[2, 5]), (B, f32, &[4, 2]), ("base_model.model.q.base_layer.weight", f32, &[9, 5])],
            "tensor `base_model.model.q.base_layer.weight` is [9, 5], expected [4, 5], as the factors".to_owned(),
        ),
        (
            vec![("base_model.model.lm_head.base_layer.weight", f32, &[4, 5])],
            "tensor `base_model.model.lm_head.base_layer.weight` is no factor of a LoRA module".to_owned(),
        ),
        (vec![], "it holds no factors".to_owned()),
    ] {
        let scratch = tempdir().unwrap();
        adapter(scratch.path(), CONFIG, &tensors);
        let error = refusal(scratch.path());
        assert_eq!(cause(&error), ("adapter_model.safetensors".to_owned(), message));
    }
}

#[test]
fn configs_that_are_not_understood_are_named() {
    let tensors: [(&str, Dtype, &[usize]); 2] =
        [(A, Dtype::F32, &[2, 5]), (B, Dtype::F32, &[4, 2])];
    for (config, message) in [
        (
            r#"{"peft_type": "LOHA", "r": 2}"#,
            "`peft_type` is \"LOHA\", expected \"LORA\"",
        ),
        (
            r#"{"r": 2, "lora_alpha": 1}"#,
            "`peft_type` is null, expected \"LORA\"",
        ),
        (
            r#"{"peft_type": "LORA", "lora_alpha": 1}"#,
            "`r` is null, expected a number from 1 to 65536",
        ),
        (
            r#"{"peft_type": "LORA", "r": 2, "lora_alpha": 1, "modules_to_save": ["lm_head"]}"#,
            "`modules_to_save` is [\"lm_head\"]: these modules are stored whole, not as a change",
        ),
    ] {
        let scratch = tempdir().unwrap();
        adapter(scratch.path(), config, &tensors);
        let error = refusal(scratch.path());
        assert_eq!(
            cause(&error),
            ("adapter_config.json".to_owned(), message.to_owned())
        );
        assert!(error.hint().is_some() || message.starts_with("`r`"));
    }
    for config in ["[1]", "", "{", "null", &"[".repeat(100_000)] {
        let scratch = tempdir().unwrap();
        adapter(scratch.path(), config, &tensors);
        let error = refusal(scratch.path());
        assert!(matches!(error, Error::Json { .. }), "{error}");
    }
}

#[test]
fn files_that_are_missing_or_too_many() {
    let scratch = tempdir().unwrap();
    let tensors: [(&str, Dtype, &[usize]); 2] =
        [(A, Dtype::F32, &[2, 5]), (B, Dtype::F32, &[4, 2])];
    let directory = scratch.path().join("adapter");
    adapter(&directory, CONFIG, &tensors);
    assert_eq!(
        open(&directory).unwrap().tensors()["q.weight"].shape,
        [4, 5]
    );

    let weights = directory.join("adapter_model.safetensors");
    let config = directory.join("adapter_config.json");
    let error = refusal(&weights);
    assert!(cause(&error).1.contains("`adapter_config.json`"), "{error}");
    assert_eq!(
        error.hint().unwrap(),
        "pass the directory that holds both files"
    );
    fs::remove_file(&config).unwrap();
    assert_eq!(cause(&refusal(&directory)).0, "adapter_model.safetensors");
    fs::write(&config, CONFIG).unwrap();
    fs::rename(&weights, scratch.path().join("w")).unwrap();
    assert_eq!(cause(&refusal(&directory)).0, "adapter_config.json");
    fs::write(directory.join("adapter_model.bin"), "").unwrap();
    let error = refusal(&directory);
    assert!(matches!(error, Error::UnsupportedFormat { .. }), "{error}");
    assert!(error.hint().unwrap().contains("/adapter_model.safetensors"));
    fs::rename(scratch.path().join("w"), &weights).unwrap();
    model(&directory);
    let error = refusal(&directory);
    assert_eq!(cause(&error).1, "other weights lie beside it");
    // A file cut short under the factors.
    let short = scratch.path().join("short");
    adapter(&short, CONFIG, &tensors);
    let bytes = fs::read(short.join("adapter_model.safetensors")).unwrap();
    fs::write(
        short.join("adapter_model.safetensors"),
        &bytes[..bytes.len() - 1],
    )
    .unwrap();
    assert!(matches!(refusal(&short), Error::Header { .. }));
}
