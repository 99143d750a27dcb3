//! Merge methods as whole expressions: their algebra, what they refuse, and that nobody's schedule shows in a result.

use std::num::NonZeroUsize;

use taskvec_core::{Dtype, Error, Kind, WriteOptions, write};

use super::fixture::{Tensor, World, decoder, family};

const EMBEDDING: &str = "model.embed_tokens.weight";

fn world() -> World {
    family(Dtype::Bf16).model("base", &decoder(Dtype::Bf16, 7))
}

#[test]
fn kinds_of_methods() {
    let world = world();
    for (expression, kind) in [
        ("trim(grpo - sft, density=0.2)", Kind::Vector),
        ("ties(grpo - sft, target - sft, density=1/5)", Kind::Vector),
        ("slerp(grpo, sft, t=0.5)", Kind::Model),
        ("slerp(grpo - sft, target - sft, 0.5)", Kind::Vector),
        ("model_stock(base, grpo, sft)", Kind::Model),
        (
            "base + dare_ties(grpo - base, sft - base, density=0.5, seed=3)",
            Kind::Model,
        ),
        ("orthogonal(grpo - sft, to=target - sft)", Kind::Vector),
        ("match_norm(to=target - sft, v=grpo - sft)", Kind::Vector),
    ] {
        assert_eq!(world.plan(expression).kind(), kind, "{expression}");
    }
}

#[test]
fn laws_that_hold_exactly() {
    let world = world();
    let load = |expression: &str| world.plan(expression).load(EMBEDDING).unwrap();
    for (one, other) in [
        ("trim(grpo - sft, density=1)", "grpo - sft"),
        ("ties(grpo - sft, density=1)", "grpo - sft"),
        (
            "ties(grpo - sft, density=0.2)",
            "trim(grpo - sft, density=0.2)",
        ),
        (
            "breadcrumbs(grpo - sft, density=0.2, gamma=0)",
            "trim(grpo - sft, density=0.2)",
        ),
        ("dare(grpo - sft, density=1)", "grpo - sft"),
        (
            "dare_ties(grpo - sft, density=0.3, seed=4)",
            "dare(grpo - sft, density=0.3, seed=4)",
        ),
        (
            "ties(grpo - base, sft - base, target - base, density=0.3)",
            "ties(target - base, grpo - base, sft - base, density=0.3)",
        ),
        ("slerp(grpo, sft, t=0)", "grpo"),
        ("slerp(grpo, sft, t=1)", "sft"),
        ("match_norm(grpo - sft, grpo - sft)", "grpo - sft"),
        (
            "match_norm(grpo - sft, to=target - sft)",
            "match_norm(grpo - sft, target - sft)",
        ),
        ("sign(grpo - sft)", "sign(2*(grpo - sft))"),
        ("model_stock(base, grpo, grpo)", "grpo"),
        ("nearswap(grpo, sft, t=1)", "sft"),
        ("nearswap(grpo, sft, t=0)", "grpo"),
        ("ram(grpo - sft, epsilon=0)", "grpo - sft"),
        ("karcher(grpo)", "grpo"),
        ("magprune(grpo - sft, density=1)", "grpo - sft"),
        ("della(grpo - sft, density=1)", "grpo - sft"),
        (
            "della(grpo - sft, density=0.4, seed=4)",
            "magprune(grpo - sft, density=0.4, seed=4)",
        ),
        (
            "magprune(grpo - sft, density=0.4, rescale=\"none\")",
            "magprune(grpo - sft, density=0.4, rescale=\"none\", epsilon=[0.15, 0.15])",
        ),
        ("model_stock(base, grpo, grpo, over=\"rows\")", "grpo"),
        ("nuslerp(grpo, sft, t=1, over=\"rows\")", "sft"),
        ("nuslerp(grpo, sft, t=0, over=\"columns\")", "grpo"),
        ("arcee_fusion(grpo, grpo)", "grpo"),
        ("lowrank(grpo - sft, rank=1000)", "grpo - sft"),
        (
            "lowrank(grpo - sft, rank=2)",
            "0.5*lowrank(2*(grpo - sft), rank=2)",
        ),
    ] {
        assert_eq!(load(one), load(other), "{one} against {other}");
    }
}

