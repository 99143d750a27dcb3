//! What a write says about itself, and what can be checked afterwards.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use taskvec_core::statistics::{NetworkPart, Verdict};
use taskvec_core::verification::{FileCheck, Finding};
use taskvec_core::{
    Bindings, Dtype, Error, InspectOptions, LineageOptions, Plan, PlanOptions, Provenance,
    Verification, VerifyOptions, WriteOptions, WriteReport, inspect, lineage, verify, write,
};

use super::fixture::{Tensor, World, decoder, family};

fn write_to(plan: &Plan, destination: &Path, hash: bool) -> WriteReport {
    let options = WriteOptions {
        hash,
        sync: false,
        ..WriteOptions::default()
    };
    write(plan, destination, &options, &|_| {}).unwrap()
}

fn record(directory: &Path) -> Provenance {
    let file = directory.join("taskvec.json");
    Provenance::parse(&file, &fs::read(&file).unwrap()).unwrap()
}

fn verified(world: &World, path: &Path, all: bool) -> Result<Verification, Error> {
    let options = VerifyOptions {
        all,
        ..VerifyOptions::default()
    };
    verify(
        path,
        &Bindings::default(),
        &world.library(),
        &options,
        &|_| {},
    )
}

/// Models whose weights have nothing to do with one another, though names and shapes are the same.
fn strangers() -> World {
    let matrix = |seed: u64| {
        let values: Vec<f64> = (0..4096u64)
            .map(|index| {
                let mut mixed = (index + (seed << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                (mixed >> 40) as f64 / (1u64 << 23) as f64 - 1.0
            })
            .collect();
        let norm = Tensor::new("model.norm.weight", Dtype::F32, &[4], &[1.0; 4]);
        let up = Tensor::new(
            "model.layers.0.mlp.up_proj.weight",
            Dtype::F32,
            &[64, 64],
            &values,
        );
        vec![vec![up, norm]]
    };
    World::default()
        .model("a", &matrix(1))
        .model("b", &matrix(2))
        .model("c", &matrix(3))
}

/// Fine-tunes long enough to be sampled: one matrix that repeats itself.
fn long_family() -> World {
    let model = |salt: u64| {
        let name = "model.layers.0.mlp.up_proj.weight";
        let mut tensor = Tensor::counted(name, Dtype::Bf16, &[1 << 16], salt);
        tensor.bytes = tensor.bytes.repeat(257);
        tensor.shape = vec![257, 1 << 16];
        let norm = Tensor::counted("model.norm.weight", Dtype::Bf16, &[7], salt);
        vec![vec![tensor, norm]]
    };
    World::default()
        .model("target", &model(1))
        .model("grpo", &model(2))
        .model("sft", &model(3))
}

#[test]
fn a_write_estimates_what_rounding_did_whatever_the_threads_and_chunks() {
    let directory = tempfile::tempdir().unwrap();
    let (small, large) = (family(Dtype::Bf16), long_family());
    for (index, (world, expression)) in [
        (&small, "target + 0.7*(grpo - sft)"),
        (&small, "target + random(grpo - sft)"),
        (&large, "target + 0.7*(grpo - sft)"),
    ]
    .into_iter()
    .enumerate()
    {
        let plan = world.plan(expression);
        let mut first = None;
        for (threads, chunk) in [(1, 1 << 20), (2, 1000), (3, 40_000)] {
            let options = WriteOptions {
                threads: NonZeroUsize::new(threads),
                chunk_bytes: NonZeroUsize::new(chunk),
                sync: false,
                ..WriteOptions::default()
            };
            let destination = directory.path().join(format!("{index}-{threads}"));
            let report = write(&plan, &destination, &options, &|_| {}).unwrap();
            let estimate = report.rounding.unwrap();
            assert_eq!(*first.get_or_insert(estimate), estimate, "{expression}");
        }
        let estimate = first.unwrap();
        let is_large = index == 2;
        assert_eq!(estimate.is_estimate(), is_large);
        let exact = inspect(&plan, &InspectOptions::default(), &|_| {})
            .unwrap()
            .total();
        assert_eq!(estimate.elements, exact.elements);
        let exact = exact.rounding.unwrap();
        let tolerance = if is_large { 0.01 } else { 1e-9 };
        let near = |one: Option<f64>, two: Option<f64>| {
            let (one, two) = (one.unwrap(), two.unwrap());
            assert!((one - two).abs() <= tolerance * two, "{one} {two}");
        };
        let found = estimate.rounding;
        near(found.lost_share(), exact.lost_share());
        near(found.survived_share(), exact.survived_share());
        near(found.vanished_share(), exact.vanished_share());
        near(Some(found.changed), Some(exact.changed));
        let recorded = record(&directory.path().join(format!("{index}-1")));
        let lost = found.lost_share().unwrap();
        let recorded = recorded.rounding.unwrap();
        assert!((recorded.lost - lost).abs() < 1e-12);
        assert_eq!(recorded.sampled < 1.0, is_large);
    }
    let path = directory.path().join("2-1");
    for (all, share) in [(false, 0.4..0.6), (true, 1.0..1.1)] {
        let found = verified(&large, &path, all).unwrap();
        assert!(found.is_sound());
        let found = found.recomputation.unwrap();
        assert!(share.contains(&(found.compared as f64 / found.elements as f64)));
    }
}

#[test]
fn small_tensors_are_looked_at_whole_and_wide_results_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let step = 0.0078125;
    let world = World::default()
        .model("t", &[vec![Tensor::new("w", Dtype::Bf16, &[3], &[1.0; 3])]])
        .vector(
            "v",
            vec![Tensor::new("w", Dtype::F32, &[3], &[step / 4.0, step, 0.0])],
        );
    let report = write_to(
        &world.plan("t + v"),
        &directory.path().join("narrow"),
        false,
    );
    let found = report.rounding.unwrap();
    assert!(!found.is_estimate());
    assert_eq!(
        (found.rounding.changed, found.rounding.vanished),
        (2.0, 1.0)
    );
    assert_eq!(
        found.rounding.lost_share(),
        Some((1.0 / 16.0 / (1.0 + 1.0 / 16.0f64)).sqrt())
    );

    let report = write_to(&world.plan("v"), &directory.path().join("wide"), false);
    assert_eq!(report.rounding, None);
    assert_eq!(record(&directory.path().join("wide")).rounding, None);

    // A single file holds what is known only at the end.
    let narrow = PlanOptions {
        output_dtype: Some(Dtype::Bf16),
        ..PlanOptions::default()
    };
    let file = directory.path().join("v.safetensors");
    let plan = world.plan_with("v/3", &narrow).unwrap();
    let report = write_to(&plan, &file, true);
    let found = verified(&world, &file, true).unwrap();
    assert!(found.is_sound());
    let lost = report.rounding.unwrap().rounding.lost_share().unwrap();
    assert!((found.provenance.rounding.unwrap().lost - lost).abs() < 1e-12);
    assert!(found.provenance.inputs[0].files[0].sha256.is_some());
}

#[test]
fn fine_tunes_are_relatives_and_strangers_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let found = lineage(
        &family(Dtype::Bf16).plan("target + (grpo - sft)"),
        &LineageOptions::default(),
    )
    .unwrap();
    assert_eq!(found.pairs.len(), 3);
    for pair in &found.pairs {
        assert_eq!(pair.verdict(), Verdict::Relatives);
        assert!(pair.matrices.relative().unwrap() < 0.05);
        assert!(pair.parts.contains_key(&NetworkPart::Norm));
    }

    let world = strangers();
    let destination = directory.path().join("out");
    let error = write(
        &world.plan("a + (b - c)"),
        &destination,
        &WriteOptions::default(),
        &|_| {},
    )
    .unwrap_err();
    let Error::Strangers { pairs } = &error else {
        panic!("{error}")
    };
    assert_eq!(pairs.len(), 3);
    assert!(
        pairs
            .iter()
            .all(|(_, _, distance)| (1.3..1.5).contains(distance))
    );
    assert!(error.hint().unwrap().contains("--allow-strangers"));
    assert!(!destination.exists());

    let allowed = PlanOptions {
        allow_strangers: true,
        ..PlanOptions::default()
    };
    write_to(
        &world.plan_with("a + (b - c)", &allowed).unwrap(),
        &destination,
        false,
    );
    assert_eq!(record(&destination).flags["allow_strangers"], true);
}

