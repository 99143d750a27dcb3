//! Every trainable tensor's gradient against finite differences of the loss.

use burn::tensor::Device;
use taskvec_eval::random::Random;
use taskvec_lm::decoder::{Decoder, RotaryTable};
use taskvec_lm::train::batch::Batch;
use taskvec_lm::train::learner::{Forward, Learner};
use taskvec_lm::train::loss;
use taskvec_lm::train::optimizer::AdamWConfig;
use taskvec_lm::train::parallel::Workers;
use taskvec_lm::train::parameters::Parameters;

use crate::training::{decoder, examples};

/// Mean negative log-likelihood; only the last sum is in double precision, so that its rounding does not
/// drown the difference of two nearly equal losses.
fn loss_of(decoder: &Decoder, rotary: &RotaryTable, batch: &Batch) -> f64 {
    let (logits, targets) = Forward::new(decoder, rotary).logits(batch);
    let values = loss::log_probabilities(logits, targets).into_data();
    let values = values.as_slice::<f32>().unwrap();
    -values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64
}

/// Step along a direction of length 1. The five-point rule is wrong by h⁴/30 times the fifth derivative, which
/// the norms make large (0.3 % of the derivative at h = 0.03, so below 1e-5 of it here); rounding of the loss,
/// a few 1e-7, costs 1.5 / h times itself, near 1e-4.
const STEP: f64 = 0.006;
/// Room for both errors; the gradients themselves have norms from 0.05 to 5.
const TOLERANCE: f64 = 3e-4;

fn directional(loss_at: &dyn Fn(f64) -> f64) -> f64 {
    let h = STEP;
    (loss_at(-2.0 * h) - 8.0 * loss_at(-h) + 8.0 * loss_at(h) - loss_at(2.0 * h)) / (12.0 * h)
}

fn unit(mut direction: Vec<f64>) -> Vec<f64> {
    let norm = direction
        .iter()
        .map(|value| value * value)
        .sum::<f64>()
        .sqrt();
    direction.iter_mut().for_each(|value| *value /= norm);
    direction
}

fn gradients_match(tied: bool) {
    let decoder = decoder(tied);
    let parameters = Parameters::of(&decoder);
    let weights = parameters.read(&decoder).unwrap();
    let batch = Batch::new(&examples(4));
    let rotary = RotaryTable::new(16, &decoder.config);
    let learner = Learner::new(
        &decoder,
        AdamWConfig::default(),
        Workers::new(1).unwrap(),
        16,
    )
    .unwrap();
    let total = batch.positions.len();
    let (gradient, _) = learner
        .gradient(std::slice::from_ref(&batch), |forward, batch| {
            let (logits, targets) = forward.logits(batch);
            let log_probabilities = loss::log_probabilities(logits, targets);
            Ok((loss::cross_entropy(log_probabilities, total), ()))
        })
        .unwrap();

    let mut random = Random::derive(&[23]);
    for parameter in parameters.entries() {
        let range = parameter.range.clone();
        let own: Vec<f64> = gradient[range.clone()]
            .iter()
            .map(|&value| f64::from(value))
            .collect();
        let norm = own.iter().map(|value| value * value).sum::<f64>().sqrt();
        // A gradient this small could hide behind the tolerance whatever it was.
        assert!(norm > 20.0 * TOLERANCE, "{}: norm {norm}", parameter.name);
        // Along the gradient itself the derivative is largest. Random signs see components that the
        // gradient may have missed.
        let mut directions = vec![unit(own.clone())];
        for _ in 0..3 {
            let sign = |_: &f64| if random.coin() { 1.0 } else { -1.0 };
            directions.push(unit(own.iter().map(sign).collect()));
        }
        for (index, direction) in directions.iter().enumerate() {
            let expected: f64 = own.iter().zip(direction).map(|(a, b)| a * b).sum();
            let found = directional(&|step| {
                let mut moved = weights.clone();
                for (weight, direction) in moved[range.clone()].iter_mut().zip(direction) {
                    *weight = (f64::from(*weight) + step * direction) as f32;
                }
                loss_of(
                    &parameters.install(&decoder, &moved, &Device::flex()),
                    &rotary,
                    &batch,
                )
            });
            assert!(
                (found - expected).abs() < TOLERANCE * norm.max(1.0),
                "{} direction {index}: {found} by differences, {expected} by gradient",
                parameter.name
            );
        }
    }
}

#[test]
fn gradients_of_a_tied_decoder() {
    gradients_match(true);
}

#[test]
fn gradients_of_an_untied_decoder() {
    gradients_match(false);
}
