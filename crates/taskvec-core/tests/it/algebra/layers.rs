//! Layers in other places: `layers` and `stack`, and everything that is done with such plans.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use taskvec_core::{
    Bindings, Checkpoint, Dtype, Error, InspectOptions, LineageOptions, Plan, PlanOptions,
    Provenance, Reference, VerifyOptions, WriteOptions, inspect, lineage, verify, write, write_all,
};

use super::fixture::{Tensor, World};
use super::write::files;

const WIDTH: usize = 8;

/// The tensors of a decoder of so many layers, in two shards.
fn decoder(layers: u32, salt: u64, width: usize) -> Vec<Vec<Tensor>> {
    let counted = |name: &str, shape: &[usize]| Tensor::counted(name, Dtype::Bf16, shape, salt);
    let layer = |layer: u32| {
        vec![
            counted(
                &format!("model.layers.{layer}.self_attn.q_proj.weight"),
                &[width, width],
            ),
            counted(
                &format!("model.layers.{layer}.mlp.up_proj.weight"),
                &[19, width],
            ),
        ]
    };
    let mut first = vec![counted("model.embed_tokens.weight", &[301, width])];
    first.extend((0..layers / 2).flat_map(layer));
    let mut second: Vec<Tensor> = (layers / 2..layers).flat_map(layer).collect();
    second.push(counted("model.norm.weight", &[width]));
    second.push(counted("lm_head.weight", &[301, width]));
    vec![first, second]
}

/// A config that says of each layer what it is: `NAME.LAYER`.
fn config(name: &str, layers: u32, width: usize) -> String {
    let types: Vec<String> = (0..layers)
        .map(|layer| format!("\"{name}.{layer}\""))
        .collect();
    format!(
        "{{\n  \"model_type\": \"qwen2\",\n  \"hidden_size\": {width},\n  \"layer_types\": [\n    {}\n  ],\n  \"num_hidden_layers\": {layers},\n  \"rms_norm_eps\": 1e-06,\n  \"torch_dtype\": \"bfloat16\"\n}}\n",
        types.join(",\n    ")
    )
}

/// `m`, `n` and `o` have four layers, `short` three.
fn world() -> World {
    let mut world = World::default();
    for (name, layers, salt) in [("m", 4, 1), ("n", 4, 2), ("o", 4, 3), ("short", 3, 4)] {
        let config = config(name, layers, WIDTH);
        world = world.with(name, "model", Some(&config), &decoder(layers, salt, WIDTH));
    }
    world
}

fn weights(plan: &Plan) -> BTreeMap<String, Vec<f32>> {
    plan.load_all().unwrap()
}

/// The tensors of one layer, by what follows its number.
fn layer(weights: &BTreeMap<String, Vec<f32>>, layer: u32) -> BTreeMap<&str, &[f32]> {
    let prefix = format!("model.layers.{layer}.");
    weights
        .iter()
        .filter_map(|(name, values)| Some((name.strip_prefix(&prefix)?, values.as_slice())))
        .collect()
}

/// Asserts that the layers of an expression are those of others, each named with its number, and that it has no others.
fn assert_layers(world: &World, expression: &str, expected: &[(&str, u32)]) -> Plan {
    let plan = world.plan(expression);
    let found = weights(&plan);
    for (place, (other, number)) in (0..).zip(expected) {
        let other_weights = weights(&world.plan(other));
        let wanted = layer(&other_weights, *number);
        assert!(!wanted.is_empty());
        assert_eq!(layer(&found, place), wanted, "{expression}: layer {place}");
    }
    assert!(
        layer(&found, expected.len() as u32).is_empty(),
        "{expression}"
    );
    plan
}

fn outside(world: &World, expression: &str, name: &str) -> Vec<f32> {
    world.plan(expression).load(name).unwrap()
}

