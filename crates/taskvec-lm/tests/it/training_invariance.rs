//! Runs that must be equal: configurations that only cut the work differently learn the same, and threads
//! and interruptions change nothing at all.

use std::ops::ControlFlow;

use burn::tensor::Device;
use taskvec_lm::train::metrics::{Observer, Silent, Warning};
use taskvec_lm::train::parallel::Workers;
use taskvec_lm::train::parameters::Parameters;
use taskvec_lm::train::resume::{METRICS_FILE, RunDirectory, STATE_FILE};
use taskvec_lm::train::sft::{self, SftConfig, SftMetrics};
use taskvec_lm::{Error, decoder::Decoder};

use crate::training::{bits, decoder, examples, weights};

fn config() -> SftConfig {
    SftConfig {
        learning_rate: 5e-3,
        max_steps: Some(12),
        per_device_train_batch_size: 8,
        warmup_steps: 2,
        weight_decay: 0.1,
        slices: 2,
        save_steps: 5,
        ..SftConfig::default()
    }
}

fn run(config: &SftConfig, workers: Workers) -> (Decoder, Vec<SftMetrics>) {
    let mut seen = Vec::new();
    let mut observer = |metrics: &SftMetrics, _: u64| {
        seen.push(metrics.clone());
        ControlFlow::Continue(())
    };
    let outcome = sft::train(
        &decoder(true),
        &examples(40),
        config,
        workers,
        None,
        &mut observer,
    )
    .unwrap();
    assert!(outcome.finished);
    (outcome.decoder, seen)
}

/// Losses agree to the rounding of sums. Weights may differ by more, because AdamW divides by the root of
/// a moment: a gradient that is nearly 0 has a large relative error.
const LOSS_TOLERANCE: f64 = 2e-5;
const WEIGHT_TOLERANCE: f32 = 2e-4;

#[test]
fn the_cut_changes_only_rounding() {
    let (whole, expected) = run(
        &SftConfig {
            slices: 1,
            ..config()
        },
        Workers::single(),
    );
    let expected_weights = weights(&whole);
    let moved = weights(&decoder(true))
        .iter()
        .zip(&expected_weights)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(
        moved > 100.0 * WEIGHT_TOLERANCE,
        "the run hardly moves: {moved}"
    );
    for (micro_batch, accumulation, slices) in
        [(8, 1, 2), (8, 1, 4), (4, 2, 1), (4, 2, 2), (1, 8, 1)]
    {
        let config = SftConfig {
            per_device_train_batch_size: micro_batch,
            gradient_accumulation_steps: accumulation,
            slices,
            ..config()
        };
        let (other, found) = run(&config, Workers::new(2).unwrap());
        let mut residual = 0.0;
        for (found, expected) in found.iter().zip(&expected) {
            let difference = found.loss - expected.loss;
            assert!(
                difference.abs() < LOSS_TOLERANCE,
                "{config:?}: {found:?}, {expected:?}"
            );
            assert_eq!(found.tokens, expected.tokens);
            residual += difference;
        }
        // Rounding has no favourite side; a wrong denominator has.
        assert!(
            residual.abs() < 4.0 * LOSS_TOLERANCE,
            "{config:?}: one-sided by {residual}"
        );
        for (found, expected) in weights(&other).iter().zip(&expected_weights) {
            assert!((found - expected).abs() < WEIGHT_TOLERANCE, "{config:?}");
        }
    }
}

#[test]
fn workers_change_no_bit() {
    let config = SftConfig {
        slices: 3,
        gradient_accumulation_steps: 2,
        ..config()
    };
    let (one, _) = run(&config, Workers::new(1).unwrap());
    for workers in [
        Workers::new(2).unwrap(),
        Workers::new(4).unwrap(),
        Workers::single(),
    ] {
        let (other, _) = run(&config, workers);
        assert_eq!(bits(&one), bits(&other));
    }
}

#[test]
fn the_seed_decides_the_order() {
    let (one, _) = run(&config(), Workers::single());
    let (two, _) = run(
        &SftConfig {
            seed: 43,
            ..config()
        },
        Workers::single(),
    );
    assert_ne!(bits(&one), bits(&two));
}

#[test]
fn the_loss_falls() {
    let config = SftConfig {
        max_steps: Some(80),
        learning_rate: 1e-2,
        ..config()
    };
    let (_, metrics) = run(&config, Workers::new(2).unwrap());
    let (first, last) = (metrics[0].loss, metrics[79].loss);
    assert!(first > 3.0 && last < 1.0, "{first} to {last}");
    assert_eq!(metrics[79].epoch, 16.0);
}

struct StopAfter(u64);

