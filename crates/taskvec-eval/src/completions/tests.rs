use super::*;
use crate::task::Registry;

fn score(task: &str, lines: &str, is_partial: bool) -> Result<(Summary, Vec<ScoredCompletion>)> {
    let file = CompletionFile::of("FILE", std::io::Cursor::new(lines.as_bytes().to_vec()));
    let mut samples = Vec::new();
    let task = Registry::standard().get(task)?;
    let mut keep = |sample: &ScoredCompletion| {
        samples.push(sample.clone());
        Ok(())
    };
    let selection = Selection::test();
    let output = Path::new("samples.jsonl");
    let summary = score_completions(&*task, &selection, file, is_partial, &mut keep, output)?;
    Ok((summary, samples))
}

fn refusal(task: &str, lines: &str) -> String {
    score(task, lines, true).unwrap_err().to_string()
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
        ("", "there is no completion in it for `gsm8k`"),
        (
            "{\"doc_id\": 0}\n",
            "`completion` is missing, expected a text",
        ),
        (
            "{\"completion\": \"18\"}\n",
            "`doc_id` is missing, expected an id or a number",
        ),
        (
            "{\"doc_id\": 0, \"completion\": 3}",
            "`completion` is `3`, expected a text",
        ),
        (
            "{\"doc_id\": 0, \"completion\": [\"3\"]}",
            "`completion` is a list, expected a text",
        ),
        (
            "{\"doc_id\": 0, \"completion\": null}",
            "`completion` is null, expected a text",
        ),
        (
            "{\"doc_id\": 0, \"completion\": \"a\", \"sample\": -1}",
            "`sample` is `-1`, expected a whole number, 0 or more",
        ),
        (
            "{\"doc_id\": 0, \"completion\": \"a\", \"sample\": \"1\"}",
            "`sample` is a text, expected a whole number, 0 or more",
        ),
        (
            "\"18\"\n",
            "a text, expected an object with `doc_id` and `completion`",
        ),
        (
            "{\"doc_id\": 0, \"completion\": \"cut",
            "the JSON breaks off at column 32",
        ),
        ("{'doc_id': 0}", "no JSON at column 2: key must be a string"),
        ("doc_id,completion\n", "no JSON at column 1: expected value"),
        (
            "{\"doc_id\": null, \"completion\": \"\"}",
            "`doc_id` is null, expected an id or a number",
        ),
        (
            "{\"doc_id\": 1319, \"completion\": \"\"}",
            "there is no document 1319; they are counted from 0 to 1318",
        ),
        (
            "{\"doc_id\": 0.5, \"completion\": \"\"}",
            "there is no document 0.5; they are counted from 0 to 1318",
        ),
        (
            "{\"doc_id\": \"x\", \"completion\": \"\"}",
            "there is no document `x`; one that there is: `0`",
        ),
    ] {
        assert_eq!(
            refusal("gsm8k", lines),
            format!("line 1 of `FILE`: {message}"),
            "{lines}"
        );
        if lines.is_empty() {
            continue;
        }
        let later = format!(
            "{good}\n{}",
            lines.replace("\"doc_id\": 0,", "\"doc_id\": 1,")
        );
        assert_eq!(
            refusal("gsm8k", &later),
            format!("line 3 of `FILE`: {message}"),
            "{later}"
        );
    }
    let hint = score("gsm8k", "{}", true).unwrap_err().hint().unwrap();
    assert!(
        hint.starts_with("each line is a JSON object with `doc_id`"),
        "{hint}"
    );
    assert_eq!(
        refusal("gsm8k", &format!("{good}{good}")),
        "line 2 of `FILE`: a second completion for document `0`, sample 0; the first is on line 1; number them with `sample`"
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
        "line 1 of `FILE`: longer than 16777216 bytes"
    );
    assert_eq!(
        refusal("micro-sciq", good),
        "task `micro-sciq` compares likelihoods: there are no completions to score"
    );
}

