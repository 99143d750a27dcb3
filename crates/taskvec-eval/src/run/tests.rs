//! Runs against generators that follow a script.

use super::*;
use crate::condition::Condition;
use crate::error::Error;
use crate::generator::{
    Completion, EngineError, Finish, GenerateRequest, Generator, Likelihood, LikelihoodRequest,
    Prompt, Sampling,
};
use crate::task::{About, Document, PromptForm, Protocol, Registry, Selection, Task};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Knows the reference answers of the first documents and gives wrong ones to odd documents.
struct Scripted {
    answers: BTreeMap<Prompt, String>,
    /// Dies after this many results.
    dies_after: Option<usize>,
    asked: usize,
    seeds: Vec<u64>,
    likelihood: fn(&str) -> f64,
}

impl Scripted {
    fn new() -> Self {
        let mut answers = BTreeMap::new();
        for cell in run_cells("micro-gsm,micro-chat", &Condition::ALL) {
            let selection = Selection {
                condition: cell.condition,
                ..options().selection
            };
            let Protocol::Generative(protocol) = cell.task.protocol() else {
                panic!("a multiple-choice task")
            };
            for (index, document) in cell.task.documents(&selection).unwrap().iter().enumerate() {
                let text = match (index % 2 == 0, cell.task.name()) {
                    (true, "micro-chat") => document.reference.clone(),
                    (true, _) => format!(" The answer is {}.", document.reference),
                    (false, _) => " I do not know.".to_owned(),
                };
                answers.insert(protocol.prompt(document, PromptForm::Base), text);
            }
        }
        Self {
            answers,
            dies_after: None,
            asked: 0,
            seeds: Vec::new(),
            likelihood: |_| -1.0,
        }
    }

    fn dying_after(results: usize) -> Self {
        Self {
            dies_after: Some(results),
            ..Self::new()
        }
    }
}

impl Generator for Scripted {
    fn describe(&self) -> String {
        "scripted 1".to_owned()
    }

    fn generate(
        &mut self,
        requests: &[GenerateRequest],
        on_done: &mut dyn FnMut(usize, &Completion),
    ) -> Result<Vec<Completion>, EngineError> {
        let mut results = vec![None; requests.len()];
        // Backwards, as a batch that finishes short answers first may.
        for (index, request) in requests.iter().enumerate().rev() {
            if self.dies_after == Some(self.asked) {
                return Err("power cut".into());
            }
            self.asked += 1;
            self.seeds.push(request.sampling.seed);
            let text = self
                .answers
                .get(&request.prompt)
                .cloned()
                .ok_or("a prompt that nobody wrote")?;
            let completion = Completion {
                text,
                token_count: 7,
                mean_log_probability: Some(-0.123_456),
                finish: Finish::EndOfSequence,
            };
            on_done(index, &completion);
            results[index] = Some(completion);
        }
        Ok(results.into_iter().flatten().collect())
    }

    fn log_likelihood(
        &mut self,
        requests: &[LikelihoodRequest],
        on_done: &mut dyn FnMut(usize, &Likelihood),
    ) -> Result<Vec<Likelihood>, EngineError> {
        let mut results = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            self.asked += 1;
            let log_probability = (self.likelihood)(&request.continuation);
            let likelihood = Likelihood {
                log_probability,
                is_greedy: false,
                token_count: 1,
            };
            on_done(index, &likelihood);
            results.push(likelihood);
        }
        Ok(results)
    }
}

fn subject(model: &str, fingerprint: &str) -> Subject {
    Subject {
        model: model.to_owned(),
        expression: format!("\"{model}\""),
        bindings: BTreeMap::new(),
        fingerprint: fingerprint.to_owned(),
    }
}

fn options() -> RunOptions {
    RunOptions {
        selection: Selection {
            limit: Some(10),
            ..Selection::test()
        },
        ..RunOptions::greedy(PromptForm::Base)
    }
}

fn run_cells(tasks: &str, conditions: &[Condition]) -> Vec<Cell> {
    cells(&Registry::standard().select(tasks).unwrap(), conditions)
}

fn run(generator: &mut Scripted, who: &Subject, log: &mut RecordLog) -> Result<Vec<Record>, Error> {
    let cells = run_cells(
        "micro-gsm,micro-chat",
        &[Condition::Clean, Condition::Noise],
    );
    evaluate(generator, who, &cells, &options(), log, &mut |_| {})
}

/// Two models, one after the other, into one file.
fn whole_run(path: &Path, dies_after: Option<usize>) -> (usize, Result<Vec<Record>, Error>) {
    let mut generator = dies_after.map_or_else(Scripted::new, Scripted::dying_after);
    let mut log = RecordLog::open(path).unwrap();
    let both = ["target", "tuned"].map(|name| subject(name, name));
    for who in &both {
        if let Err(error) = run(&mut generator, who, &mut log) {
            return (generator.asked, Err(error));
        }
    }
    (generator.asked, log.finish())
}

