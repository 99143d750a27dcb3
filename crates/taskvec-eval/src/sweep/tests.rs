//! Sweeps from made-up records.

use super::*;
use crate::condition::Condition;
use crate::run::Record;
use crate::run::fixture::record;

fn sweep(values: &[f64]) -> Sweep {
    Sweep {
        schema_version: SCHEMA_VERSION,
        command: "taskvec sweep".to_owned(),
        taskvec: "0.1.0".to_owned(),
        expression: "target + a*v".to_owned(),
        bindings: Vec::new(),
        variables: vec![Variable {
            name: "a".to_owned(),
            values: values
                .iter()
                .map(|&number| Value {
                    text: number.to_string(),
                    number,
                })
                .collect(),
        }],
        tasks: vec!["t".to_owned()],
        conditions: vec![Condition::Clean],
        limit: None,
        seed: 0,
        samples: 1,
        temperature: 0.0,
        prompt_form: "auto".to_owned(),
        points: values
            .iter()
            .enumerate()
            .map(|(index, value)| Point {
                model: format!("a = {value}"),
                expression: format!("target + {value}*v"),
                indices: vec![index],
            })
            .collect(),
    }
}

/// Answers to `n` questions, each as hard as its place in a shuffled order, by a point that can do `skill` of them.
fn records(sweep: &Sweep, n: usize, skill: impl Fn(f64) -> f64) -> Vec<Record> {
    let mut records = Vec::new();
    for point in &sweep.points {
        let value = sweep.values(point).next().unwrap().number;
        for index in 0..n {
            let hardness = (index * 7_919 % n) as f64 / n as f64;
            let is_right = hardness < skill(value);
            records.push(Record {
                expression: point.expression.clone(),
                ..record(&point.model, "t", &format!("d/{index}"), is_right)
            });
        }
    }
    records
}

const GRID: [f64; 5] = [-0.5, 0.0, 0.5, 1.0, 1.5];

#[test]
fn a_clear_peak_is_found_and_measured_on_other_questions() {
    let sweep = sweep(&GRID);
    let records = records(&sweep, 400, |a| 0.8 - (a - 0.5).abs() * 0.5);
    let best = best(&sweep, &records, None, &BestOptions::default()).unwrap();
    assert_eq!(best.pick, "a = 0.5");
    assert_eq!(best.validation_questions + best.test_questions, 400);
    assert!((150..250).contains(&best.validation_questions));
    assert_eq!(best.plausible, [("a".to_owned(), 0.5, 0.5)]);
    assert_eq!(best.test.n, best.test_questions);
    assert_eq!(best.warnings, Vec::<String>::new());
    let one = best.against_one.unwrap();
    assert!(one.ci_low > 0.0 && one.p_value < 0.001, "{one:?}");
    // The report is of test questions alone, the point 0 its baseline.
    assert!(
        best.report
            .rows
            .iter()
            .all(|row| row.n == best.test_questions)
    );
    assert_eq!(best.report.baseline.as_deref(), Some("a = 0"));
    let shown: Vec<&str> = best
        .report
        .rows
        .iter()
        .map(|row| row.model.as_str())
        .collect();
    assert_eq!(shown, ["a = 0", "a = 0.5", "a = 1"]);
}

#[test]
fn what_had_a_say_does_not_measure() {
    // One point is right on exactly the validation questions, and wrong on all others.
    let sweep = sweep(&GRID);
    let options = BestOptions::default();
    let mut records = records(&sweep, 300, |_| 0.5);
    for record in records
        .iter_mut()
        .filter(|record| record.model == "a = 1.5")
    {
        record.score.correct = crate::division::Division::default().is_validation(record);
    }
    let best = best(&sweep, &records, None, &options).unwrap();
    assert_eq!((best.pick.as_str(), best.test.accuracy), ("a = 1.5", 0.0));
    assert!(best.warnings[0].starts_with("`a = 1.5` is worse than `a = 1` on the test questions"));
}

