//! Parity with mergekit 0.1.5, whose results `tests/goldens/from_mergekit.py` wrote.
//!
//! mergekit computes in single precision there, this crate in double precision or exactly. So results may differ by the
//! rounding of mergekit's intermediate values, a few units in the last place of the largest weight of a tensor, and by
//! no more.

use std::collections::BTreeMap;
use std::path::PathBuf;

use taskvec_core::{Bindings, Dtype, Library, Plan, PlanOptions};

use super::fixture::{World, decoder};

/// Roundings to a single that a weight of a tensor may be off by, in units of the tensor's largest weight.
const TOLERANCE: f32 = 4.0 * f32::EPSILON;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/goldens/mergekit")
        .join(name)
}

fn load(expression: &str, label: &str, golden_name: &str) -> BTreeMap<String, Vec<f32>> {
    let names = ["base", "a", "b", "c", golden_name];
    let bindings = names.iter().fold(Bindings::default(), |bindings, name| {
        let path = golden(&format!("{label}-{name}.safetensors"));
        bindings.with(*name, path.to_str().unwrap().parse().unwrap())
    });
    let options = PlanOptions {
        output_dtype: Some(Dtype::F32),
        ..PlanOptions::default()
    };
    Plan::build(
        &expression.parse().unwrap(),
        &bindings,
        &Library::default(),
        &options,
    )
    .unwrap_or_else(|error| panic!("{expression}: {error}"))
    .load_all()
    .unwrap()
}

/// The largest difference in units of each tensor's largest weight.
fn difference(label: &str, golden_name: &str, expression: &str) -> f32 {
    let expected = load(golden_name, label, golden_name);
    let found = load(expression, label, golden_name);
    assert!(!expected.is_empty() && expected.keys().eq(found.keys()));
    let mut worst = 0f32;
    for (name, expected) in &expected {
        let scale = expected
            .iter()
            .fold(0f32, |scale, value| scale.max(value.abs()));
        for (expected, found) in expected.iter().zip(&found[name]) {
            assert!(found.is_finite(), "{golden_name}: `{name}`");
            worst = worst.max((expected - found).abs() / scale);
        }
    }
    worst
}

#[test]
fn sums_of_bf16_weights_are_those_of_mergekit() {
    for (golden, expression) in [
        ("linear", "a + (b - c)"),
        ("task_arithmetic", "base + (a - base) + (b - base)"),
    ] {
        assert_eq!(difference("bf16", golden, expression), 0.0, "{golden}");
    }
}

#[test]
fn methods_differ_from_mergekit_by_its_rounding_alone() {
    for label in ["f32", "bf16"] {
        for (golden, expression) in [
            ("linear", "a + (b - c)"),
            ("mean", "mean(a, b, c)"),
            ("task_arithmetic", "base + (a - base) + (b - base)"),
            ("slerp", "slerp(a, b, t=0.3)"),
            ("nuslerp", "nuslerp(a, b, t=0.7)"),
            ("model_stock", "model_stock(base, a, b, c)"),
        ] {
            let worst = difference(label, golden, expression);
            assert!(worst <= TOLERANCE, "{label} {golden}: {worst:e}");
        }
    }
}

#[test]
fn methods_that_choose_elements_choose_those_of_mergekit() {
    for (golden, expression) in [
        (
            "ties",
            "base + ties(a - base, b - base, c - base, density=0.4)",
        ),
        (
            "ties_sum",
            "base + ties(0.5*(a - base), b - base, 0.25*(c - base), density=0.4, combine=\"sum\")",
        ),
        (
            "breadcrumbs",
            "base + breadcrumbs(a - base, density=0.5, gamma=0.1) + breadcrumbs(b - base, density=0.5, gamma=0.1)",
        ),
        (
            "breadcrumbs_ties",
            "base + breadcrumbs_ties(a - base, b - base, c - base, density=0.5, gamma=0.1)",
        ),
        (
            "sce",
            "base + sce(a - base, b - base, c - base, density=0.6)",
        ),
        ("ram", "base + ram(a - base, b - base, c - base)"),
        (
            "ramplus_tl",
            "base + ramplus_tl(a - base, b - base, c - base)",
        ),
        ("nuslerp_vectors", "base + nuslerp(a - base, b - base)"),
        ("multislerp", "multislerp(a, b, c)"),
        (
            "multislerp_vectors",
            "base + multislerp(a - base, b - base, c - base)",
        ),
        ("karcher", "karcher(a, b, c)"),
        ("nearswap", "nearswap(a, b, t=0.005)"),
    ] {
        let worst = difference("f32", golden, expression);
        assert!(worst <= TOLERANCE, "{golden}: {worst:e}");
    }
}

