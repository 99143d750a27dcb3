//! AdamW, the learning rate's course, and clipping, on flat vectors.
//!
//! AdamW is Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2, in PyTorch's form (`torch.optim.AdamW`):
//! decay is multiplied by the learning rate, ε is added after bias correction. It works on host memory in one
//! pass over weights, moments and gradient.
//! burn's own means the same (default ε aside), but takes some ten passes through temporary tensors for each of
//! fifty tensors, several times the time of this one pass at the micro size, and keeps its state under random
//! ids that mean nothing in a resume file.

use serde::{Deserialize, Serialize};

use super::parameters::Parameters;
use crate::{Error, Result};

/// The constants of AdamW.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Decay of the first moment, β₁.
    pub adam_beta1: f64,
    /// Decay of the second moment, β₂. 0.95 rather than PyTorch's 0.999: runs here are short.
    pub adam_beta2: f64,
    /// ε, added to the root of the second moment.
    pub adam_epsilon: f64,
    /// λ, for matrices only. 0 turns decay off.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            adam_beta1: 0.9,
            adam_beta2: 0.95,
            adam_epsilon: 1e-8,
            weight_decay: 0.0,
        }
    }
}

/// The numbers of an optimiser that every way of training has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers<'a> {
    pub(super) learning_rate: f64,
    pub(super) min_lr_rate: f64,
    pub(super) max_grad_norm: f64,
    pub(super) adam: &'a AdamWConfig,
}

impl Numbers<'_> {
    /// # Errors
    ///
    /// [`Error::InvalidSetting`] for the first with which no step would mean anything: an average that grows, a step against the
    /// gradient, a division by zero.
    pub(super) fn check(&self) -> Result<()> {
        let adam = self.adam;
        let settings = [
            ("learning_rate", self.learning_rate, ABOVE_0),
            ("min_lr_rate", self.min_lr_rate, FROM_0_TO_1),
            ("max_grad_norm", self.max_grad_norm, ABOVE_0),
            ("weight_decay", adam.weight_decay, FROM_0),
            ("adam_beta1", adam.adam_beta1, BELOW_1),
            ("adam_beta2", adam.adam_beta2, BELOW_1),
            ("adam_epsilon", adam.adam_epsilon, ABOVE_0),
        ];
        for (setting, value, (expected, is_within)) in settings {
            if !(value.is_finite() && is_within(value)) {
                return Err(Error::InvalidSetting {
                    setting,
                    value: value.to_string(),
                    expected,
                });
            }
        }
        Ok(())
    }
}

/// What a number may be, in words and as a test.
type Range = (&'static str, fn(f64) -> bool);

const ABOVE_0: Range = ("a number above 0", |value| value > 0.0);
const FROM_0: Range = ("0 or more", |value| value >= 0.0);
const FROM_0_TO_1: Range = ("a number from 0 to 1", |value| (0.0..=1.0).contains(&value));
const BELOW_1: Range = ("a number from 0 to below 1", |value| {
    (0.0..1.0).contains(&value)
});

/// AdamW and its moments.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    config: AdamWConfig,
    pub(super) first: Vec<f32>,
    pub(super) second: Vec<f32>,
    pub(super) steps: u64,
}

impl AdamW {
    /// An optimiser that has not made a step, for `count` weights.
    #[must_use]
    pub fn new(config: AdamWConfig, count: usize) -> Self {
        Self {
            config,
            first: vec![0.0; count],
            second: vec![0.0; count],
            steps: 0,
        }
    }

    /// One step: changes `weights` in place. All slices have the layout of `parameters`.
    pub fn step(
        &mut self,
        parameters: &Parameters,
        weights: &mut [f32],
        gradient: &[f32],
        learning_rate: f64,
    ) {
        self.steps += 1;
        let AdamWConfig {
            adam_beta1: beta1,
            adam_beta2: beta2,
            adam_epsilon: epsilon,
            weight_decay,
        } = self.config;
        // Exponents saturate long after both corrections have become 1.
        let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let step_size = (learning_rate / (1.0 - beta1.powi(steps))) as f32;
        let root_correction = (1.0 - beta2.powi(steps)).sqrt() as f32;
        let (keep1, take1) = (beta1 as f32, (1.0 - beta1) as f32);
        let (keep2, take2) = (beta2 as f32, (1.0 - beta2) as f32);
        let epsilon = epsilon as f32;
        for parameter in parameters.entries() {
            let shrink = match parameter.decays() {
                true => (1.0 - learning_rate * weight_decay) as f32,
                false => 1.0,
            };
            let range = parameter.range.clone();
            let elements = weights[range.clone()]
                .iter_mut()
                .zip(&gradient[range.clone()])
                .zip(&mut self.first[range.clone()])
                .zip(&mut self.second[range]);
            for (((weight, &gradient), first), second) in elements {
                *first = keep1 * *first + take1 * gradient;
                *second = keep2 * *second + take2 * gradient * gradient;
                let denominator = second.sqrt() / root_correction + epsilon;
                *weight = *weight * shrink - step_size * (*first / denominator);
            }
        }
    }
}

