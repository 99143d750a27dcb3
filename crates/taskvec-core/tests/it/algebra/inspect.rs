//! What one pass over a plan, or over two, measures.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use serde_json::Value;
use taskvec_core::statistics::{
    Group, Measured, Measurement, Module, NetworkPart, NoSpectrum, Spectra, SpectrumOptions,
    Subject, Undefined, spectra,
};
use taskvec_core::{
    Bindings, Dtype, Error, InspectOptions, Inspection, Library, Plan, PlanOptions, inspect,
};

use super::fixture::{Tensor, World, family};

fn look_at(plan: &Plan) -> Inspection {
    inspect(plan, &InspectOptions::default(), &|_| {}).unwrap()
}

fn held_against<'a>(plan: &'a Plan, beside: &'a Plan) -> Subject<'a> {
    Subject {
        plan,
        beside: Some(beside),
        relative_to: None,
    }
}

fn compare(subject: Subject<'_>) -> Inspection {
    inspect(subject, &InspectOptions::default(), &|_| {}).unwrap()
}

fn refusal(subject: Subject<'_>) -> Error {
    inspect(subject, &InspectOptions::default(), &|_| {}).unwrap_err()
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

/// A vector of F32 tensors.
fn vector(tensors: &[(&str, &[f64])]) -> Vec<Tensor> {
    tensors
        .iter()
        .map(|(name, values)| Tensor::new(name, Dtype::F32, &[values.len()], values))
        .collect()
}

#[test]
fn two_vectors_are_held_against_one_another() {
    let (attention, mlp) = (
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.1.mlp.w",
    );
    let world = World::default()
        .vector(
            "v",
            vector(&[(attention, &[3.0, 0.0, -4.0]), (mlp, &[1.0, 2.0])]),
        )
        .vector(
            "w",
            vector(&[(attention, &[6.0, 1.0, -8.0]), (mlp, &[-2.0, 1.0])]),
        );
    let (one, two) = (world.plan("v"), world.plan("2*w"));
    let found = compare(held_against(&one, &two));
    assert_eq!(found.beside.as_ref().unwrap().expression, "2*w");

    let of = found.measurement(attention);
    let (second, overlap) = of.beside.unwrap();
    assert_eq!((of.found.norm(), second.norm()), (5.0, 404f64.sqrt()));
    assert_eq!(overlap.dot, 100.0);
    assert!(near(of.cosine().unwrap().unwrap(), 20.0 / 404f64.sqrt()));
    assert_eq!((overlap.nonzero_in_both, overlap.agreeing), (2, 2));
    // Perpendicular, and one sign of two.
    let of = found.measurement(mlp);
    assert_eq!(
        (of.cosine(), of.sign_agreement()),
        (Some(Ok(0.0)), Some(0.5))
    );

    let whole = found.whole();
    let norms = 30f64.sqrt() * 424f64.sqrt();
    assert!(near(whole.cosine().unwrap().unwrap(), 100.0 / norms));
    assert_eq!(whole.sign_agreement(), Some(0.75));
    assert_eq!(found.by(NetworkPart::of)[&NetworkPart::Mlp], of);
    assert_eq!(found.by(|name| Group::of(name).layer)[&Some(1)], of);
    // Alone it is as it is beside another.
    assert_eq!(look_at(&one).tensors, found.tensors);
}

#[test]
fn a_vector_and_itself_or_its_opposite() {
    let world = family(Dtype::Bf16);
    let (one, two) = (world.plan("grpo - sft"), world.plan("0.5*(sft - grpo)"));
    let cosine = |second| {
        let found = compare(held_against(&one, second));
        (found.whole().cosine(), found.whole().sign_agreement())
    };
    assert_eq!(cosine(&one), (Some(Ok(1.0)), Some(1.0)));
    assert_eq!(cosine(&two), (Some(Ok(-1.0)), Some(0.0)));
}

#[test]
fn comparisons_do_not_depend_on_threads() {
    // Steps of methods on both sides and in what norms are relative to, over inputs that are shared in part.
    let world = family(Dtype::Bf16);
    let one = world.plan("trim(grpo - sft, density=0.3)");
    let two = world.plan("random(target - sft, seed=4)");
    let model = world.plan("slerp(sft, target, t=0.5)");
    let subject = Subject {
        relative_to: Some(&model),
        ..held_against(&one, &two)
    };
    let with = |threads| {
        let options = InspectOptions {
            threads: NonZeroUsize::new(threads),
            ..InspectOptions::default()
        };
        inspect(subject, &options, &|_| {}).unwrap()
    };
    let found = with(1);
    assert_eq!(found, with(3));
    // Each side is what it is alone, and norms are relative to what the third is alone.
    let squares = |plan: &Plan| look_at(plan).total().sum_of_squares;
    let (second, _) = found.whole().beside.unwrap();
    assert_eq!(found.total().sum_of_squares, squares(&one));
    assert_eq!(second.sum_of_squares, squares(&two));
    let origin = model.load_all().unwrap();
    let norm: f64 = origin
        .values()
        .flatten()
        .map(|x| f64::from(*x).powi(2))
        .sum();
    let relative = found.total().relative_norm().unwrap();
    let expected = (squares(&one) / norm).sqrt();
    // The model is stored in BF16 and measured before that.
    assert!(
        (relative / expected - 1.0).abs() < 1e-3,
        "{relative} {expected}"
    );
    assert_eq!(
        second.origin_sum_of_squares,
        found.total().origin_sum_of_squares
    );
    assert_eq!(found.origin.as_deref(), Some("slerp(sft, target, t=0.5)"));
}

#[test]
fn what_rounding_does_is_not_a_matter_of_what_norms_are_relative_to() {
    let world = family(Dtype::Bf16);
    let plan = world.plan("target + 0.5*(grpo - sft)");
    let other = world.plan("sft");
    let alone = look_at(&plan).total();
    let subject = Subject {
        plan: &plan,
        beside: None,
        relative_to: Some(&other),
    };
    let found = compare(subject).total();
    assert!(alone.rounding.is_some());
    assert_eq!(found.rounding, alone.rounding);
    assert_eq!(found.sum_of_squares, alone.sum_of_squares);
    let loaded = other.load_all().unwrap();
    let squares = loaded.values().flatten().map(|x| f64::from(*x).powi(2));
    assert!(near(found.origin_sum_of_squares.unwrap(), squares.sum()));
}

#[test]
fn what_two_vectors_differ_in_is_said_at_once() {
    let world = World::default()
        .vector("v", vector(&[("a", &[1.0]), ("b", &[1.0]), ("c", &[1.0])]))
        .vector(
            "w",
            vector(&[("a", &[1.0, 2.0]), ("b", &[1.0]), ("d", &[1.0])]),
        )
        .vector("u", vector(&[("a", &[1.0])]));
    let (v, w, u) = (world.plan("v"), world.plan("w"), world.plan("u"));
    let subject = Subject {
        relative_to: Some(&u),
        ..held_against(&v, &w)
    };
    let error = refusal(subject);
    let text = error.to_string();
    for part in [
        "the checkpoints of `v`, `w` and `u` do not fit together",
        "`a`: `v` is [1], `w` is [2]",
        "1 shape differs",
        "4 tensors are on one side only",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // A lack that was allowed is zero.
    let lenient = PlanOptions {
        missing_as_zero: true,
        ..PlanOptions::default()
    };
    let u = world.plan_with("u", &lenient).unwrap();
    for subject in [held_against(&v, &u), held_against(&u, &v)] {
        let found = compare(subject);
        assert_eq!(found.tensors.len(), 3);
        assert_eq!(found.measurement("c").cosine(), Some(Err(Undefined::Zero)));
        let whole = found.whole();
        assert!(near(whole.cosine().unwrap().unwrap(), 1.0 / 3f64.sqrt()));
        assert_eq!(whole.sign_agreement(), Some(1.0));
    }
}

#[test]
fn models_are_not_held_against_anything() {
    let world = family(Dtype::F32);
    let (vector, model) = (world.plan("grpo - sft"), world.plan("target"));
    for subject in [held_against(&vector, &model), held_against(&model, &vector)] {
        let error = refusal(subject);
        assert!(matches!(error, Error::NotAVector { .. }), "{error}");
        assert!(error.to_string().starts_with("`target` is a model;"));
        assert!(error.hint().is_some());
    }
    let other =
        World::default().model("other", &[vec![Tensor::new("x", Dtype::F32, &[1], &[1.0])]]);
    let other = other.plan("other");
    let subject = Subject {
        plan: &vector,
        beside: None,
        relative_to: Some(&other),
    };
    assert!(matches!(refusal(subject), Error::Incompatible(_)));
}

#[test]
fn of_a_model_that_is_its_template_the_weights_are_measured() {
    let world = family(Dtype::Bf16);
    let plan = world.plan("target");
    let found = look_at(&plan);
    assert_eq!(
        (found.measured, found.origin.clone()),
        (Measured::Weights, None)
    );
    let squares: f64 = plan
        .load_all()
        .unwrap()
        .values()
        .flatten()
        .map(|value| f64::from(*value).powi(2))
        .sum();
    assert!(near(found.total().sum_of_squares, squares));
    assert_eq!(found.total().survival(), None);
    let changed = look_at(&world.plan("target + 0*(grpo - sft) + (grpo - sft)"));
    assert_eq!(changed.measured, Measured::Change);
    assert_eq!(changed.origin.as_deref(), Some("target"));
}

#[test]
fn no_cosine_where_there_is_none() {
    let world = World::default()
        .vector(
            "v",
            vector(&[("a", &[0.0, 0.0]), ("b", &[f64::NAN, 1.0]), ("c", &[1.0])]),
        )
        .vector(
            "w",
            vector(&[("a", &[1.0, 0.0]), ("b", &[1.0, 1.0]), ("c", &[2.0])]),
        );
    let (v, w) = (world.plan("v"), world.plan("w"));
    let found = compare(held_against(&v, &w));
    let of = |name: &str| -> Measurement { found.measurement(name) };
    assert_eq!(of("a").cosine(), Some(Err(Undefined::Zero)));
    assert_eq!(of("a").sign_agreement(), None);
    assert_eq!(of("b").cosine(), Some(Err(Undefined::NotFinite)));
    assert_eq!(of("b").sign_agreement(), Some(1.0));
    assert_eq!(of("b").found.nan, 1);
    assert_eq!(of("c").cosine(), Some(Ok(1.0)));
    assert_eq!(found.whole().cosine(), Some(Err(Undefined::NotFinite)));
    assert_eq!(of("nothing of that name").cosine(), None);
}

#[test]
fn without_numbers_there_is_nothing_to_measure() {
    let integers = vec![vec![Tensor::new("ids", Dtype::I64, &[2], &[1.0, 2.0])]];
    let world = World::default().model("a", &integers);
    let error = inspect(&world.plan("a"), &InspectOptions::default(), &|_| {}).unwrap_err();
    assert!(matches!(error, Error::NothingToMeasure { .. }), "{error}");
}

fn spectra_of(plan: &Plan, count: usize, embeddings: bool, threads: usize) -> Spectra {
    let options = SpectrumOptions {
        count: NonZeroUsize::new(count).unwrap(),
        embeddings,
        threads: NonZeroUsize::new(threads),
        cancelled: None,
    };
    spectra(plan, &options, &|_, _| {}).unwrap()
}

#[test]
fn singular_values_of_known_matrices() {
    let matrix = |name: &str, values: &[f64]| Tensor::new(name, Dtype::F32, &[2, 2], values);
    let world = World::default().vector(
        "v",
        vec![
            matrix("diagonal", &[-3.0, 0.0, 0.0, 4.0]),
            matrix("rank_one", &[1.0, 2.0, 2.0, 4.0]),
            matrix("zero", &[0.0; 4]),
            matrix("broken", &[f64::NAN, 0.0, 0.0, 1.0]),
            matrix("lm_head.weight", &[1.0, 0.0, 0.0, 1.0]),
            Tensor::new("bias", Dtype::F32, &[4], &[1.0; 4]),
        ],
    );
    let plan = world.plan("v");
    let found = spectra_of(&plan, 5, false, 1);
    let left_out: Vec<(&str, NoSpectrum)> = found
        .left_out
        .iter()
        .map(|(name, reason)| (name.as_str(), *reason))
        .collect();
    let expected = [
        ("bias", NoSpectrum::NoMatrix),
        ("broken", NoSpectrum::NotFinite),
        ("lm_head.weight", NoSpectrum::Embedding),
        ("zero", NoSpectrum::Zero),
    ];
    assert_eq!(left_out, expected);
    let [diagonal, rank_one] = found.matrices.as_slice() else {
        panic!("{found:?}")
    };
    assert!(diagonal.exact && diagonal.singular_values.len() == 2);
    assert!(near(diagonal.singular_values[0], 4.0) && near(diagonal.singular_values[1], 3.0));
    assert!(near(diagonal.stable_rank().unwrap(), 25.0 / 16.0));
    assert!(near(diagonal.kept_share(1).unwrap(), 16.0 / 25.0));
    assert!(near(rank_one.stable_rank().unwrap(), 1.0));
    assert_eq!(rank_one.kept_share(2), Some(1.0));
    assert_eq!(spectra_of(&plan, 1, true, 1).matrices.len(), 3);

    let stop = AtomicBool::new(true);
    let options = SpectrumOptions {
        count: NonZeroUsize::MIN,
        embeddings: false,
        threads: None,
        cancelled: Some(&stop),
    };
    let stopped = spectra(&plan, &options, &|_, _| {});
    assert!(matches!(stopped, Err(Error::Cancelled)));
}

/// The models that `tests/goldens/inspect_from_numpy.py` wrote.
fn golden(expression: &str) -> Plan {
    let bindings = ["base", "a", "b"]
        .iter()
        .fold(Bindings::default(), |bindings, name| {
            let path = directory().join(format!("{name}.safetensors"));
            bindings.with(*name, path.to_str().unwrap().parse().unwrap())
        });
    let options = PlanOptions::default();
    Plan::build(
        &expression.parse().unwrap(),
        &bindings,
        &Library::default(),
        &options,
    )
    .unwrap()
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/inspect")
}

fn expected() -> Value {
    let text = std::fs::read(directory().join("expected.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Both sides sum in double precision, in different orders.
fn is_numpys(found: Option<f64>, expected: &Value, tolerance: f64) {
    let (found, expected) = (found.unwrap(), expected.as_f64().unwrap());
    assert!(
        (found / expected - 1.0).abs() < tolerance,
        "{found} where numpy has {expected}"
    );
}

#[test]
fn numpy_finds_the_same_sums() {
    let (a, b) = (golden("a - base"), golden("b - base"));
    let found = compare(held_against(&a, &b));
    let expected = expected();
    let agrees = |of: &Measurement, expected: &Value| {
        let (second, overlap) = of.beside.unwrap();
        is_numpys(Some(of.found.norm()), &expected["norm"], 1e-12);
        is_numpys(of.found.relative_norm(), &expected["relative_norm"], 1e-12);
        is_numpys(Some(second.norm()), &expected["second_norm"], 1e-12);
        is_numpys(of.cosine().unwrap().ok(), &expected["cosine"], 1e-12);
        is_numpys(of.sign_agreement(), &expected["sign_agreement"], 1e-12);
        assert_eq!(of.found.zeros, expected["zeros"]);
        assert_eq!(overlap.nonzero_in_both, expected["nonzero_in_both"]);
    };
    let tensors = expected["tensors"].as_object().unwrap();
    assert_eq!(found.tensors.len(), tensors.len());
    for (name, expected) in tensors {
        agrees(&found.measurement(name), expected);
    }
    agrees(&found.whole(), &expected["total"]);
}

#[test]
fn numpy_finds_the_same_spectra() {
    let plan = golden("a - base");
    let found = spectra_of(&plan, 4, true, 2);
    assert_eq!(found, spectra_of(&plan, 4, true, 1));
    let expected = expected();
    let expected = expected["spectra"].as_object().unwrap();
    assert_eq!(found.matrices.len(), expected.len());
    assert!(found.matrices.iter().any(|spectrum| !spectrum.exact));
    for spectrum in &found.matrices {
        // A search in the range sees noise beside the leading components.
        let tolerance = if spectrum.exact { 1e-12 } else { 1e-4 };
        let expected = &expected[&spectrum.tensor];
        is_numpys(spectrum.stable_rank(), &expected["stable_rank"], tolerance);
        is_numpys(spectrum.kept_share(4), &expected["kept"], tolerance);
        for (index, value) in spectrum.singular_values.iter().enumerate() {
            let expected = &expected["singular_values"][index];
            is_numpys(Some(*value), expected, tolerance);
        }
    }
}
