//! Searches over made-up models.

use super::*;
use crate::generator::{Finish, Prompt, Sampling};
use crate::run::{Record, Request};
use crate::task::{Metric, SampleScore};
use std::cell::RefCell;

fn number(text: &str) -> Coefficient {
    text.parse().unwrap()
}

fn value(text: &str) -> Value {
    Value {
        text: text.to_owned(),
        number: number(text).to_f64(),
    }
}

fn search(groups: usize, budget: usize) -> Search {
    Search {
        schema_version: SCHEMA_VERSION,
        command: "taskvec search".to_owned(),
        taskvec: "0.1.0".to_owned(),
        expression: "target + a*v".to_owned(),
        bindings: Vec::new(),
        variable: "a".to_owned(),
        layer_groups: 3,
        groups: (0..groups)
            .map(|index| Group {
                name: format!("mlp {index}"),
                pattern: format!("layers.{index}.mlp"),
                tensors: 3,
            })
            .collect(),
        start: value("1"),
        step: value("0.5"),
        halvings: 1,
        budget,
        tasks: vec!["t".to_owned()],
        conditions: vec![Condition::Clean],
        limit: None,
        seed: 0,
        prompt_form: "auto".to_owned(),
        validation: 0.5,
        division_seed: 0,
    }
}

/// Right answers that fall with the distance to a peak, each group by its weight.
fn hill(peak: &'static [(&'static str, f64)]) -> impl Fn(&Place) -> u64 {
    move |place| {
        let lost: f64 = place
            .iter()
            .zip(peak)
            .map(|(value, (top, weight))| weight * (value.to_f64() - number(top).to_f64()).abs())
            .sum();
        (1000.0 - 100.0 * lost) as u64
    }
}

fn walked(space: &Space, right: impl Fn(&Place) -> u64) -> Walk {
    walk::<()>(space, &mut |place, _| Ok(right(place))).unwrap()
}

fn texts(place: &Place) -> Vec<String> {
    place.iter().map(ToString::to_string).collect()
}

#[test]
fn a_peak_between_the_groups_is_found() {
    let space = search(3, 100).space();
    let found = walked(&space, hill(&[("1.25", 1.0), ("0", 2.0), ("0.5", 0.5)]));
    assert!(found.is_settled);
    assert_eq!(
        texts(&found.trials[found.found].place),
        ["1.25", "0", "0.5"]
    );
    // The start first, then nothing of the vector, then each group left out.
    let stages: Vec<Stage> = found.trials.iter().map(|trial| trial.stage).collect();
    assert_eq!(
        stages[..5],
        [
            Stage::Start,
            Stage::Without,
            Stage::LeaveOut(0),
            Stage::LeaveOut(1),
            Stage::LeaveOut(2)
        ]
    );
    assert_eq!(found.left_out, [Some(2), Some(3), Some(4)]);
    assert_eq!(found.without, Some(1));
    // One for all: the weights' balance.
    let uniform = &found.trials[found.uniform];
    assert_eq!(texts(&uniform.place), ["0", "0", "0"]);
    // No point twice.
    for (index, trial) in found.trials.iter().enumerate() {
        assert!(
            found.trials[..index]
                .iter()
                .all(|other| other.place != trial.place)
        );
    }
}

#[test]
fn a_smaller_budget_is_the_beginning_of_a_larger() {
    let whole = walked(
        &search(3, 100).space(),
        hill(&[("1.25", 1.0), ("0", 2.0), ("0.5", 0.5)]),
    );
    for budget in 1..whole.trials.len() {
        let part = walked(
            &search(3, budget).space(),
            hill(&[("1.25", 1.0), ("0", 2.0), ("0.5", 0.5)]),
        );
        assert!(!part.is_settled);
        assert_eq!(part.trials, whole.trials[..budget]);
        let best = &part.trials[part.found];
        assert!(part.trials.iter().all(|trial| trial.right <= best.right));
    }
}

#[test]
fn of_equals_the_start_and_then_what_is_nearer() {
    let space = search(2, 100).space();
    let flat = walked(&space, |_| 7);
    assert_eq!((flat.found, flat.uniform), (0, 0));
    // Group 0 only has to be below 1: the smallest step down is as good as none of it.
    let half = walked(&space, |place| u64::from(place[0] < number("1")));
    assert_eq!(texts(&half.trials[half.found].place), ["0.75", "1"]);
}

#[test]
fn failures_of_measuring_come_through() {
    let error = walk(&search(2, 9).space(), &mut |_, stage| match stage {
        Stage::LeaveOut(1) => Err("power cut"),
        _ => Ok(1),
    });
    assert_eq!(error.unwrap_err(), "power cut");
}

