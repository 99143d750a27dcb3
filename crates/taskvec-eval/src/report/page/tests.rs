//! Pages from made-up records: what they show, what they must not do, and how they look in a browser.

use super::*;
use crate::condition::Condition;
use crate::error::Error;
use crate::generator::{Finish, Sampling};
use crate::report::html::reading::{HOSTILE, embedded, numbers, prose};
use crate::report::{Found, Group, Report};
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
                records.push(Record {
                    model: model.to_owned(),
                    expression: format!("expression of {model}"),
                    fingerprint: "c0ffee".repeat(10),
                    engine: "made up 1".to_owned(),
                    task: name.to_owned(),
                    task_version: task.version().to_owned(),
                    metric: task.protocol().metric(),
                    condition,
                    doc_id: document.id.clone(),
                    kind: document.kind.clone(),
                    sample: 0,
                    seed: 0,
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
                    log_probabilities: Vec::new(),
                    reference: document.reference.clone(),
                    document_sha256: String::new(),
                    score: SampleScore {
                        correct: is_right,
                        flexible_correct: is_right || index % 10 == 0,
                        strict: (index % 6 != 5).then_some(answer.clone()),
                        flexible: Some(answer),
                    },
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
        tasks: vec!["micro-gsm".to_owned()],
        unchanged: vec!["micro-chat".to_owned()],
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

#[test]
fn a_study_is_shown_by_its_questions() {
    let page = study();
    let data = page.data();
    assert_eq!(data.title, "A study");
    assert_eq!(data.report.baseline.as_deref(), Some("target"));
    assert_eq!(data.models[data.headline_model].label, "target + 1.0 v");
    let titles: Vec<&str> = data.excerpts.iter().map(|it| it.title.as_str()).collect();
    assert_eq!(
        titles,
        ["Addition", "Subtraction", "Controls", "Attack", "Cost"]
    );
    let conclusion = data.report.conclusion.as_deref().unwrap();
    assert!(conclusion.contains("adding the vector"), "{conclusion}");
    for text in [page.to_html(), page.to_markdown()] {
        assert!(text.contains("What became of what should not change?"));
        let beginning = "On micro-gsm (n = 120), adding the vector (";
        assert!(
            conclusion.starts_with(beginning) && text.contains(beginning),
            "{conclusion}"
        );
    }
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

#[test]
fn every_number_is_recomputed_from_the_samples_in_the_page() {
    for page in [study(), swept(), searched()] {
        let data: PageData = serde_json::from_value(embedded(&page.to_html(), "data")).unwrap();
        let recomputed = recompute(&data);
        assert_eq!(recomputed.len(), data.report.rows.len());
        for (row, expected) in data.report.rows.iter().zip(&recomputed) {
            let found = serde_json::to_value(row).unwrap();
            for (field, expected) in expected {
                let found = found.pointer(field).and_then(serde_json::Value::as_f64);
                let found = found.unwrap_or_else(|| panic!("{field} of {}", row.model));
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{field} of {}: {found}, {expected}",
                    row.model
                );
            }
        }
        for row in &data.robustness {
            let counts = pairs(
                &data,
                (&row.model, &row.task, row.condition),
                (&row.model, &row.task, Condition::Clean),
            );
            let interval = newcombe_paired(counts, Z_95);
            assert_eq!(
                (row.change, row.ci_low, row.ci_high),
                (counts.difference(), interval.low, interval.high)
            );
            assert_eq!(row.n, counts.n());
        }
    }
}

type Place<'a> = (&'a str, &'a str, Condition);

/// A model's answers to a task under a condition, by question.
fn answers<'a>(
    data: &'a PageData,
    (model, task, condition): Place<'_>,
) -> BTreeMap<&'a str, &'a Answer> {
    let index = data
        .models
        .iter()
        .position(|known| known.label == model)
        .unwrap();
    let cell = data
        .cells
        .iter()
        .find(|cell| cell.task == task && cell.condition == condition);
    let questions = cell.unwrap().questions.iter();
    questions
        .filter_map(|question| Some((question.id.as_str(), question.answers[index].as_ref()?)))
        .collect()
}

fn pairs(data: &PageData, one: Place<'_>, other: Place<'_>) -> PairedCounts {
    let (one, other) = (answers(data, one), answers(data, other));
    PairedCounts::count(
        one.iter()
            .map(|(id, answer)| (answer.correct, other[id].correct)),
    )
}

/// The numbers of each row, by their place in it.
fn recompute(data: &PageData) -> Vec<BTreeMap<&'static str, f64>> {
    let mut rows = Vec::new();
    for row in &data.report.rows {
        let place = (row.model.as_str(), row.task.as_str(), row.condition);
        let answers = answers(data, place);
        let count = |counted: &dyn Fn(&Answer) -> bool| {
            answers.values().filter(|answer| counted(answer)).count() as f64
        };
        let n = answers.len() as f64;
        let correct = count(&|answer| answer.correct);
        let interval = wilson(correct as u64, n as u64, Z_95);
        let tokens: usize = answers.values().map(|answer| answer.tokens).sum();
        let mut numbers = BTreeMap::from([
            ("/n", n),
            ("/correct", correct),
            ("/accuracy", correct / n),
            ("/ci_low", interval.low),
            ("/ci_high", interval.high),
            (
                "/flexible_accuracy",
                count(&|answer| answer.flexible_correct) / n,
            ),
            ("/mean_tokens", tokens as f64 / n),
            (
                "/truncated",
                count(&|answer| answer.finish == Some(Finish::Length)),
            ),
        ]);
        if let Some(baseline) = data
            .report
            .baseline
            .as_deref()
            .filter(|label| *label != row.model)
        {
            let counts = pairs(data, place, (baseline, place.1, place.2));
            let interval = newcombe_paired(counts, Z_95);
            numbers.extend([
                ("/difference/value", counts.difference()),
                ("/difference/ci_low", interval.low),
                ("/difference/ci_high", interval.high),
                ("/difference/gained", counts.only_first as f64),
                ("/difference/lost", counts.only_second as f64),
                ("/difference/p_value", mcnemar_exact(counts)),
            ]);
        }
        rows.push(numbers);
    }
    let p_values: Vec<f64> = rows
        .iter()
        .filter_map(|row| row.get("/difference/p_value").copied())
        .collect();
    let mut adjusted = holm(&p_values).into_iter();
    for row in &mut rows {
        if row.contains_key("/difference/p_value") {
            row.insert("/difference/p_value_adjusted", adjusted.next().unwrap());
        }
    }
    rows
}