#[test]
fn layers_are_taken_from_where_the_expression_says() {
    let world = world();
    for (expression, expected, first, last) in [
        ("layers(m, \"1-2\")", vec![("m", 1), ("m", 2)], "m", "m"),
        (
            "layers(m, \"3, 0, 0\")",
            vec![("m", 3), ("m", 0), ("m", 0)],
            "m",
            "m",
        ),
        (
            "stack(layers(m, \"0-2\"), short, layers(n, \"1\"))",
            vec![
                ("m", 0),
                ("m", 1),
                ("m", 2),
                ("short", 0),
                ("short", 1),
                ("short", 2),
                ("n", 1),
            ],
            "m",
            "n",
        ),
        (
            "layers(stack(short, layers(m, \"2-3\")), \"4, 1\")",
            vec![("m", 3), ("short", 1)],
            "short",
            "m",
        ),
        (
            "stack(stack(m, n), layers(o, \"0\"))",
            vec![
                ("m", 0),
                ("m", 1),
                ("m", 2),
                ("m", 3),
                ("n", 0),
                ("n", 1),
                ("n", 2),
                ("n", 3),
                ("o", 0),
            ],
            "m",
            "o",
        ),
    ] {
        let plan = assert_layers(&world, expression, &expected);
        assert!(
            plan.tensors().values().all(|tensor| tensor.is_copied()),
            "{expression}"
        );
        assert_eq!(plan.tensors().len(), 2 * expected.len() + 3, "{expression}");
        for (name, source) in [
            ("model.embed_tokens.weight", first),
            ("model.norm.weight", last),
            ("lm_head.weight", last),
        ] {
            assert_eq!(
                outside(&world, expression, name),
                outside(&world, source, name),
                "{expression}: {name}"
            );
        }
        let config = plan.template().unwrap().config().unwrap();
        assert_eq!(config["num_hidden_layers"], expected.len(), "{expression}");
        let types: Vec<String> = expected
            .iter()
            .map(|(name, layer)| format!("{name}.{layer}"))
            .collect();
        assert_eq!(config["layer_types"], Value::from(types), "{expression}");
    }
}

#[test]
fn what_stands_inside_counts_its_own_layers() {
    let world = world();
    // A list runs over the operand, patterns name its layers, and both ends of slerp are exact.
    let merged = "slerp(layers(m, \"0-2\"), layers(n, \"1-3\"), t=[0, 1, 1])";
    let stacked = format!("stack(layers(o, \"0\"), {merged}, layers(o, \"2\"))");
    assert_layers(
        &world,
        &stacked,
        &[("o", 0), ("m", 0), ("n", 2), ("n", 3), ("o", 2)],
    );
    assert_eq!(
        outside(
            &world,
            &format!("stack({merged}, o)"),
            "model.embed_tokens.weight"
        ),
        outside(&world, "m", "model.embed_tokens.weight")
    );
    assert_layers(
        &world,
        "stack(o, short + {\"layers.1\": 1, else: 0}*(layers(m, \"1-3\") - short))",
        &[
            ("o", 0),
            ("o", 1),
            ("o", 2),
            ("o", 3),
            ("short", 0),
            ("m", 2),
            ("short", 2),
        ],
    );
    assert_layers(
        &world,
        "stack(o, m + only(n - m, \"layers.2-3\"))",
        &[
            ("o", 0),
            ("o", 1),
            ("o", 2),
            ("o", 3),
            ("m", 0),
            ("m", 1),
            ("n", 2),
            ("n", 3),
        ],
    );
    // One layer takes the last value of a list.
    assert_layers(
        &world,
        "stack(o, slerp(layers(m, \"0\"), layers(n, \"3\"), t=[0, 1]))",
        &[("o", 0), ("o", 1), ("o", 2), ("o", 3), ("n", 3)],
    );
}

#[test]
fn layers_of_a_sum_are_the_sum_of_layers() {
    let world = world();
    for inner in [
        "m + 0.5*(n - o)",
        "m + [0.1, 0.9]*(n - o)",
        "m + ties(n - m, o - m, density=0.5)",
        "slerp(m, n, t={\"layers.1\": 0.25, else: [0, 1]})",
        "m + {\"layers.3\": 0.5, else: 0}*(n - m)",
    ] {
        assert_layers(
            &world,
            &format!("layers({inner}, \"3, 1, 2, 1\")"),
            &[(inner, 3), (inner, 1), (inner, 2), (inner, 1)],
        );
    }
    // The same call in two places is two calls, and a vector may be stacked too.
    let slerp = "slerp(m, n, t=0.3)";
    assert_layers(
        &world,
        &format!("stack(layers({slerp}, \"2\"), layers({slerp}, \"1\"))"),
        &[(slerp, 2), (slerp, 1)],
    );
    assert_layers(
        &world,
        "short + stack(layers(m - n, \"3\"), layers(o - n, \"0-1\"))",
        &[
            ("layers(short, \"0\") + layers(m - n, \"3\")", 0),
            ("layers(short, \"1\") + layers(o - n, \"0\")", 0),
            ("layers(short, \"2\") + layers(o - n, \"1\")", 0),
        ],
    );
}