#[test]
fn few_questions_are_said_and_not_resampled() {
    let sweep = sweep(&GRID);
    let found = |n: usize| {
        let records = records(&sweep, n, |a| if a == 0.5 { 1.0 } else { 0.0 });
        best(&sweep, &records, None, &BestOptions::default()).unwrap()
    };
    let enough = found(100);
    assert!(enough.warnings.iter().all(|it| !it.contains("mostly luck")));
    assert!(enough.test.chosen.is_some() && !enough.plausible.is_empty());
    let few = found(40);
    assert!(
        few.warnings[0].contains("with fewer than 30 in either part the choice is mostly luck"),
        "{:?}",
        few.warnings
    );
    assert!(few.candidates.iter().all(|it| it.chosen.is_some()));
    // One question would choose the same point however often it is drawn.
    let hardly = found(6);
    assert!(hardly.validation_questions < 10 && hardly.warnings[0].contains("mostly luck"));
    assert!(hardly.plausible.is_empty() && hardly.test.chosen.is_none());
    assert!(hardly.candidates.iter().all(|it| it.chosen.is_none()));
}

#[test]
fn questions_are_counted_and_not_their_answers() {
    let sweep = sweep(&GRID);
    let mut several = Vec::new();
    for sample in 0..6 {
        let mut own = records(&sweep, 8, |a| 0.5 + 0.1 * a);
        own.iter_mut().for_each(|record| record.sample = sample);
        several.extend(own);
    }
    let found = best(&sweep, &several, None, &BestOptions::default()).unwrap();
    assert_eq!(found.validation_questions + found.test_questions, 8);
    assert_eq!(found.test.n, 6 * found.test_questions);
    assert!(found.test.chosen.is_none());
    assert!(found.warnings[1].starts_with("questions have several answers"));
}

#[test]
fn within_noise_of_one_is_said() {
    let sweep = sweep(&GRID);
    let records = records(&sweep, 100, |a| {
        if a < 0.5 {
            0.3
        } else {
            0.6 + f64::from(u8::from(a == 0.5)) * 0.02
        }
    });
    let best = best(&sweep, &records, None, &BestOptions::default()).unwrap();
    assert_eq!(best.pick, "a = 0.5");
    assert!(
        best.warnings[0].starts_with("`a = 0.5` is within noise of `a = 1`"),
        "{:?}",
        best.warnings
    );
    let (_, low, high) = &best.plausible[0];
    assert!(*low <= 0.5 && *high >= 0.5);
}

#[test]
fn of_equals_the_smallest_change_and_ends_are_suspicious() {
    let sweep = sweep(&[0.0, 0.5, 2.0]);
    let same = records(&sweep, 60, |_| 0.5);
    let found = best(&sweep, &same, None, &BestOptions::default()).unwrap();
    assert_eq!(found.pick, "a = 0");
    let rising = records(&sweep, 200, |a| 0.2 + 0.3 * a);
    let found = best(&sweep, &rising, None, &BestOptions::default()).unwrap();
    assert_eq!(found.pick, "a = 2");
    let text = found.warnings.join("; ");
    assert!(
        text.contains("no point has every coefficient at 1"),
        "{text}"
    );
    assert!(
        text.contains("`a = 2` is at the end of what was tried"),
        "{text}"
    );
}