#[test]
fn shares_are_exact_in_every_tensor() {
    let world = world();
    let trimmed = world
        .plan("trim(grpo - sft, density=0.1)")
        .load_all()
        .unwrap();
    let whole = world.plan("grpo - sft").load_all().unwrap();
    for (name, values) in &trimmed {
        let kept = (0..values.len())
            .filter(|index| values[*index] != 0.0)
            .count();
        let wanted = (values.len() / 10).max(1);
        let nonzero = whole[name].iter().filter(|value| **value != 0.0).count();
        assert_eq!(kept, wanted.min(nonzero), "{name}");
        let least = values
            .iter()
            .filter(|value| **value != 0.0)
            .fold(f32::MAX, |least, value| least.min(value.abs()));
        for (trimmed, whole) in values.iter().zip(&whole[name]) {
            assert!(
                trimmed == whole || (*trimmed == 0.0 && whole.abs() <= least),
                "{name}"
            );
        }
    }
}

#[test]
fn what_is_orthogonal_has_no_part_of_the_other() {
    let world = world();
    let left = world
        .plan("orthogonal(grpo - base, to=sft - base)")
        .load(EMBEDDING)
        .unwrap();
    let other = world.plan("sft - base").load(EMBEDDING).unwrap();
    let dot = |one: &[f32], two: &[f32]| -> f64 {
        one.iter()
            .zip(two)
            .map(|(one, two)| f64::from(*one) * f64::from(*two))
            .sum()
    };
    let cosine = dot(&left, &other) / (dot(&left, &left) * dot(&other, &other)).sqrt();
    assert!(cosine.abs() < 1e-8, "{cosine:e}");
}

#[test]
fn what_is_not_a_number_is_passed_on() {
    let tensors = |values: &[f64]| vec![vec![Tensor::new("w", Dtype::F32, &[4], values)]];
    let world = World::default()
        .model("a", &tensors(&[f64::NAN, 1.0, 5.0, f64::INFINITY]))
        .model("b", &tensors(&[2.0, 3.0, 4.0, 5.0]))
        .model("c", &tensors(&[1.0, 1.5, 8.0, 5.5]));
    for expression in [
        "trim(a - b, density=0.5)",
        "ties(a - b, c - b, density=0.5)",
        "dare(a - b, density=1)",
        "dare_ties(a - b, c - b, density=1)",
        "breadcrumbs(a - b, density=1)",
        "breadcrumbs_ties(a - b, c - b, density=1)",
        "sce(a - b, c - b)",
        "ram(a - b, c - b)",
        "ramplus_tl(a - b, c - b)",
        "sign(a - b)",
        "match_norm(a - b, c - b)",
        "orthogonal(a - b, c - b)",
        "slerp(a, b, t=0.5)",
        "nuslerp(a, b)",
        "multislerp(a, b, c)",
        "karcher(a, b, c)",
        "nearswap(a, b, t=0.1)",
        "model_stock(b, a, c)",
        "magprune(a - b, density=1)",
        "della(a - b, c - b, density=1)",
        "model_stock(b, a, c, over=\"rows\")",
        "nuslerp(a, b, over=\"columns\")",
        "arcee_fusion(b, a)",
        "lowrank(a - b, rank=1)",
    ] {
        let found = world.plan(expression).load("w").unwrap();
        assert!(found[0].is_nan(), "{expression}: {found:?}");
    }
}

#[test]
fn results_do_not_depend_on_threads_or_chunks() {
    let directory = tempfile::tempdir().unwrap();
    let world = world();
    // The differences of BF16 weights have many equal magnitudes, so thresholds fall on equal elements.
    for (index, expression) in [
        "base + ties(0.5*(grpo - base), sft - base, density=0.2)",
        "base + dare_ties(grpo - base, sft - base, density=0.5, seed=3) + sign(trim(grpo - sft, density=0.01))",
        "base + breadcrumbs_ties(grpo - base, sft - base, density=0.3, gamma=0.05)",
        "base + sce(grpo - base, sft - base, density=0.3) + ramplus_tl(grpo - base, sft - base)",
        "model_stock(base, slerp(grpo, sft, t=0.3), karcher(grpo, sft, target), multislerp(grpo, sft))",
        "base + match_norm(orthogonal(grpo - base, to=sft - base), to=target - base)",
        "base + della(grpo - base, sft - base, density=0.4, seed=3) + trim(magprune(grpo - sft, density=0.5), density=0.1)",
        "base + magprune(grpo - sft, density=0.5, rescale=\"l1\") + lowrank(sft - base, rank=3)",
        "model_stock(base, nuslerp(grpo, sft, over=\"rows\"), nuslerp(grpo, target, over=\"columns\"), over=\"rows\")",
        "arcee_fusion(base, grpo)",
    ]
    .iter()
    .enumerate()
    {
        let plan = world.plan(expression);
        let mut first = None;
        for (threads, chunk_bytes) in [(1, 1 << 20), (2, 1000), (3, 4000), (5, 40_000)] {
            let options = WriteOptions {
                threads: NonZeroUsize::new(threads),
                chunk_bytes: NonZeroUsize::new(chunk_bytes),
                sync: false,
                ..WriteOptions::default()
            };
            let destination = directory.path().join(format!("{index}-{threads}"));
            write(&plan, &destination, &options, &|_| {}).unwrap();
            let mut shards: Vec<_> = std::fs::read_dir(&destination)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
                .collect();
            shards.sort();
            assert_eq!(shards.len(), 2);
            let found: Vec<Vec<u8>> = shards.iter().map(|shard| std::fs::read(shard).unwrap()).collect();
            let same = *first.get_or_insert_with(|| found.clone()) == found;
            assert!(same, "{expression}: {threads} threads, {chunk_bytes} bytes");
        }
    }
}

