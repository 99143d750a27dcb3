//! Numbers that differ from tensor to tensor, as factors and as parameters.

use taskvec_core::expression::Problem;
use taskvec_core::{Dtype, Error};

use super::fixture::{World, decoder, family};

const EMBEDDING: &str = "model.embed_tokens.weight";

/// Four models of two layers.
fn world() -> World {
    family(Dtype::Bf16).model("base", &decoder(Dtype::Bf16, 7))
}

/// Loads every tensor of two expressions in single precision and compares them by a selection of names.
fn agree(world: &World, one: &str, other: &str, of: impl Fn(&str) -> bool) {
    let (one_plan, other_plan) = (world.plan(one), world.plan(other));
    let mut compared = 0;
    for name in one_plan.tensors().keys().filter(|name| of(name)) {
        assert_eq!(
            one_plan.load(name).unwrap(),
            other_plan.load(name).unwrap(),
            "`{name}` of {one} and {other}"
        );
        compared += 1;
    }
    assert!(compared > 0, "{one}");
}

#[test]
fn lists_run_over_the_layers_and_begin_before_them() {
    let world = world();
    let list = "target + [0.25, 0.75]*(grpo - sft)";
    for (part, factor) in [("layers.0.", "0.25"), ("layers.1.", "0.75")] {
        let constant = format!("target + {factor}*(grpo - sft)");
        agree(&world, list, &constant, |name| name.contains(part));
    }
    let outside = "target + 0.25*(grpo - sft)";
    agree(&world, list, outside, |name| !name.contains("layers."));
    agree(&world, "[1/3]*(grpo - sft)", "1/3*(grpo - sft)", |_| true);
}

#[test]
fn rules_take_the_first_pattern_that_matches() {
    let world = world();
    let rules = "target + {\"mlp\": 0.5, \"layers.0\": [3, 4], else: -1}*(grpo - sft)";
    agree(&world, rules, "target + 0.5*(grpo - sft)", |name| {
        name.contains("mlp")
    });
    let first = |name: &str| name.contains("layers.0") && !name.contains("mlp");
    agree(&world, rules, "target + 3*(grpo - sft)", first);
    let rest = |name: &str| !name.contains("layers.0") && !name.contains("mlp");
    agree(&world, rules, "target - (grpo - sft)", rest);
}

#[test]
fn coefficients_are_exact_where_doubles_are_not() {
    let world = world();
    // 0.1 and 0.2 do not add up to 0.3 in doubles.
    let list = "target + ([0.1, 0.1] + [0.2, 0.2])*(grpo - sft)";
    agree(&world, list, "target + 0.3*(grpo - sft)", |_| true);
    agree(
        &world,
        "target + (grpo - sft)/[3, 3]",
        "target + (grpo - sft)/3",
        |_| true,
    );
    let sum = "target + [0, 1]*(grpo - sft) + (1 - [0, 1])*(grpo - sft)";
    agree(&world, sum, "target + (grpo - sft)", |_| true);
}

#[test]
fn a_vector_that_a_rule_sets_to_zero_is_not_read() {
    let world = world();
    let plan = world.plan("target + {\"layers.1\": 1, else: 0}*(grpo - sft)");
    assert!(plan.tensors()[EMBEDDING].is_copied());
    assert!(plan.tensors().values().any(|tensor| !tensor.is_copied()));
}

#[test]
fn parameters_may_differ_from_tensor_to_tensor() {
    let world = world();
    for (varying, constant) in [
        ("slerp(sft, grpo, t=[0.2, 0.7])", "slerp(sft, grpo, t=0.7)"),
        (
            "base + ties(sft - base, grpo - base, density=[0.9, 0.3])",
            "base + ties(sft - base, grpo - base, density=0.3)",
        ),
        (
            "base + ties(sft - base, grpo - base, density=0.5, weights=([9, 0.3], 1 - [0.5, 0.3]))",
            "base + ties(sft - base, grpo - base, density=0.5, weights=(0.3, 0.7))",
        ),
        (
            "linear(sft, grpo, weights=({\"layers.0\": 1, else: 0.25}, [0, 0.75]))",
            "linear(sft, grpo, weights=(0.25, 0.75))",
        ),
        (
            "multislerp(sft, grpo, weights=([1, 3], 2))",
            "multislerp(sft, grpo, weights=(3, 2))",
        ),
    ] {
        agree(&world, varying, constant, |name| name.contains("layers.1."));
    }
}