#[test]
fn records_hold_what_was_asked_and_answered() {
    let mut log = RecordLog::in_memory();
    let mut seen = Vec::new();
    let cells = run_cells(
        "micro-gsm,micro-chat",
        &[Condition::Clean, Condition::Noise],
    );
    assert_eq!(cells.len(), 3, "chat has no noise");
    let records = evaluate(
        &mut Scripted::new(),
        &subject("target", "f"),
        &cells,
        &options(),
        &mut log,
        &mut |progress| {
            seen.push((progress.task.to_owned(), progress.done, progress.correct));
        },
    )
    .unwrap();
    assert_eq!(records.len(), 30);
    assert_eq!(seen.last(), Some(&("micro-chat".to_owned(), 10, 5)));
    for (index, record) in records.iter().enumerate() {
        assert_eq!(record.score.correct, index % 2 == 0);
        assert_eq!(record.prompt_sha256, prompt_hash(&record.prompt));
        assert_eq!(
            (
                record.engine.as_str(),
                record.model.as_str(),
                record.token_count
            ),
            ("scripted 1", "target", 7)
        );
    }
    let ids: Vec<&str> = records[..10]
        .iter()
        .map(|record| record.doc_id.as_str())
        .collect();
    assert_eq!(
        ids,
        (0..10)
            .map(|index| format!("micro-gsm/test/0/{index}"))
            .collect::<Vec<_>>()
    );
    assert_eq!(log.finish().unwrap(), records);
}

#[test]
fn a_run_killed_anywhere_ends_with_the_file_of_an_undisturbed_one() {
    let directory = tempfile::tempdir().unwrap();
    let undisturbed = directory.path().join("undisturbed.jsonl");
    let (asked, result) = whole_run(&undisturbed, None);
    assert_eq!((asked, result.unwrap().len()), (60, 60));
    let expected = std::fs::read(&undisturbed).unwrap();

    for death in [0, 1, 9, 10, 11, 25, 30, 47, 59] {
        let path = directory.path().join(format!("{death}.jsonl"));
        let (asked, result) = whole_run(&path, Some(death));
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Engine { .. }), "{error}");
        assert_eq!(asked, death);
        // The crash tore the line that was being written.
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.iter().filter(|&&byte| byte == b'\n').count(), death);
        bytes.extend(br#"{"model":"target","expr"#);
        std::fs::write(&path, bytes).unwrap();

        let (asked, result) = whole_run(&path, None);
        assert_eq!((asked, result.unwrap().len()), (60 - death, 60));
        assert!(
            std::fs::read(&path).unwrap() == expected,
            "killed after {death}"
        );
    }
    let (asked, _) = whole_run(&undisturbed, None);
    assert_eq!(asked, 0);
    assert!(std::fs::read(&undisturbed).unwrap() == expected);
}

/// A task whose questions have other reference answers: another edition of its data.
struct OtherAnswers(Arc<dyn Task>);

impl Task for OtherAnswers {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn version(&self) -> &str {
        self.0.version()
    }

    fn about(&self) -> About {
        self.0.about()
    }

    fn conditions(&self) -> &[Condition] {
        self.0.conditions()
    }

    fn default_limit(&self) -> usize {
        self.0.default_limit()
    }

    fn documents(&self, selection: &Selection) -> Result<Vec<Document>, Error> {
        let mut documents = self.0.documents(selection)?;
        for document in &mut documents {
            document.reference = "-1".to_owned();
        }
        Ok(documents)
    }

    fn protocol(&self) -> Protocol<'_> {
        self.0.protocol()
    }
}

#[test]
fn other_answers_to_the_same_questions_are_another_result() {
    let mut log = RecordLog::in_memory();
    let mut generator = Scripted::new();
    let who = subject("target", "f");
    let mut measure = |task: Arc<dyn Task>| {
        let cells = cells(&[task], &[Condition::Clean]);
        evaluate(
            &mut generator,
            &who,
            &cells,
            &options(),
            &mut log,
            &mut |_| {},
        )
        .unwrap()
    };
    let task = Registry::standard().get("micro-gsm").unwrap();
    let first = measure(Arc::clone(&task));
    let second = measure(Arc::new(OtherAnswers(task)));
    assert!(first.iter().any(|record| record.score.correct));
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.prompt, second.prompt);
        assert!(!second.score.correct);
        assert_ne!(first.key(), second.key());
    }
    // What an older version wrote has no such hash; it is read all the same.
    let mut line = serde_json::to_value(&first[0]).unwrap();
    line.as_object_mut().unwrap().remove("document_sha256");
    let old: Record = serde_json::from_value(line).unwrap();
    assert_ne!(old.key(), first[0].key());
}

