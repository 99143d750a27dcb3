//! Several outputs of one pass.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use taskvec_core::{Dtype, Error, Plan, WriteOptions, write, write_all};

use super::fixture::{Tensor, decoder, family};
use super::write::files;

const VALUES: [&str; 5] = ["0", "0.25", "-0.7", "1", "1/3"];

fn beside<'a>(plans: &'a [Plan], paths: &'a [PathBuf]) -> Vec<(&'a Plan, &'a Path)> {
    plans
        .iter()
        .zip(paths.iter().map(PathBuf::as_path))
        .collect()
}

fn entries(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn each_output_is_what_a_write_of_its_own_would_make() {
    let directory = tempfile::tempdir().unwrap();
    // A tensor that is carried, and values that are not finite.
    let mut shards = decoder(Dtype::Bf16, 1);
    shards[1].push(Tensor::new(
        "model.positions",
        Dtype::I64,
        &[2],
        &[0.0, 1.0],
    ));
    let infinite = &mut shards[0][1].bytes;
    infinite[..2].copy_from_slice(&0x7f80u16.to_le_bytes());
    let world = family(Dtype::Bf16)
        .model("other", &shards)
        .vector("reason", decoder(Dtype::F32, 4).concat());
    for (number, expression) in [
        "target + a*(grpo - sft)",
        // Unchanged for a = 0 and for a = 1.
        "target + a*(grpo - target)",
        "other + a*reason",
        // Steps in common.
        "sft + a*ties(grpo - sft, target - sft, density=0.3) + a*reason",
        // Steps that differ, and one that does not.
        "sft + dare_ties(a*(grpo - sft) + reason, trim(target - sft, density=0.5), density=0.5)",
        // Not every tensor is computed in every output.
        "target + {\"mlp\": a, else: 1}*(grpo - target)",
        "a*(grpo - sft)",
    ]
    .into_iter()
    .enumerate()
    {
        let plans = world.plans_over(expression, &VALUES);
        for (threads, chunk_bytes) in [(1, 1 << 20), (3, 1000)] {
            let options = WriteOptions {
                threads: NonZeroUsize::new(threads),
                chunk_bytes: NonZeroUsize::new(chunk_bytes),
                sync: false,
                hash: true,
                ..WriteOptions::default()
            };
            let at = |form: &str, ending: &str| -> Vec<PathBuf> {
                let name = |place: usize| format!("{number}-{threads}-{form}-{place}{ending}");
                (0..plans.len())
                    .map(|place| directory.path().join(name(place)))
                    .collect()
            };
            for ending in ["", ".safetensors"] {
                let (together, alone) = (at("together", ending), at("alone", ending));
                let reports = write_all(&beside(&plans, &together), &options, &|_| {}).unwrap();
                for (((plan, report), together), alone) in
                    plans.iter().zip(reports).zip(&together).zip(&alone)
                {
                    let mut expected = write(plan, alone, &options, &|_| {}).unwrap();
                    expected.destination.clone_from(together);
                    // As text, in which NaN equals itself.
                    let (report, expected) = (format!("{report:?}"), format!("{expected:?}"));
                    assert_eq!(report, expected, "{expression}");
                    let equal = if ending.is_empty() {
                        files(together) == files(alone)
                    } else {
                        fs::read(together).unwrap() == fs::read(alone).unwrap()
                    };
                    assert!(equal, "{}: {}", plan.expression(), together.display());
                }
            }
        }
    }
}

#[test]
fn plans_of_different_expressions_may_be_written_together() {
    let directory = tempfile::tempdir().unwrap();
    let world = family(Dtype::F16);
    let plans = [world.plan("grpo - sft"), world.plan("mean(target, grpo)")];
    let at = |name: &str| directory.path().join(name);
    let together = [at("v"), at("m")];
    write_all(
        &beside(&plans, &together),
        &WriteOptions::default(),
        &|_| {},
    )
    .unwrap();
    for (plan, (together, alone)) in plans.iter().zip(together.iter().zip([at("v1"), at("m1")])) {
        write(plan, &alone, &WriteOptions::default(), &|_| {}).unwrap();
        assert!(files(together) == files(&alone));
    }
}

#[test]
fn what_one_output_is_refused_for_leaves_none() {
    let directory = tempfile::tempdir().unwrap();
    let plans = family(Dtype::Bf16).plans_over("target + a*(grpo - sft)", &["0.5", "1"]);
    let paths = [
        directory.path().join("half"),
        directory.path().join("whole"),
    ];
    fs::create_dir(&paths[1]).unwrap();
    fs::write(paths[1].join("mine"), "").unwrap();
    let options = WriteOptions::default();
    let refused = write_all(&beside(&plans, &paths), &options, &|_| {}).unwrap_err();
    assert!(
        matches!(refused, Error::DestinationExists { .. }),
        "{refused}"
    );
    assert_eq!(entries(directory.path()), ["whole"]);
    assert_eq!(entries(&paths[1]), ["mine"]);
}

#[test]
fn cancelled_work_leaves_none_and_progress_counts_all() {
    let directory = tempfile::tempdir().unwrap();
    let plans = family(Dtype::Bf16).plans_over("target + a*(grpo - sft)", &["0", "0.5", "1"]);
    let paths = ["a", "b", "c"].map(|name| directory.path().join(name));
    let cancelled = AtomicBool::new(false);
    let seen = Mutex::new((0, 0));
    let options = WriteOptions {
        chunk_bytes: NonZeroUsize::new(512),
        cancelled: Some(&cancelled),
        ..WriteOptions::default()
    };
    cancelled.store(true, Ordering::Relaxed);
    let outcome = write_all(&beside(&plans, &paths), &options, &|_| {});
    assert!(matches!(outcome, Err(Error::Cancelled)));
    assert!(entries(directory.path()).is_empty());

    cancelled.store(false, Ordering::Relaxed);
    write_all(&beside(&plans, &paths), &options, &|progress| {
        let mut seen = seen.lock().unwrap();
        *seen = (seen.0.max(progress.bytes_done), progress.bytes_total);
    })
    .unwrap();
    assert_eq!(*seen.lock().unwrap(), (3 * 145_472, 3 * 145_472));
    assert_eq!(entries(directory.path()), ["a", "b", "c"]);
}