#[test]
fn weights_are_linear_where_methods_are() {
    let world = world();
    for (one, other) in [
        (
            "linear(sft, grpo, weights=(0.25, 0.75))",
            "sft + 0.75*(grpo - sft)",
        ),
        (
            "linear(sft, grpo, target, weights=1/3)",
            "mean(sft, grpo, target)",
        ),
        ("linear(grpo - sft, weights=2)", "2*(grpo - sft)"),
        (
            "multislerp(sft, grpo, weights=(2, 2))",
            "multislerp(sft, grpo)",
        ),
        (
            "ties(sft - base, grpo - base, density=0.5, weights=2)",
            "ties(sft - base, grpo - base, density=0.5)",
        ),
        (
            "ties(sft - base, grpo - base, density=0.5, weights=(0, 1))",
            "ties(grpo - base, density=0.5)",
        ),
    ] {
        agree(&world, one, other, |_| true);
    }
}

#[test]
fn what_is_wrong_is_said_with_column_and_tensor() {
    let world = world();
    for (expression, column, message) in [
        (
            "target + {\"mlp\": 1}*(grpo - sft)",
            10,
            "no rule says what the number is in `model.embed_tokens.weight`",
        ),
        (
            "target + {\"mpl\": 1, else: 0}*(grpo - sft)",
            10,
            "the pattern `mpl` matches none of the",
        ),
        (
            "target + {\"a..b\": 1, else: 0}*(grpo - sft)",
            11,
            "`a..b` is not a pattern: names, ranges or `*` stand between dots, and no part is empty",
        ),
        (
            "target + [0, sft]*(grpo - sft)",
            14,
            "an element of a list must be a number, and this is `sft`",
        ),
        (
            "target + [0, [1, 2]]*(grpo - sft)",
            14,
            "an element of a list must be a number, and this is a list or rules",
        ),
        ("[1, 2]*sft", 1, "cannot scale a model"),
        (
            "(grpo - sft)/[1, 0]",
            1,
            "division by zero in `model.layers.1.",
        ),
        (
            "(1, 2)*(grpo - sft)",
            1,
            "numbers in parentheses stand only behind `weights=`",
        ),
        (
            "slerp(sft, grpo, t=[0.5, 2])",
            20,
            "`t` of `slerp` must be a number from 0 to 1, and is `2` in `model.layers.1.",
        ),
        (
            "trim(grpo - sft, density={\"mlp\": 0, else: 1})",
            26,
            "`density` of `trim` must be a number above 0 and at most 1, and is `0` in `model.layers.0.mlp",
        ),
        (
            "linear(sft, grpo, weights=(1, 2, 3))",
            27,
            "`linear` has 2 operands and 3 weights",
        ),
        (
            "linear(sft, grpo)",
            1,
            "`linear` needs its parameter `weights`",
        ),
        ("[1, 2]", 1, "the expression is a scalar"),
    ] {
        match world.refused(expression) {
            Error::Expression(error) => {
                assert!(
                    error.to_string().starts_with(message),
                    "{expression}: {error}"
                );
                assert_eq!(error.column(), column, "{error}");
            }
            other => panic!("{expression}: {other}"),
        }
    }
    assert!(matches!(
        world.refused("[1, 0]*sft"),
        Error::Expression(error) if matches!(error.problem(), Problem::ScaledModel)
    ));
}
