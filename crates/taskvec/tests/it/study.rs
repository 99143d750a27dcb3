//! Studies: recipes in, tables, records and pages out.

use std::path::Path;

use crate::workplace::Workplace;

const RECIPES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes");

const SMALL: &str = r#"
title = "Small"

[models]
sft = "micro:sft"
grpo = "micro:grpo"
target = "micro:target"

[vectors]
half = "0.5*v"
v = "grpo - sft"
w = "random(v, seed=seed)"

[questions]
tasks = ["micro-gsm"]
limit = 4

[[variant]]
expression = "target"
part = "baseline"

[[variant]]
expression = "target + half"
part = "addition"

[[variant]]
expression = "target + half + w"
part = "together"
"#;

fn successful(here: &Workplace, arguments: &str) -> (String, String) {
    let output = here.output(arguments);
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{arguments}: {stderr}");
    (stdout, stderr)
}

fn text(here: &Workplace, name: &str) -> String {
    std::fs::read_to_string(here.path(name)).unwrap()
}

#[test]
fn a_study_prints_its_tables_resumes_and_becomes_a_page() {
    let here = Workplace::new();
    std::fs::write(here.path("small.toml"), SMALL).unwrap();
    let (tables, _) = successful(&here, "study small.toml --out s");
    for expected in [
        "Small\n",
        "\nAddition: ",
        "\nSeveral vectors: ",
        "\nBetween the vectors: ",
    ] {
        assert!(tables.contains(expected), "{expected}: {tables}");
    }
    // A name may stand for names, and what is measured is an expression that any command takes as it is.
    let records = text(&here, "s/records.jsonl");
    assert!(
        records.contains("\"micro:target + 0.5*(micro:grpo - micro:sft)\""),
        "{records}"
    );
    assert!(records.contains("random(micro:grpo - micro:sft, seed=0)"));
    assert_eq!(records.lines().count(), 12);

    let half: String = records
        .lines()
        .take(7)
        .flat_map(|line| [line, "\n"])
        .collect();
    std::fs::write(here.path("s/records.jsonl"), half).unwrap();
    assert_eq!(successful(&here, "study small.toml --out s").0, tables);
    assert_eq!(text(&here, "s/records.jsonl"), records);

    successful(&here, "report s -o page.html");
    let page = text(&here, "page.html");
    assert!(page.contains("<h1>Small</h1>") && page.contains("<h3>Several vectors</h3>"));
    assert!(page.contains("<h3>Between the vectors</h3>") && page.contains("<bdi>half</bdi>"));
    // The command that makes it again can be pasted.
    assert!(page.contains("taskvec study small.toml --limit 4 --seeds 0 --out DIR"));
    // What is written carries the numbers of these very weights, and of no others.
    let half = "write 'micro:target + 0.5*(micro:grpo - micro:sft)' --results s -o";
    successful(&here, &format!("{half} enhanced"));
    let card = text(&here, "enhanced/README.md");
    assert!(
        card.contains("\nmodel-index:\n- name: \"target + half\"\n")
            && card.contains("type: \"micro-gsm\""),
        "{card}"
    );
    let refused = here.run(&format!("{} other", half.replace("0.5", "0.25")));
    assert!(
        refused.contains("exit code 1")
            && refused.contains("has no results of `micro:target + 0.25*"),
        "{refused}"
    );
    assert!(!here.path("other").exists());
    // More may be asked in the same place, of the same models.
    let (json, _) = successful(&here, "study small.toml --limit 5 --out s --json");
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["repetitions"][0]["report"]["rows"][0]["n"], 5);
    let refused = here.run("study small.toml --let target=micro:sft --out s");
    assert!(
        refused.contains("exit code 1")
            && refused.contains("holds the study `Small` of other models"),
        "{refused}"
    );
}