#[test]
fn every_number_shown_is_the_datas() {
    for page in [study(), swept()] {
        let html = page.to_html();
        let data = embedded(&html, "data");
        let count = numbers(&html);
        assert!(count > 80, "{count} numbers");
        // Digits outside are those of names, of the method and of counts of things that the page lists.
        let mut words: Vec<String> = Vec::new();
        for word in prose(&html).split_whitespace() {
            let word = word.trim_matches(['.', ',', ';', ':', '`']);
            if word.bytes().any(|byte| byte.is_ascii_digit()) && !words.contains(&word.to_owned()) {
                words.push(word.to_owned());
            }
        }
        let is_explained = |word: &str| {
            let data: PageData = serde_json::from_value(data.clone()).unwrap();
            let answers: u64 = data.report.rows.iter().map(|row| row.n).sum();
            let mut known = vec![
                data.models.len().to_string(),
                data.report.cells().len().to_string(),
                answers.to_string(),
            ];
            known.extend(data.cells.iter().flat_map(|cell| {
                [
                    cell.questions.len().to_string(),
                    cell.seed.to_string(),
                    cell.task_version.clone(),
                ]
            }));
            known.extend(data.sources.iter().map(|source| source.records.to_string()));
            known.extend(
                ["95", "0", "1", "0.05", "SHA-256", env!("CARGO_PKG_VERSION")].map(str::to_owned),
            );
            known.iter().any(|known| known == word)
        };
        let title = page.data().title.clone();
        words.retain(|word| !is_explained(word) && !title.contains(word.as_str()));
        assert_eq!(words, [""; 0], "numbers from nowhere");
    }
}

