use super::*;
use crate::condition::Condition;
use crate::report::{Report, Table};
use crate::run::Record;
use crate::run::fixture::record;
use std::path::Path;

const MICRO: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../recipes/micro.toml"
));

fn parse(text: &str) -> Result<Recipe, String> {
    Recipe::parse(Path::new("r.toml"), text).map_err(|error| error.to_string())
}

fn outcome(recipe: &str) -> Outcome {
    let recipe = parse(recipe).unwrap();
    Outcome {
        schema_version: SCHEMA_VERSION,
        command: "taskvec study".to_owned(),
        taskvec: "0.1.0".to_owned(),
        target: None,
        seed: 0,
        again: None,
        tasks: recipe.questions.tasks.clone(),
        unchanged: recipe.questions.unchanged.clone(),
        between: None,
        recipe,
    }
}

/// A model's answers to ten questions, of which it has the named ones right.
fn records(model: &str, task: &str, condition: Condition, right: &[usize]) -> Vec<Record> {
    (0..10)
        .map(|question| Record {
            condition,
            ..record(
                model,
                task,
                &question.to_string(),
                right.contains(&question),
            )
        })
        .collect()
}

#[test]
fn the_embedded_recipe_is_one() {
    let recipe = parse(MICRO).unwrap();
    assert_eq!(recipe.baseline(), "target");
    assert_eq!(
        recipe.tasks().collect::<Vec<_>>(),
        [
            "micro-gsm",
            "micro-bbh",
            "micro-code",
            "micro-sciq",
            "micro-chat"
        ]
    );
    let roles = recipe.roles("micro-gsm");
    assert_eq!(roles.additions, ["target + 0.5 v", "target + 1.0 v"]);
    assert_eq!(roles.subtraction.as_deref(), Some("target - v"));
    assert_eq!(roles.random.as_deref(), Some("target + random(v)"));
    // What is kept beside the records is read back as it was.
    let outcome = outcome(MICRO);
    let read = Outcome::parse(Path::new("study.json"), outcome.to_json().as_bytes());
    assert_eq!(read.unwrap(), outcome);
}

#[test]
fn what_is_no_recipe_says_where_and_why() {
    let changed = |from: &str, to: &str| {
        assert!(MICRO.contains(from), "{from}");
        parse(&MICRO.replacen(from, to, 1)).unwrap_err()
    };
    let error = changed("title =", "titel =");
    assert!(
        error.contains("`r.toml`") && error.contains("line 5"),
        "{error}"
    );
    assert!(error.contains("titel"), "{error}");
    for (from, to, expected) in [
        ("\"baseline\"", "\"control\"", "and 0 have it"),
        ("\"control\"", "\"baseline\"", "and 2 have it"),
        ("\"addition\"", "\"sum\"", "unknown variant `sum`"),
        (
            "\"target + 0.5 v\"",
            "\"target\"",
            "two variants are called `target`",
        ),
        ("seeds = [0]", "seeds = []", "`seeds` is empty"),
        ("seeds = [0]", "seeds = [1, 1]", "the seed 1 is there twice"),
        ("seeds = [0]", "seeds = [-1]", "invalid value"),
        (
            "v = \"grpo",
            "sft = \"grpo",
            "`sft` is a model and a vector",
        ),
        (
            "v = \"grpo",
            "seed = \"grpo",
            "`seed` has a meaning already",
        ),
        (
            "[vectors]",
            "[targets]\na = \"x\"\n[vectors]",
            "`target` has a meaning already",
        ),
        (
            "[\"micro-gsm\", \"micro-bbh\", \"micro-code\", \"micro-sciq\"]",
            "[]",
            "`questions.tasks` is empty",
        ),
        ("[\"clean\", ", "[", "lacks `clean`"),
        ("adversarial", "adverse", "adverse"),
        (
            "unchanged = [\"micro-chat\"]",
            "unchanged = [\"micro-gsm\"]",
            "is among `tasks` and `unchanged`",
        ),
        (
            "limit = 200",
            "prompting = [{ with = \"a\", without = \"micro-gsm\" }]",
            "`a` is in `questions.prompting`",
        ),
    ] {
        let error = changed(from, to);
        assert!(error.contains(expected), "{from} -> {to}: {error}");
    }
    let targets = MICRO.replace("target = \"micro:target\"", "");
    let error = parse(&format!("{targets}\n[targets]\n\"../a\" = \"x\"\n")).unwrap_err();
    assert!(error.contains("cannot be the name of a target"), "{error}");
    assert!(Outcome::parse(Path::new("s"), b"{}").is_err());
}

