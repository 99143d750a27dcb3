//! What a plan knows, and what it refuses, before anything is read.

use std::error::Error as _;

use taskvec_core::expression::Problem;
use taskvec_core::plan::Mismatch;
use taskvec_core::{Dtype, Error, Kind, PlanOptions};

use super::fixture::{CONFIG, Tensor, World, decoder, family};

fn world() -> World {
    family(Dtype::Bf16).vector("reason", decoder(Dtype::F32, 4).concat())
}

#[test]
fn kinds_follow_the_rules_of_arithmetic() {
    let world = world();
    for (expression, kind) in [
        ("target", Kind::Model),
        ("grpo - sft", Kind::Vector),
        ("target + (grpo - sft)", Kind::Model),
        ("(grpo - sft) + target", Kind::Model),
        ("target - reason", Kind::Model),
        ("-reason + 2*(grpo - sft)/3", Kind::Vector),
        ("mean(target, grpo, sft)", Kind::Model),
        ("mean(reason, grpo - sft)", Kind::Vector),
        ("random(reason, seed=3)", Kind::Vector),
        ("random(reason, 3)", Kind::Vector),
        (
            "only(reason, \"layers.1\") + except(reason, \"embed_tokens, norm\")",
            Kind::Vector,
        ),
        ("\"mem:target\" + mem:reason", Kind::Model),
    ] {
        assert_eq!(world.plan(expression).kind(), kind, "{expression}");
    }
}

#[test]
fn type_errors_say_what_to_write_and_where() {
    let world = world();
    for (expression, column, message, hint) in [
        (
            "target + grpo",
            1,
            "cannot add a model to a model",
            "mean(a, b)",
        ),
        ("2*target", 1, "cannot scale a model", "only vectors"),
        (
            "reason - target",
            1,
            "cannot subtract a model from a vector",
            "only models",
        ),
        ("-target", 1, "cannot negate a model", "-(a - b)"),
        (
            "reason + 1",
            1,
            "cannot combine a vector and a scalar with `+`",
            "",
        ),
        (
            "reason*reason",
            1,
            "cannot multiply a vector by a vector",
            "",
        ),
        ("1/reason", 1, "cannot divide by a vector", ""),
        ("reason/(1 - 1)", 1, "division by zero", ""),
        (
            "target + taget*2",
            10,
            "`taget` is not bound to a checkpoint",
            "did you mean `target`?",
        ),
        (
            "target + nobody",
            10,
            "`nobody` is not bound to a checkpoint",
            "--let nobody=REFERENCE",
        ),
        (
            "maen(target, grpo)",
            1,
            "there is no function `maen`",
            "did you mean `mean`?",
        ),
        ("zzz(target)", 1, "there is no function `zzz`", "`mean`"),
        (
            "mean()",
            1,
            "`mean` takes 1 or more operands, not 0",
            "mean(a, …)",
        ),
        ("mean(target, reason)", 14, "`mean` takes models only", ""),
        ("mean(1)", 6, "`mean` takes models or vectors", ""),
        (
            "random(target)",
            8,
            "`random` takes a vector, and this is a model",
            "tuned - base",
        ),
        (
            "random(reason, sead=1)",
            21,
            "`random` has no parameter `sead`",
            "random(v, seed=0)",
        ),
        (
            "random(reason, seed=0.5)",
            21,
            "`seed` of `random` must be a whole number",
            "",
        ),
        (
            "random(reason, seed=reason)",
            21,
            "`seed` of `random` must be a whole number",
            "",
        ),
        (
            "random(reason, 1, seed=1)",
            24,
            "`random` is given `seed` twice",
            "",
        ),
        (
            "random(reason, 1, 2)",
            1,
            "`random` takes 1 operand, not 3",
            "",
        ),
        (
            "only(reason)",
            1,
            "`only` needs its parameter `tensors`",
            "only(v, \"tensors\")",
        ),
        (
            "only(reason, 3)",
            14,
            "`tensors` of `only` must be a text in double quotes",
            "",
        ),
        (
            "only(reason, \"layers.9-1\")",
            1,
            "`layers.9-1` is not a pattern: its range goes down",
            "",
        ),
        (
            "only(reason, \"layers.7\")",
            1,
            "the pattern `layers.7` matches none of the 6 tensors",
            "model.",
        ),
        ("1 + 2", 1, "the expression is a scalar", ""),
    ] {
        let error = world.refused(expression);
        let Error::Expression(fault) = &error else {
            panic!("{expression}: {error}")
        };
        assert_eq!(fault.column(), column, "{error}");
        assert!(error.to_string().starts_with(message), "{error}");
        assert!(
            error.hint().unwrap_or_default().contains(hint),
            "{expression}: {:?}",
            error.hint()
        );
    }
}

#[test]
fn a_name_that_is_a_path_is_recognised() {
    let error = World::default().refused("src");
    let Error::Expression(fault) = &error else {
        panic!("{error}")
    };
    assert!(matches!(
        fault.problem(),
        Problem::UnknownName { is_path: true, .. }
    ));
    assert!(error.hint().unwrap().contains("--let src=./src"));
}

