//! Values: what arithmetic on tensors gives, whoever asks.

use half::bf16;
use taskvec_core::{Dtype, Error, PlanOptions};

use super::fixture::{Tensor, World, decoder, family};

const EMBEDDING: &str = "model.embed_tokens.weight";

#[test]
fn sums_are_rounded_once() {
    let world = family(Dtype::Bf16);
    let [target, grpo, sft] =
        ["target", "grpo", "sft"].map(|name| world.plan(name).load(EMBEDDING).unwrap());
    let sum = world.plan("target + (grpo - sft)").load(EMBEDDING).unwrap();
    let mut naive_differs = 0;
    for index in 0..sum.len() {
        let (t, g, s) = (
            f64::from(target[index]),
            f64::from(grpo[index]),
            f64::from(sft[index]),
        );
        // In double precision these sums of three BF16 weights of similar size are exact.
        assert_eq!(sum[index], bf16::from_f64(t + (g - s)).to_f32());
        let naive = bf16::from_f64(t + bf16::from_f64(g - s).to_f64());
        naive_differs += usize::from(naive.to_f32() != sum[index]);
    }
    assert!(
        naive_differs > 0,
        "the data would not notice a rounding in between"
    );
}

#[test]
fn algebra_that_cancels_is_exact() {
    let world = family(Dtype::Bf16);
    let load = |expression: &str| world.plan(expression).load(EMBEDDING).unwrap();
    assert_eq!(
        load("target + 0.7*(grpo - sft) - 7*(grpo - sft)/10"),
        load("target")
    );
    assert_eq!(load("sft + (grpo - sft)"), load("grpo"));
    assert_eq!(
        load("mean(target, grpo) - (target + (grpo - target)/2)"),
        vec![0.0; 72008]
    );
    assert_eq!(
        load("target + only(grpo - target, \"mlp\")"),
        load("target")
    );
    assert_eq!(
        load("target + except(grpo - target, \"mlp\")"),
        load("grpo")
    );
    assert_eq!(
        load("random(grpo - sft) - random(grpo - sft)"),
        vec![0.0; 72008]
    );
    assert_eq!(
        load("mean(target, grpo, sft)"),
        load("target + (grpo - target)/3 + (sft - target)/3")
    );
}

#[test]
fn cancelled_terms_do_not_spread_what_is_not_finite() {
    let tensors = |value: f64| vec![vec![Tensor::new("w", Dtype::F32, &[2], &[value, 1.0])]];
    let world = World::default()
        .model("a", &tensors(f64::NAN))
        .model("b", &tensors(2.0));
    assert_eq!(world.plan("a - a").load("w").unwrap(), [0.0, 0.0]);
    assert_eq!(world.plan("b + 0*(a - b)").load("w").unwrap(), [2.0, 1.0]);
    assert!(world.plan("b + (a - b)*2").load("w").unwrap()[0].is_nan());
}

#[test]
fn loading_all_is_loading_each() {
    let world = family(Dtype::F16);
    let plan = world.plan("target - 0.3*random(grpo - sft, seed=5)");
    let all = plan.load_all().unwrap();
    assert_eq!(all.len(), 6);
    for (name, values) in &all {
        assert_eq!(&plan.load(name).unwrap(), values, "{name}");
    }
    assert!(matches!(
        plan.load("nothing"),
        Err(Error::UnknownTensor { .. })
    ));
}

#[test]
fn missing_tensors_count_as_zero_where_allowed() {
    let world = family(Dtype::Bf16).vector("part", decoder(Dtype::F32, 4)[1].clone());
    let options = PlanOptions {
        missing_as_zero: true,
        ..PlanOptions::default()
    };
    let plan = world.plan_with("target + part", &options).unwrap();
    assert_eq!(
        plan.load(EMBEDDING).unwrap(),
        world.plan("target").load(EMBEDDING).unwrap()
    );
    let both = world
        .plan_with("part + random(grpo - sft)", &options)
        .unwrap();
    assert_eq!(both.tensors().len(), 6);
}

fn norm(values: &[f32]) -> f64 {
    values
        .iter()
        .map(|&value| f64::from(value).powi(2))
        .sum::<f64>()
        .sqrt()
}

#[test]
fn random_vectors_have_the_length_and_not_the_direction() {
    let world = family(Dtype::Bf16);
    let vector = world.plan("grpo - sft").load_all().unwrap();
    let random = world.plan("random(grpo - sft)").load_all().unwrap();
    let other = world.plan("random(grpo - sft, seed=1)").load_all().unwrap();
    for (name, values) in &vector {
        let noise = &random[name];
        // Each element is rounded to a single once.
        assert!((norm(noise) / norm(values) - 1.0).abs() < 1e-6, "{name}");
        let cosine = |one: &[f32], two: &[f32]| {
            let dot: f64 = one
                .iter()
                .zip(two)
                .map(|(&one, &two)| f64::from(one) * f64::from(two))
                .sum();
            dot / (norm(one) * norm(two))
        };
        let five_sigma = 5.0 / (values.len() as f64).sqrt();
        assert!(
            cosine(noise, values).abs() < five_sigma
                && cosine(noise, &other[name]).abs() < five_sigma,
            "{name}"
        );
    }
    assert_ne!(
        random["model.layers.0.self_attn.q_proj.weight"],
        random["model.layers.1.self_attn.q_proj.weight"],
        "tensors of one shape must not share their noise"
    );
}

#[test]
fn methods_nest() {
    let world = family(Dtype::Bf16);
    let load = |expression: &str| world.plan(expression).load(EMBEDDING).unwrap();
    let nested =
        load("random(0.5*random(grpo - sft, seed=1) + 0.5*random(grpo - sft, seed=1), seed=2)");
    let plain = load("random(grpo - sft, seed=2)");
    let difference: Vec<f32> = nested
        .iter()
        .zip(&plain)
        .map(|(one, two)| one - two)
        .collect();
    assert!(norm(&difference) < 1e-6 * norm(&plain));
}