fn options() -> WriteOptions<'static> {
    WriteOptions {
        sync: false,
        hash: true,
        ..WriteOptions::default()
    }
}

#[test]
fn outputs_are_written_recorded_verified_and_opened_again() {
    let world = world();
    let directory = tempfile::tempdir().unwrap();
    let expression =
        "stack(layers(m, \"0-2\"), slerp(layers(m, \"1-3\"), layers(n, \"0-2\"), t=0.4), short)";
    let plan = world.plan(expression);
    let path = directory.path().join("merged");
    let report = write(&plan, &path, &options(), &|_| {}).unwrap();
    assert_eq!(report.tensors, 2 * 9 + 3);
    assert!(report.rounding.is_some());

    let text = fs::read_to_string(path.join("config.json")).unwrap();
    let types: Vec<&str> = vec![
        "m.0", "m.1", "m.2", "m.1", "m.2", "m.3", "short.0", "short.1", "short.2",
    ];
    // What is not of layers is, to the byte, as it was.
    let expected = config("m", 4, WIDTH)
        .replace("\"num_hidden_layers\": 4", "\"num_hidden_layers\": 9")
        .replace(
            "[\n    \"m.0\",\n    \"m.1\",\n    \"m.2\",\n    \"m.3\"\n  ]",
            &Value::from(types).to_string(),
        );
    assert_eq!(text, expected);

    let record = fs::read(path.join("taskvec.json")).unwrap();
    let record = Provenance::parse(&path.join("taskvec.json"), &record).unwrap();
    let inputs: Vec<&str> = record
        .inputs
        .iter()
        .map(|input| input.name.as_str())
        .collect();
    assert_eq!(inputs, ["m", "n", "short"]);
    assert_eq!(record.expression, expression);
    let verified = verify(
        &path,
        &Bindings::default(),
        &world.library(),
        &VerifyOptions {
            all: true,
            ..VerifyOptions::default()
        },
        &|_| {},
    )
    .unwrap();
    let recomputed = verified.recomputation.unwrap();
    assert!(recomputed.is_sound(), "{recomputed:?}");
    assert_eq!(
        (recomputed.compared, recomputed.elements),
        (report.elements, report.elements)
    );

    let reference: Reference = path.to_str().unwrap().parse().unwrap();
    let opened = Checkpoint::open(&reference, &world.library()).unwrap();
    // The files of the first model, and then those of the model that the last layers are from.
    assert_eq!(opened.shards().len(), 4);
    let bindings = Bindings::default().with("out", reference);
    let again = Plan::build(
        &"out".parse().unwrap(),
        &bindings,
        &world.library(),
        &PlanOptions::default(),
    )
    .unwrap();
    assert_eq!(weights(&again), weights(&plan));

    // One file with everything in it, and a changed weight that is found.
    let file = directory.path().join("merged.safetensors");
    write(&plan, &file, &options(), &|_| {}).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let end = bytes.len();
    bytes[end - 1] ^= 0x40;
    fs::write(&file, bytes).unwrap();
    let verify_options = VerifyOptions {
        all: true,
        ..VerifyOptions::default()
    };
    let verified = verify(
        &file,
        &Bindings::default(),
        &world.library(),
        &verify_options,
        &|_| {},
    )
    .unwrap();
    assert_eq!(verified.recomputation.unwrap().different, 1);
}

#[test]
fn plans_of_one_family_are_written_in_one_pass() {
    let world = world();
    let plans = world.plans_over(
        "stack(m, layers(m + a*(n - m), \"1-3, 1\"))",
        &["0.25", "1"],
    );
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..2)
        .map(|index| directory.path().join(format!("all-{index}")))
        .collect();
    let outputs: Vec<_> = plans
        .iter()
        .zip(paths.iter().map(|path| path.as_path()))
        .collect();
    write_all(&outputs, &options(), &|_| {}).unwrap();
    for (plan, path) in &outputs {
        let alone = directory.path().join("alone");
        write(plan, &alone, &options(), &|_| {}).unwrap();
        assert_eq!(files(path), files(&alone));
        fs::remove_dir_all(&alone).unwrap();
    }
}

