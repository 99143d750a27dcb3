//! What one pass over a plan measures.

use std::num::NonZeroUsize;

use taskvec_core::statistics::{Group, Module};
use taskvec_core::{Dtype, InspectOptions, Inspection, Plan, PlanOptions, inspect};

use super::fixture::{Tensor, World, family};

fn look_at(plan: &Plan) -> Inspection {
    inspect(plan, &InspectOptions::default(), &|_| {}).unwrap()
}

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-12 * expected.abs()
}

#[test]
fn a_vector_is_measured_against_what_was_subtracted() {
    let world = World::default()
        .model(
            "a",
            &[vec![Tensor::new(
                "model.layers.3.mlp.w",
                Dtype::Bf16,
                &[4],
                &[4.0, -2.0, 1.0, 7.0],
            )]],
        )
        .model(
            "b",
            &[vec![Tensor::new(
                "model.layers.3.mlp.w",
                Dtype::Bf16,
                &[4],
                &[1.0, 2.0, 1.0, 7.0],
            )]],
        );
    let found = look_at(&world.plan("a - b"));
    assert_eq!(found.origin.as_deref(), Some("b"));
    let tensor = found.tensors["model.layers.3.mlp.w"];
    assert_eq!(
        (tensor.elements, tensor.zeros, tensor.nan, tensor.infinite),
        (4, 2, 0, 0)
    );
    assert_eq!((tensor.norm(), tensor.largest), (5.0, 4.0));
    assert!(near(tensor.relative_norm().unwrap(), 5.0 / 55f64.sqrt()));
    assert_eq!(tensor.survival(), None, "a vector is stored as F32");
    let groups = found.groups();
    assert_eq!(
        groups[&Group {
            layer: Some(3),
            module: Module::Mlp
        }],
        tensor
    );
    assert_eq!(found.total(), tensor);
}

#[test]
fn survival_is_what_rounding_leaves() {
    // One BF16 step at 1 is 2^-7. A change of a quarter of that vanishes, one of three quarters becomes a whole step.
    let step = 0.0078125;
    let world = World::default()
        .model(
            "t",
            &[vec![
                Tensor::new("gone", Dtype::Bf16, &[2], &[1.0, 1.0]),
                Tensor::new("grown", Dtype::Bf16, &[2], &[1.0, 1.0]),
                Tensor::new("whole", Dtype::Bf16, &[2], &[1.0, 1.0]),
                Tensor::new("none", Dtype::Bf16, &[2], &[1.0, 1.0]),
            ]],
        )
        .vector(
            "v",
            vec![
                Tensor::new("gone", Dtype::F32, &[2], &[step / 2.0, -step / 4.0]),
                Tensor::new("grown", Dtype::F32, &[2], &[step * 1.5, 0.0]),
                Tensor::new("whole", Dtype::F32, &[2], &[step * 2.0, -step * 4.0]),
                Tensor::new("none", Dtype::F32, &[2], &[0.0, 0.0]),
            ],
        );
    let found = look_at(&world.plan("t + 0.5*v"));
    let survival = |name: &str| found.tensors[name].survival();
    assert_eq!(survival("gone"), Some(0.0));
    assert!(near(survival("grown").unwrap(), 4.0 / 3.0));
    assert_eq!(survival("whole"), Some(1.0));
    assert_eq!(survival("none"), None);
    assert_eq!(found.tensors["gone"].rounding_error(), Some(1.0));
    assert!(near(
        found.tensors["grown"].rounding_error().unwrap(),
        1.0 / 3.0
    ));
    assert_eq!(found.tensors["whole"].rounding_error(), Some(0.0));
    assert_eq!(found.tensors["none"].zeros, 2);

    let wide = PlanOptions {
        output_dtype: Some(Dtype::F32),
        ..PlanOptions::default()
    };
    assert_eq!(
        look_at(&world.plan_with("t + 0.5*v", &wide).unwrap())
            .total()
            .survival(),
        None
    );
    let narrow = PlanOptions {
        output_dtype: Some(Dtype::Bf16),
        ..PlanOptions::default()
    };
    assert_eq!(
        look_at(&world.plan_with("v/3", &narrow).unwrap())
            .total()
            .rounding
            .map(|rounding| rounding.kept > 0.0),
        Some(true)
    );
}

#[test]
fn sums_do_not_depend_on_threads() {
    let world = family(Dtype::Bf16);
    let plan = world.plan("target + 0.7*random(grpo - sft)");
    let with = |threads| {
        let options = InspectOptions {
            threads: NonZeroUsize::new(threads),
            ..InspectOptions::default()
        };
        inspect(&plan, &options, &|_| {}).unwrap()
    };
    let one = with(1);
    assert_eq!(one, with(4));
    assert!(near(one.total().elements as f64, 72736.0));
    let vector = look_at(&world.plan("grpo - sft")).total();
    assert!((one.total().norm() / (0.7 * vector.norm()) - 1.0).abs() < 1e-6);
    // Noise two hundredths as large as the weights, for each of two models.
    assert!((0.005..0.03).contains(&vector.relative_norm().unwrap()));
    let survival = one.total().survival().unwrap();
    assert!(
        (0.9..1.1).contains(&survival),
        "unbiased rounding keeps the mean: {survival}"
    );
}

#[test]
fn what_is_not_finite_is_counted() {
    let tensors = |value: f64| {
        vec![vec![Tensor::new(
            "w",
            Dtype::F32,
            &[3],
            &[value, f64::INFINITY, 1.0],
        )]]
    };
    let world = World::default()
        .model("a", &tensors(f64::NAN))
        .model("b", &tensors(1.0));
    let total = look_at(&world.plan("a - b")).total();
    assert_eq!((total.nan, total.infinite, total.zeros), (2, 0, 1));
    let total = look_at(&world.plan("b + (a - b)")).total();
    assert_eq!(total.nan, 2);
}