#[test]
fn unfinished_sweeps_and_strange_tasks_are_refused() {
    let sweep = sweep(&GRID);
    let mut unfinished = records(&sweep, 50, |_| 0.5);
    unfinished.retain(|record| record.model != "a = 1" || record.doc_id != "d/7");
    let error = best(&sweep, &unfinished, None, &BestOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 of 5 points of the sweep are not finished: `a = 1`"
    );
    // All of them stopped at the same place.
    let mut short = records(&sweep, 50, |_| 0.5);
    short.iter_mut().for_each(|record| record.planned = 60);
    let error = best(&sweep, &short, None, &BestOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("5 of 5 points"), "{error}");
    let options = BestOptions {
        tasks: vec!["u".to_owned()],
        ..BestOptions::default()
    };
    let error = best(&sweep, &unfinished, None, &options).unwrap_err();
    assert_eq!(error.to_string(), "the sweep did not ask `u`: it asked `t`");
    let options = BestOptions {
        condition: Condition::Noise,
        ..BestOptions::default()
    };
    let error = best(&sweep, &unfinished, None, &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the sweep did not ask under `noise`: it asked under clean"
    );
    let error = best(&sweep, &[], None, &BestOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("5 of 5 points"), "{error}");
}

#[test]
fn a_side_file_reads_back_and_damage_is_named() {
    let path = std::path::Path::new("s/sweep.json");
    let written = sweep(&GRID);
    assert_eq!(
        Sweep::parse(path, written.to_json().as_bytes()).unwrap(),
        written
    );
    let refused = |text: &str| Sweep::parse(path, text.as_bytes()).unwrap_err().to_string();
    assert!(refused("{}").starts_with("`s/sweep.json` does not describe a sweep: "));
    let mut later = written.clone();
    later.schema_version = 7;
    assert!(refused(&later.to_json()).ends_with("its schema version is 7, expected 1"));
    let mut wild = written;
    wild.points[0].indices = vec![99];
    assert!(refused(&wild.to_json()).contains("`a = -0.5` has values that no variable has"));
}

/// Five answers to each question: at `value` so many of them are the same, whatever is right.
fn drawn(sweep: &Sweep, n: usize, same: impl Fn(f64) -> usize) -> Vec<Record> {
    let mut drawn = Vec::new();
    for record in records(sweep, n, |_| 0.0) {
        let point = sweep
            .points
            .iter()
            .find(|point| point.model == record.model);
        let value = sweep.values(point.unwrap()).next().unwrap().number;
        for sample in 0..5 {
            let mut record = record.clone();
            record.sample = sample;
            let is_same = (sample as usize) < same(value);
            record.score.strict = Some(if is_same {
                "7".to_owned()
            } else {
                sample.to_string()
            });
            drawn.push(record);
        }
    }
    drawn
}

#[test]
fn without_labels_the_most_consistent_point_is_chosen() {
    let sweep = sweep(&[0.0, 0.5, 1.0]);
    let records = records(&sweep, 200, |value| 0.3 + 0.3 * value);
    let options = BestOptions::default();
    // Consistency as accuracy has it, and then the other way round.
    let alike = drawn(&sweep, 200, |value| 2 + (2.0 * value) as usize);
    let found = best(&sweep, &records, Some(&alike), &options).unwrap();
    let [unlabelled] = found.unlabelled.as_slice() else {
        panic!("{:?}", found.unlabelled)
    };
    assert_eq!(
        (found.pick.as_str(), unlabelled.pick.as_str()),
        ("a = 1", "a = 1")
    );
    assert_eq!(unlabelled.rank_correlation, Some(1.0));
    assert_eq!(unlabelled.against_labelled, None);
    assert_eq!(unlabelled.questions, found.validation_questions);
    let means: Vec<f64> = unlabelled.points.iter().map(|point| point.value).collect();
    for (mean, expected) in means.iter().zip([0.4, 0.6, 0.8]) {
        assert!((mean - expected).abs() < 1e-12, "{means:?}");
    }

    let contrary = drawn(&sweep, 200, |value| 4 - (2.0 * value) as usize);
    let found = best(&sweep, &records, Some(&contrary), &options).unwrap();
    let [unlabelled] = found.unlabelled.as_slice() else {
        panic!("{:?}", found.unlabelled)
    };
    assert_eq!(
        (found.pick.as_str(), unlabelled.pick.as_str()),
        ("a = 1", "a = 0")
    );
    assert_eq!(unlabelled.rank_correlation, Some(-1.0));
    assert!(unlabelled.against_labelled.as_ref().unwrap().ci_high < 0.0);
    // Of equals the point that changes least.
    let equal = drawn(&sweep, 200, |_| 3);
    let found = best(&sweep, &records, Some(&equal), &options).unwrap();
    let [unlabelled] = found.unlabelled.as_slice() else {
        panic!("{:?}", found.unlabelled)
    };
    assert_eq!(
        (unlabelled.pick.as_str(), unlabelled.rank_correlation),
        ("a = 0", None)
    );

    let error = best(&sweep, &records, Some(&records), &options).unwrap_err();
    assert!(
        error.to_string().contains("one answer to some question"),
        "{error}"
    );
    let half: Vec<Record> = alike[..alike.len() / 2].to_vec();
    let error = best(&sweep, &records, Some(&half), &options).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("points of the sweep are not finished"),
        "{error}"
    );
}