#[test]
fn methods_of_rows_and_columns_are_those_of_mergekit() {
    for (golden, expression) in [
        (
            "model_stock_rows",
            "model_stock(base, a, b, c, over=\"rows\")",
        ),
        ("nuslerp_rows", "nuslerp(a, b, t=0.7, over=\"rows\")"),
        (
            "nuslerp_columns",
            "base + nuslerp(a - base, b - base, t=0.7, over=\"columns\")",
        ),
        ("arcee_fusion", "arcee_fusion(base, a)"),
    ] {
        let worst = difference("f32", golden, expression);
        assert!(worst <= TOLERANCE, "{golden}: {worst:e}");
    }
}

#[test]
fn della_keeps_and_scales_what_mergekit_does_with_the_same_draws() {
    for (golden, expression) in [
        (
            "della",
            "base + della(a - base, b - base, c - base, density=0.6, epsilon=0.3, seed=1, weights=(0.5, 1, 0.25), rescale=\"l1\")",
        ),
        (
            "della_sum",
            "base + 1.5*della(a - base, b - base, c - base, density=0.5, seed=1, combine=\"sum\", rescale=\"none\")",
        ),
        (
            "della_linear",
            "base + 0.7*magprune(a - base, density=0.4, epsilon=0.2, seed=1, rescale=\"l1\") \
             + 0.4*magprune(b - base, density=0.4, epsilon=0.2, seed=2, rescale=\"l1\")",
        ),
    ] {
        let worst = difference("f32", golden, expression);
        assert!(worst <= TOLERANCE, "{golden}: {worst:e}");
    }
}

#[test]
fn magprune_divides_by_the_probabilities_that_mergekit_draws_with() {
    let golden = "probabilities";
    let expected = load(golden, "f32", golden);
    let whole = load("a - base", "f32", golden);
    let sparse = load(
        "magprune(a - base, density=0.6, epsilon=0.3, seed=1)",
        "f32",
        golden,
    );
    let mut compared = 0;
    for (name, sparse) in &sparse {
        for (index, value) in sparse
            .iter()
            .enumerate()
            .filter(|(_, value)| **value != 0.0)
        {
            let (found, expected) = (whole[name][index] / value, expected[name][index]);
            assert!(
                (found - expected).abs() < 4.0 * f32::EPSILON,
                "{name}: {found} {expected}"
            );
            compared += 1;
        }
    }
    assert!(compared > 600, "{compared}");
}

#[test]
fn random_methods_agree_in_distribution() {
    let text = std::fs::read_to_string(golden("random.json")).unwrap();
    let drawn: BTreeMap<String, BTreeMap<String, f64>> = serde_json::from_str(&text).unwrap();
    let world = World::default().vector("v", decoder(Dtype::F32, 4).concat());
    let values = world.plan("v").load("model.embed_tokens.weight").unwrap();
    for (density, expected) in &drawn {
        let sparse = world
            .plan(&format!("dare(v, density={density})"))
            .load("model.embed_tokens.weight")
            .unwrap();
        let kept: Vec<usize> = (0..values.len())
            .filter(|index| sparse[*index] != 0.0)
            .collect();
        let share = kept.len() as f64 / values.len() as f64;
        let wanted: f64 = density.parse().unwrap();
        // Five standard deviations of the difference of two shares, of 100 000 elements there and 72 008 here.
        let deviation = (wanted * (1.0 - wanted) * (1.0 / 1e5 + 1.0 / values.len() as f64)).sqrt();
        assert!(
            (share - expected["share"]).abs() < 5.0 * deviation,
            "{density}: {share}"
        );
        let scale = f64::from(sparse[kept[0]]) / f64::from(values[kept[0]]);
        // mergekit scales by the L1 norms it finds, so by 1/density up to the deviation of what was drawn.
        assert!(
            (scale / expected["scale"] - 1.0).abs() < 0.05,
            "{density}: {scale}"
        );
    }
}