#[test]
fn changes_are_told_apart_from_the_layer_that_they_are_made_to() {
    let world = world();
    let inspected = |expression: &str| {
        inspect(&world.plan(expression), &InspectOptions::default(), &|_| {}).unwrap()
    };
    let whole = inspected("n + 0.5*(o - m)");
    let moved = inspected("stack(layers(m, \"0\"), layers(n + 0.5*(o - m), \"3, 1\"))");
    assert_eq!(moved.origin.as_deref(), Some("m, n"));
    for (place, layer) in [(1, 3), (2, 1)] {
        let name = |layer: u32| format!("model.layers.{layer}.mlp.up_proj.weight");
        assert_eq!(moved.tensors[&name(place)], whole.tensors[&name(layer)]);
    }
    let copied = &moved.tensors["model.layers.0.mlp.up_proj.weight"];
    assert_eq!(copied.sum_of_squares, 0.0, "{copied:?}");
}

#[test]
fn lineage_is_of_whole_models_and_each_once() {
    let world = world();
    let plan = world.plan("stack(layers(m, \"0-1\"), layers(n, \"1-2\"), layers(m, \"2\"), short)");
    let lineage = lineage(&plan, &LineageOptions::default()).unwrap();
    let pairs: Vec<(&str, &str)> = lineage
        .pairs
        .iter()
        .map(|pair| (pair.left.as_str(), pair.right.as_str()))
        .collect();
    assert_eq!(pairs, [("n", "m"), ("short", "m"), ("short", "n")]);
    lineage.refuse_strangers().unwrap();
}

#[test]
fn what_cannot_be_moved_is_refused_where_it_stands() {
    let loose = |name: &str| Tensor::counted(name, Dtype::Bf16, &[WIDTH, WIDTH], 9);
    let world = world()
        .vector("loose", vec![loose("w")])
        .with(
            "two",
            "model",
            Some("{}"),
            &[vec![loose("model.layers.0.w"), loose("vision.blocks.0.w")]],
        )
        .with(
            "huge",
            "model",
            Some("{}"),
            &[vec![loose("model.layers.4294967294.w")]],
        );
    for (expression, message) in [
        (
            "layers(m, \"1-4\")",
            "`m` has no layer 4; it has 4 layers, 0 to 3, at column 8",
        ),
        (
            "layers(m + 0.5*(n - o), \"9\")",
            "`m + 0.5*(n - o)` has no layer 9",
        ),
        (
            "layers(m, \"2-1\")",
            "`2-1` selects no layers: a range goes up",
        ),
        (
            "layers(m, \"mlp\")",
            "`mlp` selects no layers: layers are whole numbers",
        ),
        (
            "layers(m, 3)",
            "`selection` of `layers` must be a text in double quotes, not `3`",
        ),
        ("layers(m)", "`layers` needs its parameter `selection`"),
        ("stack()", "`stack` takes 1 or more operands, not 0"),
        (
            "stack(m, n - o)",
            "`stack` takes models only, as its first operand is one",
        ),
        ("stack(m, 2)", "how many layers `2` has is not known"),
        (
            "layers(0.5, \"1\")",
            "how many layers `0.5` has is not known",
        ),
        (
            "layers(loose, \"0\")",
            "how many layers `loose` has is not known",
        ),
        (
            "stack(layers(m, \"0-1\") + (short - n), o)",
            "`short` has 3 layers, and stands beside what has 2",
        ),
        (
            "stack(mean(layers(m, \"0-1\"), layers(n, \"0-2\")), o)",
            "`layers(n, \"0-2\")` has 3 layers, and stands beside what has 2",
        ),
        (
            "layers(two, \"0\")",
            "`two` has layers in 2 lists, such as `model.layers.0` and `vision.blocks.0`",
        ),
        (
            "stack(m, m + 0.5*(layers(two, \"7\") - m))",
            "`two` has layers in 2 lists",
        ),
        (
            "layers(m, \"0-999, 0\")",
            "the result would have 1001 layers; at most 1000 are possible",
        ),
        ("stack(m, huge)", "the result would have 4294967299 layers"),
        ("stack(huge, stack(m, huge))", "the result would have"),
        ("stak(m, n)", "there is no function `stak`"),
    ] {
        match world.refused(expression) {
            Error::Expression(error) => {
                assert!(
                    error.to_string().starts_with(message),
                    "{expression}: {error}"
                );
            }
            other => panic!("{expression}: {other}"),
        }
    }
}

