//! All of HumanEval: every canonical solution passes, every broken one fails.

use crate::trial;
use crate::verdict::sandbox;
use libtest_mimic::Trial;
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use taskvec_eval::sandbox::{Isolation, Program, Verdict};

#[derive(serde::Deserialize)]
struct Problem {
    task_id: String,
    prompt: String,
    entry_point: String,
    canonical_solution: String,
    test: String,
}

fn problems() -> Vec<Problem> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/data/humaneval/HumanEval.jsonl.gz"
    );
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The verdicts on `completion` of every problem, by two threads.
fn judge_all(
    isolation: Isolation,
    completion: impl Fn(&Problem) -> String + Sync,
) -> Vec<(String, Verdict)> {
    let problems = problems();
    let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let sandbox = sandbox(isolation);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(problem) = problems.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let text = format!("{}{}\n", problem.prompt, completion(problem));
                    let program = Program {
                        prelude: &problem.prompt,
                        text: &text,
                        test: &problem.test,
                        entry_point: &problem.entry_point,
                    };
                    let verdict = sandbox.run(&program).unwrap();
                    verdicts
                        .lock()
                        .unwrap()
                        .push((problem.task_id.clone(), verdict));
                }
            });
        }
    });
    let verdicts = verdicts.into_inner().unwrap();
    assert_eq!(verdicts.len(), 164);
    eprintln!(
        "164 programs in {:.2?} under {isolation:?}",
        begin.elapsed()
    );
    verdicts
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for isolation in [Isolation::Namespaces, Isolation::Landlock] {
        trials.push(trial(
            format!("humaneval::canonical_{isolation:?}").to_lowercase(),
            move || {
                for (problem, verdict) in
                    judge_all(isolation, |problem| problem.canonical_solution.clone())
                {
                    assert_eq!(verdict, Verdict::Passed, "{problem}");
                }
            },
        ));
    }
    let broken = [
        ("none", "    return None\n"),
        ("raise", "    raise NotImplementedError\n"),
    ];
    for (name, body) in broken {
        trials.push(trial(format!("humaneval::broken_{name}"), move || {
            for (problem, verdict) in judge_all(Isolation::Namespaces, |_| body.to_owned()) {
                assert!(!verdict.passed(), "{problem}");
            }
        }));
    }
    trials
}
