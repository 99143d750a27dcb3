use super::*;
use crate::error::Error;
use crate::generator::Message;
use crate::run::{Record, RecordLog, fixture, prompt_hash, read_records};
use crate::task::SampleScore;

fn record(model: &str, document: usize, sample: u32, correct: bool) -> Record {
    let prompt = Prompt::Text(format!("Q: {document}?\nA:"));
    let record = fixture::record(model, "sums", &format!("sums/{document}"), correct);
    Record {
        prompt_sha256: prompt_hash(&prompt),
        prompt,
        engine: "scripted".to_owned(),
        task_version: "1.0".to_owned(),
        sample,
        completion: format!(" {model} says {correct}"),
        token_count: 3,
        reference: document.to_string(),
        document_sha256: String::new(),
        score: SampleScore {
            strict: correct.then(|| document.to_string()),
            ..record.score.clone()
        },
        ..record
    }
}

/// 40 documents: the first run gets 0 to 19 right, the second 2 to 34.
fn runs() -> (Vec<Record>, Vec<Record>) {
    let first = (0..40)
        .map(|document| record("target", document, 0, document < 20))
        .collect();
    let second = (0..40)
        .map(|document| record("enhanced", document, 0, (2..35).contains(&document)))
        .collect();
    (first, second)
}

#[test]
fn paired_numbers() {
    let (first, second) = runs();
    let comparison = Comparison::build(&first, &second, 2).unwrap();
    let [row] = comparison.rows.as_slice() else {
        panic!("{comparison:?}")
    };
    assert_eq!(
        (row.n, row.documents, row.gained, row.lost),
        (40, 40, 15, 2)
    );
    assert_eq!(
        (row.first_accuracy, row.second_accuracy, row.difference),
        (0.5, 33.0 / 40.0, 13.0 / 40.0)
    );
    // scipy 1.17.1, binomtest(2, 17).pvalue.
    assert!(
        (row.p_value.unwrap() - 0.002_349_853_515_625).abs() < 1e-12,
        "{row:?}"
    );
    assert_eq!(row.p_value, row.p_value_adjusted);
    assert!(row.ci_low > 0.0 && row.ci_low < 0.325 && row.ci_high > 0.325 && row.ci_high < 0.6);
    assert!(row.bootstrap_low > 0.0 && (row.bootstrap_low - row.ci_low).abs() < 0.1);
    assert_eq!(row.verdict(), Verdict::Higher);
    let changed: Vec<&str> = comparison
        .changes
        .iter()
        .map(|change| change.what)
        .collect();
    assert_eq!(changed, ["model", "expression", "weights"]);
    let shown = |examples: &[Example]| {
        examples
            .iter()
            .map(|example| example.doc_id.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (shown(&comparison.gained), shown(&comparison.lost)),
        (
            vec!["sums/20".to_owned(), "sums/21".to_owned()],
            vec!["sums/0".to_owned(), "sums/1".to_owned()]
        )
    );
    let text = comparison.gained[0].to_text();
    assert!(
        text.contains("question: Q: 20?\n    A:\n")
            && text.contains("first, read as nothing: target says false"),
        "{text}"
    );
    let table = comparison.table().to_text();
    assert!(
        table.contains("+32.5*") && table.contains("50.0    82.5"),
        "{table}"
    );
    // The other way round it is the other way round.
    let back = Comparison::build(&second, &first, 0).unwrap();
    assert_eq!(
        (back.rows[0].difference, back.rows[0].p_value),
        (-row.difference, row.p_value)
    );
    assert!((back.rows[0].ci_high + row.ci_low).abs() < 1e-12);
    assert!(back.gained.is_empty());
}

#[test]
fn only_what_both_have_is_counted() {
    let (first, mut second) = runs();
    second.truncate(30);
    second.push(record("enhanced", 77, 0, true));
    second[5].prompt = Prompt::Chat(vec![Message::user("5?")]);
    let comparison = Comparison::build(&first, &second, 0).unwrap();
    let row = &comparison.rows[0];
    assert_eq!(
        (row.n, row.only_first, row.only_second, row.other_prompts),
        (30, 10, 1, 1)
    );
    let legend = comparison.legend().join("\n");
    assert!(
        legend.contains("10 samples are in the first run only, 1 in the second only"),
        "{legend}"
    );
    assert!(
        legend.contains("1 of 30 prompts are not the same"),
        "{legend}"
    );
    let change = comparison
        .changes
        .iter()
        .find(|change| change.what == "prompt form")
        .unwrap();
    assert_eq!((change.first.len(), change.second.len()), (1, 2));
}

#[test]
fn several_samples_of_a_document_are_not_independent() {
    let several = |model: &str, right: fn(usize, u32) -> bool| -> Vec<Record> {
        (0..20)
            .flat_map(|document| (0..4).map(move |sample| (document, sample)))
            .map(|(document, sample)| record(model, document, sample, right(document, sample)))
            .collect()
    };
    let first = several("target", |document, _| document < 5);
    let second = several("enhanced", |document, sample| document < 10 && sample != 3);
    let comparison = Comparison::build(&first, &second, 0).unwrap();
    let row = &comparison.rows[0];
    assert_eq!(
        (row.n, row.documents, row.gained, row.lost, row.p_value),
        (80, 20, 15, 5, None)
    );
    assert_eq!(
        (row.ci_low, row.ci_high),
        (row.bootstrap_low, row.bootstrap_high)
    );
    // Of ten documents three out of four samples are right, so that of four one is.
    let passes: Vec<(u64, f64, f64)> = row
        .pass_at_k
        .iter()
        .map(|pass| (pass.k, pass.first, pass.second))
        .collect();
    assert_eq!(passes, [(1, 0.25, 0.375), (4, 0.25, 0.5)]);
    let table = comparison.table();
    assert_eq!(table.header[10..], ["first pass@4", "second pass@4"]);
    assert_eq!(table.rows[0][10..], ["25.0", "50.0"]);
    // Ten points over 80 independent samples would be sure; over 20 documents they are not.
    assert!(row.ci_low < 0.0 && row.ci_high > 0.125, "{row:?}");
    assert!(comparison.legend().join("\n").contains("several samples"));
    // Nine documents are too few to be resampled, and their samples no more than they are.
    let few = |records: Vec<Record>| -> Vec<Record> { records[..9 * 4].to_vec() };
    let comparison = Comparison::build(&few(first), &few(second), 0).unwrap();
    let row = &comparison.rows[0];
    assert_eq!((row.ci_low, row.ci_high), (-1.0, 1.0));
    assert_eq!(row.verdict(), Verdict::Undecided);
}

fn with(records: Vec<Record>, change: impl Fn(&mut Record)) -> Vec<Record> {
    records
        .into_iter()
        .map(|mut record| {
            change(&mut record);
            record
        })
        .collect()
}

#[test]
fn many_rows_are_adjusted_for() {
    let (first, second) = runs();
    let both = |records: Vec<Record>| {
        let noisy = with(records.clone(), |record| {
            record.condition = Condition::Noise
        });
        [records, noisy].concat()
    };
    let comparison = Comparison::build(&both(first), &both(second), 0).unwrap();
    assert_eq!(comparison.rows.len(), 2);
    for row in &comparison.rows {
        assert!((row.p_value_adjusted.unwrap() - 2.0 * row.p_value.unwrap()).abs() < 1e-15);
    }
    assert!(
        comparison
            .legend()
            .join("\n")
            .contains("adjusted for the 2 rows")
    );
}

#[test]
fn what_cannot_be_compared() {
    let (first, second) = runs();
    let newer = with(second.clone(), |record| {
        record.task_version = "2.0".to_owned()
    });
    let error = Comparison::build(&first, &newer, 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the runs share no samples\n  `sums` is version 1.0 in the first run and 2.0 in the second"
    );
    let other = with(second.clone(), |record| record.task = "products".to_owned());
    let error = Comparison::build(&first, &other, 0)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`sums` is in the first run only\n  `products` is in the second run only"),
        "{error}"
    );
    let seeds = with(second.clone(), |record| record.doc_id.push_str("/seed 1"));
    let error = Comparison::build(&first, &seeds, 0)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`sums` has other documents in each run"),
        "{error}"
    );
    // One task's version does not keep the others from being compared.
    let partly = [
        newer,
        with(second.clone(), |record| record.task = "products".to_owned()),
    ]
    .concat();
    let own = [
        first.clone(),
        with(first.clone(), |record| record.task = "products".to_owned()),
    ]
    .concat();
    let comparison = Comparison::build(&own, &partly, 0).unwrap();
    assert_eq!((comparison.rows.len(), comparison.left_out.len()), (1, 1));

    let mixed = [first.clone(), second.clone()].concat();
    let error = Comparison::build(&mixed, &second, 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the first run has records of 2 models: `target`, `enhanced`"
    );
    assert_eq!(
        records_of("first", mixed.clone(), Some("enhanced")).unwrap(),
        second
    );
    let error = records_of("second", mixed, Some("other")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the second run has no records of `other`"),
        "{error}"
    );
    let again = with(first.clone(), |record| {
        record.engine = "another".to_owned();
        record.fingerprint = "other weights".to_owned();
    });
    let twice = [first, again].concat();
    let error = Comparison::build(&twice, &second, 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`target` has more than one answer to document `sums/0` of `sums` under condition `clean`, which differ in weights, engine"
    );
    assert!(error.hint().unwrap().contains("--out"));
}