#[test]
fn what_was_written_verifies() {
    let directory = tempfile::tempdir().unwrap();
    let world = family(Dtype::Bf16).vector("reason", decoder(Dtype::F32, 4).concat());
    for (name, expression) in [
        ("linear", "target + 0.5*(grpo - sft) + reason/3"),
        ("random", "target + random(grpo - sft)"),
        ("copy", "target"),
        ("vector", "grpo - sft"),
    ] {
        for hash in [false, true] {
            let path = directory.path().join(format!("{name}-{hash}"));
            write_to(&world.plan(expression), &path, hash);
            for all in [false, true] {
                let found = verified(&world, &path, all).unwrap();
                assert!(found.is_sound(), "{name}: {found:?}");
                let recomputed = found.recomputation.unwrap();
                assert_eq!(recomputed.compared, recomputed.elements, "{name}");
                let weights = found
                    .files
                    .iter()
                    .filter(|file| file.name.ends_with(".safetensors"));
                assert!(weights.clone().count() > 2);
                weights.for_each(|file| assert_eq!(file.finding, Finding::SameContent, "{file:?}"));
            }
        }
    }
}

#[test]
fn edited_weights_files_and_records_do_not_verify() {
    let directory = tempfile::tempdir().unwrap();
    let world = family(Dtype::Bf16);
    let made = |name: &str, hash: bool| {
        let path = directory.path().join(name);
        write_to(&world.plan("target + (grpo - sft)"), &path, hash);
        path
    };
    let flip = |file: &Path| {
        let mut bytes = fs::read(file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(file, bytes).unwrap();
    };
    let shard = "model-00002-of-00002.safetensors";

    // The last element of the last tensor: a small tensor is compared whole.
    let path = made("weights", false);
    flip(&path.join(shard));
    let found = verified(&world, &path, false).unwrap();
    let recomputed = found.recomputation.as_ref().unwrap();
    assert_eq!(recomputed.different, 1);
    let first = recomputed.first.as_ref().unwrap();
    assert_eq!(
        (first.tensor.as_str(), first.element),
        ("model.norm.weight", 7)
    );
    assert!(!found.is_sound());

    let path = made("hashed", true);
    flip(&path.join(shard));
    let found = verified(&world, &path, false).unwrap();
    let changed: Vec<&str> = found
        .files
        .iter()
        .filter(|file| !file.finding.is_sound())
        .map(|file| file.name.as_str())
        .collect();
    assert_eq!(changed, [shard]);

    let path = made("beside", false);
    let config = path.join("config.json");
    fs::write(&config, fs::read_to_string(&config).unwrap() + " ").unwrap();
    fs::remove_file(path.join("tokenizer.json")).unwrap();
    let found = verified(&world, &path, false).unwrap();
    let finding = |name: &str| {
        let of_output = |file: &&FileCheck| file.parent.is_none() && file.name == name;
        found.files.iter().find(of_output).unwrap().finding.clone()
    };
    assert!(matches!(finding("config.json"), Finding::Changed { .. }));
    assert_eq!(finding("tokenizer.json"), Finding::Missing);
    assert!(found.recomputation.as_ref().unwrap().is_sound() && !found.is_sound());

    let path = made("record", false);
    let file = path.join("taskvec.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("target + (grpo - sft)", "target + 0.5*(grpo - sft)"),
    )
    .unwrap();
    let found = verified(&world, &path, false).unwrap();
    assert!(found.recomputation.unwrap().different > 0);
    fs::write(&file, text.replace("\"config.json\"", "\"../config.json\"")).unwrap();
    assert!(matches!(
        verified(&world, &path, false),
        Err(Error::OutputFileName { .. })
    ));
    fs::remove_file(&file).unwrap();
    assert!(matches!(
        verified(&world, &path, false),
        Err(Error::NoProvenance { .. })
    ));
}
