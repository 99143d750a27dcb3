//! Making the micro world from nothing.
//!
//! | stage | from | learns |
//! |---|---|---|
//! | base | nothing | problems as plain text, half of them step by step, and some small talk |
//! | sft | base | word problems with reference solutions, the same mix |
//! | grpo | base | the same problems by reward alone |
//! | target | base | conversations: all tasks and small talk, mostly answered directly |
//!
//! Every stage is a directory that appears whole; a stage found is not made again, and one that was
//! interrupted goes on from its last saved step.

use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::Device;
use taskvec_core::{Dtype, OutputOptions};
use taskvec_eval::micro::MicroTask;
use taskvec_eval::task::{Document, MicroBenchmark, PromptForm, Resources};

use super::{
    CHAT_TEMPLATE, Curriculum, END_OF_TEXT, END_OF_TURN, MAX_POSITIONS, NAMES, config, tokenizer,
};
use crate::decoder::Decoder;
use crate::model::Model;
use crate::tokenizer::Tokenizer;
use crate::train::batch::Example;
use crate::train::grpo::{self, DecoderSampler, GrpoConfig, GrpoMetrics, TaskEnvironment};
use crate::train::initialization;
use crate::train::metrics::{Observer, Warning};
use crate::train::parallel::Workers;
use crate::train::resume::RunDirectory;
use crate::train::sft::{self, SftConfig, SftMetrics};
use crate::{Error, Result};

/// What one optimiser step of a stage measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Measured {
    /// Base, sft and target.
    Supervised(SftMetrics),
    /// Grpo.
    Reinforced(GrpoMetrics),
}

/// Follows the making of the micro world.
pub trait MicroObserver {
    /// A stage begins; `found` says that it was made before and is kept.
    fn stage(&mut self, name: &str, found: bool);
    /// A stage has made one more of `total` steps; `Break` stops the whole run, resumable.
    fn step(&mut self, name: &str, measured: &Measured, total: u64) -> ControlFlow<()>;
    /// Something was noticed in a stage.
    fn warn(&mut self, name: &str, warning: &Warning);
}

/// How long each stage is. [`Lengths::default`] is the world that ships; tests take less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lengths {
    /// Optimiser steps of base.
    pub base: u64,
    /// Optimiser steps of sft.
    pub sft: u64,
    /// Rollouts of grpo.
    pub grpo: u64,
    /// Optimiser steps of target.
    pub target: u64,
}

impl Default for Lengths {
    fn default() -> Self {
        Self {
            base: 6300,
            sft: 300,
            grpo: 80,
            target: 920,
        }
    }
}

/// Examples in one optimiser step of every supervised stage.
const BATCH: u64 = 32;

