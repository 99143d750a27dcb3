//! The Riemannian (Karcher) mean of the operands' directions, at their mean length.
//!
//! Karcher, "Riemannian center of mass and mollifier smoothing", 1977; for merging, arXiv 2603.04972. In each tensor
//! the mean direction minimises the sum of squared angles to the operands' directions uᵢ. From m = Σ uᵢ/‖Σ uᵢ‖ on, each
//! iteration walks along the mean of the logarithms,
//!
//! ```text
//! τ = (1/n) Σ θᵢ/sin θᵢ · (uᵢ − cos θᵢ·m)      m ← cos‖τ‖·m + sin‖τ‖·τ/‖τ‖
//! ```
//!
//! at most `iterations` times, and stops when ‖τ‖ < `tolerance`. As in mergekit, angles below the tolerance add nothing,
//! operands of norm at most the tolerance have no direction but count in the mean length, and where the directions
//! cancel the walk begins at the first of them.
//!
//! All of it stays in the span of the operands, so it is done on their inner products, in double precision; mergekit
//! works on whole tensors in single precision.

use std::sync::Arc;

use super::span::{InSpan, Products, SpanMethod};
use super::{Method, OperandKinds, Operation, Parameter, ParameterType, Range, Signature};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "karcher",
        summary: "the mean of the operands' directions on the sphere at their mean L2 norm, in every tensor",
        operands: &["a"],
        variadic: true,
        kinds: OperandKinds::Alike,
        parameters: &[
            Parameter {
                name: "iterations",
                value: ParameterType::Count,
                default: Some("10"),
            },
            Parameter {
                name: "tolerance",
                value: ParameterType::Real(Range::NotNegative),
                default: Some("0.00001"),
            },
        ],
    },
    build: |arguments| {
        Ok(Operation::Streaming(Arc::new(InSpan(Karcher {
            iterations: arguments.count("iterations"),
            tolerance: arguments.real("tolerance").to_f64(),
        }))))
    },
};

struct Karcher {
    iterations: u64,
    tolerance: f64,
}

impl Karcher {
    /// The mean direction as weights of the operands' directions.
    fn direction(&self, products: &Products<'_>, valid: &[usize]) -> Vec<f64> {
        let share = 1.0 / valid.len() as f64;
        let product = |one: &[f64], other: &[f64]| -> f64 {
            let mut sum = 0.0;
            for (row, one) in one.iter().enumerate() {
                for (column, other) in other.iter().enumerate() {
                    sum += one * other * products.cosine(row, column);
                }
            }
            sum
        };
        let unit = |weights: &mut [f64]| {
            let length = product(weights, weights).max(0.0).sqrt();
            if length > 0.0 {
                weights.iter_mut().for_each(|weight| *weight /= length);
            }
            length
        };
        let zero = vec![0.0; products.operands()];
        let mut mean = zero.clone();
        valid.iter().for_each(|operand| mean[*operand] = share);
        if unit(&mut mean) < self.tolerance {
            mean.clone_from(&zero);
            mean[valid[0]] = 1.0;
        }
        for _ in 0..self.iterations {
            let mut step = zero.clone();
            for &operand in valid {
                let mut direction = zero.clone();
                direction[operand] = 1.0;
                let cosine = product(&mean, &direction).clamp(-1.0, 1.0);
                let angle = libm::acos(cosine);
                let sine = libm::sin(angle);
                // Opposite points have no shortest way between them.
                if angle < self.tolerance || sine < 1e-12 {
                    continue;
                }
                let factor = share * angle / sine;
                for (step, (mean, direction)) in step.iter_mut().zip(mean.iter().zip(direction)) {
                    *step += factor * (direction - cosine * mean);
                }
            }
            let length = product(&step, &step).max(0.0).sqrt();
            if length < self.tolerance || length == 0.0 || length.is_nan() {
                break;
            }
            let (sine, cosine) = libm::sincos(length);
            for (mean, step) in mean.iter_mut().zip(step) {
                *mean = cosine * *mean + sine / length * step;
            }
            unit(&mut mean);
        }
        mean
    }
}

impl SpanMethod for Karcher {
    fn weights(&self, products: &Products<'_>) -> Vec<f64> {
        let count = products.operands();
        if count == 1 {
            return vec![1.0];
        }
        let norms: Vec<f64> = (0..count).map(|operand| products.norm(operand)).collect();
        if norms.iter().any(|norm| !norm.is_finite()) {
            return vec![f64::NAN; count];
        }
        let valid: Vec<usize> = (0..count)
            .filter(|operand| norms[*operand] > self.tolerance)
            .collect();
        if valid.is_empty() {
            return vec![0.0; count];
        }
        let length = norms.iter().sum::<f64>() / count as f64;
        self.direction(products, &valid)
            .into_iter()
            .zip(norms)
            .map(|(weight, norm)| {
                if weight == 0.0 {
                    0.0
                } else {
                    length * weight / norm
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::span::apply;
    use super::*;

    fn karcher(operands: &[&[f32]]) -> Vec<f32> {
        let method = Karcher {
            iterations: 50,
            tolerance: 1e-12,
        };
        apply(method, operands)
    }

    #[test]
    fn the_mean_of_two_is_half_way() {
        let found = karcher(&[&[1.0, 0.0], &[0.0, 3.0]]);
        let expected = (2.0 * 0.5f64.sqrt()) as f32;
        assert!((found[0] - expected).abs() < 1e-6 && (found[1] - expected).abs() < 1e-6);
    }

    #[test]
    fn the_mean_of_points_on_a_circle_is_the_mean_of_their_angles() {
        let at = |degrees: f64| -> [f32; 2] {
            let (sine, cosine) = degrees.to_radians().sin_cos();
            [cosine as f32, sine as f32]
        };
        let found = karcher(&[&at(10.0), &at(20.0), &at(90.0)]);
        let expected = at(40.0);
        assert!((found[0] - expected[0]).abs() < 1e-6, "{found:?}");
        assert!((found[1] - expected[1]).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn what_is_zero_has_no_direction_and_counts_for_the_length() {
        let found = karcher(&[&[3.0, 0.0], &[0.0, 0.0], &[0.0, 3.0]]);
        let expected = (2.0 * 0.5f64.sqrt()) as f32;
        assert!((found[0] - expected).abs() < 1e-6 && (found[1] - expected).abs() < 1e-6);
    }

    #[test]
    fn odd_operands_do_not_panic() {
        assert_eq!(karcher(&[&[0.5, 0.25]]), [0.5, 0.25]);
        assert_eq!(karcher(&[&[0.0], &[0.0]]), [0.0]);
        assert!(karcher(&[&[f32::NAN, 1.0], &[1.0, 0.0]])[0].is_nan());
        assert!(karcher(&[&[1.0, 0.0], &[-1.0, 0.0]])[0].is_finite());
    }
}
