//! Pages from made-up runs: what they show, and what they refuse.

use super::*;
use crate::error::Error;
use crate::report::html::reading::{HOSTILE, embedded, numbers, prose};
use std::collections::BTreeSet;
use std::path::Path;

/// The lines of a run on rewards that learns for `good` steps and is then lost for as many.
fn rewarded(good: u64) -> String {
    let mut text = String::new();
    for step in 0..2 * good {
        let share = step as f64 / good as f64;
        let is_lost = step > good;
        let reward = if is_lost { 0.01 } else { 0.1 + 0.7 * share };
        let kl = if step == 0 {
            "null".to_owned()
        } else {
            (share * 0.3).to_string()
        };
        text.push_str(&format!(
            "{{\"step\":{step},\"loss\":{},\"learning_rate\":{},\"grad_norm\":{},\"reward\":{reward},\"reward_std\":{},\
             \"frac_reward_zero_std\":0.5,\"step_by_step\":{},\"completion_length\":{},\"truncated\":{},\"entropy\":{},\
             \"kl\":{kl},\"clip_ratio\":0,\"collapse\":{is_lost},\"tokens\":1485,\"from_the_future\":[1]}}\n",
            0.02 * (step as f64).sin(),
            1e-4 * (2.0 - share),
            0.5 + 0.1 * (step as f64 * 0.7).cos(),
            0.25 * (1.0 - share / 2.0),
            0.45 * share,
            12.25 + 20.0 * share,
            0.02 * share,
            0.9 / (1.0 + share),
        ));
    }
    text
}