#[test]
fn targets_and_seeds_have_directories_of_their_own() {
    let here = Workplace::new();
    let recipe = SMALL.replace("target = \"micro:target\"", "")
        + "\n[targets]\nsmall = \"micro:target\"\nother = \"micro:sft\"\n";
    std::fs::write(here.path("r.toml"), recipe).unwrap();
    let (tables, _) = successful(&here, "study r.toml --limit 2 --seeds 3,4 --out s");
    for part in [
        "small/seed-3",
        "small/seed-4",
        "other/seed-3",
        "other/seed-4",
    ] {
        assert!(tables.contains(&format!("\n{part}\n")), "{tables}");
        assert!(here.path(&format!("s/{part}/records.jsonl")).is_file());
    }
    assert!(tables.contains("small: 2 seeds: ") && tables.contains("other: 2 seeds: "));
    assert!(text(&here, "s/small/seed-4/records.jsonl").contains("seed=4"));
    let (markdown, _) = successful(&here, "report s/other/seed-3 --format markdown");
    assert!(
        markdown.starts_with("# Small, other, seed 3\n"),
        "{markdown}"
    );
}

#[test]
fn what_cannot_be_carried_out_is_refused_before_the_first_question() {
    let here = Workplace::new();
    let refused = |from: &str, to: &str, arguments: &str, expected: &[&str]| {
        assert!(SMALL.contains(from));
        std::fs::write(here.path("r.toml"), SMALL.replacen(from, to, 1)).unwrap();
        let text = here.run(&format!("study r.toml --out s {arguments}"));
        for expected in expected {
            assert!(text.contains(expected), "{from} -> {to}: {text}");
        }
        assert!(!here.path("s").exists(), "{from} -> {to}");
    };
    refused(
        "grpo = \"micro:grpo\"",
        "",
        "",
        &["does not say what `grpo` is", "--let grpo=REF"],
    );
    refused(
        "v = \"grpo - sft\"",
        "v = \"half\"",
        "",
        &["stands for an expression without end", "[vectors]"],
    );
    refused(
        "target + half + w",
        "half + w",
        "",
        &["cannot measure `half + w`", "is a vector"],
    );
    refused(
        "target + half + w",
        "target +",
        "",
        &["exit code 2", "cannot measure `target +`"],
    );
    refused(
        "target + half + w",
        "target + \\\"./gone\\\"",
        "",
        &["./gone"],
    );
    refused("micro-gsm", "micro-gms", "", &["micro-gms", "micro-gsm"]);
    refused(
        "limit = 4",
        "prompt_form = \"talk\"",
        "",
        &["there is no prompt form `talk`"],
    );
    refused(
        "title",
        "titel",
        "",
        &["`r.toml` is no recipe of a study", "line 2", "titel"],
    );
    refused(
        "title",
        "title",
        "--base-url http://localhost:1/v1",
        &["--serve"],
    );
    let missing = here.run("study gone.toml --out s");
    assert!(
        missing.contains("cannot read the recipe `gone.toml`"),
        "{missing}"
    );
}

/// Checkpoints of the user's own in every role: micro models, which have room for the longest prompt here.
#[test]
fn every_recipe_of_the_repository_runs() {
    let here = Workplace::new();
    for name in ["base", "sft", "grpo", "target"] {
        successful(&here, &format!("write micro:{name} -o {name}"));
        let path = here.path(&format!("{name}/config.json"));
        let mut config: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config["max_position_embeddings"] = 8192.into();
        std::fs::write(&path, config.to_string()).unwrap();
    }
    // In the form of the published file, which may not be shipped.
    let question = serde_json::json!({"question": "What is wet?", "distractor1": "a stone", "distractor2": "fire",
        "distractor3": "dust", "correct_answer": "water", "support": "Water is wet."});
    std::fs::create_dir_all(here.path("data/sciq")).unwrap();
    std::fs::write(
        here.path("data/sciq/test.json"),
        serde_json::json!([question]).to_string(),
    )
    .unwrap();

    let mut recipes: Vec<_> = std::fs::read_dir(Path::new(RECIPES))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    recipes.sort();
    assert!(recipes.len() >= 4);
    let roles = "--let base=./base --let sft=./sft --let grpo=./grpo --let target=./target";
    for recipe in recipes {
        let name = recipe.file_stem().unwrap().to_str().unwrap().to_owned();
        let (tables, _) = successful(
            &here,
            &format!(
                "study '{}' --limit 1 --data data --out '{name}' {roles}",
                recipe.display()
            ),
        );
        assert!(tables.contains("95 % interval"), "{name}: {tables}");
    }
}
