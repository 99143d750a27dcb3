//! Reports from made-up records.

use super::*;
use crate::error::Error;
use crate::generator::Finish;
use crate::run::Record;
use crate::run::fixture::record;
use crate::statistics::{Z_95, wilson};
use crate::task::SampleScore;

/// Records of a model that gets the documents of `right` right, out of `n`.
fn records(
    model: &str,
    condition: Condition,
    n: usize,
    right: impl Fn(usize) -> bool,
) -> Vec<Record> {
    (0..n)
        .map(|index| {
            let record = record(model, "micro-gsm", &format!("doc/{index}"), right(index));
            Record {
                expression: format!("the {model}"),
                condition,
                finish: Some(if index == 0 {
                    Finish::Length
                } else {
                    Finish::EndOfSequence
                }),
                token_count: 10,
                score: SampleScore {
                    flexible_correct: true,
                    ..record.score.clone()
                },
                ..record
            }
        })
        .collect()
}

const CLEAN: Condition = Condition::Clean;

/// A study on 100 documents whose target gets the first 40 right.
fn study(
    added: [usize; 2],
    subtracted: usize,
    random: usize,
    attacked: Option<(usize, usize)>,
) -> Report {
    let mut all = Vec::new();
    for (model, right) in [
        ("target", 40),
        ("target + v", added[0]),
        ("target + 2 v", added[1]),
        ("target - v", subtracted),
        ("target + r", random),
    ] {
        all.extend(records(model, CLEAN, 100, |index| index < right));
    }
    if let Some((target, best)) = attacked {
        all.extend(records("target", Condition::Adversarial, 100, |index| {
            index < target
        }));
        for model in ["target + v", "target + 2 v", "target - v", "target + r"] {
            all.extend(records(model, Condition::Adversarial, 100, |index| {
                index < best
            }));
        }
    }
    Report::build(&all, Some("target"))
        .unwrap()
        .conclude(&Study {
            task: "micro-gsm".to_owned(),
            additions: vec!["target + v".to_owned(), "target + 2 v".to_owned()],
            subtraction: Some("target - v".to_owned()),
            random: Some("target + r".to_owned()),
        })
}

fn conclusion(report: &Report) -> &str {
    report.conclusion.as_deref().expect("a conclusion")
}

#[test]
fn rows_are_counted_from_records() {
    let mut all = records("target", CLEAN, 8, |index| index % 2 == 0);
    all.extend(records("tuned", CLEAN, 8, |index| index < 6));
    let report = Report::build(&all, Some("target")).unwrap();
    let row = report.row("tuned", "micro-gsm", CLEAN).unwrap();
    assert_eq!((row.n, row.correct, row.accuracy), (8, 6, 0.75));
    assert_eq!(
        (row.flexible_correct, row.mean_tokens, row.truncated),
        (8, 10.0, 1)
    );
    let interval = wilson(6, 8, Z_95);
    assert_eq!((row.ci_low, row.ci_high), (interval.low, interval.high));
    let difference = row.difference.as_ref().unwrap();
    // Right in tuned only: 1, 3, 5. In target only: 6. Two-sided binomial of 1 out of 4: 2·5/16.
    assert_eq!(
        (difference.gained, difference.lost, difference.value),
        (3, 1, 0.25)
    );
    assert!((difference.p_value - 0.625).abs() < 1e-12);
    assert_eq!(
        report.row("target", "micro-gsm", CLEAN).unwrap().difference,
        None
    );
}