#[test]
fn what_determines_a_result_decides_whether_it_is_used_again() {
    let mut log = RecordLog::in_memory();
    let mut generator = Scripted::new();
    run(&mut generator, &subject("target", "f"), &mut log).unwrap();
    assert_eq!(generator.asked, 30);
    // The same weights under another name: copied, not asked.
    let copies = run(&mut generator, &subject("target + 0 v", "f"), &mut log).unwrap();
    assert_eq!(generator.asked, 30);
    assert!(copies.iter().all(|record| record.model == "target + 0 v" && record.expression == "\"target + 0 v\""));
    // Other weights under the same name: asked.
    run(&mut generator, &subject("target", "g"), &mut log).unwrap();
    assert_eq!(generator.asked, 60);

    let record = log.records()[0].clone();
    let key = record.key();
    let changed = [
        Record {
            task_version: "2.0".to_owned(),
            ..record.clone()
        },
        Record {
            engine: "scripted 2".to_owned(),
            ..record.clone()
        },
        Record {
            prompt: Prompt::Text("Q".to_owned()),
            ..record.clone()
        },
        Record {
            sample: 1,
            ..record.clone()
        },
        Record {
            condition: Condition::Noise,
            ..record.clone()
        },
        Record {
            doc_id: "other".to_owned(),
            ..record.clone()
        },
        Record {
            document_sha256: "other".to_owned(),
            ..record.clone()
        },
        Record {
            request: Request::Generate {
                max_new_tokens: 64,
                stop: Vec::new(),
                sampling: Sampling::random(1.0, 0),
            },
            ..record.clone()
        },
    ];
    assert!(changed.iter().all(|other| other.key() != key));
    assert_eq!(
        Record {
            model: "other".to_owned(),
            completion: "x".to_owned(),
            ..record
        }
        .key(),
        key
    );
}

#[test]
fn an_interrupted_run_says_what_it_lacks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records.jsonl");
    let (_, result) = whole_run(&path, Some(17));
    assert!(result.is_err());
    let read = |text: &[u8]| RecordLog::parse(&path, text).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = read(&bytes);
    assert_eq!((file.records.len(), file.torn), (17, None));
    let lacking = Unfinished::of("r", None, &file.records).unwrap();
    assert!(
        lacking
            .sentence()
            .contains("`target` has 7 of 10 answers to micro-gsm noise"),
        "{}",
        lacking.sentence()
    );
    // What a crash tore off is said, too.
    let torn = read(&bytes[..bytes.len() - 5]);
    assert_eq!(torn.records.len(), 16);
    assert!(torn.torn.unwrap().contains("is not whole and is left out"));
    let (_, result) = whole_run(&path, None);
    let records = result.unwrap();
    assert_eq!(Unfinished::of("r", None, &records), None);
    assert!(records.iter().all(|record| record.planned == 10));
}

#[test]
fn a_model_that_has_answered_everything_need_not_be_loaded() {
    let mut log = RecordLog::in_memory();
    let who = subject("target", "f");
    let cells = run_cells(
        "micro-gsm,micro-chat",
        &[Condition::Clean, Condition::Noise],
    );
    let open = |log: &RecordLog| open_samples("scripted 1", &who, &cells, &options(), log).unwrap();
    let mut nobody = Recorded::new("scripted 1");
    assert_eq!(open(&log), 30);
    let error = evaluate(&mut nobody, &who, &cells, &options(), &mut log, &mut |_| {});
    assert!(matches!(error, Err(Error::Engine { .. })));
    let asked = run(&mut Scripted::new(), &who, &mut log).unwrap();
    assert_eq!(open(&log), 0);
    let recalled = evaluate(&mut nobody, &who, &cells, &options(), &mut log, &mut |_| {});
    assert_eq!(recalled.unwrap(), asked);
}

#[test]
fn drawn_samples_have_seeds_of_their_own() {
    let mut generator = Scripted::new();
    let drawn = RunOptions {
        sampling: Sampling::random(0.7, 5),
        samples: 3,
        ..options()
    };
    let cells = run_cells("micro-gsm", &[Condition::Clean]);
    let mut log = RecordLog::in_memory();
    let records = evaluate(
        &mut generator,
        &subject("m", "f"),
        &cells,
        &drawn,
        &mut log,
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(records.len(), 30);
    assert_eq!(
        records
            .iter()
            .map(|record| record.sample)
            .take(4)
            .collect::<Vec<_>>(),
        [0, 1, 2, 0]
    );
    let mut seeds = generator.seeds.clone();
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 30);
    // They come back from a file as they were, temperature included.
    let line = serde_json::to_string(&records[0]).unwrap();
    assert_eq!(
        serde_json::from_str::<Record>(&line).unwrap().key(),
        records[0].key()
    );
}

