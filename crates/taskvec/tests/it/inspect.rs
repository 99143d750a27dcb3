//! What `inspect` shows of one vector and of two.

use std::process::Output;

use serde_json::Value;

use crate::checkpoint::{Tensor, file, model, tensors};
use crate::workplace::Workplace;

const GRPO: &str = "'micro:grpo - micro:sft'";
const TARGET: &str = "'micro:target - micro:base'";

/// A model and two that were made of it.
fn study() -> Workplace {
    let here = Workplace::new();
    model(&here.path("base"), "Tiny", &tensors(1.0, 0.25));
    model(&here.path("one"), "Tiny", &tensors(1.0, 0.5));
    model(&here.path("two"), "Tiny", &tensors(2.0, 0.125));
    here
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn shown(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&shown(output)).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn two_vectors_as_table_json_and_csv() {
    let here = study();
    let both = "inspect '\"one\" - \"base\"' '\"two\" - \"base\"'";
    let table = shown(&here.output(both));
    let mut lines = table.lines();
    assert_eq!(
        lines.next().unwrap(),
        "\"one\" - \"base\": a vector of 3 tensors, 20 elements; relative to \"base\""
    );
    assert_eq!(
        lines.next().unwrap(),
        "beside \"two\" - \"base\"; relative to \"base\""
    );
    let cells: Vec<&str> = lines.next_back().unwrap().split_whitespace().collect();
    // Counts up in steps of a quarter against 1, 7/8, …: what the rows say is added up by hand below.
    assert_eq!((cells[0], cells[1]), ("total", "20"));

    let found = json(&here.output(&format!("{both} --by tensor --json")));
    assert_eq!(found["second"]["expression"], "\"two\" - \"base\"");
    assert_eq!(
        (&found["measured"], &found["by"]),
        (&"vector".into(), &"tensor".into())
    );
    let bias = &found["rows"][2];
    assert_eq!(bias["name"], "model.layers.0.self_attn.q_proj.bias");
    // [0, 1/4] and [1, 7/8].
    assert_eq!(
        (number(&bias["norm"]), number(&bias["second_norm"])),
        (0.25, 1.765625f64.sqrt())
    );
    assert_eq!(
        number(&bias["cosine"]),
        0.25 * 0.875 / (0.25 * 1.765625f64.sqrt())
    );
    assert_eq!(
        (&bias["nonzero_in_both"], &bias["agreeing"]),
        (&1.into(), &1.into())
    );
    let embedding = &found["rows"][0];
    // The second turns negative after eight steps.
    assert_eq!(embedding["nonzero_in_both"], 10);
    assert_eq!(number(&embedding["sign_agreement"]), 0.7);
    assert_eq!(
        format!("{:.4}", number(&found["total"]["cosine"])),
        cells[6]
    );

    let csv = shown(&here.output(&format!("{both} --by tensor --csv")));
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|line| line.len() == lines[0].len()));
    let at = |key: &str| lines[0].iter().position(|name| *name == key).unwrap();
    assert_eq!(lines[1][at("sign_agreement")], "0.7");
    assert_eq!(lines[3][at("cosine")], bias["cosine"].to_string());
    assert_eq!((lines[1][at("layer")], lines[3][at("layer")]), ("", "0"));
}

#[test]
fn rows_of_every_kind_add_up_to_the_total() {
    let here = Workplace::new();
    let whole = |by: &str| json(&here.output(&format!("inspect {GRPO} {TARGET} --json --by {by}")));
    let by_tensor = whole("tensor");
    let total = &by_tensor["total"];
    assert!(number(&total["cosine"]).abs() < 1.0);
    for (by, rows) in [("group", 26), ("layer", 5), ("module", 7), ("part", 4)] {
        let found = whole(by);
        let all = found["rows"].as_array().unwrap();
        assert_eq!(&found["total"], total, "{by}");
        let sum = |key: &str| -> u64 { all.iter().map(|row| row[key].as_u64().unwrap()).sum() };
        assert_eq!(sum("elements"), total["elements"].as_u64().unwrap());
        assert_eq!(sum("agreeing"), total["agreeing"].as_u64().unwrap());
        assert_eq!(all.len(), rows, "{by}");
    }
}