#[test]
fn several_answers_to_a_question_are_not_several_questions() {
    let asked = |times: u32| {
        let mut all = Vec::new();
        for (model, right) in [("target", 20), ("target + v", 28)] {
            for sample in 0..times {
                let mut own = records(model, CLEAN, 40, |index| index < right);
                own.iter_mut().for_each(|record| record.sample = sample);
                all.extend(own);
            }
        }
        Report::build(&all, Some("target")).unwrap()
    };
    let (once, often) = (asked(1), asked(10));
    let row = |report: &Report| {
        report
            .row("target + v", "micro-gsm", CLEAN)
            .cloned()
            .unwrap()
    };
    let (once, often) = (row(&once), row(&often));
    assert_eq!((once.n, often.n), (40, 400));
    assert_eq!(once.accuracy, often.accuracy);
    let width = |row: &Row| row.ci_high - row.ci_low;
    // As wide as that of forty questions, not of four hundred.
    assert!(
        (width(&often) / width(&once) - 1.0).abs() < 0.15,
        "{} {}",
        width(&often),
        width(&once)
    );
    let (once, often) = (once.difference.unwrap(), often.difference.unwrap());
    assert_eq!(once.value, often.value);
    assert_eq!(once.p_value, often.p_value);
    assert!((often.ci_high - often.ci_low) / (once.ci_high - once.ci_low) > 0.8);
}

#[test]
fn several_answers_to_few_questions_are_not_certain() {
    let mut all = Vec::new();
    for (model, right) in [("target", 0), ("tuned", 1)] {
        for sample in 0..20 {
            let mut own = records(model, CLEAN, 1, |index| index < right);
            own.iter_mut().for_each(|record| record.sample = sample);
            all.extend(own);
        }
    }
    let report = Report::build(&all, Some("target")).unwrap();
    let row = report.row("tuned", "micro-gsm", CLEAN).unwrap();
    // One question that is answered rightly twenty times is one question.
    let one = wilson(1, 1, Z_95);
    assert!((row.ci_low - one.low).abs() < 1e-9 && (row.ci_high - 1.0).abs() < 1e-9);
    let difference = row.difference.as_ref().unwrap();
    assert_eq!((difference.ci_low, difference.ci_high), (-1.0, 1.0));
    assert_eq!(difference.verdict(), Verdict::Undecided);
}

#[test]
fn p_values_are_adjusted_over_the_whole_report() {
    let report = study([70, 50], 40, 40, None);
    let difference = |model| {
        report
            .row(model, "micro-gsm", CLEAN)
            .unwrap()
            .difference
            .clone()
            .unwrap()
    };
    // Four comparisons; +10 has p = 2/1024 and is the second smallest, so its factor is 3.
    let second = difference("target + 2 v");
    assert!((second.p_value - 2.0 / 1024.0).abs() < 1e-12);
    assert!((second.p_value_adjusted - 6.0 / 1024.0).abs() < 1e-12);
    assert_eq!(difference("target + r").p_value_adjusted, 1.0);
}

#[test]
fn an_interval_alone_is_no_verdict() {
    // Six gained, none lost: p = 1/32 by itself, but not among four comparisons.
    let report = study([46, 40], 40, 40, None);
    let difference = report
        .row("target + v", "micro-gsm", CLEAN)
        .unwrap()
        .difference
        .clone()
        .unwrap();
    assert!(difference.ci_low > 0.0 && difference.p_value < 0.05);
    assert_eq!(difference.verdict(), Verdict::Undecided);
}

#[test]
fn a_gain_is_called_a_gain() {
    let report = study([90, 80], 15, 40, Some((30, 70)));
    assert_eq!(
        conclusion(&report),
        "On micro-gsm (n = 100), adding the vector (`target + v`, the best of 2 strengths tried) raises accuracy \
         from 40.0 % to 90.0 %, by 50.0 points (95 % interval 39.2 to 59.1), adjusted p < 0.001; \
         subtracting it lowers accuracy by 25.0 points (95 % interval 16.2 to 33.6); \
         a random vector of the same size makes no measurable difference (+0.0 points, 95 % interval -2.1 to 2.1); \
         under adversarial perturbation the gain is 40.0 points (95 % interval 29.5 to 48.8)."
    );
}

#[test]
fn nothing_is_called_nothing() {
    let report = study([43, 41], 38, 42, Some((30, 31)));
    let text = conclusion(&report);
    assert!(text.starts_with(
        "On micro-gsm (n = 100), adding the vector makes no measurable difference: `target + v` (the best of 2 \
         strengths tried) takes accuracy from 40.0 % to 43.0 %, by +3.0 points"
    ), "{text}");
    assert!(
        text.contains(
            "; subtracting it makes no measurable difference (-2.0 points, 95 % interval"
        ),
        "{text}"
    );
    assert!(
        !text.contains("raises") && !text.contains("lowers") && !text.contains("adversarial"),
        "{text}"
    );
}

