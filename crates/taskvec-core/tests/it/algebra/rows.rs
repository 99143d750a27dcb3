//! Embeddings of different lengths.

use taskvec_core::{
    Bindings, Dtype, Error, Plan, PlanOptions, Provenance, VerifyOptions, WriteOptions, verify,
    write,
};

use super::fixture::{Tensor, World};

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";
const UP: &str = "model.layers.0.mlp.up_proj.weight";

/// Tensors of a model whose vocabulary has so many rows.
fn tensors(dtype: Dtype, rows: usize, salt: u64) -> Vec<Tensor> {
    vec![
        Tensor::counted(EMBEDDING, dtype, &[rows, 8], salt),
        Tensor::counted(UP, dtype, &[6, 8], salt),
        Tensor::counted(HEAD, dtype, &[rows, 8], salt),
    ]
}

/// `target` has twelve rows, `grpo` ten and `sft` eleven.
fn world() -> World {
    let model = |world: World, name: &str, rows, salt| {
        world.model(name, &[tensors(Dtype::Bf16, rows, salt)])
    };
    let world = model(World::default(), "target", 12, 1);
    let world = model(world, "grpo", 10, 2);
    model(world, "sft", 11, 3)
        .vector("short", tensors(Dtype::F32, 9, 4))
        .vector("long", tensors(Dtype::F32, 14, 5))
}

/// The same, cut to the ten rows that all models have.
fn cut() -> World {
    let model =
        |world: World, name: &str, salt| world.model(name, &[tensors(Dtype::Bf16, 10, salt)]);
    let world = model(World::default(), "target", 1);
    model(model(world, "grpo", 2), "sft", 3)
}

fn common() -> PlanOptions {
    PlanOptions {
        common_rows: true,
        ..PlanOptions::default()
    }
}

fn planned(expression: &str) -> Plan {
    world().plan_with(expression, &common()).unwrap()
}

fn loaded(plan: &Plan, name: &str) -> Vec<f32> {
    plan.load_all().unwrap().remove(name).unwrap()
}

#[test]
fn without_the_flag_the_refusal_names_it() {
    let error = world().refused("target + (grpo - sft)");
    assert!(error.to_string().contains("4 shapes differ"), "{error}");
    assert_eq!(
        error.hint().unwrap(),
        "the vocabularies differ, 12 rows against 10: one was resized or padded for another tokenizer; \
         `--rows common` combines the rows that both have"
    );
}

#[test]
fn common_rows_are_combined_and_the_others_are_the_templates() {
    for expression in [
        "target + (grpo - sft)",
        "target + 0.3*(grpo - sft) - 0.1*(sft - target)",
        "mean(target, grpo, sft)",
        "target + trim(grpo - sft, density=1)",
    ] {
        let plan = planned(expression);
        let short = cut().plan(expression);
        for name in [EMBEDDING, HEAD] {
            assert_eq!(plan.tensors()[name].shape, [12, 8]);
            let (found, target) = (loaded(&plan, name), loaded(&planned("target"), name));
            assert_eq!(found[..80], loaded(&short, name)[..], "{expression}");
            assert_eq!(found[80..], target[80..], "{expression}");
            assert_ne!(found[..80], target[..80], "{expression}");
        }
        assert_eq!(loaded(&plan, UP), loaded(&short, UP));
    }
}

#[test]
fn a_vector_has_the_common_rows_and_is_added_to_any() {
    let plan = planned("grpo - sft");
    assert_eq!(plan.tensors()[EMBEDDING].shape, [10, 8]);
    assert_eq!(
        loaded(&plan, EMBEDDING),
        loaded(&cut().plan("grpo - sft"), EMBEDDING)
    );
    let target = loaded(&planned("target"), EMBEDDING);
    for (vector, rows) in [("short", 9), ("long", 12)] {
        let alone = loaded(&planned(vector), EMBEDDING);
        let plan = planned(&format!("target + {vector}"));
        let found = loaded(&plan, EMBEDDING);
        assert_eq!(found.len(), 12 * 8);
        for (index, value) in found.iter().enumerate() {
            let expected = if index < rows * 8 {
                half::bf16::from_f32(target[index] + alone[index]).to_f32()
            } else {
                target[index]
            };
            assert_eq!(*value, expected, "{vector}, {index}");
        }
        let had = if vector == "short" { 9 } else { 14 };
        assert_eq!(
            plan.row_notes()[1],
            format!(
                "of `{EMBEDDING}` the {rows} rows that all have are combined, those beyond are the template's: \
                 `target` has 12, `{vector}` has {had}"
            )
        );
    }
}

#[test]
fn it_is_recorded_and_verified() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("out");
    let plan = world()
        .plan_with("target + 0.5*(grpo - sft)", &common())
        .unwrap();
    write(&plan, &path, &WriteOptions::default(), &|_| {}).unwrap();
    let file = path.join("taskvec.json");
    let record = Provenance::parse(&file, &std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(record.flags["rows"], "common");
    let options = VerifyOptions::default();
    let verified = verify(
        &path,
        &Bindings::default(),
        &world().library(),
        &options,
        &|_| {},
    );
    assert!(verified.unwrap().is_sound());
    // Where all are of one length the flag changes nothing, and says nothing.
    let plan = cut().plan_with("target + (grpo - sft)", &common()).unwrap();
    assert!(plan.row_notes().is_empty());
}

#[test]
fn other_differences_of_shape_stay_refused() {
    let with = |name: &str, shape: &[usize], dtype: Dtype| {
        let other: Vec<Tensor> = tensors(Dtype::Bf16, 12, 7)
            .into_iter()
            .map(|tensor| match tensor.name == name {
                true => Tensor::counted(name, dtype, shape, 7),
                false => tensor,
            })
            .collect();
        world()
            .model("other", &[other])
            .plan_with("target + (other - target)", &common())
    };
    for (name, shape, dtype) in [
        // Rows of a projection are no tokens; columns of embeddings are no rows.
        (UP, vec![5, 8], Dtype::Bf16),
        (EMBEDDING, vec![12, 7], Dtype::Bf16),
        (EMBEDDING, vec![96], Dtype::Bf16),
        // The template's rows would have to be converted.
        (EMBEDDING, vec![11, 8], Dtype::F32),
    ] {
        let refused = with(name, &shape, dtype);
        assert!(
            matches!(refused, Err(Error::Incompatible(_))),
            "{name} {shape:?}"
        );
    }
    with(EMBEDDING, &[13, 8], Dtype::F32).unwrap();
}