/// As many nats a token for every answer at `value`.
fn likely(mut records: Vec<Record>, sweep: &Sweep, nats: impl Fn(f64) -> f64) -> Vec<Record> {
    for record in &mut records {
        let mut points = sweep.points.iter();
        let point = points.find(|point| point.model == record.model).unwrap();
        let value = sweep.values(point).next().unwrap().number;
        // A question's own difficulty, the same for every point.
        let own = f64::from(record.doc_id.len() as u32 % 2) - 0.5;
        record.mean_log_probability = Some(0.1 * own - nats(value));
    }
    records
}

#[test]
fn without_labels_the_least_perplexed_point_is_chosen() {
    let sweep = sweep(&[0.0, 0.5, 1.0]);
    let bare = records(&sweep, 200, |value| 0.3 + 0.3 * value);
    let options = BestOptions {
        perplexity: true,
        ..BestOptions::default()
    };
    let scored = likely(bare.clone(), &sweep, |value| 0.4 + value);
    let found = best(&sweep, &scored, None, &options).unwrap();
    let [unlabelled] = found.unlabelled.as_slice() else {
        panic!("{:?}", found.unlabelled)
    };
    assert_eq!(unlabelled.criterion, Criterion::Perplexity);
    // Surest where it is worst: the criterion is followed, and how well that does is said.
    assert_eq!(
        (found.pick.as_str(), unlabelled.pick.as_str()),
        ("a = 1", "a = 0")
    );
    assert_eq!(unlabelled.rank_correlation, Some(-1.0));
    assert!(unlabelled.against_labelled.as_ref().unwrap().ci_high < 0.0);
    for (point, nats) in unlabelled.points.iter().zip([0.4f64, 0.9, 1.4]) {
        assert!((point.value / nats.exp() - 1.0).abs() < 0.06, "{point:?}");
        let (low, high) = (point.ci_low.unwrap(), point.ci_high.unwrap());
        assert!(low <= point.value && point.value <= high);
    }

    // Where answers were drawn, it is of those, and stands beside self-consistency.
    let alike = drawn(&sweep, 200, |value| 2 + (2.0 * value) as usize);
    let surer = likely(alike.clone(), &sweep, |value| 1.0 - value / 2.0);
    let found = best(&sweep, &scored, Some(&surer), &options).unwrap();
    let picks: Vec<_> = found.unlabelled.iter().map(|it| it.pick.as_str()).collect();
    assert_eq!(picks, ["a = 1", "a = 1"]);
    assert_eq!(found.unlabelled[1].rank_correlation, Some(1.0));

    let error = best(&sweep, &bare, None, &options).unwrap_err().to_string();
    assert!(
        error.contains("an answer of `a = 0` to `t`, by `made up`, does not say"),
        "{error}"
    );
    let error = best(&sweep, &scored, Some(&alike), &options).unwrap_err();
    assert!(error.to_string().contains("does not say"), "{error}");
    let quiet = best(&sweep, &scored, None, &BestOptions::default()).unwrap();
    assert!(quiet.unlabelled.is_empty());
}