#[test]
fn a_loss_is_called_a_loss() {
    let report = study([20, 10], 70, 40, Some((30, 10)));
    let text = conclusion(&report);
    assert!(text.starts_with(
        "On micro-gsm (n = 100), adding the vector lowers accuracy at every strength: `target + v` (the best of 2 \
         strengths tried) takes it from 40.0 % to 20.0 %, by 20.0 points"
    ), "{text}");
    assert!(
        text.contains("; subtracting it raises accuracy by 30.0 points"),
        "{text}"
    );
}

#[test]
fn a_control_that_gains_too_and_a_strength_that_hurts_are_named() {
    let report = study([90, 10], 15, 80, Some((30, 31)));
    let text = conclusion(&report);
    assert!(
        text.contains("; `target + 2 v` lowers it by 30.0 points"),
        "{text}"
    );
    assert!(
        text.contains("but a random vector of the same size raises accuracy too, by 40.0 points"),
        "{text}"
    );
    assert!(
        text.contains("cannot be credited to the direction alone"),
        "{text}"
    );
    assert!(
        text.contains("under adversarial perturbation no gain is measurable (+1.0 points"),
        "{text}"
    );
    let attacked = study([90, 80], 15, 40, Some((60, 20)));
    assert!(
        conclusion(&attacked)
            .contains("but under adversarial perturbation it lowers accuracy by 40.0 points")
    );
}

#[test]
fn models_that_were_asked_different_things_are_refused() {
    let mut all = records("target", CLEAN, 10, |_| true);
    all.extend(records("tuned", CLEAN, 8, |_| true));
    let error = Report::build(&all, Some("target")).unwrap_err();
    assert!(
        matches!(&error, Error::Unpaired { differing: 2, example, .. } if example == "doc/8"),
        "{error}"
    );
    let error = Report::build(&all, Some("nobody")).unwrap_err();
    assert!(matches!(error, Error::NoBaseline { .. }), "{error}");
    let twice = [
        records("target", CLEAN, 2, |_| true),
        records("target", CLEAN, 1, |_| false),
    ]
    .concat();
    assert!(matches!(
        Report::build(&twice, None).unwrap_err(),
        Error::AmbiguousSample { .. }
    ));
}

#[test]
fn the_json_has_the_promised_fields_and_reads_back() {
    let report = study([90, 80], 15, 40, Some((30, 70)));
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["schema_version"], 1);
    for field in [
        "model",
        "expression",
        "task",
        "condition",
        "n",
        "correct",
        "accuracy",
        "ci_low",
        "ci_high",
    ] {
        assert!(!json["rows"][0][field].is_null(), "{field}");
    }
    assert_eq!(json["rows"][1]["difference"]["gained"], 50);
    assert_eq!(
        serde_json::from_str::<Report>(&report.to_json()).unwrap(),
        report
    );
}

#[test]
fn tables_show_every_model_and_cell() {
    let report = study([90, 80], 15, 40, Some((30, 70)));
    assert_eq!(
        report.overview().to_text(),
        "model             micro-gsm  micro-gsm adversarial\n\
         ────────────  ─────────────  ─────────────────────\n\
         target                 40.0                   30.0\n\
         target + v    90.0 (+50.0*)          70.0 (+40.0*)\n\
         target + 2 v  80.0 (+40.0*)          70.0 (+40.0*)\n\
         target - v    15.0 (-25.0*)          70.0 (+40.0*)\n\
         target + r      40.0 (+0.0)          70.0 (+40.0*)\n"
    );
    let text = report.to_text();
    let line = "target - v    100      15.0    9.3 to 23.3      -25.0*  -33.6 to -16.2  <0.001      <0.001\n";
    assert!(text.contains(line), "{text}");
    assert!(text.ends_with("(95 % interval 29.5 to 48.8).\n"));
    assert!(
        report
            .to_markdown()
            .contains("### micro-gsm adversarial\n\n| model ")
    );
}