#[test]
fn norms_are_relative_to_the_model_that_is_named() {
    let here = Workplace::new();
    assert!(
        here.output(&format!("write {GRPO} -o reason"))
            .status
            .success()
    );
    let alone = json(&here.output("inspect '\"reason\"' --json"));
    assert_eq!(alone["total"]["relative_norm"], Value::Null);
    let told = json(&here.output("inspect '\"reason\"' --json --relative-to micro:sft"));
    let direct = json(&here.output(&format!("inspect {GRPO} --json")));
    assert_eq!(told["origin"], "micro:sft");
    assert_eq!(
        told["total"]["relative_norm"],
        direct["total"]["relative_norm"]
    );

    let refused = here.output(&format!("inspect '\"reason\"' --relative-to {GRPO}"));
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("a model is needed to measure norms against"));
}

#[test]
fn spectra_with_the_energy_of_lower_ranks() {
    let here = Workplace::new();
    let table = shown(&here.output(&format!("inspect {GRPO} --spectrum=4")));
    let heading = table
        .lines()
        .find(|line| line.starts_with("matrix"))
        .unwrap();
    for column in ["stable rank", "rank 1 %", "rank 2 %", "rank 4 %"] {
        assert!(heading.contains(column), "{heading}");
    }
    let found = json(&here.output(&format!("inspect {GRPO} --spectrum=4 --json")));
    let spectra = &found["spectra"];
    for matrix in spectra["matrices"].as_array().unwrap() {
        let values: Vec<f64> = (matrix["singular_values"].as_array().unwrap().iter())
            .map(number)
            .collect();
        assert!(values.len() == 4 && values.is_sorted_by(|a, b| a >= b));
        let kept = number(&matrix["kept"][3]);
        let energy = number(&matrix["norm"]).powi(2);
        let sum: f64 = values.iter().map(|value| value * value).sum();
        assert!((kept - sum / energy).abs() < 1e-12 && kept < 1.0);
        let rank = energy / values[0].powi(2);
        assert!((number(&matrix["stable_rank"]) - rank).abs() < 1e-9);
    }
    let left_out = spectra["left_out"].as_array().unwrap();
    assert!(left_out.iter().any(|it| it["reason"] == "embedding"));
    assert!(left_out.iter().any(|it| it["reason"] == "no matrix"));
    let csv = shown(&here.output(&format!("inspect {GRPO} --spectrum=4 --csv")));
    assert!(
        csv.lines()
            .next()
            .unwrap()
            .ends_with("singular_value_3,singular_value_4")
    );
    assert_eq!(
        csv.lines().count(),
        1 + spectra["matrices"].as_array().unwrap().len()
    );
    let refused = here.output(&format!("inspect {GRPO} {TARGET} --spectrum"));
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_heat_map_is_digits_in_a_pipe_and_colours_where_asked_for() {
    let here = Workplace::new();
    let map = format!("inspect {GRPO} {TARGET} --heatmap");
    let plain = shown(&here.output(&map));
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let heading = plain
        .lines()
        .find(|line| line.trim_start().starts_with("0 1"))
        .unwrap();
    assert_eq!(
        heading.split_whitespace().collect::<Vec<_>>(),
        ["0", "1", "2", "3"]
    );
    let digits: Vec<Vec<&str>> = plain
        .lines()
        .filter(|line| line.starts_with("attention") || line.starts_with("mlp"))
        .map(|line| line.split_whitespace().skip(1).collect())
        .collect();
    assert_eq!(digits.len(), 5, "{plain}");
    assert!(
        digits
            .iter()
            .all(|row| row.len() == 4 && row.iter().all(|it| it.len() == 1))
    );
    assert!(plain.contains("cosine: 0123456789 from "));

    let coloured = shown(&here.output(&format!("--color always {map}")));
    assert!(
        coloured.contains("\u{1b}[48;5;") || coloured.contains(";48;5;"),
        "{coloured:?}"
    );
    let mut quiet = here.command(&map);
    assert!(!shown(&quiet.env("NO_COLOR", "1").output().unwrap()).contains('\u{1b}'));

    let other = shown(&here.output(&format!("inspect {GRPO} --heatmap")));
    assert!(
        other.contains("norm relative to micro:sft: 0123456789"),
        "{other}"
    );
    // Of a weight that is no number a pass over the weights would have warned.
    let values = vec![f32::NAN, 1.0];
    file(
        &here.path("nan.safetensors"),
        &[("model.norm.weight", &[2], values)],
    );
    for (what, needs) in [
        ("cosine", "a second vector"),
        ("survival", "--dtype bf16"),
        ("relative", "--relative-to"),
    ] {
        for model in ["micro:sft", "'\"nan.safetensors\"'"] {
            let refused = here.output(&format!("inspect {model} --heatmap={what}"));
            assert_eq!(refused.status.code(), Some(2), "{what}");
            assert!(said(&refused).contains(needs), "{}", said(&refused));
            assert!(!said(&refused).contains("finite"), "{}", said(&refused));
        }
    }
}

#[test]
fn vectors_that_do_not_fit_are_refused_with_everything_in_which_they_differ() {
    let here = study();
    let mut other = tensors(1.0, 0.5);
    other[0].1 = &[3, 3];
    other[0].2.truncate(9);
    other[2].0 = "model.layers.0.self_attn.k_proj.bias";
    let zeros: Vec<Tensor<'_>> = (other.iter())
        .map(|(name, shape, values)| (*name, *shape, vec![0.0; values.len()]))
        .collect();
    file(&here.path("other.safetensors"), &other);
    file(&here.path("zeros.safetensors"), &zeros);
    let refused =
        here.output("inspect '\"one\" - \"base\"' '\"other.safetensors\" - \"zeros.safetensors\"'");
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
    for part in [
        "1 shape differs, 2 tensors are on one side only",
        "[4, 3]",
        "[3, 3]",
        "k_proj",
    ] {
        assert!(said(&refused).contains(part), "{}", said(&refused));
    }
    let refused = here.output("inspect '\"one\" - \"base\"' '\"two\"'");
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        said(&refused).contains("`\"two\"` is a model"),
        "{}",
        said(&refused)
    );
    assert!(said(&refused).contains("hint: subtract the base model"));
}