#[test]
fn figures_and_their_data_are_the_reports() {
    let page = study();
    let report: &Report = &page.data().report;
    for figure in page.figures() {
        assert!(
            figure.wide.starts_with("<svg ") && figure.narrow.starts_with("<svg "),
            "{}",
            figure.id
        );
        if !figure.id.starts_with("bars-") {
            continue;
        }
        for line in figure.csv.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let row = report
                .rows
                .iter()
                .find(|row| {
                    row.model == fields[0]
                        && row.task == fields[1]
                        && row.condition.name() == fields[2]
                })
                .unwrap();
            assert_eq!(fields[4].parse::<f64>().unwrap(), row.accuracy);
            let difference = row.difference.as_ref().map(|difference| difference.value);
            assert_eq!(fields[7].parse::<f64>().ok(), difference);
            for svg in [&figure.wide, &figure.narrow] {
                assert!(
                    svg.contains(&format!("\n{:.1}\n", 100.0 * row.accuracy)),
                    "{}",
                    figure.id
                );
            }
        }
    }
    let ids: std::collections::BTreeSet<String> =
        page.figures().into_iter().map(|figure| figure.id).collect();
    assert_eq!(ids.len(), page.figures().len());
    assert_eq!(ids.iter().filter(|id| id.starts_with("heat-")).count(), 3);
}

#[test]
fn a_sweep_becomes_curves_in_the_order_of_its_values() {
    let page = swept();
    assert_eq!(page.data().report.baseline.as_deref(), Some("a = 0, b = 0"));
    let data = page.data();
    assert_eq!(data.curves.len(), 3);
    for curve in &data.curves {
        let xs: Vec<f64> = curve.points.iter().map(|point| point.x).collect();
        assert_eq!(xs, [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5]);
        for point in &curve.points {
            let row = &data.report.rows[point.row];
            assert_eq!(row.model, label(point.x, 0.0));
            assert_eq!(
                (row.task.as_str(), row.condition),
                (curve.task.as_str(), curve.condition)
            );
        }
    }
    let figures = page.figures();
    let curves: Vec<&Figure> = figures
        .iter()
        .filter(|figure| figure.id.starts_with("curve-"))
        .collect();
    // Tasks share a sheet where the condition is one.
    let lines: Vec<usize> = curves
        .iter()
        .map(|figure| figure.csv.lines().count())
        .collect();
    assert_eq!(lines, [13, 7]);
}

fn searched() -> Page {
    let (found, records) = crate::search::tests::finished();
    let run = Run {
        search: Some(found),
        ..run("found/records.jsonl", records, None)
    };
    Page::build(&[run], &PageOptions::default()).unwrap()
}

#[test]
fn a_search_is_shown_by_group_and_measured_on_what_had_no_say() {
    let page = searched();
    let data = page.data();
    let found = &data.searches[0].outcome;
    // The headline is what was found, which other questions chose.
    let headline = &data.models[data.headline_model].label;
    assert_eq!(
        (headline, data.headline_is_best),
        (&found.found.model, false)
    );
    assert_eq!(data.report, found.report);
    let figures = page.figures();
    let figure = figures
        .iter()
        .find(|figure| figure.id == "importance-target-a-v")
        .unwrap();
    for (line, row) in figure.csv.lines().skip(1).zip(&found.importance) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields[0], row.group.name);
        assert_eq!(fields[6].parse::<f64>().unwrap(), row.change.value);
        assert_eq!(fields[11], found.coefficient(&row.group).unwrap().text);
    }
    assert_eq!(figure.csv.lines().count(), 3);
    let html = page.to_html();
    for part in ["id=\"search\"", "layers.1.mlp", "one for all", &figure.id] {
        assert!(html.contains(part), "{part}");
    }
    // A group that the budget did not reach has a coefficient and no bar.
    let mut short = crate::search::tests::finished();
    short.0.outcome.importance.clear();
    let run = Run {
        search: Some(short.0),
        ..run("found/records.jsonl", short.1, None)
    };
    let page = Page::build(&[run], &PageOptions::default()).unwrap();
    assert!(
        page.figures()
            .iter()
            .all(|it| !it.id.starts_with("importance-"))
    );
    assert!(page.to_html().contains("layers.1.mlp"));
}