#[test]
fn refusals_say_what_is_allowed() {
    let world = world();
    for (expression, message) in [
        (
            "trim(grpo - sft, density=0)",
            "`density` of `trim` must be a number above 0 and at most 1, not `0`",
        ),
        (
            "trim(grpo - sft, density=1.5)",
            "`density` of `trim` must be a number above 0 and at most 1, not `1.5`",
        ),
        (
            "trim(grpo - sft, density=-0.5)",
            "`density` of `trim` must be a number above 0 and at most 1, not `-0.5`",
        ),
        ("trim(grpo - sft)", "`trim` needs its parameter `density`"),
        (
            "trim(grpo, density=0.5)",
            "`trim` takes a vector, and this is a model",
        ),
        (
            "ties(grpo - sft, sft, density=0.5)",
            "`ties` takes a vector, and this is a model",
        ),
        (
            "ties(density=0.5)",
            "`ties` takes 1 or more operands, not 0",
        ),
        (
            "ties(grpo - sft, density=0.5, combine=\"median\")",
            "`combine` of `ties` must be \"mean\" or \"sum\", not `median`",
        ),
        (
            "breadcrumbs(grpo - sft, density=0.5, gamma=1)",
            "`gamma` of `breadcrumbs` must be a number from 0 to below 1, not `1`",
        ),
        (
            "slerp(grpo, sft, t=2)",
            "`t` of `slerp` must be a number from 0 to 1, not `2`",
        ),
        (
            "slerp(grpo, sft - grpo, t=0.5)",
            "`slerp` takes models only, as its first operand is one",
        ),
        (
            "nearswap(grpo, sft, t=-1)",
            "`t` of `nearswap` must be a number, 0 or more, not `-1`",
        ),
        (
            "model_stock(base, grpo)",
            "`model_stock` takes 3 or more operands, not 2",
        ),
        (
            "model_stock(base, grpo, sft - base)",
            "`model_stock` takes models only, and this is a vector",
        ),
        (
            "magprune(grpo - sft, density=0.9)",
            "`epsilon` of `magprune` must be less than the density, and at most 1 less the density: the probabilities \
             `density` ± `epsilon` lie above 0 and up to 1, not `0.15` with a density of `0.9`",
        ),
        (
            "della(grpo - sft, density=0.1, epsilon=0.1)",
            "`epsilon` of `della` must be less than the density",
        ),
        (
            "della(grpo - sft, density=1.1)",
            "`density` of `della` must be a number above 0 and at most 1, not `1.1`",
        ),
        (
            "della(grpo - sft, density=0)",
            "`density` of `della` must be a number above 0",
        ),
        (
            "della(grpo - sft, density=0.5, epsilon=-0.1)",
            "`epsilon` of `della` must be a number from 0 to below 1, not `-0.1`",
        ),
        (
            "della(grpo - sft, density=[0.5, 0.9])",
            "`epsilon` of `della` must be less than the density",
        ),
        (
            "magprune(grpo - sft, density=0.5, rescale=\"l2\")",
            "`rescale` of `magprune` must be \"p\", \"l1\" or \"none\", not `l2`",
        ),
        (
            "nuslerp(grpo, sft, over=\"layers\")",
            "`over` of `nuslerp` must be \"tensor\", \"rows\" or \"columns\", not `layers`",
        ),
        (
            "arcee_fusion(base, grpo - sft)",
            "`arcee_fusion` takes models only, and this is a vector",
        ),
        (
            "lowrank(grpo - sft, rank=0)",
            "`rank` of `lowrank` must be a whole number, 1 or more, not `0`",
        ),
        (
            "lowrank(grpo - sft, rank=1.5)",
            "`rank` of `lowrank` must be a whole number",
        ),
        (
            "lowrank(grpo - sft)",
            "`lowrank` needs its parameter `rank`",
        ),
        (
            "match_norm(grpo - sft)",
            "`match_norm` takes 2 operands, not 1",
        ),
        (
            "match_norm(grpo - sft, grpo - sft, to=sft - grpo)",
            "`match_norm` is given `to` twice",
        ),
        (
            "match_norm(grpo - sft, of=sft - grpo)",
            "`match_norm` has no parameter `of`",
        ),
    ] {
        let error = world.refused(expression);
        assert!(
            matches!(error, Error::Expression(_)),
            "{expression}: {error}"
        );
        assert!(error.to_string().starts_with(message), "{error}");
    }
}