#[test]
fn record_files_are_read_whole_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records.jsonl");
    let (first, _) = runs();
    let mut log = RecordLog::open(&path).unwrap();
    for record in &first {
        log.append(record.clone()).unwrap();
    }
    log.finish().unwrap();
    let read = read_records(&path).unwrap();
    assert_eq!((read.records, read.torn), (first.clone(), None));
    let whole = std::fs::read_to_string(&path).unwrap();
    let refused = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let error = read_records(&path).unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        error
    };
    assert!(matches!(
        refused(&whole.replacen("{\"model\"", "{\"mod", 1)),
        Error::RecordLine { line: 1, .. }
    ));
    // What a crash tore off is left out, and that is said; a line that lost its end alone is a line.
    for (cut, count, is_torn) in [(9, 39, true), (1, 40, false)] {
        std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let read = read_records(&path).unwrap();
        assert_eq!(read.records, first[..count]);
        assert_eq!(read.torn.is_some(), is_torn);
    }
    // The same answer twice, as where files were put together, is one.
    std::fs::write(&path, format!("{whole}{whole}")).unwrap();
    assert_eq!(read_records(&path).unwrap().records, first);
    let other = refused("{\"doc_id\": \"3\", \"resps\": []}\n");
    let Error::RecordLine {
        line: 1, source, ..
    } = &other
    else {
        panic!("{other}")
    };
    assert!(source.to_string().contains("missing field"), "{source}");
    assert!(matches!(refused(""), Error::NoRecords { .. }));
    assert!(matches!(
        read_records(directory.path()).unwrap_err(),
        Error::RecordFile { .. }
    ));
    assert!(matches!(
        read_records(&directory.path().join("none")).unwrap_err(),
        Error::RecordFile { .. }
    ));
}