#[test]
fn multiple_choice_is_compared() {
    let cells = run_cells("micro-sciq", &[Condition::Clean, Condition::Noise]);
    assert_eq!(cells.len(), 1);
    let mut generator = Scripted {
        likelihood: |continuation| -(continuation.len() as f64),
        ..Scripted::new()
    };
    let mut log = RecordLog::in_memory();
    let records = evaluate(
        &mut generator,
        &subject("m", "f"),
        &cells,
        &options(),
        &mut log,
        &mut |_| {},
    )
    .unwrap();
    assert_eq!((records.len(), generator.asked), (10, 40));
    for record in &records {
        let Request::Likelihood { continuations } = &record.request else {
            panic!("{record:?}")
        };
        let shortest = continuations
            .iter()
            .min_by_key(|continuation| continuation.len())
            .unwrap();
        assert_eq!(record.completion, shortest.trim_start());
        assert_eq!(record.log_probabilities.len(), 4);
        assert_eq!(record.score.correct, record.completion == record.reference);
    }

    let mut broken = Scripted {
        likelihood: |_| f64::NAN,
        ..Scripted::new()
    };
    let error = evaluate(
        &mut broken,
        &subject("m", "g"),
        &cells,
        &options(),
        &mut log,
        &mut |_| {},
    )
    .unwrap_err();
    assert!(matches!(error, Error::Likelihood { .. }), "{error}");
}

#[test]
fn damage_in_the_middle_is_refused_and_two_writers_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records.jsonl");
    whole_run(&path, None).1.unwrap();
    let whole = std::fs::read_to_string(&path).unwrap();

    let open = RecordLog::open(&path).unwrap();
    assert!(matches!(
        RecordLog::open(&path).unwrap_err(),
        Error::RecordsInUse { .. }
    ));
    drop(open);

    std::fs::write(&path, whole.replacen('{', "[", 1)).unwrap();
    let error = RecordLog::open(&path).unwrap_err();
    assert!(
        matches!(error, Error::RecordLine { line: 1, .. }),
        "{error}"
    );
    // Refusing changes nothing.
    assert_eq!(std::fs::read_to_string(&path).unwrap().len(), whole.len());
    let error = RecordLog::open(directory.path()).unwrap_err();
    assert!(
        matches!(error, Error::RecordFile { action: "open", .. }),
        "{error}"
    );
}

#[test]
fn an_engine_that_gives_too_little_is_an_error() {
    struct Lazy;
    impl Generator for Lazy {
        fn describe(&self) -> String {
            "lazy".to_owned()
        }
        fn generate(
            &mut self,
            _: &[GenerateRequest],
            _: &mut dyn FnMut(usize, &Completion),
        ) -> Result<Vec<Completion>, EngineError> {
            Ok(Vec::new())
        }
        fn log_likelihood(
            &mut self,
            _: &[LikelihoodRequest],
            _: &mut dyn FnMut(usize, &Likelihood),
        ) -> Result<Vec<Likelihood>, EngineError> {
            Ok(Vec::new())
        }
    }
    let cells = run_cells("micro-gsm", &[Condition::Clean]);
    let mut log = RecordLog::in_memory();
    let error = evaluate(
        &mut Lazy,
        &subject("m", "f"),
        &cells,
        &options(),
        &mut log,
        &mut |_| {},
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            Error::ResultCount {
                expected: 10,
                got: 0,
                ..
            }
        ),
        "{error}"
    );
    let nothing = RunOptions {
        selection: Selection {
            limit: Some(0),
            ..Selection::test()
        },
        ..options()
    };
    let error = evaluate(
        &mut Lazy,
        &subject("m", "f"),
        &cells,
        &nothing,
        &mut log,
        &mut |_| {},
    )
    .unwrap_err();
    assert!(matches!(error, Error::NoDocuments { .. }), "{error}");
}

#[test]
fn a_file_that_is_no_record_file_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    let line = serde_json::to_string(&super::fixture::record("m", "t", "t/0", true)).unwrap();
    for content in [
        "my notes".to_owned(),
        "hello\n".to_owned(),
        "{\"model\":\"m\"}\n".to_owned(),
        format!("{line}\nmy notes"),
        format!("{line}\nmy notes\n"),
    ] {
        std::fs::write(&path, &content).unwrap();
        let error = RecordLog::open(&path).unwrap_err();
        assert!(
            matches!(error, Error::RecordLine { .. }),
            "{content}: {error}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
    // What a crash leaves of a record, at any byte, is mended.
    for length in (1..line.len()).step_by(7) {
        std::fs::write(&path, format!("{line}\n{}", &line[..length])).unwrap();
        assert_eq!(RecordLog::open(&path).unwrap().records().len(), 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{line}\n"));
    }
}