#[test]
fn matrices_are_cut_to_the_components_that_say_most() {
    let shape = [260, 300];
    // Singular values 10, 1 and, on a diagonal of its own, a tail of 0.01.
    let value = |index: usize| {
        let (row, column) = (index / 300, index % 300);
        let wave = |place: usize, speed: f64| (place as f64 * speed).sin();
        10.0 * wave(row, 0.7) * wave(column, 0.3)
            + wave(row, 1.9) * wave(column, 2.1)
            + if row == column { 0.01 } else { 0.0 }
    };
    let matrix: Vec<f64> = (0..260 * 300).map(value).collect();
    let tensors = |matrix: &[f64], norm: &[f64]| {
        vec![vec![
            Tensor::new("a.weight", Dtype::F32, &shape, matrix),
            Tensor::new("norm.weight", Dtype::F32, &[2], norm),
        ]]
    };
    let world = World::default().vector("v", tensors(&matrix, &[3.0, -4.0]).concat());
    let plan = world.plan("lowrank(v, rank=2)");
    assert_eq!(
        plan.notes(),
        ["tensors that are no matrices pass through `lowrank` as they are: `norm.weight`"]
    );
    assert_eq!(plan.load("norm.weight").unwrap(), [3.0, -4.0]);
    let found = plan.load("a.weight").unwrap();
    for (index, (found, value)) in found.iter().zip(&matrix).enumerate() {
        assert!(
            (f64::from(*found) - value).abs() < 0.0101,
            "{index}: {found} {value}"
        );
    }
    // What is left out is orthogonal to what is kept, and small.
    let left = world
        .plan("v - lowrank(v, rank=2)")
        .load("a.weight")
        .unwrap();
    let dot: f64 = found
        .iter()
        .zip(&left)
        .map(|(one, two)| f64::from(*one) * f64::from(*two))
        .sum();
    let norm = |values: &[f32]| {
        values
            .iter()
            .map(|value| f64::from(*value).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    assert!(dot.abs() < 1e-5 * norm(&found) * norm(&left), "{dot:e}");
    assert!(norm(&left) <= 0.01 * 260f64.sqrt());
    // Twice is once.
    let twice = world
        .plan("lowrank(lowrank(v, rank=2), rank=2)")
        .load("a.weight")
        .unwrap();
    for (once, twice) in found.iter().zip(&twice) {
        assert!((once - twice).abs() < 1e-5);
    }
}

#[test]
fn what_is_no_matrix_or_too_large_is_refused_by_name() {
    let three = Tensor::new("experts", Dtype::F32, &[2, 2, 2], &[1.0; 8]);
    let one = Tensor::new("norm", Dtype::F32, &[1], &[1.0]);
    let world = World::default().vector("v", vec![three, one]);
    let error = world.refused("lowrank(v, rank=1)");
    assert!(
        error
            .to_string()
            .starts_with("`lowrank` takes matrices apart, and `experts` has the shape [2, 2, 2]"),
        "{error}"
    );
    assert_eq!(
        error.hint().as_deref(),
        Some("leave the tensor out of it: `except(v, \"experts\")`")
    );
    world.plan("lowrank(except(v, \"experts\"), rank=1)");
}
