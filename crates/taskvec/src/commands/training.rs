//! What `sft` and `grpo` share: where a run lives, how it is watched, how it ends.
//!
//! The model appears at the destination when it is finished, whole. Until then the run lives beside it, in
//! `NAME.training`: its state, from which the same command goes on, and its records, which stay.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;
use taskvec_core::provenance::InputRecord;
use taskvec_core::{CheckpointKind, Dtype, OutputDirectory, OutputOptions, Plan, Provenance};
use taskvec_lm::decoder::Decoder;
use taskvec_lm::model::Model;
use taskvec_lm::train::grpo::GrpoMetrics;
use taskvec_lm::train::metrics::{Observer, Warning};
use taskvec_lm::train::resume::{METRICS_FILE, RunDirectory, STATE_FILE};
use taskvec_lm::train::sft::SftMetrics;

use crate::failure::Refusal;
use crate::interruption::Heeding;
use crate::printer::{Printer, Progress, Unit};

/// A training run on its way to a destination.
pub(super) struct Run<'a> {
    destination: &'a Path,
    overwrite: bool,
    path: PathBuf,
    /// Where the library keeps the run.
    pub(super) directory: RunDirectory,
    printer: &'a Printer,
}

/// What a run was, for the model's provenance.
pub(super) struct Origin<'a, C> {
    /// `sft` or `grpo`.
    pub(super) method: &'static str,
    /// The model that it started from.
    pub(super) plan: &'a Plan,
    /// What it learned from, in the user's words.
    pub(super) data: &'a str,
    pub(super) settings: &'a C,
    /// What the weights are stored as.
    pub(super) dtype: Dtype,
}

impl<'a> Run<'a> {
    /// Refuses a destination that could not be written at the end, before any work is done, and opens the run.
    ///
    /// # Errors
    ///
    /// As [`OutputDirectory::create`] and [`RunDirectory::open`].
    pub(super) fn open(
        destination: &'a Path,
        overwrite: bool,
        printer: &'a Printer,
    ) -> anyhow::Result<Self> {
        let options = OutputOptions {
            overwrite,
            ..OutputOptions::default()
        };
        drop(OutputDirectory::create(destination, &options)?);
        let mut name = OsString::from(destination.file_name().unwrap_or_default());
        name.push(".training");
        let path = destination.with_file_name(name);
        if path.join(STATE_FILE).exists() {
            printer.note(format_args!("going on with the run in {}", path.display()));
        }
        let directory = RunDirectory::open(&path, true)?;
        Ok(Self {
            destination,
            overwrite,
            path,
            directory,
            printer,
        })
    }

    /// Follows the run and stops it when the user wants that.
    pub(super) fn watch(&self) -> Watch<'_> {
        Watch::new("training", self.printer)
    }

    /// Says how to go on with a run that was stopped after `steps`.
    pub(super) fn interrupted(&self, steps: u64) -> anyhow::Error {
        let kept = format!(
            "{steps} steps are kept in `{}`; run the same command to go on",
            self.path.display()
        );
        Refusal::Interrupted { kept }.into()
    }

    /// Writes the trained model.
    ///
    /// # Errors
    ///
    /// As [`Model::save`].
    pub(super) fn finish<C: Serialize>(
        &self,
        model: &Model,
        decoder: Decoder,
        steps: u64,
        origin: &Origin<'_, C>,
    ) -> anyhow::Result<()> {
        let options = OutputOptions {
            overwrite: self.overwrite,
            ..OutputOptions::default()
        };
        let destination = model.with_decoder(decoder)?.save(
            self.destination,
            origin.dtype,
            &options,
            Some(&origin.provenance()?),
        )?;
        // The records stay; the state is three times the model and of no more use.
        let state = self.path.join(STATE_FILE);
        std::fs::remove_file(&state)
            .with_context(|| format!("cannot remove `{}`", state.display()))?;
        self.printer.note(format_args!(
            "trained for {steps} steps; what was measured is in {}",
            self.path.join(METRICS_FILE).display()
        ));
        self.printer.data(destination.display())
    }
}

