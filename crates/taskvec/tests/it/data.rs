//! Questions that do not ship: from the Hub, whose part a server on this machine plays.

use std::fs;
use std::process::Output;

use crate::workplace::Workplace;
use server::{COMMIT, Server};

#[path = "../../../taskvec-core/tests/it/hub/server.rs"]
#[allow(dead_code, reason = "the tests of the Hub use the rest")]
mod server;

/// Three questions in the form of SciQ; `questions.py` beside it made it.
const PARQUET: &[u8] = include_bytes!("../../../taskvec-eval/tests/goldens/questions.parquet");

fn hub(here: &Workplace, repository: &str, files: &[(&str, &[u8])]) -> Server {
    let empty = here.path("empty");
    fs::create_dir(&empty).unwrap();
    let server = Server::of(&empty);
    server.change(|state| {
        state.repository = repository.to_owned();
        // The Hub's own conversion is a branch; here all branches have all files.
        state
            .revisions
            .insert("refs/convert/parquet".into(), COMMIT.into());
        for (name, bytes) in files {
            state
                .files
                .insert((*name).to_owned(), (bytes.to_vec(), true));
        }
    });
    server
}

/// Scores completions of the first documents of `task`.
fn score(here: &Workplace, server: &Server, task: &str, completions: &[&str]) -> Output {
    let lines = completions.iter().enumerate().map(|(index, completion)| {
        format!(
            "{}\n",
            serde_json::json!({"doc_id": index, "completion": completion})
        )
    });
    fs::write(here.path("made.jsonl"), lines.collect::<String>()).unwrap();
    here.command(&format!("score {task} made.jsonl --data hf --json"))
        .env("HF_ENDPOINT", &server.endpoint)
        .env("HF_HUB_CACHE", here.path("cache"))
        .env_remove("HF_HUB_OFFLINE")
        .output()
        .unwrap()
}

fn strict(here: &Workplace, output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", here.rendered(output));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    summary["strict"].clone()
}

#[test]
fn lines_of_a_configuration_come_from_the_hub_with_their_licence() {
    let here = Workplace::new();
    let question = |text: &str, answer: &str| {
        serde_json::json!({"question": text, "answer": format!("so\n#### {answer}")}).to_string()
    };
    let other = question("Main?", "1");
    let lines = format!("{}\n{}\n", question("One?", "7"), question("Two?", "8"));
    let files = [
        ("README.md", b"card".as_slice()),
        ("main/test.jsonl", other.as_bytes()),
        ("p2/test.jsonl", lines.as_bytes()),
    ];
    let server = hub(&here, "apple/GSM-Symbolic", &files);
    let output = score(
        &here,
        &server,
        "gsm_symbolic_p2_chat",
        &["#### 7", "#### 9"],
    );
    assert_eq!(strict(&here, &output), 0.5);
    let said = here.rendered(&output);
    assert!(
        said.contains("hf:datasets/apple/GSM-Symbolic") && said.contains("CC BY-NC-ND 4.0"),
        "{said}"
    );
    // The second time nothing but the list is asked for.
    server.seen();
    let again = score(
        &here,
        &server,
        "gsm_symbolic_p2_chat",
        &["#### 7", "#### 8"],
    );
    assert_eq!(strict(&here, &again), 1.0);
    let seen = server.seen();
    assert!(
        seen.len() == 1 && seen[0].contains("/api/datasets/"),
        "{seen:?}"
    );
}

#[test]
fn parquet_comes_from_the_hub_as_published_or_as_converted() {
    for name in [
        "data/test-00000-of-00001.parquet",
        "default/test/0000.parquet",
    ] {
        let here = Workplace::new();
        let server = hub(&here, "allenai/sciq", &[(name, PARQUET)]);
        // Lettered choices come in an order drawn for each question; of all three no letter is right for all.
        let output = score(&here, &server, "sciq_chat", &["(A)", "(A)", "(A)"]);
        let said = here.rendered(&output);
        strict(&here, &output);
        assert!(said.contains("CC BY-NC 3.0"), "{said}");
    }
}

#[test]
fn a_data_set_without_the_split_and_a_damaged_file_are_refused() {
    let here = Workplace::new();
    let server = hub(&here, "allenai/sciq", &[("data/train.parquet", PARQUET)]);
    let said = here.rendered(&score(&here, &server, "sciq_chat", &["(A)"]));
    assert!(
        said.contains("has no file that is the split `test`")
            && said.contains("hint: its publisher"),
        "{said}"
    );
    for damage in [8, PARQUET.len() / 2, PARQUET.len() - 20, PARQUET.len() - 6] {
        let here = Workplace::new();
        let mut damaged = PARQUET.to_vec();
        damaged[damage] ^= 0xff;
        damaged[damage + 1] ^= 0xff;
        let server = hub(&here, "allenai/sciq", &[("test.parquet", &damaged)]);
        let output = score(&here, &server, "sciq_chat", &["(A)", "(A)", "(A)"]);
        let code = output.status.code();
        // Not all damage can be seen; none may end in a panic.
        assert!(
            code == Some(0) || code == Some(1),
            "byte {damage}: {}",
            here.rendered(&output)
        );
    }
}

#[test]
fn rewards_of_generated_programs_have_a_judge() {
    let here = Workplace::new();
    let output = here.output("grpo --model micro:base --task humaneval --max-steps 1 -o tuned");
    let said = here.rendered(&output);
    // HumanEval has nothing to train on; that is found out behind the question for a judge.
    assert!(
        said.contains("task `humaneval` has no documents to train on"),
        "{said}"
    );
    assert_eq!(here.names(), Vec::<String>::new());
}