#[test]
fn a_grid_has_a_curve_for_each_value_of_the_other_variable() {
    let (sweep, records) = sweep(&[0.0, 1.0], &[0.0, 0.5]);
    let page = Page::build(&[run("s", records, Some(sweep))], &PageOptions::default()).unwrap();
    let held: Vec<&str> = page
        .data()
        .curves
        .iter()
        .map(|curve| curve.held.as_str())
        .collect();
    assert_eq!(
        held,
        ["b = 0", "b = 0.5", "b = 0", "b = 0.5", "b = 0", "b = 0.5"]
    );
}

#[test]
fn hostile_text_stays_text() {
    let mut all = records("target", 0.4, 40);
    for (index, text) in HOSTILE.iter().enumerate() {
        all.extend(records(text, 0.1 * index as f64, 40));
    }
    for record in &mut all {
        record.expression = format!("{} {}", record.expression, HOSTILE[1]);
        record.kind = HOSTILE[2].to_owned();
    }
    let options = PageOptions {
        title: Some(HOSTILE[5].to_owned()),
        commands: vec![HOSTILE[0].to_owned()],
        ..PageOptions::default()
    };
    let page = Page::build(&[run(HOSTILE[2], all, None)], &options).unwrap();
    let html = page.to_html();
    // The template's own script elements and no other; no element or handler of a model's.
    assert_eq!(html.matches("<script").count(), 3);
    assert_eq!(html.matches("</script").count(), 3);
    assert_eq!(html.matches("</style").count(), 1);
    assert_eq!(html.matches("</title").count(), 1);
    assert!(!html.contains("<img"));
    assert!(!html.contains(['\u{0}', '\u{1b}', '\u{202e}', '\u{2066}']));
    assert!(!html.contains(" 49 "));
    // And yet nothing is lost.
    let data: PageData = serde_json::from_value(embedded(&html, "data")).unwrap();
    assert_eq!(&data, page.data());
    for figure in page.figures() {
        assert!(!figure.wide.contains("<script") && !figure.wide.contains("<img"));
        assert!(!figure.wide.contains(['\u{0}', '\u{1b}']));
    }
}

#[test]
fn nothing_is_fetched() {
    let html = study().to_html();
    let start = html.find("Content-Security-Policy").unwrap();
    let policy = &html[start..start + 400];
    assert!(
        policy.contains("default-src &#x27;none&#x27;") || policy.contains("default-src 'none'"),
        "{policy}"
    );
    for (index, _) in html.match_indices("http") {
        let place: String = html[index..].chars().take(30).collect();
        assert!(
            place.starts_with("http://www.w3.org/2000/svg") || place.starts_with("http-equiv"),
            "{place}"
        );
    }
    // The answers are data, in which anything may stand.
    let own = &html[..html.find("<script type=").unwrap()];
    assert!(!own.contains(" src=") && !own.contains("url("));
}

#[test]
fn what_is_missing_is_named() {
    let build = |options: &PageOptions| {
        Page::build(&[run("r", records("target", 0.5, 5), None)], options)
            .unwrap_err()
            .to_string()
    };
    let baseline = PageOptions {
        baseline: Some("base".to_owned()),
        ..PageOptions::default()
    };
    assert_eq!(
        build(&baseline),
        "no records of `base`: the models are `target`"
    );
    let model = PageOptions {
        model: Some("tuned".to_owned()),
        ..PageOptions::default()
    };
    assert_eq!(
        build(&model),
        "no records of `tuned`: the models are `target`"
    );
    let error = Page::build(&[run("r", Vec::new(), None)], &PageOptions::default()).unwrap_err();
    assert!(matches!(error, Error::NothingToReport));
}

