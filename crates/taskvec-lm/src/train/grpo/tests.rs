use super::*;
use crate::decoder::{DecoderConfig, RopeScaling};
use crate::train::initialization;
use crate::train::metrics::{CollapseSign, Silent, Warning};
use burn::tensor::Device;
use taskvec_eval::random::Random;

/// Samples by running the whole sequence for every token: slow, obvious, and apart from the engine.
struct Plain;

impl Sampler for Plain {
    fn sample(
        &self,
        decoder: &Decoder,
        prompts: &[&[u32]],
        seeds: &[u64],
        temperature: f64,
        max_completion_length: usize,
    ) -> Result<Vec<Rollout>> {
        let config = &decoder.config;
        let rotary = crate::decoder::RotaryTable::new(16, config);
        let forward = Forward::new(decoder, &rotary);
        let mut randoms: Vec<Random> = seeds.iter().map(|&seed| Random::derive(&[seed])).collect();
        let empty = Rollout {
            tokens: Vec::new(),
            log_probabilities: Vec::new(),
            ended: false,
        };
        let mut rollouts = vec![empty; prompts.len()];
        for _ in 0..max_completion_length {
            // A target of any value: only the logits before it are wanted.
            let examples: Vec<Example> = prompts
                .iter()
                .zip(&rollouts)
                .map(|(prompt, rollout)| {
                    Example::completion(&[prompt, rollout.tokens.as_slice()].concat(), &[0])
                })
                .collect();
            let (logits, _) = forward.logits(&Batch::new(&examples));
            let scaled = burn::tensor::activation::log_softmax(logits / temperature, 1);
            let scaled = scaled.into_data();
            let rows = scaled.as_slice::<f32>().unwrap().chunks(config.vocab_size);
            for ((rollout, random), row) in rollouts.iter_mut().zip(&mut randoms).zip(rows) {
                if rollout.ended {
                    continue;
                }
                let draw = (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
                let mut sum = 0.0;
                let token = row
                    .iter()
                    .position(|&value| {
                        sum += f64::from(value).exp();
                        sum > draw
                    })
                    .unwrap_or(row.len() - 1);
                rollout.tokens.push(token as u32);
                rollout.log_probabilities.push(row[token]);
                rollout.ended = token as u32 == END;
            }
        }
        Ok(rollouts)
    }
}

const END: u32 = 0;

/// A bandit with context: after prompt (k) the right completion begins with k + 2 and ends.
struct Bandit {
    prompts: Vec<Vec<u32>>,
}

impl Bandit {
    fn new() -> Self {
        Self {
            prompts: (3..9).map(|arm| vec![arm]).collect(),
        }
    }
}

impl Environment for Bandit {
    fn len(&self) -> usize {
        self.prompts.len()
    }

    fn prompt(&self, index: usize) -> &[u32] {
        &self.prompts[index]
    }

    fn prompt_text(&self, index: usize) -> String {
        format!("arm {}", self.prompts[index][0])
    }