#[test]
fn a_list_is_read_as_lines_are() {
    let (summary, _) = score(
        "gsm8k",
        "\u{feff}\n [\n  {\"doc_id\": 0, \"completion\": \"#### 18\"},\n  {\"doc_id\": 1, \"completion\": \"#### 4\"}\n]\n",
        true,
    )
    .unwrap();
    assert_eq!((summary.samples, summary.accuracy), (2, 0.5));
    for (list, message) in [
        (
            "[]",
            "line 1 of `FILE`: there is no completion in it for `gsm8k`",
        ),
        (
            "[1, 2]",
            "entry 1 of `FILE`: `1`, expected an object with `doc_id` and `completion`",
        ),
        (
            "[{\"doc_id\": 0, \"completion\": \"\"}, {\"doc_id\": 1}]",
            "entry 2 of `FILE`: `completion` is missing, expected a text",
        ),
        (
            "\n[\n{\"doc_id\": 0,\n",
            "line 4 of `FILE`: the JSON breaks off at column 0",
        ),
        (
            "[]\n[]\n",
            "line 2 of `FILE`: no JSON at column 1: trailing characters",
        ),
        (
            "[{\"doc_id\": 0, \"completion\": \"\"}, {\"doc_id\": 0, \"completion\": \"\"}]",
            "entry 2 of `FILE`: a second completion for document `0`, sample 0; the first is on entry 1; number them with `sample`",
        ),
    ] {
        assert_eq!(refusal("gsm8k", list), message, "{list}");
    }
}

/// A line as `lm_eval --log_samples` writes it, less what it says of the question.
fn logged(doc_id: &str, filter: &str, resps: &str) -> String {
    format!(
        "{{\"doc_id\": {doc_id}, \"doc\": {{\"question\": \"?\"}}, \"target\": \"18\", \"arguments\": {{}}, \"resps\": {resps}, \
         \"filtered_resps\": [\"18\"], \"filter\": \"{filter}\", \"metrics\": [\"exact_match\"], \"exact_match\": 1.0}}\n"
    )
}

#[test]
fn samples_of_the_harness_are_scored_by_what_the_model_wrote() {
    let strict = [
        logged("0", "strict-match", "[[\"#### 18\", \"no\"]]"),
        logged("1", "strict-match", "[[\"#### 4, or 3\", \"#### 3\"]]"),
    ];
    let both = strict.concat() + &strict.concat().replace("strict-match", "flexible-extract");
    let (summary, samples) = score("gsm8k", &both, true).unwrap();
    // Two documents with two answers each, whatever filters they went through.
    assert_eq!((summary.answered, summary.samples), (2, 4));
    let right: Vec<bool> = samples.iter().map(|sample| sample.is_right).collect();
    assert_eq!(right, [true, false, false, true]);
    assert_eq!(samples[1].sample, 1);

    let other = strict.concat() + &logged("0", "flexible-extract", "[[\"#### 19\"]]");
    assert!(refusal("gsm8k", &other).starts_with("line 3 of `FILE`: a second completion"));
    let twice = strict[0].repeat(2);
    assert!(refusal("gsm8k", &twice).starts_with("line 2 of `FILE`: a second completion"));
    for (resps, message) in [
        (
            "[[[\"-1.5\", \"False\"]], [[\"-2.5\", \"False\"]]]",
            "`resps` answers several requests",
        ),
        ("[[3]]", "`resps` is not `[[\"text\"]]`"),
        ("[[]]", "`resps` is not `[[\"text\"]]`"),
        ("\"18\"", "`resps` is not `[[\"text\"]]`"),
    ] {
        let said = refusal("gsm8k", &logged("0", "none", resps));
        assert!(said.contains(message), "{said}");
    }
    let group = refusal("bbh_zeroshot", &logged("0", "none", "[[\"(B)\"]]"));
    assert!(group.contains("score this one as its subtask"), "{group}");
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
