//! mergekit's YAML files: what they become, what mergekit makes of the same files, and what is refused by name.

use std::collections::BTreeMap;
use std::path::Path;

use taskvec_core::mergekit::{Merge, read, translate};
use taskvec_core::{Bindings, Dtype, Error, Library, Plan, PlanOptions};

use super::fixture::{Tensor, World, decoder, family};

/// Roundings to a single that a weight of a tensor may be off by, in units of the tensor's largest weight: mergekit
/// rounds weights, gradients, differences, products and sums of the three models to singles one after the other.
const TOLERANCE: f32 = 4.0 * f32::EPSILON;

fn plan(merge: &Merge, library: &Library) -> Plan {
    let options = PlanOptions {
        output_dtype: merge.dtype,
        ..PlanOptions::default()
    };
    Plan::build(&merge.expression, &merge.bindings, library, &options)
        .unwrap_or_else(|error| panic!("{}: {error}", merge.expression))
}

/// The worst difference from what mergekit made of a file, in units of each tensor's largest weight.
fn difference(recipe: &str) -> f32 {
    // Paths in the files are relative to the crate's directory, where tests run.
    let path = format!("tests/goldens/recipes/{recipe}.yml");
    let merge =
        read(Path::new(&path), &Library::default()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(merge.dtype, Some(Dtype::F32));
    let found = plan(&merge, &Library::default()).load_all().unwrap();
    let golden = path.replace(".yml", ".safetensors");
    let bindings = Bindings::default().with("golden", golden.parse().unwrap());
    let expected = Plan::build(
        &"golden".parse().unwrap(),
        &bindings,
        &Library::default(),
        &PlanOptions::default(),
    )
    .unwrap()
    .load_all()
    .unwrap();
    assert!(expected.keys().eq(found.keys()), "{recipe}");
    let mut worst = 0f32;
    for (name, expected) in &expected {
        let scale = expected
            .iter()
            .fold(0f32, |scale, value| scale.max(value.abs()));
        for (expected, found) in expected.iter().zip(&found[name]) {
            assert!(found.is_finite(), "{recipe}: `{name}`");
            // A tensor that is zero must be so here.
            let off = (expected - found).abs() / scale.max(f32::MIN_POSITIVE);
            assert!(
                off <= TOLERANCE,
                "{recipe}: `{name}`: {off:e} in {}",
                merge.expression
            );
            worst = worst.max(off);
        }
    }
    worst
}

#[test]
fn files_give_what_mergekit_gives() {
    for recipe in [
        "linear_gradients",
        "linear_plain",
        "task_arithmetic_filters",
        "slerp_slices",
        "ties_weights",
        "ties_alike",
        "breadcrumbs_ties_gradient",
        "slices_of_their_own",
        "nuslerp_base",
        "multislerp_weights",
        "model_stock_filter_wise",
        "nuslerp_columns",
        "arcee_fusion",
        "linear_shifted",
        "slerp_shifted",
        "ties_shifted",
    ] {
        difference(recipe);
    }
    for recipe in [
        "passthrough_slices",
        "passthrough_stack",
        "passthrough_repeat",
        "passthrough_pruned",
        "passthrough_donor",
    ] {
        assert_eq!(difference(recipe), 0.0, "{recipe}");
    }
}

fn world() -> World {
    family(Dtype::Bf16).model("base", &decoder(Dtype::Bf16, 7))
}

fn translated(text: &str) -> Merge {
    translate(text, "merge.yml", &world().library())
        .unwrap_or_else(|error| panic!("{text}\n{error}"))
}

#[test]
fn methods_become_functions() {
    let models = |parameters: [&str; 2]| {
        format!(
            "models:\n  - model: mem:sft\n    parameters: {{{}}}\n  - model: mem:grpo\n    parameters: {{{}}}\n",
            parameters[0], parameters[1]
        )
    };
    let based = |method: &str, parameters: &str, each: [&str; 2]| {
        let models = models(each);
        format!(
            "merge_method: {method}\nbase_model: mem:base\nparameters: {{{parameters}}}\n{models}"
        )
    };
    let weighed = ["weight: 1", "weight: 0.5"];
    let plain = ["", ""];
    let library = world().library();
    for (text, expected) in [
        (
            based("task_arithmetic", "", weighed),
            "base + (sft - base) + 0.5*(grpo - base)",
        ),
        (
            based("task_arithmetic", "lambda: 2, normalize: true", weighed),
            "base + 2*(2/3*(sft - base) + 1/3*(grpo - base))",
        ),
        (
            based("ties", "density: 0.4", weighed),
            "base + ties(sft - base, grpo - base, density=0.4, weights=(1, 0.5))",
        ),
        (
            based("ties", "weight: 1", ["density: 0.2", "density: 1"]),
            "base + ties(trim(sft - base, density=0.2), grpo - base, density=1)",
        ),
        (
            based("dare_ties", "density: 0.5, normalize: true", weighed),
            "base + dare_ties(sft - base, grpo - base, density=0.5, seed=1, weights=(1, 0.5), combine=\"mean\")",
        ),
        (
            based("dare_linear", "density: 0.5", weighed),
            "base + dare(sft - base, density=0.5, seed=1) + 0.5*dare(grpo - base, density=0.5, seed=2)",
        ),
        (
            based("dare_linear", "density: 0.5, rescale: false", weighed),
            "base + 0.5*dare(sft - base, density=0.5, seed=1) + 0.5*0.5*dare(grpo - base, density=0.5, seed=2)",
        ),
        (
            based("breadcrumbs", "density: 0.5", weighed),
            "base + breadcrumbs(sft - base, density=0.5, gamma=0.01) + 0.5*breadcrumbs(grpo - base, density=0.5, gamma=0.01)",
        ),
        (
            based("della", "density: 0.5", weighed),
            "base + della(sft - base, grpo - base, density=0.5, epsilon=0.15, seed=1, weights=(1, 0.5), rescale=\"l1\")",
        ),
        (
            based("della", "weight: 1, normalize: false, rescale: false", ["density: 0.5", "density: 0.6, epsilon: 0.1"]),
            "base + ties(magprune(sft - base, density=0.5, epsilon=0.15, seed=1, rescale=\"none\"), magprune(grpo - base, density=0.6, epsilon=0.1, seed=2, rescale=\"none\"), density=1, combine=\"sum\")",
        ),
        (
            based("della_linear", "density: 0.5, lambda: 1.1", weighed),
            "base + 1.1*(magprune(sft - base, density=0.5, epsilon=0.15, seed=1, rescale=\"l1\") + 0.5*magprune(grpo - base, density=0.5, epsilon=0.15, seed=2, rescale=\"l1\"))",
        ),
        (
            based("della", "density: 1", weighed),
            "base + della(sft - base, grpo - base, density=1, epsilon=0.15, seed=1, weights=(1, 0.5), rescale=\"l1\")",
        ),
        (
            based("sce", "select_topk: 0.3", plain),
            "base + sce(sft - base, grpo - base, density=0.3)",
        ),
        (based("ram", "", plain), "base + ram(sft - base, grpo - base)"),
        (
            based("ramplus_tl", "r: 0.2", plain),
            "base + ramplus_tl(sft - base, grpo - base, r=0.2)",
        ),
        (based("model_stock", "", plain), "model_stock(base, sft, grpo)"),
        (
            based("model_stock", "filter_wise: true", plain),
            "model_stock(base, sft, grpo, over=\"rows\")",
        ),
        (
            based("nuslerp", "weight: 1, nuslerp_flatten: false", plain),
            "base + nuslerp(sft - base, grpo - base, t=0.5, over=\"rows\")",
        ),
        (
            based("nuslerp", "weight: 1, nuslerp_flatten: false, nuslerp_row_wise: true", plain),
            "base + nuslerp(sft - base, grpo - base, t=0.5, over=\"columns\")",
        ),
        (
            based("nuslerp", "weight: 1, nuslerp_row_wise: true", plain),
            "base + nuslerp(sft - base, grpo - base, t=0.5)",
        ),
        (
            "merge_method: arcee_fusion\nbase_model: mem:base\nmodels: [model: mem:sft]".into(),
            "arcee_fusion(base, sft)",
        ),
        (based("karcher", "max_iter: 5", plain), "karcher(base, sft, grpo, iterations=5)"),
        (
            based("nuslerp", "", ["weight: 1", "weight: 3"]),
            "base + nuslerp(sft - base, grpo - base, t=0.75)",
        ),
        (
            based("multislerp", "normalize_weights: false", weighed),
            "base + 1.5*multislerp(sft - base, grpo - base, weights=(1, 0.5))",
        ),
        (
            format!("merge_method: linear\n{}", models(["weight: 2", "weight: 2"])),
            "mean(sft, grpo)",
        ),
        (
            format!("merge_method: linear\n{}", models(["weight: 1", "weight: 3"])),
            "linear(sft, grpo, weights=(0.25, 0.75))",
        ),
        (
            "merge_method: slerp\nbase_model: mem:sft\nmodels: [model: mem:sft, model: mem:grpo]\nparameters: {t: 0.3}".into(),
            "slerp(sft, grpo, t=0.3)",
        ),
        (
            "merge_method: nearswap\nbase_model: mem:sft\nmodels: [model: mem:grpo]\nparameters: {t: 1e-3}".into(),
            "nearswap(sft, grpo, t=0.001)",
        ),
        ("merge_method: passthrough\nmodels: [model: mem:sft]".into(), "sft"),
        (
            "merge_method: passthrough\nmodels: [{model: mem:sft, parameters: {scale: 0.5}}]".into(),
            "linear(sft, weights=0.5)",
        ),
    ] {
        let merge = translate(&text, "merge.yml", &library)
            .unwrap_or_else(|error| panic!("{text}\n{error}"));
        assert_eq!(merge.expression.to_string(), expected, "{text}");
        plan(&merge, &library);
        let again: taskvec_core::Expression = merge.expression.to_string().parse().unwrap();
        assert_eq!(again, merge.expression);
    }
}

#[test]
fn all_of_a_base_with_an_adapter_is_subtracted() {
    let merge = translated(
        "merge_method: ties
base_model: mem:base+mem:sft
parameters: {weight: 1, density: 0.5}
models: [model: mem:target, model: mem:grpo]",
    );
    assert_eq!(
        merge.expression.to_string(),
        "base + sft + ties(target - (base + sft), grpo - (base + sft), density=0.5)"
    );
}

#[test]
fn nearer_settings_win_and_filters_leave_the_rest_to_farther_ones() {
    let merge = translated(
        "merge_method: task_arithmetic
base_model: mem:base
models:
  - model: mem:sft
    parameters:
      weight:
        - {filter: up_proj, value: [0, 1]}
        - {filter: q_pr, value: 0.5}
        - {filter: absent, value: 3}
parameters: {weight: 0.25}
dtype: float32
out_dtype: bfloat16
tokenizer_source: base
chat_template: auto
",
    );
    assert_eq!(
        merge.expression.to_string(),
        "base + {\"up_proj\": [0, 1], \"*q_pr*\": 0.5, else: 0.25}*(sft - base)"
    );
    assert_eq!(merge.dtype, Some(Dtype::Bf16));
    assert_eq!(
        merge.notes,
        ["the filter `absent` in `merge.yml` matches no tensor"]
    );
}

#[test]
fn the_result_takes_its_config_from_the_base_or_the_first_model() {
    let library = world().library();
    for (text, donor) in [
        (
            "merge_method: linear\nparameters: {weight: 1}\nmodels: [model: mem:sft, model: mem:grpo]",
            "sft",
        ),
        (
            "merge_method: linear\nparameters: {weight: 1}\nbase_model: mem:grpo\nmodels: [model: mem:sft, model: mem:grpo]",
            "grpo",
        ),
        (
            "merge_method: linear\nparameters: {weight: 1}\nbase_model: mem:grpo\nslices:\n- sources: [{model: mem:sft, layer_range: [0, 2]}]",
            "grpo",
        ),
        (
            "merge_method: passthrough\nslices:\n- sources: [{model: mem:sft, layer_range: [0, 1]}]\n- sources: [{model: mem:grpo, layer_range: [1, 2]}]",
            "sft",
        ),
    ] {
        let plan = plan(&translated(text), &library);
        assert_eq!(
            plan.template().unwrap().name(),
            format!("mem:{donor}"),
            "{text}"
        );
    }
}

#[test]
fn slices_take_their_layers_and_neighbours() {
    let merge = translated(
        "merge_method: passthrough
slices:
- sources: [{model: mem:sft, layer_range: [0, 1]}]
- sources: [{model: mem:grpo, layer_range: [1, 2]}]",
    );
    assert_eq!(
        merge.expression.to_string(),
        "stack(layers(sft, \"0\"), layers(grpo, \"1\"))"
    );
    let plan = plan(&merge, &world().library());
    assert!(plan.tensors().values().all(|tensor| tensor.is_copied()));
}

#[test]
fn slices_move_repeat_and_leave_out_layers() {
    let library = world().library();
    for (text, expected, depth) in [
        (
            "merge_method: passthrough
slices:
- sources: [{model: mem:sft, layer_range: [0, 2]}]
- sources: [{model: mem:grpo, layer_range: [1, 2]}]",
            "stack(sft, layers(grpo, \"1\"))",
            3,
        ),
        (
            "merge_method: passthrough
slices:
- sources: [{model: mem:sft, layer_range: [1, 2]}]",
            "layers(sft, \"1\")",
            1,
        ),
        (
            "merge_method: passthrough
base_model: mem:base
slices:
- sources: [{model: mem:sft, layer_range: [0, 2]}]
- sources: [{model: mem:base, layer_range: [1, 2]}]
- sources: [{model: mem:sft, layer_range: [0, 2]}]",
            "layers(base, \"0-1, 1, 0-1\") + (stack(sft, layers(base, \"1\"), sft) - layers(base, \"0-1, 1, 0-1\"))",
            5,
        ),
        (
            "merge_method: task_arithmetic
base_model: mem:base
slices:
- sources:
  - {model: mem:base, layer_range: [1, 2]}
  - {model: mem:sft, layer_range: [0, 1], parameters: {weight: [0, 1]}}",
            "layers(base, \"1\") + [0, 1]*(layers(sft, \"0\") - layers(base, \"1\"))",
            1,
        ),
        (
            // A filter of a source counts its layers, one of the file those of the result.
            "merge_method: linear
parameters: {normalize: false}
slices:
- sources: [{model: mem:grpo, layer_range: [0, 2], parameters: {weight: 1}}]
- sources:
  - {model: mem:sft, layer_range: [1, 2], parameters: {weight: [{filter: layers.1., value: 3}, {value: 2}]}}
  - {model: mem:grpo, layer_range: [0, 1], parameters: {weight: [{filter: layers.1., value: 3}, {value: 2}]}}",
            "stack(linear(grpo, weights=1), linear(layers(sft, \"1\"), layers(grpo, \"0\"), weights=({\"model.layers.0.mlp.up_proj.weight, model.layers.0.self_attn.q_proj.weight\": 3, else: 2}, 2)))",
            3,
        ),
    ] {
        let merge = translate(text, "merge.yml", &library)
            .unwrap_or_else(|error| panic!("{text}\n{error}"));
        assert_eq!(merge.expression.to_string(), expected, "{text}");
        let plan = plan(&merge, &library);
        let config = plan.template().unwrap().config().unwrap();
        assert_eq!(config["num_hidden_layers"], depth, "{text}");
        assert_eq!(plan.tensors().len(), 2 * depth + 2, "{text}");
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name_and_line() {
    // What sees has more layers than what speaks.
    let layer = |list: &str, layer: u32| {
        Tensor::counted(&format!("{list}.{layer}.w"), Dtype::Bf16, &[4, 4], 1)
    };
    let mut both: Vec<Tensor> = (0..3).map(|it| layer("visual.blocks", it)).collect();
    both.extend((0..2).map(|it| layer("model.layers", it)));
    let library = world()
        .with("seeing", "model", Some("{}"), &[both])
        .library();
    let head = "merge_method: linear\nparameters: {weight: 1}\n";
    let models = "models: [model: mem:sft, model: mem:grpo]\n";
    let file = |rest: &str| format!("{head}{models}{rest}");
    let based = |method: &str, rest: &str| {
        format!("merge_method: {method}\nbase_model: mem:base\n{models}{rest}")
    };
    let slices = |ranges: &[(u32, u32)]| {
        let slices: Vec<String> = ranges
            .iter()
            .map(|(first, end)| {
                format!("- sources: [{{model: mem:sft, layer_range: [{first}, {end}]}}]\n")
            })
            .collect();
        format!("merge_method: passthrough\nslices:\n{}", slices.concat())
    };
    for (text, line, message) in [
        (String::new(), 1, "there is nothing in the file"),
        ("- a".into(), 1, "`a mergekit file` must be a mapping, not a list"),
        ("merge_method: [".into(), 2, "this is not valid YAML"),
        ("models: [model: mem:sft]".into(), 1, "a mergekit file needs `merge_method`"),
        (head.into(), 1, "a mergekit file has either `models` or `slices`"),
        (file("chat_templte: auto"), 4, "a mergekit file has no key `chat_templte`"),
        (file("name: x"), 4, "a mergekit file has no key `name`"),
        (file("dtype: int64"), 4, "`dtype` must be `bfloat16`"),
        (file("tokenizer_source: union"), 4, "a `union` of tokenizers is not supported"),
        (file("tokenizer: {tokens: {}}"), 4, "`tokens` is not supported"),
        (file("tokenizer: {pad_to_multiple_of: 8}"), 4, "`pad_to_multiple_of` is not supported"),
        (file("tokenizer_source: mem:grpo"), 4, "a tokenizer that is not the output's own is not supported"),
        (file("chat_template: chatml"), 4, "a `chat_template` other than `auto` is not supported"),
        (file("modules: {x: {}}"), 4, "`modules` is not supported"),
        (file("merge_method: ties"), 4, "`merge_method` is given twice"),
        (based("della", "parameters: {weight: 1, density: 0.9}"), 4, "`density` ± `epsilon` must lie above 0 and up to 1, and 0.9 ± 0.15 does not"),
        (based("della", "parameters: {weight: 1, density: 0.2,\n  epsilon: 0.2}"), 5, "`density` ± `epsilon` must lie above 0"),
        (based("della_linear", "parameters: {weight: 1, density: 0.5, epsilon: -0.1}"), 4, "`density` ± `epsilon` must lie above 0"),
        (based("della", "parameters: {weight: 1, gamma: 0.1}"), 4, "the merge method `della` has no key `gamma`"),
        (based("arcee_fusion", ""), 3, "`arcee_fusion` merges 1 models beside the base, not 2"),
        (based("tis", ""), 1, "mergekit has no merge method `tis`"),
        (based("slerp", "parameters: {t: 0.5, density: 1}"), 4, "the merge method `slerp` has no key `density`"),
        (based("slerp", "parameters: {t: 0.5}"), 3, "`slerp` merges 1 models beside the base, not 2"),
        (based("ties", ""), 3, "`weight` is not set, and has no default"),
        (based("ties", "parameters: {weight: 1, rescale: true}"), 4, "`rescale: true` of a method that keeps"),
        (based("ties", "parameters: {weight: 1, normalize: [0, 1]}"), 4, "a `normalize` that differs between tensors"),
        (based("ties", "parameters: {weight: {filter: mlp}}"), 4, "a condition of `weight` needs `value`"),
        (based("ties", "parameters: {weight: {value: 1, filters: x}}"), 4, "a condition of `weight` has no key `filters`"),
        (based("ties", "parameters: {weight: 1/2}"), 4, "`weight` must be a number, not `1/2`"),
        (based("ties", "parameters: {weight: 010}"), 4, "`weight` must be a number, not `010`"),
        (based("ties", "parameters: {weight: .nan}"), 4, "`weight` must be a number, not `.nan`"),
        (based("model_stock", "parameters: {filter_wise: [0, 1]}"), 4, "a `filter_wise` that differs between tensors"),
        ("merge_method: ties\nmodels: [model: mem:sft]".into(), 2, "`ties` needs a `base_model`"),
        ("merge_method: linear\nmodels:\n- model: mem:sft+mem:x+mem:y".into(), 3, "more than one adapter on a model is not supported"),
        ("merge_method: linear\nmodels:\n- model: {model: mem:sft+mem:x, lora: mem:y}".into(), 3, "more than one adapter on a model is not supported"),
        ("merge_method: linear\nmodels:\n- model: mem:sft\n- model: mem:sft".into(), 4, "the model `mem:sft` is given twice"),
        (slices(&[(0, 1), (1, 3)]), 4, "`layer_range` [1, 3] goes beyond the last layer of `mem:sft`, which has 2 layers, 0 to 1"),
        (slices(&[(0, 1), (2, 3)]).replace("sft", "seeing"), 3, "`layer_range` could mean layers of 2 lists of `mem:seeing`, such as `model.layers.0` and `visual.blocks.0`"),
        (slices(&[(0, 2); 501]), 503, "the result has 1002 layers up to here; at most 1000 are possible"),
        (slices(&[(1, 0)]), 3, "`layer_range` [1, 0] has no layer in it"),
        (slices(&[(0, 2), (1, 1)]), 4, "`layer_range` [1, 1] has no layer in it"),
        (slices(&[(0, 2)]).replace("[0, 2]", "[0]"), 3, "`layer_range` must be `[FIRST, AFTER_THE_LAST]`"),
        (slices(&[(0, 2)]).replace("[0, 2]", "[-1, 2]"), 3, "`layer_range` must be `[FIRST, AFTER_THE_LAST]`"),
        (
            "merge_method: linear\nslices:\n- sources:\n  - {model: mem:sft, layer_range: [0, 1]}\n  - {model: mem:grpo, layer_range: [0, 2]}".into(),
            5,
            "a slice of 1 layers of `mem:sft` and 2 of `mem:grpo`: [0, 1] and [0, 2]",
        ),
        ("merge_method: linear\nslices:\n- sources: [{model: mem:sft, layer_range: [0, 2]}]\n  residual_weight: 1".into(), 4, "`residual_weight` is not supported"),
    ] {
        match translate(&text, "merge.yml", &library) {
            Err(Error::Mergekit(error)) => {
                let said = error.to_string();
                assert_eq!(error.position.line, line, "{text}\n{said}");
                assert!(error.problem.to_string().starts_with(message), "{text}\n{said}");
                assert!(said.starts_with(&format!("`merge.yml`, line {line}, column ")), "{said}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    let hub = "merge_method: linear\nparameters: {weight: 1}\nmodels: [model: org/name@main]";
    assert!(matches!(
        translate(hub, "merge.yml", &Library::default()),
        Err(Error::HubReference { repository, .. }) if repository == "org/name"
    ));
    assert!(matches!(
        read(
            Path::new("tests/goldens/recipes/absent.yml"),
            &Library::default()
        ),
        Err(Error::NotFound { .. })
    ));
}

#[test]
fn names_come_from_paths_and_never_clash() {
    let text = "merge_method: linear\nparameters: {weight: 1}\nmodels:\n- model: tests/goldens/recipes/a\n- model: tests/goldens/recipes/../recipes/a\n- model: tests/goldens/mergekit/f32-b.safetensors\n";
    let merge = translate(text, "merge.yml", &Library::default()).unwrap();
    let names: BTreeMap<String, String> = merge
        .bindings
        .names
        .iter()
        .map(|(name, reference)| (name.clone(), reference.to_string()))
        .collect();
    assert_eq!(merge.expression.to_string(), "mean(a, a_2, f32_b)");
    assert_eq!(names["f32_b"], "tests/goldens/mergekit/f32-b.safetensors");
}

#[test]
fn an_adapter_on_a_model_is_a_sum() {
    let peft = "tests/goldens/peft";
    let bindings = Bindings::default()
        .with(
            "model",
            format!("{peft}/qwen2.safetensors").parse().unwrap(),
        )
        .with("adapter", format!("{peft}/lora").parse().unwrap());
    let expected = Plan::build(
        &"model + adapter".parse().unwrap(),
        &bindings,
        &Library::default(),
        &PlanOptions::default(),
    )
    .unwrap()
    .load_all()
    .unwrap();
    for model in [
        format!("{peft}/qwen2.safetensors+{peft}/lora"),
        format!("{{model: {peft}/qwen2.safetensors, lora: {peft}/lora}}"),
        format!(
            "{{model: {{path: {peft}/qwen2.safetensors}}, lora: {{model: {{path: {peft}/lora}}}}}}"
        ),
    ] {
        let yaml = format!(
            "merge_method: linear\nmodels:\n- model: {model}\n  parameters: {{weight: 1}}\n"
        );
        let merge = translate(&yaml, "merge.yml", &Library::default())
            .unwrap_or_else(|error| panic!("{model}: {error}"));
        let found = plan(&merge, &Library::default()).load_all().unwrap();
        assert!(found == expected, "{model}: {}", merge.expression);
    }
}