#[test]
fn the_template_is_the_leftmost_positive_model() {
    let world = world();
    let names: Vec<String> = ["target", "grpo", "sft", "reason"]
        .map(|name| {
            world
                .plan(name)
                .inputs()
                .next()
                .unwrap()
                .1
                .name()
                .to_owned()
        })
        .into();
    for (expression, template, origin) in [
        ("target + (grpo - sft)", Some(0), Some(0)),
        ("(grpo - sft) + target", Some(0), Some(0)),
        ("-(grpo - sft) + (target + reason)", Some(0), Some(0)),
        ("mean(sft, grpo)", Some(2), Some(2)),
        ("grpo - sft", None, Some(2)),
        ("0.5*random(grpo - sft)", None, Some(2)),
        ("reason", None, None),
        ("reason + (grpo - sft)", None, Some(2)),
        ("target - sft + grpo", Some(1), Some(1)),
    ] {
        let plan = world.plan(expression);
        let name = |index: usize| names[index].as_str();
        assert_eq!(
            plan.template().map(|model| model.name()),
            template.map(name),
            "{expression}"
        );
        assert_eq!(
            plan.origin().map(|model| model.name()),
            origin.map(name),
            "{expression}"
        );
    }
}

#[test]
fn a_checkpoint_under_two_names_is_opened_once() {
    let plan = world().plan("target + (\"mem:target\" - mem:target) + 0*reason");
    let names: Vec<&str> = plan.inputs().map(|(name, _)| name).collect();
    assert_eq!(names, ["target", "reason"]);
    assert_eq!(
        plan.expression().to_string(),
        "target + (\"mem:target\" - mem:target) + 0*reason"
    );
}

#[test]
fn dtypes_are_the_templates_or_what_was_asked_for() {
    let world = family(Dtype::F16).vector("reason", decoder(Dtype::F64, 4).concat());
    let dtype = |expression: &str, output_dtype| {
        let options = PlanOptions {
            output_dtype,
            ..PlanOptions::default()
        };
        world.plan_with(expression, &options).unwrap().tensors()["model.norm.weight"].dtype
    };
    assert_eq!(dtype("target + reason", None), Dtype::F16);
    assert_eq!(dtype("target + reason", Some(Dtype::Bf16)), Dtype::Bf16);
    assert_eq!(dtype("grpo - sft", None), Dtype::F32);
    assert_eq!(dtype("grpo - sft", Some(Dtype::F16)), Dtype::F16);
    let options = PlanOptions {
        output_dtype: Some(Dtype::I64),
        ..PlanOptions::default()
    };
    let error = world.plan_with("target", &options).unwrap_err();
    assert!(matches!(error, Error::OutputDtype { dtype: Dtype::I64 }) && error.hint().is_some());
}

fn mismatches(error: &Error) -> Vec<String> {
    let Error::Incompatible(incompatible) = error else {
        panic!("{error}")
    };
    incompatible
        .mismatches
        .iter()
        .map(Mismatch::to_string)
        .collect()
}

#[test]
fn all_mismatches_are_listed_at_once() {
    let mut other = decoder(Dtype::Bf16, 2);
    other[0][0] = Tensor::counted("model.embed_tokens.weight", Dtype::Bf16, &[9002, 8], 2);
    other[1].pop();
    other[1].push(Tensor::counted(
        "lm_head.weight",
        Dtype::Bf16,
        &[9002, 8],
        2,
    ));
    let config = CONFIG
        .replace("\"num_attention_heads\": 2", "\"num_attention_heads\": 4")
        .replace("1e6", "1e4");
    let world = world().with("other", "model", Some(&config), &other);
    let error = world.refused("target + (other - sft)");
    assert_eq!(
        mismatches(&error),
        [
            "config `num_attention_heads`: `target` has 2, `other` has 4",
            "config `num_key_value_heads`: `target` has 2, `other` has 4",
            "config `head_dim`: `target` has 4, `other` has 2",
            "`model.embed_tokens.weight`: `target` is [9001, 8], `other` is [9002, 8]",
            "`model.norm.weight`: `target` has it, `other` does not",
            "`lm_head.weight`: `other` has it, `target` does not",
        ]
    );
    let message = error.to_string();
    assert!(
        message.starts_with(
            "the checkpoints of `target + (other - sft)` do not fit together: 3 config values differ, 1 shape differs, \
             2 tensors are on one side only (6 tensors compared)\n  config"
        ),
        "{message}"
    );
    assert!(
        error.hint().unwrap().contains("9001 rows against 9002"),
        "{:?}",
        error.hint()
    );
    assert!(error.source().is_none());
}

#[test]
fn hints_name_the_common_causes() {
    let mut untied = decoder(Dtype::Bf16, 2);
    untied[1].push(Tensor::counted(
        "lm_head.weight",
        Dtype::Bf16,
        &[9001, 8],
        2,
    ));
    let config = CONFIG.replace("qwen2", "llama");
    let world = world().model("untied", &untied).with(
        "llama",
        "model",
        Some(&config),
        &decoder(Dtype::Bf16, 2),
    );
    assert!(
        world
            .refused("untied - sft")
            .hint()
            .unwrap()
            .contains("ties it to its embeddings")
    );
    assert!(
        world
            .refused("llama - sft")
            .hint()
            .unwrap()
            .contains("different architectures")
    );
}