/// The L2 norm, summed in double precision and in a fixed order.
#[must_use]
pub fn norm(values: &[f32]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0f64; LANES];
    let mut chunks = values.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(value) * f64::from(value);
        }
    }
    let rest: f64 = chunks
        .remainder()
        .iter()
        .map(|&value| f64::from(value).powi(2))
        .sum();
    (sums.iter().sum::<f64>() + rest).sqrt()
}

/// Scales `gradient` down to the norm `max_norm` where it is longer (Pascanu et al. 2013, arXiv 1211.5063);
/// returns the norm before. As `torch.nn.utils.clip_grad_norm_`, 10⁻⁶ in the denominator included.
pub fn clip(gradient: &mut [f32], max_norm: f64) -> f64 {
    let norm = norm(gradient);
    let factor = (max_norm / (norm + 1e-6)) as f32;
    if factor < 1.0 {
        gradient.iter_mut().for_each(|value| *value *= factor);
    }
    norm
}

/// The learning rate over the steps of a run: linear warm-up, then half a cosine down to a floor, as
/// transformers' `cosine_with_min_lr`: step 0 of a warm-up has rate 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The rate at the end of the warm-up.
    pub peak: f64,
    /// Steps of the warm-up.
    pub warmup_steps: u64,
    /// Steps of the run.
    pub total_steps: u64,
    /// The last rate as a share of the peak.
    pub floor: f64,
}

impl Schedule {
    /// The rate of step `step`, counted from 0.
    #[must_use]
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.peak * step as f64 / self.warmup_steps as f64;
        }
        let span = self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let progress = ((step - self.warmup_steps) as f64 / span).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        self.peak * (self.floor + (1.0 - self.floor) * cosine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_mean_nothing_are_refused() {
        let check = |learning_rate: f64, floor: f64, norm: f64, adam: [f64; 4]| {
            let [adam_beta1, adam_beta2, adam_epsilon, weight_decay] = adam;
            let numbers = Numbers {
                learning_rate,
                min_lr_rate: floor,
                max_grad_norm: norm,
                adam: &AdamWConfig {
                    adam_beta1,
                    adam_beta2,
                    adam_epsilon,
                    weight_decay,
                },
            };
            match numbers.check() {
                Ok(()) => "",
                Err(Error::InvalidSetting { setting, .. }) => setting,
                Err(other) => panic!("{other}"),
            }
        };
        let good = [0.9, 0.999, 1e-8, 0.0];
        assert_eq!(check(1e-3, 0.1, 1.0, good), "");
        assert_eq!(check(1e30, 1.0, 1e9, [0.0, 0.0, 1.0, 2.0]), "");
        for (found, expected) in [
            (check(0.0, 0.1, 1.0, good), "learning_rate"),
            (check(-1e-3, 0.1, 1.0, good), "learning_rate"),
            (check(f64::INFINITY, 0.1, 1.0, good), "learning_rate"),
            (check(1e-3, 1.5, 1.0, good), "min_lr_rate"),
            (check(1e-3, f64::NAN, 1.0, good), "min_lr_rate"),
            (check(1e-3, 0.1, 0.0, good), "max_grad_norm"),
            (check(1e-3, 0.1, 1.0, [5.0, 0.9, 1e-8, 0.0]), "adam_beta1"),
            (check(1e-3, 0.1, 1.0, [0.9, 1.0, 1e-8, 0.0]), "adam_beta2"),
            (check(1e-3, 0.1, 1.0, [0.9, -0.1, 1e-8, 0.0]), "adam_beta2"),
            (check(1e-3, 0.1, 1.0, [0.9, 0.9, 0.0, 0.0]), "adam_epsilon"),
            (
                check(1e-3, 0.1, 1.0, [0.9, 0.9, 1e-8, -0.1]),
                "weight_decay",
            ),
        ] {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_schedule_by_hand() {
        let schedule = Schedule {
            peak: 2.0,
            warmup_steps: 4,
            total_steps: 12,
            floor: 0.1,
        };
        let rate = |step| (schedule.rate(step) * 1e12).round() / 1e12;
        assert_eq!([rate(0), rate(1), rate(4)], [0.0, 0.5, 2.0]);
        assert_eq!(rate(8), 2.0 * (0.1 + 0.9 * 0.5));
        assert_eq!([rate(12), rate(99)], [0.2, 0.2]);
        let flat = Schedule {
            warmup_steps: 0,
            total_steps: 0,
            ..schedule
        };
        assert_eq!(flat.rate(0), 2.0);
    }

    #[test]
    fn clipping_by_hand() {
        let mut gradient = [3.0, 4.0];
        assert_eq!(clip(&mut gradient, 10.0), 5.0);
        assert_eq!(gradient, [3.0, 4.0]);
        assert_eq!(clip(&mut gradient, 1.0), 5.0);
        assert!((norm(&gradient) - 1.0).abs() < 1e-6);
        let many: Vec<f32> = (1..=20).map(|value| value as f32).collect();
        assert_eq!(norm(&many), 2870f64.sqrt());
    }
}
