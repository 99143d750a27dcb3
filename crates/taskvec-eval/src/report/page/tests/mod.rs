//! Pages from made-up records. Here is what they are made of; below, what they show and what they must not do.

mod browser;
mod numbers;
mod refused;
mod shown;

use super::*;
use crate::condition::Condition;
use crate::error::Error;
use crate::generator::{Finish, Sampling};
use crate::report::html::reading::{HOSTILE, embedded, numbers, prose};
use crate::report::{Found, Group, Report};
use crate::run::fixture::record;
use crate::run::{Request, prompt_hash};
use crate::statistics::{PairedCounts, Z_95, holm, mcnemar_exact, newcombe_paired, wilson};
use crate::study::Recipe;
use crate::sweep::{Point, Sweep, Value, Variable};
use crate::task::{PromptForm, Protocol, Registry, SampleScore, Selection};
use std::collections::BTreeMap;

/// Answers of a model of a certain skill, from 0 to 1, to the questions of two tasks.
fn records(model: &str, skill: f64, limit: usize) -> Vec<Record> {
    let mut records = Vec::new();
    for (name, conditions) in [
        ("micro-gsm", &[Condition::Clean, Condition::Adversarial][..]),
        ("micro-chat", &[Condition::Clean][..]),
    ] {
        let task = Registry::standard().get(name).unwrap();
        let Protocol::Generative(protocol) = task.protocol() else {
            panic!("a multiple-choice task")
        };
        for &condition in conditions {
            let selection = Selection {
                condition,
                limit: Some(limit),
                ..Selection::test()
            };
            for (index, document) in task.documents(&selection).unwrap().iter().enumerate() {
                // The same questions are hard for every model, and harder perturbed.
                let difficulty = (index * 37 % limit) as f64 / limit as f64;
                let skill = skill
                    - if condition == Condition::Clean {
                        0.0
                    } else {
                        0.15
                    };
                let is_right = match name {
                    "micro-chat" => difficulty < 0.9,
                    _ => difficulty < skill,
                };
                let answer = match (is_right, index % 4) {
                    (true, _) => document.reference.clone(),
                    (false, 0) => HOSTILE[index / 4 % HOSTILE.len()].to_owned(),
                    (false, _) => (index * 7 % 90).to_string(),
                };
                let prompt = protocol.prompt(document, PromptForm::Chat);
                let record = record(model, name, &document.id, is_right);
                records.push(Record {
                    expression: format!("expression of {model}"),
                    fingerprint: "c0ffee".repeat(10),
                    engine: "made up 1".to_owned(),
                    task_version: task.version().to_owned(),
                    metric: task.protocol().metric(),
                    condition,
                    kind: document.kind.clone(),
                    prompt_sha256: prompt_hash(&prompt),
                    prompt,
                    request: Request::Generate {
                        max_new_tokens: 64,
                        stop: vec!["\n".to_owned()],
                        sampling: Sampling::greedy(),
                    },
                    completion: format!(" First we count, then we add. The answer is {answer}."),
                    finish: Some(if index % 9 == 4 {
                        Finish::Length
                    } else {
                        Finish::EndOfSequence
                    }),
                    token_count: 10 + index % 5,
                    reference: document.reference.clone(),
                    score: SampleScore {
                        correct: is_right,
                        flexible_correct: is_right || index % 10 == 0,
                        strict: (index % 6 != 5).then_some(answer.clone()),
                        flexible: Some(answer),
                    },
                    ..record
                });
            }
        }
    }
    records
}

fn vector() -> Inspection {
    let mut rows = Vec::new();
    let modules = [
        "attention.q",
        "attention.k",
        "attention.v",
        "attention.o",
        "mlp",
        "norm",
    ];
    for layer in 0..4u32 {
        for (index, module) in modules.iter().enumerate() {
            let norm = f64::from(layer + 1) * (index as f64 + 0.5) / 3.0;
            rows.push(Group {
                layer: Some(layer),
                module: (*module).to_owned(),
                norm,
                relative_norm: Some(norm / 40.0),
                survival: Some(0.5 + norm / 20.0),
            });
        }
    }
    rows.push(Group {
        layer: None,
        module: "embedding".to_owned(),
        norm: 2.5,
        relative_norm: Some(0.05),
        survival: None,
    });
    Inspection {
        expression: "grpo - sft".to_owned(),
        kind: "vector".to_owned(),
        origin: Some("sft".to_owned()),
        total: Found {
            elements: 123_456,
            norm: 11.25,
            relative_norm: Some(0.08),
            survival: Some(0.75),
        },
        rows,
    }
}