/// Completions of every second step, hostile ones among them.
fn completions(steps: u64) -> String {
    let mut text = String::new();
    for step in (0..steps).step_by(2) {
        for index in 0..2 {
            let completion = if index == 0 {
                format!("First we count {step} figs.\nThe answer is {step}.")
            } else {
                HOSTILE[step as usize / 2 % HOSTILE.len()].to_owned()
            };
            let line = serde_json::json!({
                "step": step, "prompt": 17 * step + index, "prompt_text": format!("Q: How many figs at {step}?\n{}", HOSTILE[1]),
                "completion": completion, "reward": index as f64 / 2.0,
                "advantage": -0.5, "ended": index == 0, "step_by_step": true,
            });
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}

fn taught(rate: f64) -> String {
    (0..30)
        .map(|step| {
            format!(
                "{{\"step\":{step},\"epoch\":0.1,\"loss\":{},\"learning_rate\":{rate},\"grad_norm\":{},\"tokens\":812}}\n",
                2.5 / (1.0 + f64::from(step) * rate * 300.0),
                1.0 + 0.2 * f64::from(step % 4),
            )
        })
        .collect()
}

fn parsed(path: &str, text: &str) -> Result<TrainingRun> {
    TrainingRun::parse(Path::new(path), text.as_bytes())
}

fn run_on_rewards(good: u64) -> TrainingRun {
    parsed("my-grpo.training/metrics.jsonl", &rewarded(good))
        .unwrap()
        .with_completions(
            Path::new("my-grpo.training/completions.jsonl"),
            completions(2 * good).as_bytes(),
        )
        .unwrap()
}

/// A page of one run on rewards, and one of two runs on examples.
pub(in crate::report) fn pages() -> (TrainingPage, TrainingPage) {
    let one = TrainingPage::build(&[run_on_rewards(60)], None).unwrap();
    let runs = [("slow", 1e-4), ("fast", 1e-3)]
        .map(|(name, rate)| parsed(&format!("{name}.training/metrics.jsonl"), &taught(rate)));
    let [slow, fast] = runs.map(Result::unwrap);
    (one, TrainingPage::build(&[slow, fast], None).unwrap())
}

#[test]
fn every_number_shown_is_recomputed_from_the_steps_in_the_page() {
    for page in [pages().0, pages().1] {
        let html = page.to_html();
        assert!(numbers(&html) > 60, "{} numbers", numbers(&html));
        let data: TrainingData = serde_json::from_value(embedded(&html, "data")).unwrap();
        assert_eq!(&data, page.data());
        for run in &data.runs {
            let steps: Vec<u64> = run.steps.iter().map(|step| step.step).collect();
            assert_eq!(
                (run.made, run.first_step, run.last_step),
                (
                    steps.len() as u64,
                    steps[0],
                    *steps.iter().max().unwrap_or(&0)
                )
            );
            for summary in &run.summaries {
                let of = |step: &Step| step.values.get(&summary.metric).copied();
                let found: Vec<(u64, f64)> = run
                    .steps
                    .iter()
                    .filter_map(|step| Some((step.step, of(step)?)))
                    .collect();
                let mut sorted = found.clone();
                sorted.sort_by(|one, other| one.1.total_cmp(&other.1).then(one.0.cmp(&other.0)));
                let highest = sorted.iter().rfind(|it| it.1 == sorted[sorted.len() - 1].1);
                let highest = found.iter().find(|it| Some(it.1) == highest.map(|it| it.1));
                let at = |extreme: Extreme| (extreme.step, extreme.value);
                assert_eq!(at(summary.first), found[0], "{}", summary.metric);
                assert_eq!(at(summary.last), found[found.len() - 1]);
                assert_eq!(at(summary.lowest), sorted[0]);
                assert_eq!(Some(&at(summary.highest)), highest);
                let best = match (data.kind, summary.metric.as_str()) {
                    (_, "reward") => Some(summary.highest),
                    (_, "truncated") | (Kind::Sft, "loss") => Some(summary.lowest),
                    _ => None,
                };
                assert_eq!(summary.best, best, "{}", summary.metric);
            }
            let lost: Vec<u64> = run
                .steps
                .iter()
                .filter(|step| step.collapse == Some(true))
                .map(|step| step.step)
                .collect();
            let expected = (!lost.is_empty()).then(|| Collapse {
                steps: lost.len() as u64,
                first: lost[0],
                last: lost[lost.len() - 1],
            });
            assert_eq!(run.collapse, expected);
        }
        // Digits outside are those of names and of counts of things that the page lists.
        let files = || data.runs.iter().flat_map(|run| &run.files);
        let mut known: Vec<String> = files().map(|file| file.lines.to_string()).collect();
        known.extend(data.runs.iter().map(|run| run.samples.len().to_string()));
        known.extend(["SHA-256", env!("CARGO_PKG_VERSION"), "0", "2", "80"].map(str::to_owned));
        let text = prose(&html);
        let words = text
            .split_whitespace()
            .map(|word| word.trim_matches(['.', ',']));
        let unknown: Vec<&str> = words
            .filter(|word| word.bytes().any(|byte| byte.is_ascii_digit()))
            .filter(|word| !known.iter().any(|known| known == word))
            .collect();
        assert_eq!(unknown, [""; 0], "numbers from nowhere");
    }
}

#[test]
fn a_collapse_is_named_on_the_page_in_markdown_and_in_figures() {
    let (page, other) = pages();
    assert!(page.to_html().contains("<strong>Collapse.</strong>"));
    assert!(page.to_markdown().contains(
        "120 steps, 0 to 119. **Collapse**: at 59 of them the run looks as if it were being lost, first at step 61, last \
         at step 119."
    ));
    for figure in page.figures() {
        assert!(
            figure.wide.contains("looks as if it were being lost"),
            "{}",
            figure.id
        );
    }
    assert!(!other.to_html().contains("Collapse"));
    assert!(!other.to_markdown().contains("Collapse"));
}

#[test]
fn a_divergence_that_was_not_measured_is_said_to_be() {
    let text = rewarded(4);
    let without: String = text
        .lines()
        .map(|line| {
            let mut step: serde_json::Value = serde_json::from_str(line).unwrap();
            step.as_object_mut().unwrap().remove("kl");
            format!("{step}\n")
        })
        .collect();
    let says = |text: &str| {
        let run = parsed("g.training/metrics.jsonl", text).unwrap();
        let page = TrainingPage::build(&[run], None).unwrap();
        let said = "divergence from the initial model was not measured";
        assert_eq!(
            page.to_html().contains(said),
            page.to_markdown().contains(said)
        );
        page.to_html().contains(said)
    };
    assert!(says(&without) && !says(&text));
    assert!(!says(&taught(1e-3)));
}

#[test]
fn there_is_a_figure_for_each_measurement_there_is() {
    let (page, other) = pages();
    let ids = |page: &TrainingPage| -> Vec<String> {
        let figures = page.figures().into_iter();
        figures
            .map(|figure| figure.id.replace("training-", ""))
            .collect()
    };
    assert_eq!(
        ids(&page),
        [
            "reward",
            "step-by-step",
            "completion-length",
            "truncated",
            "entropy",
            "kl",
            "grad-norm",
            "loss",
            "learning-rate",
            "clip-ratio"
        ]
    );
    assert_eq!(ids(&other), ["loss", "learning-rate", "grad-norm"]);
    let figures = page.figures();
    let csv: Vec<&str> = figures[0].csv.lines().collect();
    assert_eq!(csv[0], "run,step,reward,reward_std,collapse");
    assert_eq!(csv[1], "my-grpo.training,0,0.1,0.25,false");
    assert_eq!(csv.len(), 121);
    assert!(figures[0].wide.contains("<polygon") && !figures[1].wide.contains("<polygon"));
    // What was not measured at a step is no point.
    assert_eq!(figures[5].csv.lines().count(), 120);
    let csv = &other.figures()[0].csv;
    assert!(
        csv.starts_with("run,step,loss\r\nslow.training,0,2.5\r\n"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 61);
}

#[test]
fn completions_are_text_and_spread_over_a_long_run() {
    let html = pages().0.to_html();
    assert_eq!(html.matches("<script").count(), 3);
    assert_eq!(html.matches("</script").count(), 3);
    assert_eq!(html.matches("</title").count(), 1);
    assert!(!html.contains("<img") && !html.contains("<svg onload"));
    assert!(!html.contains(['\u{0}', '\u{1b}', '\u{202e}', '\u{2066}']));
    assert!(html.contains("⟨U+202E⟩desrever"));
    assert!(html.contains("{{ 7 * 7 }}"));
    // 60 steps have completions, two each; 40 of them are shown, the ends among them.
    assert_eq!(html.matches("<td class=\"completion\">").count(), 80);
    for step in [0, 118] {
        assert!(html.contains(&format!("First we count {step} figs.")));
    }
    let short = TrainingPage::build(&[run_on_rewards(5)], Some(HOSTILE[5])).unwrap();
    let html = short.to_html();
    assert_eq!(html.matches("<td class=\"completion\">").count(), 10);
    assert_eq!(html.matches("</title").count(), 1);
}

#[test]
fn a_last_line_that_is_not_whole_is_left_out_and_said_to_be() {
    let whole = taught(1e-3);
    for end in 1..whole.lines().last().unwrap().len() {
        let torn = &whole.as_bytes()[..whole.len() - 1 - end];
        let run = TrainingRun::parse(Path::new("a/metrics.jsonl"), torn).unwrap();
        assert_eq!(run.steps.len(), 29);
        if end + 1 < whole.lines().last().unwrap().len() {
            let page = TrainingPage::build(&[run], None).unwrap();
            let note = "the last line of `a/metrics.jsonl` is not whole and is left out";
            assert!(page.to_html().contains(note) && page.to_markdown().contains(note));
        }
    }
    // Without its line break it is whole still.
    let run = parsed("a/metrics.jsonl", whole.trim_end()).unwrap();
    assert_eq!((run.steps.len(), run.notes.len()), (30, 0));
    let run = run.with_completions(Path::new("a/c"), b"{\"step\":0,\"prompt\":\xe2");
    assert_eq!(run.unwrap().notes.len(), 1);
}

#[test]
fn what_is_no_training_is_refused_by_file_and_line() {
    let refused = |text: &str| parsed("m.jsonl", text).unwrap_err().to_string();
    let good = "{\"step\":3,\"loss\":1}\n";
    for (line, problem) in [
        (
            "\n",
            "it is no JSON object: EOF while parsing a value at line 2 column 0",
        ),
        ("[1]\n", "it is no JSON object"),
        ("{\"loss\":1}\n", "it has no `step`"),
        (
            "{\"step\":-1}\n",
            "`step` is -1, expected a whole number from 0",
        ),
        (
            "{\"step\":4,\"reward\":\"x\"}\n",
            "`reward` is text, expected a number",
        ),
        (
            "{\"step\":4,\"kl\":1e101}\n",
            "`kl` is 1e101, expected at most 1e100 in size",
        ),
        (
            "{\"step\":4,\"collapse\":1}\n",
            "`collapse` is 1, expected true or false",
        ),
        (
            "{\"step\":3,\"loss\":1}\n",
            "step 3 after step 3, expected a later one",
        ),
    ] {
        let found = refused(&format!("{good}{line}{good}"));
        assert_eq!(found, format!("line 2 of `m.jsonl`: {problem}"));
    }
    assert!(
        refused("{\"step\":0,\"loss\":1e999}\n")
            .contains("line 1 of `m.jsonl`: it is no JSON object")
    );
    assert_eq!(
        refused("{\"step\":0}\n"),
        "line 1 of `m.jsonl`: it has neither `reward` nor `loss`"
    );
    assert_eq!(refused(""), "`m.jsonl` has no step of training");
    assert_eq!(refused("{\"st"), "`m.jsonl` has no step of training");
    let completions = |text: &str| {
        let run = parsed("m.jsonl", good).unwrap();
        let run = run.with_completions(Path::new("c.jsonl"), text.as_bytes());
        run.unwrap_err().to_string()
    };
    let prompt = "\"prompt\":1,\"completion\":\"a\"";
    for (line, problem) in [
        ("{\"step\":1}\n".to_owned(), "it has no `prompt`"),
        (format!("{{\"step\":1,{prompt}}}\n"), "it has no `reward`"),
        (
            "{\"step\":1,\"prompt\":\"a\",\"completion\":null}\n".to_owned(),
            "`completion` is null, expected text",
        ),
    ] {
        assert_eq!(
            completions(&line),
            format!("line 1 of `c.jsonl`: {problem}")
        );
    }
    let backwards = [2, 1].map(|step| format!("{{\"step\":{step},{prompt},\"reward\":0}}\n"));
    assert!(
        completions(&backwards.concat()).starts_with("line 2 of `c.jsonl`: step 1 after step 2")
    );
}

#[test]
fn runs_of_two_kinds_are_no_one_page_and_one_run_named_twice_is_one() {
    let taught = parsed("t/metrics.jsonl", &taught(1e-3)).unwrap();
    let error = TrainingPage::build(&[run_on_rewards(3), taught.clone()], None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`my-grpo.training` is a run of `grpo` and `t` one of `sft`"
    );
    assert!(error.hint().is_some());
    assert!(matches!(
        TrainingPage::build(&[], None).unwrap_err(),
        Error::NothingToReport
    ));
    let twice = TrainingPage::build(&[taught.clone(), taught], None).unwrap();
    assert_eq!(twice.data().runs.len(), 1);
    assert_eq!(twice.data().title, "Training: t");
    let ids: BTreeSet<String> = twice.figures().into_iter().map(|it| it.id).collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn markdown_is_a_table_of_first_best_and_last() {
    let run = parsed(
        "m.training/metrics.jsonl",
        "{\"step\":0,\"loss\":2}\n{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"loss\":0.75}\n",
    );
    let page = TrainingPage::build(&[run.unwrap()], None).unwrap();
    let expected = "# Training: m.training\n\n## m.training\n\n3 steps, 0 to 2.\n\n\
        | measured | first |   best | at step |   last | lowest | at step | highest | at step |\n\
        | -------- | ----: | -----: | ------: | -----: | -----: | ------: | ------: | ------: |\n\
        | Loss     | 2.000 | 0.5000 |       1 | 0.7500 | 0.5000 |       1 |   2.000 |       0 |\n\n";
    assert_eq!(page.to_markdown(), format!("{expected}{LEGEND}\n"));
}