#[test]
fn points_have_short_labels_and_expressions() {
    let search = search(3, 9);
    let at = |texts: [&str; 3]| -> Place { texts.iter().map(|text| number(text)).collect() };
    let shown = |texts| {
        let place = at(texts);
        let expression = search.expression_at(&place).unwrap().to_string();
        (search.label(&place), expression)
    };
    assert_eq!(
        shown(["1", "1", "1"]),
        ("a = 1".to_owned(), "target + 1*v".to_owned())
    );
    assert_eq!(
        shown(["1", "-0.5", "1"]),
        (
            "a = 1, mlp 1 = -0.5".to_owned(),
            "target + {\"layers.1.mlp\": -0.5, else: 1}*v".to_owned()
        )
    );
    assert_eq!(
        shown(["0", "1", "2"]),
        (
            "a = 0, mlp 1 = 1, mlp 2 = 2".to_owned(),
            "target + {\"layers.1.mlp\": 1, \"layers.2.mlp\": 2, else: 0}*v".to_owned()
        )
    );
}

/// The records of a search whose points are right on `right(place, question)`; the last few are asked test questions too.
fn records(
    search: &Search,
    questions: usize,
    right: impl Fn(&Place, usize) -> bool,
) -> Vec<Record> {
    let division = search.division();
    let record = |place: &Place, index: usize| Record {
        model: search.label(place),
        expression: search.expression_at(place).unwrap().to_string(),
        fingerprint: search.label(place),
        engine: "made up".to_owned(),
        task: "t".to_owned(),
        task_version: "1".to_owned(),
        metric: Metric::ExactMatch,
        condition: Condition::Clean,
        doc_id: format!("d/{index}"),
        kind: String::new(),
        sample: 0,
        seed: 0,
        prompt_sha256: String::new(),
        prompt: Prompt::Text(String::new()),
        request: Request::Generate {
            max_new_tokens: 1,
            stop: Vec::new(),
            sampling: Sampling::greedy(),
        },
        completion: String::new(),
        finish: Some(Finish::Stop),
        token_count: 1,
        log_probabilities: Vec::new(),
        reference: String::new(),
        document_sha256: String::new(),
        score: SampleScore {
            correct: right(place, index),
            flexible_correct: false,
            strict: None,
            flexible: None,
        },
    };
    let records = RefCell::new(Vec::new());
    let walk = walk::<()>(&search.space(), &mut |place, _| {
        let asked = (0..questions).map(|index| record(place, index));
        let asked: Vec<Record> = asked.filter(|it| division.is_validation(it)).collect();
        let count = asked.iter().filter(|it| it.is_right()).count();
        records.borrow_mut().extend(asked);
        Ok(count as u64)
    })
    .unwrap();
    let mut records = records.into_inner();
    let last = [walk.without, Some(0), Some(walk.uniform), Some(walk.found)];
    let mut seen = Vec::new();
    for index in last.into_iter().flatten() {
        if !seen.contains(&index) {
            seen.push(index);
            let asked = (0..questions).map(|question| record(&walk.trials[index].place, question));
            records.extend(asked.filter(|it| !division.is_validation(it)));
        }
    }
    records
}

/// A search that found something, for pages.
pub(crate) fn finished() -> (Finished, Vec<Record>) {
    let search = search(2, 60);
    let records = records(&search, 400, skilled);
    let outcome = Outcome::build(&search, &records).unwrap();
    let records = outcome.measured(&search, &records);
    (Finished { search, outcome }, records)
}

/// A question is answered where what is lost is less than its ease.
fn skilled(place: &Place, index: usize) -> bool {
    let [first, second] = [&place[0], &place[1]].map(Coefficient::to_f64);
    let skill = 0.9 - 0.4 * (first - 1.5).abs() - 0.2 * (second - 0.5).abs();
    ((index * 7_919 % 400) as f64 / 400.0) < skill
}