#[test]
fn tables_hold_the_rows_that_answer_their_question() {
    let outcome = outcome(
        "title = \"t\"
        [questions]
        tasks = [\"plain\", \"steps\"]
        unchanged = [\"chat\"]
        conditions = [\"clean\", \"noise\"]
        prompting = [{ with = \"steps\", without = \"plain\" }]
        [[variant]]
        expression = \"target\"
        part = \"baseline\"
        [[variant]]
        label = \"v\"
        expression = \"target + v\"
        part = \"alone\"
        [[variant]]
        label = \"v + w\"
        expression = \"target + v + w\"
        part = \"together\"",
    );
    let mut all = Vec::new();
    for (model, right) in [("target", 2), ("v", 5), ("v + w", 9)] {
        let right: Vec<usize> = (0..right).collect();
        all.extend(records(model, "plain", Condition::Clean, &right));
        all.extend(records(model, "steps", Condition::Clean, &[0, 9]));
        all.extend(records(model, "plain", Condition::Noise, &right[1..]));
        all.extend(records(model, "chat", Condition::Clean, &right));
    }
    let report = Report::build(&all, Some("target")).unwrap();
    let excerpts = excerpts(&outcome, &report);
    let tables: Vec<(&str, Table)> = excerpts
        .iter()
        .map(|it| (it.title.as_str(), it.table(&report)))
        .collect();
    let titles: Vec<&str> = tables.iter().map(|(title, _)| *title).collect();
    assert_eq!(titles, ["Several vectors", "Attack", "Cost"]);
    assert_eq!(
        tables[0].1.to_text(),
        "\
model          plain        steps
──────  ────────────  ───────────
target          20.0         20.0
v       50.0 (+30.0)  20.0 (+0.0)
v + w   90.0 (+70.0)  20.0 (+0.0)
"
    );
    assert_eq!(tables[1].1.header, ["model", "plain noise"]);
    assert_eq!(tables[2].1.header, ["model", "chat"]);

    let prompted = prompting(&outcome, &all);
    assert_eq!(prompted.len(), 3);
    let last = &prompted[2];
    // The last question is right with the instruction alone, eight of the others without it alone.
    assert_eq!((last.n, last.without, last.with), (10, 0.9, 0.2));
    assert!((last.change + 0.7).abs() < 1e-12 && last.ci_low < -0.7 && last.ci_high > -0.7);
    assert_eq!(prompting_table(&prompted).unwrap().rows.len(), 3);
    assert!(prompting_table(&[]).is_none());
}

#[test]
fn seeds_are_summed_up_by_mean_and_range() {
    let report = |right: &[usize]| {
        let mut all = records("target", "plain", Condition::Clean, &[0, 1]);
        all.extend(records("v", "plain", Condition::Clean, right));
        Report::build(&all, Some("target")).unwrap()
    };
    let (one, two) = (report(&[0, 1, 2]), report(&[0, 1, 2, 3, 4]));
    let table = across_seeds(&[&one, &two]).unwrap();
    assert_eq!(table.rows, [["v", "+20.0 (+10.0 to +30.0)"]]);
    assert!(across_seeds(&[&one]).is_none());
}