impl Observer<SftMetrics> for StopAfter {
    fn step(&mut self, metrics: &SftMetrics, _: u64) -> ControlFlow<()> {
        match metrics.step == self.0 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

struct DieAfter(u64);

impl Observer<SftMetrics> for DieAfter {
    fn step(&mut self, metrics: &SftMetrics, _: u64) -> ControlFlow<()> {
        assert!(metrics.step != self.0, "dies here");
        ControlFlow::Continue(())
    }
}

#[test]
fn a_run_resumes_exactly_wherever_it_was_cut_off() {
    let (whole, expected) = run(&config(), Workers::new(2).unwrap());
    let train = |directory: &RunDirectory, observer: &mut dyn Observer<SftMetrics>| {
        let workers = Workers::new(2).unwrap();
        sft::train(
            &decoder(true),
            &examples(40),
            &config(),
            workers,
            Some(directory),
            observer,
        )
    };
    // Stopped politely after step 3; killed in step 7, of which the last save knows nothing, and killed
    // again before the first save.
    let temporary = tempfile::tempdir().unwrap();
    let directory = RunDirectory::open(temporary.path(), false).unwrap();
    for cut in [1, 7] {
        let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            train(&directory, &mut DieAfter(cut)).unwrap()
        }));
        assert!(died.is_err());
    }
    let directory = RunDirectory::open(temporary.path(), true).unwrap();
    let stopped = train(&directory, &mut StopAfter(8)).unwrap();
    assert!(!stopped.finished);
    assert_eq!(stopped.steps, 9);
    let resumed = train(&directory, &mut Silent).unwrap();
    assert!(resumed.finished);
    assert_eq!(bits(&whole), bits(&resumed.decoder));

    let text = std::fs::read_to_string(directory.file(METRICS_FILE)).unwrap();
    let lines: Vec<SftMetrics> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), expected.len());
    for (line, expected) in lines.iter().zip(&expected) {
        assert_eq!(line.step, expected.step);
        // Reading a decimal back may be off by one unit in the last place.
        assert!((line.loss - expected.loss).abs() <= 1e-15 * expected.loss);
    }

    // A finished run has nothing left to do.
    let again = train(&directory, &mut Silent).unwrap();
    assert_eq!(bits(&whole), bits(&again.decoder));
}

#[test]
fn another_run_or_a_damaged_state_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = RunDirectory::open(temporary.path(), false).unwrap();
    let train = |config: &SftConfig, count: usize, directory: &RunDirectory| {
        let examples = examples(count);
        let workers = Workers::single();
        sft::train(
            &decoder(true),
            &examples,
            config,
            workers,
            Some(directory),
            &mut Silent,
        )
    };
    train(
        &SftConfig {
            max_steps: Some(1),
            ..config()
        },
        40,
        &directory,
    )
    .unwrap();
    assert!(matches!(
        RunDirectory::open(temporary.path(), false),
        Err(Error::RunExists { .. })
    ));

    let directory = RunDirectory::open(temporary.path(), true).unwrap();
    let Err(Error::OtherRun { differences, .. }) = train(&config(), 40, &directory) else {
        panic!("other settings were accepted");
    };
    assert_eq!(differences, ["`max_steps` was 1, is 12"]);
    let Err(Error::OtherRun { differences, .. }) = train(
        &SftConfig {
            max_steps: Some(1),
            save_steps: 9,
            ..config()
        },
        39,
        &directory,
    ) else {
        panic!("other data was accepted");
    };
    assert!(
        differences.len() == 1 && differences[0].starts_with("`data` was"),
        "{differences:?}"
    );

    let mut other = Parameters::of(&decoder(true)).read(&decoder(true)).unwrap();
    other[7] += 1e-3;
    let other = Parameters::of(&decoder(true)).install(&decoder(true), &other, &Device::flex());
    let config = SftConfig {
        max_steps: Some(1),
        ..config()
    };
    let data = examples(40);
    let refused = sft::train(
        &other,
        &data,
        &config,
        Workers::single(),
        Some(&directory),
        &mut Silent,
    );
    let Err(Error::OtherRun { differences, .. }) = refused else {
        panic!("other weights were accepted");
    };
    assert!(
        differences.len() == 1 && differences[0].starts_with("`initial weights` was"),
        "{differences:?}"
    );

    let state = directory.file(STATE_FILE);
    let bytes = std::fs::read(&state).unwrap();
    std::fs::write(&state, &bytes[..bytes.len() - 1]).unwrap();
    let refused = train(&config, 40, &directory);
    assert!(matches!(refused, Err(Error::Core(_))), "{refused:?}");
    std::fs::write(&state, b"{}").unwrap();
    let refused = train(&config, 40, &directory);
    assert!(matches!(refused, Err(Error::Core(_))), "{refused:?}");
}

#[test]
fn what_cannot_be_learned_from_is_refused_or_said() {
    #[derive(Default)]
    struct Ears(Vec<Warning>);
    impl Observer<SftMetrics> for Ears {
        fn step(&mut self, _: &SftMetrics, _: u64) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }
        fn warn(&mut self, warning: &Warning) {
            self.0.push(warning.clone());
        }
    }
    let train = |examples: &[_], config: &SftConfig, observer: &mut dyn Observer<SftMetrics>| {
        sft::train(
            &decoder(true),
            examples,
            config,
            Workers::single(),
            None,
            observer,
        )
    };
    use taskvec_lm::train::batch::Example;
    let refused = train(&[Example::all(vec![1, 24])], &config(), &mut Silent);
    assert!(
        matches!(
            refused,
            Err(Error::TokenOutOfRange {
                token: 24,
                vocab_size: 24
            })
        ),
        "{refused:?}"
    );
    let barren = Example::completion(&[1, 2, 3], &[]);
    let refused = train(std::slice::from_ref(&barren), &config(), &mut Silent);
    assert!(
        matches!(refused, Err(Error::NothingToLearn { examples: 1 })),
        "{refused:?}"
    );
    let refused = train(
        &examples(1),
        &SftConfig {
            slices: 0,
            ..config()
        },
        &mut Silent,
    );
    assert!(
        matches!(
            refused,
            Err(Error::InvalidSetting {
                setting: "slices",
                ..
            })
        ),
        "{refused:?}"
    );
    let mut ears = Ears::default();
    let given = [barren, Example::all(vec![1, 2, 3, 4, 5])];
    let short = SftConfig {
        max_length: 4,
        max_steps: Some(1),
        ..config()
    };
    train(&given, &short, &mut ears).unwrap();
    assert_eq!(
        ears.0,
        [
            Warning::Truncated {
                examples: 1,
                max_length: 4
            },
            Warning::NothingToLearn { examples: 1 }
        ]
    );
}
