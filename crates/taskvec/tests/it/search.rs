//! Searches for coefficients by group.

use crate::workplace::Workplace;

const EXPRESSION: &str = "'micro:target + a*(micro:grpo - micro:sft)'";
const QUESTIONS: &str = "--tasks micro-chat --limit 12";

fn search(rest: &str) -> String {
    format!("search {EXPRESSION} --over a --layer-groups 1 {QUESTIONS} --out s {rest}")
}

fn text(here: &Workplace, name: &str) -> String {
    std::fs::read_to_string(here.path(name)).unwrap()
}

fn stdout(here: &Workplace, arguments: &str) -> String {
    let output = here.output(arguments);
    assert!(
        output.status.success(),
        "{arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn json(here: &Workplace, arguments: &str) -> serde_json::Value {
    serde_json::from_str(&stdout(here, arguments)).unwrap()
}

/// What a refused command says; nothing of it is on stdout.
fn refused(here: &Workplace, arguments: &str, code: i32, says: &[&str]) {
    let output = here.output(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
    assert!(output.stdout.is_empty());
    for part in says {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}

#[test]
fn a_search_is_kept_resumed_extended_and_its_model_usable() {
    let here = Workplace::new();
    let first = here.output(&search("--budget 7"));
    let [shown, talk] = [first.stdout, first.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(first.status.success(), "{talk}");
    // A line for each point where there is no terminal.
    assert_eq!(talk.matches(" of 7 evaluations, ").count(), 7, "{talk}");
    assert!(!talk.contains('\u{1b}') && !shown.contains('\u{1b}'));
    assert!(
        shown.starts_with("What leaving out a group changes, from a = 1, on "),
        "{shown}"
    );
    for part in [
        "attention 0-3",
        "mlp 0-3",
        "norm 0-3",
        "embedding",
        "one for all",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // Tied: there is no head to give a coefficient.
    assert!(!shown.contains("lm_head"), "{shown}");
    let mut kept: Vec<_> = std::fs::read_dir(here.path("s"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["records.jsonl", "search.json"]);

    // What a kill left is asked no more, and the end is the same.
    let whole = text(&here, "s/records.jsonl");
    for lines in [3, 17] {
        let part: String = whole
            .lines()
            .take(lines)
            .flat_map(|line| [line, "\n"])
            .collect();
        std::fs::write(here.path("s/records.jsonl"), part + "{\"model\":\"torn").unwrap();
        assert_eq!(stdout(&here, &search("--budget 7")), shown);
        assert_eq!(text(&here, "s/records.jsonl"), whole);
    }

    let small = json(&here, &search("--budget 7 --json"));
    assert_eq!(small["evaluations"], 7);
    assert_eq!(small["search"]["groups"].as_array().unwrap().len(), 4);
    assert_eq!(small["importance"].as_array().unwrap().len(), 4);
    let questions = |part: &str| small[part].as_u64().unwrap();
    assert_eq!(
        questions("validation_questions") + questions("test_questions"),
        12
    );
    // Points see the validation questions alone; the start, without and the picks see the others too.
    let answers = whole.lines().count() as u64;
    assert!(answers <= 7 * questions("validation_questions") + 4 * questions("test_questions"));

    // A larger budget goes on from there.
    let large = json(&here, &search("--budget 10 --json"));
    let models = |document: &serde_json::Value| -> Vec<String> {
        let trials = document["trials"].as_array().unwrap().iter();
        let model = |trial: &serde_json::Value| trial["model"].as_str().unwrap().to_owned();
        trials.map(model).collect()
    };
    assert_eq!(models(&large)[..7], models(&small));
    assert_eq!(models(&small)[0], "a = 1");
    assert_eq!(models(&small)[1], "a = 0");
    assert_eq!(models(&small)[2], "a = 1, embedding = 0");

    assert_eq!(stdout(&here, "report s -o r.html --figures f"), "r.html\n");
    let page = text(&here, "r.html");
    for part in [
        "id=\"search\"",
        "self_attn",
        "--layer-groups 1",
        "--budget 10",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let csv = text(
        &here,
        "f/importance-micro-target-a-micro-grpo-micro-sft.csv",
    );
    assert!(csv.starts_with("group,pattern,tensors,n,") && csv.lines().count() == 5);

    // A point is the model that its expression is, for every other command.
    let trial = &large["trials"][3];
    let expression = trial["expression"].as_str().unwrap();
    assert!(
        expression.contains("{\"self_attn\": 0, else: 1}"),
        "{expression}"
    );
    let alone = json(
        &here,
        &format!("eval '{expression}' {QUESTIONS} --out e --json"),
    );
    assert_eq!(alone["rows"][0]["n"], 12);
    let completions = |file: &str, model: &str| -> Vec<String> {
        text(&here, file)
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .filter(|record| model.is_empty() || record["model"] == model)
            .map(|record| format!("{} {}", record["doc_id"], record["completion"]))
            .collect()
    };
    let evaluated = completions("e/records.jsonl", "");
    let searched = completions("s/records.jsonl", trial["model"].as_str().unwrap());
    assert!(!searched.is_empty());
    assert!(searched.iter().all(|it| evaluated.contains(it)));
    let found = large["found"]["expression"].as_str().unwrap();
    stdout(&here, &format!("check '{found}'"));
    stdout(&here, &format!("write '{found}' -o model"));
}

#[test]
fn a_vector_in_few_places_has_few_groups() {
    let here = Workplace::new();
    let expression = "micro:target + a*only(micro:grpo - micro:sft, \"layers.0-1.mlp\")";
    let found = json(
        &here,
        &format!(
            "search '{expression}' --over a --layer-groups 2 {QUESTIONS} --budget 3 --out s --json"
        ),
    );
    let groups = found["search"]["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0]["name"], "mlp 0-1");
    assert_eq!(groups[0]["tensors"], 6);
}

#[test]
fn searches_that_make_no_sense() {
    let here = Workplace::new();
    refused(&here, &search("--budget 0"), 2, &["--budget", "0"]);
    refused(&here, &search("--layer-groups 0"), 2, &["--layer-groups"]);
    refused(
        &here,
        &search("--start 0"),
        2,
        &["at 0 there is nothing to leave out"],
    );
    refused(&here, &search("--step -1"), 2, &["--step"]);
    refused(&here, &search("--step 0"), 2, &["above 0"]);
    refused(&here, &search("--validation 1"), 2, &["between 0 and 1"]);
    let with =
        |expression: &str, rest: &str| format!("search '{expression}' {QUESTIONS} --out s {rest}");
    refused(
        &here,
        &with("micro:target + (micro:grpo - micro:sft)", "--over a"),
        2,
        &[
            "error: `a` is given values, but it is not in `micro:target",
            "hint: ",
        ],
    );
    refused(
        &here,
        &with(
            "micro:target + a*(micro:grpo - micro:sft)",
            "--over a=0:1:0.5",
        ),
        2,
        &["expected a name alone, such as a"],
    );
    refused(
        &here,
        &with(
            "micro:target + a*(micro:grpo - micro:sft)",
            "--over a --let a=micro:base",
        ),
        2,
        &["error: `a` is a checkpoint and a coefficient"],
    );
    refused(
        &here,
        &with("a*(micro:grpo - micro:sft)", "--over a"),
        2,
        &["is a vector; a model is needed to evaluate"],
    );
    refused(
        &here,
        &with("micro:target + a*(micro:grpo - micro:grpo)", "--over a"),
        1,
        &["`a` changes nothing in `micro:target + a*(micro:grpo - micro:grpo)`"],
    );
    refused(
        &here,
        &with("micro:target + (micro:grpo - micro:sft)/a", "--over a"),
        2,
        &["cannot leave anything out: `a = 0`", "zero"],
    );
    refused(
        &here,
        &search("--validation 0.000001"),
        1,
        &[
            "none of the 12 questions of `micro-chat` is in the validation part",
            "hint: ",
        ],
    );
    refused(
        &here,
        &search("--conditions noise,clean"),
        2,
        &["`micro-chat` is not asked under `noise`"],
    );
    // Found before anything was made.
    assert_eq!(here.names(), [""; 0]);
}

#[test]
fn directories_of_something_else() {
    let here = Workplace::new();
    std::fs::create_dir(here.path("s")).unwrap();
    std::fs::write(here.path("s/search.json"), "{}").unwrap();
    let small = search("--budget 1");
    refused(
        &here,
        &small,
        1,
        &["search.json` does not describe a search: missing field"],
    );
    std::fs::remove_dir_all(here.path("s")).unwrap();
    stdout(&here, &small);
    refused(
        &here,
        &small.replace("--layer-groups 1", "--layer-groups 2"),
        1,
        &[
            "`s` holds a search in 4 groups of `micro:target + a*(micro:grpo - micro:sft)`",
            "hint: pass another directory",
        ],
    );
    let sweep = format!("sweep {EXPRESSION} --over a=1 {QUESTIONS} --out");
    refused(
        &here,
        &format!("{sweep} s"),
        1,
        &["`s` holds a search of `micro:target"],
    );
    stdout(&here, &format!("{sweep} t"));
    refused(
        &here,
        &small.replace("--out s", "--out t"),
        1,
        &["`t` holds a sweep of"],
    );
    assert!(!here.path("t/search.json").exists());

    // A page shows a search that is finished, or says what is missing.
    let whole = text(&here, "s/records.jsonl");
    let part: String = whole
        .lines()
        .take(2)
        .flat_map(|line| [line, "\n"])
        .collect();
    std::fs::write(here.path("s/records.jsonl"), part).unwrap();
    refused(
        &here,
        "report s",
        1,
        &[
            "the search is not finished: `a = 1` has not answered",
            "hint: run the same",
        ],
    );
}