#[test]
fn models_that_could_not_stand_in_one_do_not_fit_together() {
    let wide = config("wide", 4, 16);
    let tied: Vec<Vec<Tensor>> = decoder(4, 5, WIDTH)
        .into_iter()
        .map(|shard| {
            let kept = shard
                .into_iter()
                .filter(|tensor| tensor.name != "lm_head.weight");
            kept.collect()
        })
        .collect();
    let world = world()
        .with("wide", "model", Some(&wide), &decoder(4, 6, 16))
        .with(
            "silent",
            "model",
            Some("{\"num_hidden_layers\": 4}"),
            &decoder(4, 6, 16),
        )
        .with("tied", "model", Some(&config("tied", 4, WIDTH)), &tied);
    for (expression, mismatch) in [
        (
            "stack(m, wide)",
            "config `hidden_size`: `m` has 8, `wide` has 16",
        ),
        (
            "stack(m, silent)",
            "`model.layers.0.mlp.up_proj.weight`: `m` is [19, 8], `silent` is [19, 16]",
        ),
        (
            "stack(m, tied)",
            "`lm_head.weight`: `m` has it, `tied` does not",
        ),
        (
            "stack(tied, layers(m, \"1\"), tied)",
            "`lm_head.weight`: `m` has it, `tied` does not",
        ),
        (
            "mean(layers(m, \"0-1\"), layers(n, \"0-2\"))",
            "config `num_hidden_layers`: `m` has 2, `n` has 3",
        ),
        (
            "layers(m, \"0-1\") + (n - o)",
            "config `num_hidden_layers`: `m` has 2, `n` has 4",
        ),
        (
            "m - short",
            "config `num_hidden_layers`: `m` has 4, `short` has 3",
        ),
    ] {
        match world.refused(expression) {
            Error::Incompatible(incompatible) => {
                let said = incompatible.to_string();
                assert!(said.contains(mismatch), "{expression}: {said}");
            }
            other => panic!("{expression}: {other}"),
        }
    }
}

#[test]
fn settings_that_count_layers_are_named() {
    let counting = config("m", 4, WIDTH).replace(
        "\"hidden_size\"",
        "\"first_k_dense_replace\": 1,\n  \"max_window_layers\": 2,\n  \"hidden_size\"",
    );
    let world = World::default().with("m", "model", Some(&counting), &decoder(4, 1, WIDTH));
    let plan = world.plan("layers(m, \"2-3\")");
    assert_eq!(
        plan.notes(),
        [
            "config `first_k_dense_replace` counts layers and stays as it is; in the result other layers stand there"
        ]
    );
    assert_eq!(world.plan("m").notes(), [""; 0]);
}

#[test]
fn layers_of_an_adapter_move_with_those_of_its_model() {
    let peft = "tests/goldens/peft";
    let bindings = Bindings::default()
        .with(
            "model",
            format!("{peft}/qwen2.safetensors").parse().unwrap(),
        )
        .with("adapter", format!("{peft}/lora").parse().unwrap());
    let load = |expression: &str| {
        let library = world().library();
        let options = PlanOptions::default();
        Plan::build(&expression.parse().unwrap(), &bindings, &library, &options)
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
            .load_all()
            .unwrap()
    };
    let (sum, moved) = (
        load("model + adapter"),
        load("stack(model, layers(model + adapter, \"1, 0\"))"),
    );
    let depth = (0..)
        .take_while(|number| !layer(&sum, *number).is_empty())
        .count() as u32;
    assert!(depth > 1 && sum != load("model"));
    for (place, number) in [(depth, 1), (depth + 1, 0)] {
        assert_eq!(layer(&moved, place), layer(&sum, number));
    }
}