#[test]
fn what_is_found_is_measured_on_questions_that_had_no_say() {
    let search = search(2, 60);
    let outcome = Outcome::build(&search, &records(&search, 400, skilled)).unwrap();
    assert_eq!(outcome.found.model, "a = 1.5, mlp 1 = 0.5");
    assert_eq!(
        outcome.found.expression,
        "target + {\"layers.1.mlp\": 0.5, else: 1.5}*v"
    );
    assert_eq!(outcome.uniform.model, "a = 1.5");
    assert_eq!(outcome.validation_questions + outcome.test_questions, 400);
    assert!(outcome.is_settled);
    assert_eq!(outcome.warnings, Vec::<String>::new());
    let roles: Vec<&str> = outcome.against.iter().map(|it| it.role.as_str()).collect();
    assert_eq!(roles, ["one for all", "start", "without"]);
    assert!(outcome.against.iter().all(|it| it.test.ci_low > 0.0
        && it.test.n == outcome.test_questions
        && it.validation.n == outcome.validation_questions));
    // Leaving out the first costs most.
    assert_eq!(outcome.importance[0].group.name, "mlp 0");
    assert!(outcome.importance[0].change.ci_high < 0.0);
    assert!(outcome.importance[0].p_value_adjusted < 0.05);
    let changes: Vec<f64> = outcome
        .importance
        .iter()
        .map(|it| it.change.value)
        .collect();
    assert!(
        (changes[0] - -0.4).abs() < 0.05 && (changes[1]).abs() < 0.03,
        "{changes:?}"
    );
    assert!(
        outcome
            .report
            .rows
            .iter()
            .all(|row| row.n == outcome.test_questions)
    );
    assert_eq!(outcome.report.baseline.as_deref(), Some("a = 0"));
    let values: Vec<&str> = (outcome.coefficients.iter())
        .map(|(_, it)| it.text.as_str())
        .collect();
    assert_eq!(values, ["1.5", "0.5"]);
}

#[test]
fn luck_is_called_luck() {
    let search = search(2, 40);
    let division = search.division();
    // One point is right on all that chooses and on nothing else.
    let lucky = |place: &Place, index: usize| {
        let is_lucky = texts(place) == ["1.5", "1"];
        let chooses =
            division.part("t", &format!("d/{index}")) == crate::division::Part::Validation;
        if is_lucky {
            chooses
        } else {
            index.is_multiple_of(2)
        }
    };
    let outcome = Outcome::build(&search, &records(&search, 200, lucky)).unwrap();
    assert_eq!(outcome.found.model, "a = 1.5, mlp 1 = 1");
    assert_eq!((outcome.found.validation, outcome.found.test), (1.0, 0.0));
    assert!(
        outcome.warnings[0].contains("vanishes on questions that had no say"),
        "{:?}",
        outcome.warnings
    );
    let flat = |_: &Place, index: usize| index.is_multiple_of(2);
    let outcome = Outcome::build(&search, &records(&search, 200, flat)).unwrap();
    assert_eq!(outcome.found, outcome.start);
    assert!(outcome.warnings[0].contains("no coefficients by group had more"));
    assert!(outcome.warnings[1].starts_with("no gain over `a = 0` is measurable"));
}

#[test]
fn small_budgets_are_said_and_unfinished_searches_refused() {
    let small = search(2, 3);
    let outcome = Outcome::build(&small, &records(&small, 100, skilled)).unwrap();
    assert_eq!((outcome.evaluations, outcome.importance.len()), (3, 1));
    assert!(
        outcome.warnings[0].starts_with(
            "the budget of 3 evaluations left out 1 of 2 groups; a first round takes 4"
        ),
        "{:?}",
        outcome.warnings
    );
    let one = search(2, 1);
    let outcome = Outcome::build(&one, &records(&one, 100, skilled)).unwrap();
    assert!(outcome.without.is_none() && outcome.against.is_empty());

    let search = search(2, 60);
    let whole = records(&search, 100, skilled);
    for missing in [0, 40, whole.len() / 2, whole.len() - 1] {
        let mut records = whole.clone();
        let gone = records.remove(missing);
        let error = Outcome::build(&search, &records).unwrap_err();
        assert!(
            matches!(error, Error::SearchUnfinished { .. }),
            "{error} after {}",
            gone.doc_id
        );
    }
    let error = Outcome::build(&search, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the search is not finished: `a = 1` has not answered all questions"
    );
}

#[test]
fn a_side_file_reads_back_and_damage_is_named() {
    let path = Path::new("s/search.json");
    let written = search(2, 9);
    let parsed = Search::parse(path, written.to_json().as_bytes()).unwrap();
    assert_eq!(parsed, written);
    let refused = |search: &Search| {
        let error = Search::parse(path, search.to_json().as_bytes()).unwrap_err();
        error.to_string()
    };
    let error = Search::parse(path, b"{}").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("`s/search.json` does not describe a search: ")
    );
    let mut wrong = written.clone();
    wrong.schema_version = 7;
    assert!(refused(&wrong).ends_with("its schema version is 7, expected 1"));
    let mut wrong = written.clone();
    wrong.step.text = "much".to_owned();
    assert!(refused(&wrong).ends_with("`much` is no number"));
    let mut wrong = written;
    wrong.groups.clear();
    assert!(refused(&wrong).ends_with("it has no groups, no tasks or no conditions"));
}
