//! Vectors written as adapters: read back here, and loaded by peft.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use taskvec_core::{
    Bindings, Dtype, Error, LeftOutReason, Library, LoraOptions, LoraReport, Plan, VerifyOptions,
    verify, write_lora,
};
use tempfile::tempdir;

use super::fixture::{Tensor, World, family};
use super::peft::{build, golden};

fn options(rank: usize) -> LoraOptions<'static> {
    LoraOptions {
        sync: false,
        ..LoraOptions::new(NonZeroUsize::new(rank).unwrap())
    }
}

fn plan(expression: &str, names: &[(&str, &Path)]) -> Plan {
    build(expression, names).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

/// `‖one − two‖² / ‖one‖²` over the tensors of `two`.
fn distance(one: &Plan, two: &Plan) -> f64 {
    let (one, two) = (one.load_all().unwrap(), two.load_all().unwrap());
    let (mut difference, mut norm) = (0.0, 0.0);
    for (name, two) in &two {
        for (one, two) in one[name].iter().zip(two) {
            difference += f64::from(one - two).powi(2);
            norm += f64::from(*one).powi(2);
        }
    }
    difference / norm
}

fn written(plan: &Plan, destination: &Path, options: &LoraOptions<'_>) -> (LoraReport, Value) {
    let report = write_lora(plan, destination, options, &|_, _| {}).unwrap();
    let config = fs::read(destination.join("adapter_config.json")).unwrap();
    (report, serde_json::from_slice(&config).unwrap())
}

#[test]
fn an_adapter_keeps_what_it_says_it_keeps() {
    let scratch = tempdir().unwrap();
    let vector = family(Dtype::F32).plan("grpo - sft");
    let mut kept = 0.0;
    for rank in [1, 3, 8] {
        let destination = scratch.path().join(format!("rank {rank}"));
        let (report, config) = written(&vector, &destination, &options(rank));
        assert_eq!(config["r"], rank);
        assert_eq!(config["lora_alpha"], rank);
        assert_eq!(
            config["target_modules"],
            serde_json::json!(["q_proj", "up_proj"])
        );
        assert_eq!(config["base_model_name_or_path"], "mem:sft");
        assert_eq!(report.modules.len(), 4);
        let reasons: Vec<_> = report
            .left_out
            .iter()
            .map(|left| (left.tensor.as_str(), left.reason))
            .collect();
        assert_eq!(
            reasons,
            [
                ("model.embed_tokens.weight", LeftOutReason::Embedding),
                ("model.norm.weight", LeftOutReason::NoMatrix)
            ]
        );
        let whole: f64 = report
            .modules
            .iter()
            .map(|module| module.squared_norm)
            .sum();
        let of_modules: f64 = report.modules.iter().map(|module| module.kept).sum::<f64>() / whole;
        let missed = distance(&vector, &plan("a", &[("a", &destination)]));
        assert!(
            (1.0 - of_modules - missed).abs() < 1e-6,
            "{rank}: {of_modules} {missed}"
        );
        assert!(report.kept_share() + report.left_out_share() <= 1.0 + 1e-12);
        assert!(of_modules > kept, "{rank}");
        kept = of_modules;
    }
    // All of the matrices have rank 8 at most.
    assert!(kept > 1.0 - 1e-9, "{kept}");
}

#[test]
fn embeddings_are_factored_on_request() {
    let scratch = tempdir().unwrap();
    let vector = family(Dtype::F32).plan("grpo - sft");
    let destination = scratch.path().join("adapter");
    let options = LoraOptions {
        embeddings: true,
        ..options(8)
    };
    let (report, config) = written(&vector, &destination, &options);
    assert_eq!(report.modules.len(), 5);
    assert_eq!(
        config["target_modules"],
        serde_json::json!(["embed_tokens", "q_proj", "up_proj"])
    );
    assert!(distance(&vector, &plan("a", &[("a", &destination)])) < 1e-12);
}

#[test]
fn modules_without_a_change_are_not_targeted() {
    let scratch = tempdir().unwrap();
    let vector = family(Dtype::F32).plan("only(grpo - sft, \"layers.1\")");
    let (report, config) = written(&vector, &scratch.path().join("a"), &options(2));
    assert_eq!(report.modules.len(), 2);
    assert_eq!(
        config["target_modules"],
        serde_json::json!([
            "model.layers.1.mlp.up_proj",
            "model.layers.1.self_attn.q_proj"
        ])
    );
    assert!(report.left_out.is_empty());
}

#[test]
fn factors_of_factors_are_the_same_vector() {
    let scratch = tempdir().unwrap();
    let lora = golden("lora");
    let adapter = plan("adapter", &[("adapter", &lora)]);
    for (dtype, allowed) in [(Dtype::F32, 1e-12), (Dtype::Bf16, 1e-4)] {
        let destination = scratch.path().join(dtype.to_string());
        let options = LoraOptions {
            dtype,
            ..options(3)
        };
        let (report, config) = written(&adapter, &destination, &options);
        assert!(report.kept_share() > 1.0 - 1e-9);
        // The adapter does not know what else the model has, so modules are named in full.
        assert_eq!(config["target_modules"].as_array().unwrap().len(), 14);
        let missed = distance(&adapter, &plan("a", &[("a", &destination)]));
        assert!(missed < allowed, "{dtype}: {missed:e}");
        let bindings = Bindings::default();
        let found = verify(
            &destination,
            &bindings,
            &Library::new(),
            &VerifyOptions::default(),
            &|_| {},
        )
        .unwrap();
        assert!(found.is_sound() && found.recomputation.is_none());
    }
}

#[test]
fn what_cannot_be_factored_is_refused_and_leaves_nothing() {
    let scratch = tempdir().unwrap();
    let destination = scratch.path().join("adapter");
    let refuse = |plan: &Plan| write_lora(plan, &destination, &options(2), &|_, _| {}).unwrap_err();
    let world = family(Dtype::F32);
    assert!(matches!(
        refuse(&world.plan("grpo")),
        Error::NotAVector { .. }
    ));
    let error = refuse(&world.plan("only(grpo - sft, \"norm\")"));
    assert!(matches!(error, Error::NothingToFactor { .. }), "{error}");
    let name = "model.layers.0.mlp.up_proj.weight";
    let values = [1.0, f64::NAN, 0.0, 0.0];
    let world = World::default().vector("v", vec![Tensor::new(name, Dtype::F32, &[2, 2], &values)]);
    let error = refuse(&world.plan("v"));
    assert!(
        matches!(&error, Error::NotFinite { tensor } if tensor == name),
        "{error}"
    );
    assert!(!destination.exists());
    let left: Vec<_> = fs::read_dir(scratch.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// An interpreter with peft, or `None` where the test is to be skipped.
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
fn python() -> Option<String> {
    if std::env::var_os("TASKVEC_OFFLINE").is_some_and(|value| value == "1") {
        println!("skipped: TASKVEC_OFFLINE=1, and the comparison needs packages from a registry");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/python-env.sh");
    let made = Command::new("sh")
        .arg(script)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "no Python environment to compare with; TASKVEC_OFFLINE=1 skips this test\n{}",
        String::from_utf8_lossy(&made.stderr)
    );
    Some(String::from_utf8(made.stdout).unwrap().trim().to_owned())
}

#[test]
fn peft_loads_and_merges_what_was_written() {
    let Some(python) = python() else { return };
    let scratch = tempdir().unwrap();
    let base = golden("qwen2.safetensors");
    let merged_by_peft = golden("embedding-merged.safetensors");
    let (lora, embedding) = (golden("lora"), golden("embedding"));
    let names = [
        ("base", base.as_path()),
        ("lora", lora.as_path()),
        ("embedding", embedding.as_path()),
        ("x", merged_by_peft.as_path()),
    ];
    for (case, expression, embeddings, modules) in [
        ("all", "base - base + lora + 0.5*embedding", true, 16),
        ("some", "only(base - base + lora, \"layers.1\")", false, 7),
    ] {
        let adapter = scratch.path().join(case);
        let merged = scratch.path().join(format!("{case}.safetensors"));
        let options = LoraOptions {
            embeddings,
            ..options(4)
        };
        written(&plan(expression, &names), &adapter, &options);
        let output = Command::new(&python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/load_adapter.py"))
            .args([&base, &adapter, &merged])
            .env("HF_HUB_OFFLINE", "1")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let loaded: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(loaded.len(), modules, "{loaded:?}");
        let names = [
            ("base", base.as_path()),
            ("a", adapter.as_path()),
            ("merged", merged.as_path()),
        ];
        let ours = plan("base + a", &names).load_all().unwrap();
        let theirs = plan("merged", &names).load_all().unwrap();
        assert!(ours.keys().eq(theirs.keys()));
        for (name, ours) in &ours {
            let scale = ours
                .iter()
                .fold(0f32, |scale, value| scale.max(value.abs()));
            for (ours, theirs) in ours.iter().zip(&theirs[name]) {
                assert!(
                    (ours - theirs).abs() <= 4.0 * f32::EPSILON * scale,
                    "`{name}`: {ours} {theirs}"
                );
            }
        }
    }
}