    fn judge(&self, index: usize, completion: &Rollout) -> Result<Judgement> {
        let right = completion.tokens.first() == Some(&(self.prompts[index][0] + 2));
        Ok(Judgement {
            reward: f64::from(u8::from(right)) + if completion.ended { 0.2 } else { 0.0 },
            step_by_step: completion.tokens.len() > 2,
            text: format!("{:?}", completion.tokens),
        })
    }
}

fn tiny() -> Decoder {
    let config = DecoderConfig {
        vocab_size: 12,
        hidden_size: 16,
        intermediate_size: 32,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 8,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        tie_word_embeddings: false,
        attention_bias: true,
        query_key_norm: false,
    };
    initialization::decoder(&config, 3, &Device::flex())
}

fn config() -> GrpoConfig {
    GrpoConfig {
        max_steps: 120,
        prompts_per_step: 6,
        num_generations: 12,
        max_completion_length: 3,
        learning_rate: 1e-2,
        ..GrpoConfig::default()
    }
}

fn run(
    config: &GrpoConfig,
    workers: usize,
    directory: Option<&RunDirectory>,
) -> (GrpoOutcome, Vec<GrpoMetrics>) {
    let mut seen = Vec::new();
    let mut observer = |metrics: &GrpoMetrics, _: u64| {
        seen.push(metrics.clone());
        ControlFlow::Continue(())
    };
    let outcome = train(
        &tiny(),
        &Bandit::new(),
        &Plain,
        config,
        Workers::new(workers).unwrap(),
        directory,
        &mut observer,
    )
    .unwrap();
    (outcome, seen)
}

fn weights(decoder: &Decoder) -> Vec<u32> {
    let parameters = crate::train::parameters::Parameters::of(decoder);
    let values = parameters.read(decoder).unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

#[test]
fn a_bandit_is_learned() {
    let variants = [
        config(),
        GrpoConfig {
            beta: 0.01,
            num_iterations: 3,
            loss_type: loss::LossType::DrGrpo,
            scale_rewards: loss::RewardScale::None,
            learning_rate: 1e-2,
            ..config()
        },
    ];
    for config in variants {
        let (outcome, metrics) = run(&config, 2, None);
        assert!(outcome.finished);
        let reward = |metrics: &[GrpoMetrics]| {
            metrics.iter().map(|metrics| metrics.reward).sum::<f64>() / metrics.len() as f64
        };
        // Chance is 1/12 for the token and about a fifth of 0.2 for an end within three; the most is 1.2.
        let (early, late) = (reward(&metrics[..1]), reward(&metrics[115..]));
        assert!(early < 0.3 && late > 0.9, "{early} to {late}");
        // Sampler and learner compute the same model, up to rounding.
        for metrics in &metrics {
            assert!(metrics.sampling_logp_difference < 1e-5, "{metrics:?}");
            assert_eq!(metrics.kl.is_some(), config.beta > 0.0);
        }
        assert_eq!(metrics[0].kl.unwrap_or(0.0), 0.0);
        // On-policy, nothing is clipped; three iterations leave the range somewhere.
        let clipped = metrics.iter().any(|metrics| metrics.clip_ratio > 0.0);
        assert_eq!(clipped, config.num_iterations > 1);
    }
}

#[test]
fn workers_change_no_bit() {
    let config = GrpoConfig {
        max_steps: 4,
        slices: 3,
        ..config()
    };
    let (one, first) = run(&config, 1, None);
    let (two, second) = run(&config, 2, None);
    assert_eq!(weights(&one.decoder), weights(&two.decoder));
    assert_eq!(first[3].reward, second[3].reward);
}

#[test]
fn a_run_resumes_exactly() {
    let config = GrpoConfig {
        max_steps: 7,
        beta: 0.05,
        num_iterations: 2,
        save_steps: 3,
        log_completions_steps: 2,
        ..config()
    };
    let (whole, _) = run(&config, 1, None);

    let temporary = tempfile::tempdir().unwrap();
    let directory = RunDirectory::open(temporary.path(), false).unwrap();
    // Dies after step 4, of which only steps 0 to 2 are saved.
    let mut dying = |metrics: &GrpoMetrics, _: u64| {
        assert!(metrics.step < 4, "dies here");
        ControlFlow::Continue(())
    };
    let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        train(
            &tiny(),
            &Bandit::new(),
            &Plain,
            &config,
            Workers::single(),
            Some(&directory),
            &mut dying,
        )
    }));
    assert!(died.is_err());
    let refused = RunDirectory::open(temporary.path(), false);
    assert!(matches!(refused, Err(Error::RunExists { .. })));

    let directory = RunDirectory::open(temporary.path(), true).unwrap();
    let (resumed, metrics) = run(&config, 1, Some(&directory));
    assert_eq!(metrics[0].step, 3);
    assert_eq!(weights(&whole.decoder), weights(&resumed.decoder));
    let lines = std::fs::read_to_string(directory.file(METRICS_FILE)).unwrap();
    let steps: Vec<u64> = lines
        .lines()
        .map(|line| serde_json::from_str::<GrpoMetrics>(line).unwrap().step)
        .collect();
    assert_eq!(steps, [0, 1, 2, 3, 4, 5, 6]);
    let samples = std::fs::read_to_string(directory.file(COMPLETIONS_FILE)).unwrap();
    assert_eq!(samples.lines().count(), 4 * config.num_completions_to_log);
    for line in samples.lines() {
        let sample: serde_json::Value = serde_json::from_str(line).unwrap();
        let arm = sample["prompt"].as_u64().unwrap() + 3;
        assert_eq!(sample["prompt_text"], format!("arm {arm}"));
    }

    // Other settings are another run.
    let other = GrpoConfig {
        learning_rate: 1e-3,
        ..config
    };
    let refused = train(
        &tiny(),
        &Bandit::new(),
        &Plain,
        &other,
        Workers::single(),
        Some(&directory),
        &mut Silent,
    );
    let Err(Error::OtherRun { differences, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(differences, ["`learning_rate` was 0.01, is 0.001"]);
}

/// A bandit that stops paying after some completions.
struct Fading {
    bandit: Bandit,
    judged: std::sync::atomic::AtomicUsize,
}

impl Environment for Fading {
    fn len(&self) -> usize {
        self.bandit.len()
    }

    fn prompt(&self, index: usize) -> &[u32] {
        self.bandit.prompt(index)
    }

    fn prompt_text(&self, index: usize) -> String {
        self.bandit.prompt_text(index)
    }

    fn judge(&self, index: usize, completion: &Rollout) -> Result<Judgement> {
        let judged = self
            .judged
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let judgement = self.bandit.judge(index, completion)?;
        Ok(match judged < 30 * 72 {
            true => judgement,
            false => Judgement {
                reward: 0.0,
                ..judgement
            },
        })
    }
}

#[derive(Default)]
struct Ears {
    warnings: Vec<Warning>,
    flagged: Vec<u64>,
}

impl Observer<GrpoMetrics> for Ears {
    fn step(&mut self, metrics: &GrpoMetrics, _: u64) -> ControlFlow<()> {
        if metrics.collapse {
            self.flagged.push(metrics.step);
        }
        match self.flagged.len() < 3 {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }

    fn warn(&mut self, warning: &Warning) {
        self.warnings.push(warning.clone());
    }
}

#[test]
fn collapse_is_said_and_an_observer_may_stop() {
    let environment = Fading {
        bandit: Bandit::new(),
        judged: Default::default(),
    };
    let mut ears = Ears::default();
    let outcome = train(
        &tiny(),
        &environment,
        &Plain,
        &config(),
        Workers::single(),
        None,
        &mut ears,
    )
    .unwrap();
    assert!(!outcome.finished);
    assert_eq!(outcome.steps, ears.flagged[2] + 1);
    // The average halves in two rollouts.
    assert_eq!(ears.flagged, [31, 32, 33]);
    let [
        Warning::Collapse {
            step: 31,
            sign: CollapseSign::Reward,
            ..
        },
    ] = ears.warnings[..]
    else {
        panic!("{:?}", ears.warnings);
    };
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let refused = |config: GrpoConfig| {
        let result = train(
            &tiny(),
            &Bandit::new(),
            &Plain,
            &config,
            Workers::single(),
            None,
            &mut Silent,
        );
        match result {
            Err(Error::InvalidSetting { setting, .. }) => setting,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        refused(GrpoConfig {
            num_generations: 1,
            ..config()
        }),
        "num_generations"
    );
    assert_eq!(
        refused(GrpoConfig {
            temperature: 0.0,
            ..config()
        }),
        "temperature"
    );
    assert_eq!(
        refused(GrpoConfig {
            beta: f64::NAN,
            ..config()
        }),
        "beta"
    );
    assert_eq!(
        refused(GrpoConfig {
            slices: 0,
            ..config()
        }),
        "slices"
    );
}