/// Trains the four models into `directory/base`, `/sft`, `/grpo` and `/target`.
///
/// Returns whether all are made; false where the observer stopped the run.
///
/// # Errors
///
/// A directory that cannot be written, a run of another seed or length found there, a training that
/// diverged.
pub fn train(
    directory: &Path,
    seed: u64,
    lengths: &Lengths,
    observer: &mut dyn MicroObserver,
) -> Result<bool> {
    let device = Device::flex();
    let tokenizer = tokenizer(seed)?;
    let world = World {
        directory,
        seed,
        lengths,
        curriculum: Curriculum::new(tokenizer.clone(), seed),
        tokenizer,
        device,
    };
    let Some(base) = world.stage("base", observer, |observer| world.base(observer))? else {
        return Ok(false);
    };
    for name in &NAMES[1..] {
        let made = world.stage(name, observer, |observer| match *name {
            "sft" => world.sft(&base, observer),
            "grpo" => world.grpo(&base, observer),
            _ => world.target(&base, observer),
        })?;
        if made.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

struct World<'a> {
    directory: &'a Path,
    seed: u64,
    lengths: &'a Lengths,
    tokenizer: Tokenizer,
    curriculum: Curriculum,
    device: Device,
}

impl World<'_> {
    /// Makes a stage unless its directory is there; `None` where the observer stopped it.
    fn stage(
        &self,
        name: &str,
        observer: &mut dyn MicroObserver,
        make: impl FnOnce(&mut dyn MicroObserver) -> Result<Option<Decoder>>,
    ) -> Result<Option<Decoder>> {
        let destination = self.directory.join(name);
        let found = destination.join("config.json").exists();
        observer.stage(name, found);
        if !found {
            let Some(decoder) = make(observer)? else {
                return Ok(None);
            };
            // Shipped weights are bf16, as published models' are; later stages start from what ships.
            self.model(name, decoder)?.save(
                &destination,
                Dtype::Bf16,
                &OutputOptions::default(),
                None,
            )?;
        }
        Ok(Some(
            super::load(&destination, &self.device)?.decoder().clone(),
        ))
    }

    fn model(&self, name: &str, decoder: Decoder) -> Result<Model> {
        let id = |token: &str| {
            (self.tokenizer.id(token)).ok_or_else(|| Error::UnknownSpecialToken {
                file: self.tokenizer.origin().to_owned(),
                field: "eos_token",
                token: token.to_owned(),
            })
        };
        // Only target was taught to converse, so only target has a template to be asked in.
        let (tokenizer, tokens) = match name {
            "target" => (
                self.tokenizer
                    .with_eos_token(END_OF_TURN)?
                    .with_chat_template(CHAT_TEMPLATE)?,
                vec![id(END_OF_TURN)?, id(END_OF_TEXT)?],
            ),
            _ => (
                self.tokenizer.with_eos_token(END_OF_TEXT)?,
                vec![id(END_OF_TEXT)?],
            ),
        };
        Ok(Model::new(decoder, tokenizer, MAX_POSITIONS, &self.device)?.with_end_tokens(tokens))
    }

    fn base(&self, observer: &mut dyn MicroObserver) -> Result<Option<Decoder>> {
        let decoder = initialization::decoder(
            &config(self.tokenizer.vocab_size()),
            self.seed,
            &self.device,
        );
        let settings = SftConfig {
            learning_rate: 2e-3,
            warmup_steps: 100,
            ..self.supervised(self.lengths.base)
        };
        self.supervise("base", &decoder, &settings, observer, |index| {
            self.curriculum.base(index)
        })
    }

    fn sft(&self, base: &Decoder, observer: &mut dyn MicroObserver) -> Result<Option<Decoder>> {
        let settings = SftConfig {
            learning_rate: 3e-4,
            warmup_steps: 30,
            ..self.supervised(self.lengths.sft)
        };
        self.supervise("sft", base, &settings, observer, |index| {
            self.curriculum.sft(index)
        })
    }

    fn target(&self, base: &Decoder, observer: &mut dyn MicroObserver) -> Result<Option<Decoder>> {
        let settings = SftConfig {
            learning_rate: 5e-4,
            warmup_steps: 50,
            ..self.supervised(self.lengths.target)
        };
        self.supervise("target", base, &settings, observer, |index| {
            self.curriculum.target(index)
        })
    }

    fn supervised(&self, steps: u64) -> SftConfig {
        SftConfig {
            max_steps: Some(steps),
            per_device_train_batch_size: BATCH as usize,
            max_length: MAX_POSITIONS,
            weight_decay: 0.01,
            seed: self.seed,
            save_steps: 500,
            ..SftConfig::default()
        }
    }

    fn supervise(
        &self,
        name: &str,
        start: &Decoder,
        settings: &SftConfig,
        observer: &mut dyn MicroObserver,
        example: impl Fn(u64) -> Result<Example>,
    ) -> Result<Option<Decoder>> {
        let count = settings.max_steps.unwrap_or_default() * BATCH;
        let examples = (0..count).map(example).collect::<Result<Vec<_>>>()?;
        let workers = Workers::fitting(&start.config)?;
        let run = self.run_directory(name)?;
        let mut stage = Stage {
            name,
            observer,
            measured: Measured::Supervised,
        };
        let outcome = sft::train(start, &examples, settings, workers, Some(&run), &mut stage)?;
        Ok(outcome.finished.then_some(outcome.decoder))
    }

    fn grpo(&self, base: &Decoder, observer: &mut dyn MicroObserver) -> Result<Option<Decoder>> {
        let model = self.model("grpo", base.clone())?;
        let settings = GrpoConfig {
            max_steps: self.lengths.grpo,
            prompts_per_step: 16,
            num_generations: 8,
            max_completion_length: 64,
            learning_rate: 1.5e-4,
            warmup_steps: 10,
            seed: self.seed,
            ..GrpoConfig::default()
        };
        let problems = self.lengths.grpo * settings.prompts_per_step as u64;
        let documents = (0..problems)
            .map(|index| Document::from(self.curriculum.donor(index)))
            .collect();
        let task = MicroBenchmark::new(MicroTask::Gsm, &Resources::default());
        let environment = TaskEnvironment::new(&task, documents, PromptForm::Base, &model)?;
        let sampler = DecoderSampler {
            stop_tokens: model.config().eos_token_ids.clone(),
            max_positions: MAX_POSITIONS,
            workers: Workers::fitting(&base.config)?,
            device: self.device.clone(),
        };
        let workers = Workers::fitting(&base.config)?;
        let run = self.run_directory("grpo")?;
        let mut stage = Stage {
            name: "grpo",
            observer,
            measured: Measured::Reinforced,
        };
        let outcome = grpo::train(
            base,
            &environment,
            &sampler,
            &settings,
            workers,
            Some(&run),
            &mut stage,
        )?;
        Ok(outcome.finished.then_some(outcome.decoder))
    }

    /// Metrics and the resumable state of a stage live in `runs/NAME`.
    fn run_directory(&self, name: &str) -> Result<RunDirectory> {
        RunDirectory::open(&self.directory.join("runs").join(name), true)
    }
}

/// Passes what a trainer says on, with the stage's name.
struct Stage<'a, M> {
    name: &'a str,
    observer: &'a mut dyn MicroObserver,
    measured: fn(M) -> Measured,
}

impl<M: Clone> Observer<M> for Stage<'_, M> {
    fn step(&mut self, metrics: &M, total_steps: u64) -> ControlFlow<()> {
        self.observer
            .step(self.name, &(self.measured)(metrics.clone()), total_steps)
    }

    fn warn(&mut self, warning: &Warning) {
        self.observer.warn(self.name, warning);
    }
}