#[test]
fn long_lists_are_cut_in_the_message_and_whole_in_the_error() {
    let many = |prefix: &str| -> Vec<Tensor> {
        (0..30)
            .map(|index| Tensor::counted(&format!("{prefix}.{index:02}"), Dtype::Bf16, &[2], 0))
            .collect()
    };
    let world = World::default()
        .model("a", &[many("a")])
        .model("b", &[many("b")]);
    let error = world.refused("a - b");
    assert_eq!(mismatches(&error).len(), 60);
    assert_eq!(error.to_string().lines().count(), 22);
    assert!(error.to_string().ends_with("and 40 more"));
}

#[test]
fn settings_that_leave_tensors_comparable_are_notes() {
    let config = CONFIG.replace("1e6", "1e4");
    let world = world().with("math", "model", Some(&config), &decoder(Dtype::Bf16, 2));
    let plan = world.plan("target + (math - sft)");
    assert_eq!(
        plan.notes(),
        ["config `rope_theta` differs: `target` has 1000000.0, `math` has 10000.0"]
    );
}

#[test]
fn a_vector_that_lacks_tensors_needs_a_flag() {
    let world = world().vector("part", decoder(Dtype::F32, 4)[1].clone());
    let error = world.refused("target + part");
    assert_eq!(mismatches(&error).len(), 3);
    assert!(error.hint().unwrap().contains("--missing-as-zero"));
    let options = PlanOptions {
        missing_as_zero: true,
        ..PlanOptions::default()
    };
    let plan = world.plan_with("target + part", &options).unwrap();
    assert_eq!(plan.tensors().len(), 6);
    assert!(plan.flags().contains_key("missing_as_zero"));
    // A tensor of the vector that the model has no place for would be lost: refused whatever the flag.
    let stray = World::default()
        .model("target", &decoder(Dtype::Bf16, 1)[1..])
        .vector("whole", decoder(Dtype::F32, 4).concat());
    let error = stray.plan_with("target + whole", &options).unwrap_err();
    assert_eq!(mismatches(&error).len(), 3);
}

#[test]
fn integers_are_carried_and_small_floats_refused() {
    let with = |dtype, salt: u64| {
        let mut shards = decoder(Dtype::Bf16, salt);
        shards[0].push(Tensor::new("buffer", dtype, &[3], &[1.0, 2.0, salt as f64]));
        shards
    };
    let world = World::default()
        .model("target", &with(Dtype::I64, 1))
        .model("grpo", &with(Dtype::I64, 2))
        .model("bytes", &with(Dtype::U8, 2))
        .model("eight", &with(Dtype::F8E4m3, 2))
        .vector("reason", decoder(Dtype::F32, 4).concat());
    assert_eq!(
        world.plan("target + 0.5*(grpo - target)").tensors()["buffer"].dtype,
        Dtype::I64
    );
    assert_eq!(world.plan("target + reason").tensors().len(), 7);
    assert_eq!(world.plan("grpo - target").tensors().len(), 6);
    assert_eq!(
        mismatches(&world.refused("bytes - target")),
        ["`buffer`: `bytes` is U8, `target` is I64"]
    );
    assert_eq!(
        mismatches(&world.refused("eight + reason")),
        ["`buffer`: `eight` is F8_E4M3, on which no arithmetic is done"]
    );
}

#[test]
fn whole_numbers_that_are_weights_are_refused() {
    // As GPTQ and bitsandbytes store them, and under any name where the config says that the model is quantised.
    let quantised = r#"{"model_type": "qwen2", "quantization_config": {"quant_method": "any"}}"#;
    let plain = r#"{"model_type": "qwen2", "quantization_config": null}"#;
    for (config, name, is_refused) in [
        (plain, "model.layers.0.mlp.up_proj.qweight", true),
        (plain, "model.layers.0.mlp.up_proj.weight", true),
        (quantised, "model.layers.0.mlp.up_proj.packed", true),
        (plain, "model.layers.0.mlp.up_proj.packed", false),
    ] {
        let with = |salt: u64| {
            let mut tensors = vec![Tensor::counted(
                "model.norm.weight",
                Dtype::Bf16,
                &[4],
                salt,
            )];
            tensors.push(Tensor::new(
                name,
                Dtype::U8,
                &[1, 3],
                &[1.0, 2.0, salt as f64],
            ));
            vec![tensors]
        };
        let world = World::default()
            .with("target", "model", Some(config), &with(1))
            .with("grpo", "model", Some(config), &with(2));
        let expression = "target + 0.5*(grpo - target)";
        if is_refused {
            let found = mismatches(&world.refused(expression));
            let expected = format!("`{name}`: `target` is U8, on which no arithmetic is done");
            assert_eq!(found, [expected]);
        } else {
            assert_eq!(world.plan(expression).tensors()[name].dtype, Dtype::U8);
        }
    }
}