#[test]
fn without_a_cosine_it_says_so() {
    let here = study();
    let nothing = "inspect '\"one\" - \"base\"' 'only(\"two\" - \"base\", \"mlp\")'";
    let output = here.output(nothing);
    assert!(
        said(&output).contains("no cosine in 2 of 3 rows"),
        "{}",
        said(&output)
    );
    assert_eq!(shown(&output).matches(" none ").count(), 2);
    let found = json(&here.output(&format!("{nothing} --json --by tensor")));
    assert_eq!(found["rows"][0]["cosine"], Value::Null);
    assert_eq!(found["rows"][0]["cosine_undefined"], "zero");
    assert_eq!(found["rows"][1]["cosine_undefined"], Value::Null);

    let mut broken = tensors(1.0, 0.5);
    broken[1].2[3] = f32::NAN;
    file(&here.path("broken.safetensors"), &broken);
    let output = here.output("inspect '\"broken.safetensors\" - \"base\"' --json");
    assert!(said(&output).contains("`model.layers.0.mlp.up_proj.weight`: 1 NaN, 0 infinite"));
    let found = json(&output);
    assert_eq!(found["total"]["norm"], Value::Null);
    assert_eq!(
        found["not_finite"][0]["tensor"],
        "model.layers.0.mlp.up_proj.weight"
    );
}