impl<C: Serialize> Origin<'_, C> {
    fn provenance(&self) -> anyhow::Result<Provenance> {
        let expression = format!("{}({})", self.method, self.plan.expression());
        let mut provenance = Provenance::new(CheckpointKind::Model, expression, Some(self.dtype));
        provenance.flags = BTreeMap::from([
            ("data".to_owned(), self.data.into()),
            ("settings".to_owned(), serde_json::to_value(self.settings)?),
        ]);
        provenance.inputs = self
            .plan
            .inputs()
            .map(|(name, checkpoint)| InputRecord::of(name, checkpoint))
            .collect();
        Ok(provenance)
    }
}

/// Follows a run.
pub(super) struct Watch<'a> {
    heeding: Heeding,
    bar: Progress,
    printer: &'a Printer,
}

impl<'a> Watch<'a> {
    pub(super) fn new(label: &str, printer: &'a Printer) -> Self {
        let bar = printer.progress(label, 0, Unit::Count("steps"));
        Self {
            heeding: Heeding::begin(),
            bar,
            printer,
        }
    }

    pub(super) fn supervised(&self, metrics: &SftMetrics, total: u64) -> ControlFlow<()> {
        let speed = metrics.tokens_per_second;
        self.show(
            metrics.step,
            total,
            format!("loss {:.3}, {speed:.0} tokens/s", metrics.loss),
        )
    }

    pub(super) fn reinforced(&self, metrics: &GrpoMetrics, total: u64) -> ControlFlow<()> {
        let length = metrics.completion_length;
        self.show(
            metrics.step,
            total,
            format!("reward {:.3}, {length:.0} tokens each", metrics.reward),
        )
    }

    fn show(&self, step: u64, total: u64, message: String) -> ControlFlow<()> {
        self.bar.set_total(total);
        self.bar.message(message);
        self.bar.set(step + 1);
        if self.heeding.requested() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    pub(super) fn say(&self, warning: &Warning) {
        let text = match warning {
            Warning::NothingToLearn { examples } => format!(
                "{examples} examples have nothing to learn within the maximum length and were left out"
            ),
            Warning::Truncated {
                examples,
                max_length,
            } => {
                format!("{examples} examples were cut to {max_length} tokens")
            }
            Warning::Diverging {
                step,
                loss,
                guessing,
            } => format!(
                "the model is being lost: the loss of step {} is {loss:.3}, and guessing would have {guessing:.3}; a lower \
                 learning rate may help",
                step + 1,
            ),
            Warning::Collapse {
                step,
                sign,
                value,
                best,
            } => {
                let what = serde_json::to_value(sign);
                let what = what
                    .as_ref()
                    .ok()
                    .and_then(|sign| sign.as_str())
                    .unwrap_or("it");
                format!(
                    "the policy is collapsing: {what} fell from {best:.3} to {value:.3} at step {}; \
                     a lower learning rate may help",
                    step + 1,
                )
            }
            other => serde_json::to_string(other).unwrap_or_default(),
        };
        self.bar.suspend(|| self.printer.warn(text));
    }
}

impl Observer<SftMetrics> for Watch<'_> {
    fn step(&mut self, metrics: &SftMetrics, total_steps: u64) -> ControlFlow<()> {
        self.supervised(metrics, total_steps)
    }

    fn warn(&mut self, warning: &Warning) {
        self.say(warning);
    }
}

impl Observer<GrpoMetrics> for Watch<'_> {
    fn step(&mut self, metrics: &GrpoMetrics, total_steps: u64) -> ControlFlow<()> {
        self.reinforced(metrics, total_steps)
    }

    fn warn(&mut self, warning: &Warning) {
        self.say(warning);
    }
}