#[test]
fn models_asked_different_questions_are_shown_without_differences() {
    let mut all = records("target", 0.5, 40);
    all.extend(records("tuned", 0.6, 30));
    let page = Page::build(&[run("r", all, None)], &PageOptions::default()).unwrap();
    assert_eq!(page.data().report.baseline, None);
    assert!(
        page.data().notes[0].starts_with("no differences are shown: "),
        "{:?}",
        page.data().notes
    );
    assert!(page.to_html().contains("no differences are shown"));
}

#[test]
fn a_record_in_two_files_counts_once() {
    let all = records("target", 0.5, 20);
    let twice = [run("one", all.clone(), None), run("two", all.clone(), None)];
    let page = Page::build(&twice, &PageOptions::default()).unwrap();
    assert_eq!(page.data().report.rows[0].n, 20);
}

#[test]
fn markdown_and_model_index() {
    let page = study();
    let markdown = page.to_markdown();
    assert!(markdown.starts_with("# A study\n\n| model "), "{markdown}");
    assert!(markdown.contains("## Under perturbation"));
    let index = page.to_model_index();
    let row = page
        .data()
        .report
        .row("target + 1.0 v", "micro-gsm", Condition::Clean)
        .unwrap();
    assert!(
        index.starts_with("model-index:\n- name: \"target + 1.0 v\"\n  results:\n  - task:\n"),
        "{index}"
    );
    assert!(index.contains(&format!("      value: {:?}\n", row.accuracy)));
    assert_eq!(index.matches("  - task:").count(), 3);
}

#[test]
fn inspections_that_a_report_cannot_show_are_refused() {
    let parse = |text: &str| {
        Inspection::parse(std::path::Path::new("v.json"), text.as_bytes())
            .unwrap_err()
            .to_string()
    };
    assert!(parse("[]").contains("`v.json` is no inspection"));
    let by_tensor = r#"{"schema_version": 1, "by": "tensor"}"#;
    assert!(
        parse(by_tensor).ends_with("its rows are one for each tensor, expected one for each group")
    );
    let later = r#"{"schema_version": 9, "by": "group"}"#;
    assert!(parse(later).ends_with("its schema version is 9, expected 1"));
    assert!(
        parse(r#"{"schema_version": 1, "by": "group"}"#).contains("missing field `expression`")
    );
}

/// Opens pages in Chromium: see `scripts/browser-test.py` for what is looked at.
#[test]
#[expect(
    clippy::print_stdout,
    reason = "who reads the log should know that this was not looked at"
)]
fn pages_work_in_a_browser() {
    if std::env::var_os("TASKVEC_OFFLINE").is_some_and(|value| value == "1") {
        println!("skipped: TASKVEC_OFFLINE=1, and the browser comes from a registry");
        return;
    }
    let scripts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
    let environment = std::process::Command::new("sh")
        .arg(scripts.join("browser-env.sh"))
        .output()
        .unwrap();
    assert!(
        environment.status.success(),
        "scripts/browser-env.sh: {}",
        String::from_utf8_lossy(&environment.stderr)
    );
    let python = String::from_utf8(environment.stdout).unwrap();
    // Screenshots stay where somebody wants to look at them.
    let kept = std::env::var_os("TASKVEC_SCREENSHOTS").map(std::path::PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let directory = kept.unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&directory).unwrap();
    let (rewarded, taught) = crate::report::training::tests::pages();
    for (name, html) in [
        ("study", study().to_html()),
        ("sweep", swept().to_html()),
        ("training-grpo", rewarded.to_html()),
        ("training-sft", taught.to_html()),
    ] {
        std::fs::write(directory.join(format!("{name}.html")), html).unwrap();
    }
    let output = std::process::Command::new(python.trim())
        .arg(scripts.join("browser-test.py"))
        .arg(&directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
