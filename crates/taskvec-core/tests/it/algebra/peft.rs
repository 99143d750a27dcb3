//! Adapters as vectors, held to what peft 0.21.2 merges: `tests/goldens/from_peft.py` wrote both.
//!
//! peft computes in single precision, this crate in double precision, rounding once; so weights may differ by peft's
//! rounding, a few units in the last place of the largest weight of a tensor.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use taskvec_core::plan::Mismatch;
use taskvec_core::{
    Bindings, Checkpoint, CheckpointKind, Error, Library, Plan, PlanOptions, Reference,
    WriteOptions, write,
};
use tempfile::tempdir;

const TOLERANCE: f32 = 4.0 * f32::EPSILON;

pub(crate) fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/goldens/peft")
        .join(name)
}

pub(crate) fn build(expression: &str, names: &[(&str, &Path)]) -> Result<Plan, Error> {
    let bindings = names
        .iter()
        .fold(Bindings::default(), |bindings, (name, path)| {
            bindings.with(*name, Reference::Path(path.to_path_buf()))
        });
    Plan::build(
        &expression.parse().unwrap(),
        &bindings,
        &Library::default(),
        &PlanOptions::default(),
    )
}

fn plan(expression: &str, base: &str, case: &str) -> Plan {
    let names = [
        ("base", golden(&format!("{base}.safetensors"))),
        ("adapter", golden(case)),
        ("other", golden("rslora")),
        ("merged", golden(&format!("{case}-merged.safetensors"))),
    ];
    let names: Vec<(&str, &Path)> = names
        .iter()
        .map(|(name, path)| (*name, path.as_path()))
        .collect();
    build(expression, &names).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

#[test]
fn a_model_plus_an_adapter_is_what_peft_merges() {
    for (case, base) in [
        ("lora", "qwen2"),
        ("rslora", "qwen2"),
        ("patterns", "qwen2"),
        ("embedding", "qwen2"),
        ("bf16", "qwen2"),
        ("fan_in_fan_out", "gpt2"),
    ] {
        let merged = plan("merged", base, case);
        let found = plan("base + adapter", base, case);
        let start = plan("base", base, case).load_all().unwrap();
        let found = found.load_all().unwrap();
        let expected = merged.load_all().unwrap();
        assert!(expected.len() >= 2, "{case}");
        assert!(found.keys().eq(start.keys()), "{case}");
        for (name, found) in &found {
            let Some(expected) = expected.get(name) else {
                assert_eq!(found, &start[name], "{case}: `{name}` is not targeted");
                continue;
            };
            let scale = expected
                .iter()
                .fold(0f32, |scale, value| scale.max(value.abs()));
            let changed = expected
                .iter()
                .zip(&start[name])
                .any(|(one, two)| (one - two).abs() > 0.1 * scale);
            assert!(changed, "{case}: `{name}`");
            for (expected, found) in expected.iter().zip(found) {
                let difference = (expected - found).abs() / scale;
                assert!(
                    difference <= TOLERANCE,
                    "{case}: `{name}` {expected} {found}"
                );
            }
        }
    }
}

#[test]
fn an_adapter_is_a_vector_that_covers_part() {
    let adapter = Checkpoint::open(&Reference::Path(golden("patterns")), &Library::new()).unwrap();
    assert_eq!(adapter.kind(), CheckpointKind::Vector);
    assert!(adapter.covers_part());
    let names: Vec<&str> = adapter.tensors().keys().map(String::as_str).collect();
    assert_eq!(names.len(), 6);
    assert!(names.contains(&"model.layers.1.self_attn.q_proj.weight"));
    let files: Vec<String> = adapter
        .file_records()
        .into_iter()
        .map(|file| file.name)
        .collect();
    assert_eq!(files, ["adapter_model.safetensors", "adapter_config.json"]);
}

#[test]
fn a_vector_made_of_adapters_is_zero_where_they_are() {
    let directory = tempdir().unwrap();
    let written = |expression: &str, name: &str| {
        let path = directory.path().join(name);
        let vector = plan(expression, "qwen2", "lora");
        write(&vector, &path, &WriteOptions::default(), &|_| {}).unwrap();
        path
    };
    for name in ["v", "v.safetensors"] {
        let part = written("adapter/2 - other", name);
        let base = golden("qwen2.safetensors");
        let names = [("base", base.as_path()), ("v", part.as_path())];
        let found = build("base - 2*v", &names).unwrap().load_all().unwrap();
        let expected = plan("base - 2*(adapter/2 - other)", "qwen2", "lora");
        let expected = expected.load_all().unwrap();
        assert!(found.keys().eq(expected.keys()));
        let untouched = "model.norm.weight";
        assert_eq!(found[untouched], expected[untouched]);
        let (one, two) = (found.values().flatten(), expected.values().flatten());
        assert!(one.zip(two).all(|(one, two)| (one - two).abs() < 1e-6));
        // So is a vector of such vectors.
        assert!(build("v/2", &names[1..]).is_ok());
    }
    // What a model took part in is whole.
    let whole = written("base - base + adapter", "whole");
    let opened = Checkpoint::open(&Reference::Path(whole), &Library::new()).unwrap();
    assert!(!opened.covers_part());
}

#[test]
fn adapters_add_up_whatever_modules_they_target() {
    // `lora` targets more modules than `rslora`; either may come first.
    let union = plan("adapter + other", "qwen2", "lora").load_all().unwrap();
    let turned = plan("other + adapter", "qwen2", "lora").load_all().unwrap();
    assert_eq!(union.len(), 14);
    assert_eq!(union, turned);
    let one = plan("adapter", "qwen2", "lora").load_all().unwrap();
    let two = plan("other", "qwen2", "lora").load_all().unwrap();
    for (name, sum) in &union {
        for (index, sum) in sum.iter().enumerate() {
            let second = two.get(name).map_or(0.0, |values| values[index]);
            assert_eq!(*sum, one[name][index] + second, "`{name}`");
        }
    }
    // A whole vector beside it keeps all its tensors.
    let whole = plan("base - base + adapter", "qwen2", "rslora")
        .load_all()
        .unwrap();
    let all = plan("base", "qwen2", "rslora").tensors().len();
    assert_eq!(whole.len(), all);
    let negated = plan("base + adapter - adapter", "qwen2", "lora")
        .load_all()
        .unwrap();
    assert_eq!(negated, plan("base", "qwen2", "lora").load_all().unwrap());
    // Methods see a zero where an adapter has nothing.
    let ties = plan("ties(adapter, other, density=1)", "qwen2", "lora")
        .load_all()
        .unwrap();
    assert_eq!(ties.len(), 14);
}

#[test]
fn blocks_of_any_size_give_the_same_elements() {
    let adapter = Checkpoint::open(&Reference::Path(golden("embedding")), &Library::new()).unwrap();
    for (name, info) in adapter.tensors() {
        let whole = adapter.read(name).unwrap();
        assert_eq!(whole.len() as u64, info.byte_len());
        for piece in [1, 3, 4, 20, 52] {
            let mut pieces = vec![0; whole.len()];
            for (index, piece_bytes) in pieces.chunks_mut(piece).enumerate() {
                adapter
                    .read_at(name, (index * piece) as u64, piece_bytes)
                    .unwrap();
            }
            assert_eq!(pieces, whole, "`{name}` by {piece}");
        }
    }
}

#[test]
fn a_written_adapter_is_a_vector_of_its_products() {
    let scratch = tempdir().unwrap();
    let destination = scratch.path().join("v");
    let adapter = plan("adapter", "qwen2", "lora");
    write(&adapter, &destination, &WriteOptions::default(), &|_| {}).unwrap();
    let written = build("v", &[("v", &destination)]).unwrap();
    assert_eq!(written.load_all().unwrap(), adapter.load_all().unwrap());
    let record = fs::read_to_string(destination.join("taskvec.json")).unwrap();
    assert!(record.contains("adapter_config.json"), "{record}");
}

/// A copy of a golden adapter whose config is changed.
fn copy(case: &str, directory: &Path, change: impl FnOnce(&mut Value)) {
    let text = fs::read_to_string(golden(case).join("adapter_config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    change(&mut config);
    fs::write(directory.join("adapter_config.json"), config.to_string()).unwrap();
    let weights = "adapter_model.safetensors";
    fs::copy(golden(case).join(weights), directory.join(weights)).unwrap();
}

#[test]
fn an_adapter_of_another_model_names_every_mismatch() {
    let scratch = tempdir().unwrap();
    copy("lora", scratch.path(), |config| {
        config["fan_in_fan_out"] = json!(true)
    });
    let base = golden("qwen2.safetensors");
    let error = build(
        "base + adapter",
        &[("base", &base), ("adapter", scratch.path())],
    )
    .unwrap_err();
    let Error::Incompatible(found) = &error else {
        panic!("{error}")
    };
    let shapes = found
        .mismatches
        .iter()
        .all(|each| matches!(each, Mismatch::Shape { .. }));
    assert!(shapes && found.mismatches.len() >= 6, "{error}");

    let base = golden("gpt2.safetensors");
    let adapter = golden("rslora");
    let error = build("base + adapter", &[("base", &base), ("adapter", &adapter)]).unwrap_err();
    assert!(
        error.to_string().contains("tensors are on one side only"),
        "{error}"
    );
    let other = build(
        "other + adapter",
        &[("other", &adapter), ("adapter", scratch.path())],
    );
    assert!(matches!(other, Err(Error::Incompatible(_))));
}

#[test]
fn the_scale_is_that_of_the_config() {
    let scratch = tempdir().unwrap();
    copy("lora", scratch.path(), |config| {
        config["lora_alpha"] = json!(10)
    });
    let lora = golden("lora");
    let names = [("double", scratch.path()), ("adapter", lora.as_path())];
    let zero = build("double - 2*adapter", &names)
        .unwrap()
        .load_all()
        .unwrap();
    for (name, values) in zero {
        assert!(values.iter().all(|value| value.abs() < 1e-6), "`{name}`");
    }
}
