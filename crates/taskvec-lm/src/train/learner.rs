//! A decoder that learns: weights, optimiser, and one optimiser step over any number of slices.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::batch::Batch;
use super::optimizer::{self, AdamW, AdamWConfig};
use super::parallel::Workers;
use super::parameters::{self, Parameters};
use crate::decoder::{Decoder, RotaryTable};
use crate::{Error, Result};

/// No step of a run that learns anything makes the weights so many times as long.
const MOST_GROWTH: f64 = 100.0;

/// A decoder within a forward pass, with or without gradients.
#[derive(Debug, Clone, Copy)]
pub struct Forward<'a> {
    decoder: &'a Decoder,
    rotary: &'a RotaryTable,
}

impl<'a> Forward<'a> {
    /// A pass through `decoder`; `rotary` must cover the longest batch.
    #[must_use]
    pub fn new(decoder: &'a Decoder, rotary: &'a RotaryTable) -> Self {
        Self { decoder, rotary }
    }

    /// Where the pass runs.
    #[must_use]
    pub fn device(&self) -> Device {
        self.decoder.embedding.device()
    }

    /// Logits `[N, V]` at the N positions of `batch` that carry loss, and their N targets.
    #[must_use]
    pub fn logits<'b>(&self, batch: &'b Batch) -> (Tensor<2>, &'b [i32]) {
        let device = self.device();
        let row = |values: &[i32]| {
            let data = TensorData::new(values.to_vec(), [values.len()]);
            Tensor::<1, Int>::from_data(data, &device)
        };
        let (b, t) = (batch.rows, batch.columns);
        let hidden = self
            .decoder
            .hidden(row(&batch.tokens).reshape([b, t]), self.rotary);
        let [_, _, c] = hidden.dims();
        let carrying = hidden.reshape([b * t, c]).select(0, row(&batch.positions));
        (self.decoder.logits(carrying), &batch.targets)
    }
}

/// A decoder, its optimiser, and the threads that compute gradients.
#[derive(Debug)]
pub struct Learner {
    decoder: Decoder,
    rotary: RotaryTable,
    parameters: Parameters,
    pub(super) weights: Vec<f32>,
    pub(super) optimizer: AdamW,
    workers: Workers,
    device: Device,
}

impl Learner {
    /// Starts from the weights of `decoder`, for sequences of up to `positions` tokens.
    ///
    /// # Errors
    ///
    /// [`Error::ReadTensor`] where the weights cannot be read from their device.
    pub fn new(
        decoder: &Decoder,
        optimizer: AdamWConfig,
        workers: Workers,
        positions: usize,
    ) -> Result<Self> {
        let parameters = Parameters::of(decoder);
        let weights = parameters.read(decoder)?;
        let device = decoder.embedding.device().without_autodiff();
        let config = &decoder.config;
        Ok(Self {
            decoder: parameters.install(decoder, &weights, &device),
            rotary: RotaryTable::new(positions.max(1), config),
            optimizer: AdamW::new(optimizer, weights.len()),
            weights,
            parameters,
            workers,
            device,
        })
    }

    /// The decoder as it now is, without gradients.
    #[must_use]
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The trainable tensors and their places in the flat vector.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The threads.
    #[must_use]
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// A pass without gradients.
    #[must_use]
    pub fn forward(&self) -> Forward<'_> {
        Forward::new(&self.decoder, &self.rotary)
    }

    /// A pass through another decoder of the same shape, such as GRPO's reference.
    #[must_use]
    pub fn forward_through<'a>(&'a self, decoder: &'a Decoder) -> Forward<'a> {
        Forward::new(decoder, &self.rotary)
    }

    /// Replaces the weights, as a resumed run does.
    pub(super) fn set_weights(&mut self, weights: Vec<f32>) {
        self.decoder = self
            .parameters
            .install(&self.decoder, &weights, &self.device);
        self.weights = weights;
    }

    /// The gradient of the sum of `objective` over `slices`, and what it reports of each, in order.
    ///
    /// Gradients are added in the order of the slices, so the number of workers does not change a bit of the
    /// result. `objective` returns a loss `[1]` already divided by what the whole step is averaged over.
    ///
    /// # Errors
    ///
    /// The objective's errors; [`Error::NoGradient`] for a tensor the loss does not depend on.
    pub fn gradient<T: Sync, M: Send>(
        &self,
        slices: &[T],
        objective: impl Fn(Forward<'_>, &T) -> Result<(Tensor<1>, M)> + Sync,
    ) -> Result<(Vec<f32>, Vec<M>)> {
        self.workers.fold(
            slices,
            (Vec::new(), Vec::with_capacity(slices.len())),
            |slice| {
                let tracked = parameters::track(&self.decoder);
                let (loss, report) = objective(self.forward_through(&tracked), slice)?;
                let mut gradients = loss.backward();
                let gradient = self.parameters.read_gradients(&tracked, &mut gradients)?;
                Ok((gradient, report))
            },
            |(sum, reports): &mut (Vec<f32>, Vec<M>), (gradient, report)| {
                reports.push(report);
                if sum.is_empty() {
                    *sum = gradient;
                } else {
                    sum.iter_mut()
                        .zip(&gradient)
                        .for_each(|(sum, value)| *sum += value);
                }
            },
        )
    }

    /// Clips `gradient` and makes one optimiser step; returns the norm before clipping.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] if the gradient has a NaN or an infinity: the weights stay as they were; [`Error::LostWeights`] if the
    /// step itself left nothing of the model.
    pub fn apply(
        &mut self,
        mut gradient: Vec<f32>,
        learning_rate: f64,
        max_norm: f64,
    ) -> Result<f64> {
        // No slice carried loss: nothing to learn from, and nothing that is wrong.
        gradient.resize(self.weights.len(), 0.0);
        let norm = optimizer::clip(&mut gradient, max_norm);
        if !norm.is_finite() {
            return Err(Error::NotFinite {
                step: self.optimizer.steps,
            });
        }
        let before = optimizer::norm(&self.weights);
        self.optimizer.step(
            &self.parameters,
            &mut self.weights,
            &gradient,
            learning_rate,
        );
        // Such a model may well have a finite loss and a gradient of zeros, and the last step is followed by no loss at all.
        let growth = optimizer::norm(&self.weights) / before.max(1.0);
        if !growth.is_finite() || growth > MOST_GROWTH {
            return Err(Error::LostWeights {
                step: self.optimizer.steps - 1,
                growth,
                learning_rate,
            });
        }
        self.decoder = self
            .parameters
            .install(&self.decoder, &self.weights, &self.device);
        Ok(norm)
    }
}
