use super::*;
use crate::task::Registry;
use std::io::Write;

fn score(task: &str, lines: &str, is_partial: bool) -> Result<(Summary, Vec<ScoredCompletion>)> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(lines.as_bytes()).unwrap();
    let mut samples = Vec::new();
    let task = Registry::standard().get(task)?;
    let mut keep = |sample: &ScoredCompletion| {
        samples.push(sample.clone());
        Ok(())
    };
    let selection = Selection::test();
    let output = Path::new("samples.jsonl");
    let summary = score_completions(
        &*task,
        &selection,
        file.path(),
        is_partial,
        &mut keep,
        output,
    )?;
    Ok((summary, samples))
}

fn refusal(task: &str, lines: &str) -> String {
    let error = score(task, lines, true).unwrap_err();
    let text = error.to_string();
    // The path is a temporary one.
    let (before, rest) = text.split_once('`').unwrap_or((&text, ""));
    match rest.split_once('`') {
        Some((path, after)) if path.starts_with('/') => format!("{before}FILE{after}"),
        _ => text,
    }
}

#[test]
fn strict_and_flexible_per_sample_and_in_total() {
    // The first two test questions of GSM8K have the answers 18 and 3.
    let lines = "{\"doc_id\": 0, \"completion\": \" 9 * 2 = 18\\n#### 18\"}\n\n\
        {\"doc_id\": \"1\", \"completion\": \"#### 4. Or 3\\nQuestion: what? #### 9\", \"sample\": 0}\n\
        {\"doc_id\": \"1\", \"completion\": \"#### 3\", \"sample\": 1}\n";
    let (summary, samples) = score("gsm8k", lines, true).unwrap();
    let scores: Vec<(bool, bool)> = samples
        .iter()
        .map(|sample| (sample.score.correct, sample.score.flexible_correct))
        .collect();
    assert_eq!(scores, [(true, true), (false, true), (true, true)]);
    assert_eq!(
        (summary.documents, summary.answered, summary.samples),
        (1319, 2, 3)
    );
    assert!((summary.accuracy - 2.0 / 3.0).abs() < 1e-12 && (summary.flexible - 1.0).abs() < 1e-12);
    assert_eq!(summary.pass_at_k.len(), 1);
    assert!((summary.pass_at_k[0].value - 0.75).abs() < 1e-12);
}

#[test]
fn a_group_is_scored_over_all_items_and_by_subtask() {
    let lines = "{\"doc_id\": \"boolean_expressions/0\", \"completion\": \"False\"}\n\
        {\"doc_id\": \"snarks/0\", \"completion\": \"(B)\"}\n\
        {\"doc_id\": \"snarks/1\", \"completion\": \"none\"}\n";
    let (summary, samples) = score("bbh_zeroshot", lines, true).unwrap();
    assert_eq!(summary.metric, crate::task::Metric::FlexibleExactMatch);
    assert_eq!(summary.kinds.len(), 2);
    assert!(samples[1].score.flexible_correct && !samples[2].is_right);
    // One subtask alone may be counted in numbers, as the harness counts.
    let numbered = "{\"doc_id\": 0, \"completion\": \"(B)\"}";
    assert!(score("bbh_zeroshot_snarks", numbered, true).unwrap().1[0].is_right);
}

#[test]
fn lines_that_cannot_be_used_are_named() {
    let good = "{\"doc_id\": 0, \"completion\": \"18\"}\n";
    for (lines, message) in [
        (
            "",
            "line 1 of FILE: there is no completion in it for `gsm8k`",
        ),
        ("{\"doc_id\": 0}\n", "line 1 of FILE is no completion"),
        (
            "{\"doc_id\": 0, \"completion\": 3}",
            "line 1 of FILE is no completion",
        ),
        (
            "{\"doc_id\": 0, \"completion\": \"a\", \"sample\": -1}",
            "line 1 of FILE is no completion",
        ),
        ("[1, 2]\n", "line 1 of FILE is no completion"),
        (
            "{\"doc_id\": 0, \"completion\": \"cut",
            "line 1 of FILE is no completion",
        ),
        (
            "{\"doc_id\": null, \"completion\": \"\"}",
            "line 1 of FILE: `doc_id` must be a string or a number",
        ),
        (
            "{\"doc_id\": 1319, \"completion\": \"\"}",
            "line 1 of FILE: there is no document 1319; they are counted from 0 to 1318",
        ),
        (
            "{\"doc_id\": 0.5, \"completion\": \"\"}",
            "line 1 of FILE: there is no document 0.5; they are counted from 0 to 1318",
        ),
        (
            "{\"doc_id\": \"x\", \"completion\": \"\"}",
            "line 1 of FILE: there is no document `x`; one that there is: `0`",
        ),
    ] {
        assert_eq!(refusal("gsm8k", lines), message, "{lines}");
        if !lines.is_empty() {
            let later = format!(
                "{good}\n{}",
                lines.replace("\"doc_id\": 0,", "\"doc_id\": 1,")
            );
            assert_eq!(
                refusal("gsm8k", &later),
                message.replace("line 1", "line 3"),
                "{later}"
            );
        }
    }
    assert_eq!(
        refusal("gsm8k", &format!("{good}{good}")),
        "line 2 of FILE: a second completion for document `0`, sample 0; the first is on line 1; number them with `sample`"
    );
    assert!(
        refusal("bbh_zeroshot", good)
            .contains("the task has several subtasks; write an id such as `boolean_expressions/0`")
    );
    let huge = format!(
        "{{\"doc_id\": 0, \"completion\": \"{}\"}}",
        "x".repeat(MAX_LINE_BYTES)
    );
    assert_eq!(
        refusal("gsm8k", &huge),
        "line 1 of FILE: longer than 16777216 bytes"
    );
    assert_eq!(
        refusal("micro-sciq", good),
        "task `micro-sciq` compares likelihoods: there are no completions to score"
    );
}

#[test]
fn missing_documents_are_told_unless_they_may_be() {
    let error = score("gsm8k", "{\"doc_id\": 1, \"completion\": \"\"}", false).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("has no completion for 1318 of the 1319 documents of `gsm8k`, `0` for one")
    );
    assert_eq!(
        error.hint().unwrap(),
        "pass `--partial` to score what there is"
    );
}

#[test]
fn programs_are_not_scored_without_a_judge() {
    let line = "{\"task_id\": \"HumanEval/0\", \"completion\": \"\"}";
    assert!(refusal("humaneval", line).contains("there is no sandbox to run them in"));
}