fn run(path: &str, records: Vec<Record>, sweep: Option<Sweep>) -> Run {
    Run {
        path: path.to_owned(),
        sha256: "ab".repeat(32),
        records,
        torn: None,
        sweep,
        study: None,
        search: None,
    }
}

/// What made the records of [`study`].
fn outcome() -> Outcome {
    let variants: String = [
        ("target", "baseline"),
        ("target - v", "subtraction"),
        ("target + 0.5 v", "addition"),
        ("target + 1.0 v", "addition"),
        ("target + random(v)", "random"),
    ]
    .iter()
    .map(|(label, part)| {
        format!("[[variant]]\nlabel = \"{label}\"\nexpression = \"x\"\npart = \"{part}\"\n")
    })
    .collect();
    let text = format!(
        "title = \"A study\"\n[questions]\ntasks = [\"micro-gsm\"]\nunchanged = [\"micro-chat\"]\n\
         conditions = [\"clean\", \"adversarial\"]\n{variants}"
    );
    Outcome {
        schema_version: crate::study::SCHEMA_VERSION,
        command: "taskvec study".to_owned(),
        taskvec: "0.1.0".to_owned(),
        recipe: Recipe::parse(std::path::Path::new("recipe.toml"), &text).unwrap(),
        target: None,
        seed: 0,
        again: None,
        tasks: vec!["micro-gsm".to_owned()],
        unchanged: vec!["micro-chat".to_owned()],
        between: None,
    }
}

fn study() -> Page {
    let mut all = Vec::new();
    for (model, skill) in [
        ("target", 0.42),
        ("target - v", 0.2),
        ("target + 0.5 v", 0.6),
        ("target + 1.0 v", 0.68),
        ("target + random(v)", 0.43),
    ] {
        all.extend(records(model, skill, 120));
    }
    let options = PageOptions {
        vectors: vec![vector()],
        commands: vec!["taskvec eval 'target + 0.5*(grpo - sft)' --tasks micro-gsm".to_owned()],
        ..PageOptions::default()
    };
    let run = Run {
        study: Some(outcome()),
        ..run("out/records.jsonl", all, None)
    };
    Page::build(&[run], &options).unwrap()
}

fn label(a: f64, b: f64) -> String {
    format!("a = {a}, b = {b}")
}

fn sweep(a: &[f64], b: &[f64]) -> (Sweep, Vec<Record>) {
    let variable = |name: &str, values: &[f64]| Variable {
        name: name.to_owned(),
        values: values
            .iter()
            .map(|&number| Value {
                text: number.to_string(),
                number,
            })
            .collect(),
    };
    let mut points = Vec::new();
    let mut all = Vec::new();
    for (i, &x) in a.iter().enumerate() {
        for (j, &y) in b.iter().enumerate() {
            points.push(Point {
                model: label(x, y),
                expression: format!("target + {x}*v + {y}*w"),
                indices: vec![i, j],
            });
            all.extend(records(
                &label(x, y),
                0.4 + 0.3 * x * (1.6 - x) + 0.05 * y,
                60,
            ));
        }
    }
    let sweep = Sweep {
        schema_version: crate::sweep::SCHEMA_VERSION,
        command: "taskvec sweep".to_owned(),
        taskvec: "0.1.0".to_owned(),
        expression: "target + a*v + b*w".to_owned(),
        bindings: Vec::new(),
        variables: vec![variable("a", a), variable("b", b)],
        tasks: vec!["micro-gsm".to_owned(), "micro-chat".to_owned()],
        conditions: vec![Condition::Clean, Condition::Adversarial],
        limit: Some(60),
        seed: 0,
        samples: 1,
        temperature: 0.0,
        prompt_form: "auto".to_owned(),
        points,
    };
    (sweep, all)
}

fn swept() -> Page {
    let (sweep, mut records) = sweep(&[-1.0, -0.5, 0.0, 0.5, 1.0, 1.5], &[0.0]);
    // In the order in which a sweep asks.
    records.reverse();
    let options = PageOptions::default();
    Page::build(
        &[run("sweep/records.jsonl", records, Some(sweep))],
        &options,
    )
    .unwrap()
}

fn searched() -> Page {
    let (found, records) = crate::search::tests::finished();
    let run = Run {
        search: Some(found),
        ..run("found/records.jsonl", records, None)
    };
    Page::build(&[run], &PageOptions::default()).unwrap()
}
