//! The direction between many operands, at their mean length.
//!
//! Goddard, "Multi-SLERP", <https://goddard.blog/posts/multislerp-wow-what-a-cool-idea>: the operands' directions are
//! projected on the plane that touches the sphere at their mean direction, averaged there, and brought back. In each
//! tensor, with operands of norms ‖xᵢ‖ and weights wᵢ that are made to add up to one,
//!
//! ```text
//! m = Σ wᵢ·xᵢ/‖xᵢ‖      (Σ wᵢ·‖xᵢ‖) · m/‖m‖
//! ```
//!
//! The projections of directions average to zero at their own mean, whatever their weights, so that of mergekit's steps
//! only these two leave a trace. Where the directions cancel, ‖m‖ < 10⁻⁸, the result is the mean; mergekit takes the mean
//! for two operands and fails for more.

use std::sync::Arc;

use super::elect::weights;
use super::linear::WEIGHTS;
use super::span::{InSpan, Products, SpanMethod};
use super::{Method, OperandKinds, Operation, Signature};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "multislerp",
        summary: "the mean direction of the operands at their mean L2 norm, in every tensor",
        operands: &["a"],
        variadic: true,
        kinds: OperandKinds::Alike,
        parameters: &[WEIGHTS],
    },
    build: |arguments| {
        let weights = weights(arguments);
        Ok(Operation::Streaming(Arc::new(InSpan(MultiSlerp {
            weights,
        }))))
    },
};

struct MultiSlerp {
    weights: Vec<f64>,
}

impl SpanMethod for MultiSlerp {
    fn weights(&self, products: &Products<'_>) -> Vec<f64> {
        let count = products.operands();
        if count == 1 {
            return vec![1.0];
        }
        let total: f64 = self.weights.iter().sum();
        // Weights without a sum have no mean; they are then taken as they are.
        let total = if total == 0.0 { 1.0 } else { total };
        let share = |operand: usize| {
            self.weights
                .get(operand)
                .map_or(0.0, |weight| weight / total)
        };
        let mut square = 0.0;
        for one in 0..count {
            for other in 0..count {
                // The diagonal of a zero operand is 0, not the 1 of a direction.
                square += share(one) * share(other) * products.cosine(one, other);
            }
        }
        // Rounding can take it below zero, and what is not a number is to stay so.
        let length = if square < 0.0 { 0.0 } else { square.sqrt() };
        if length < 1e-8 {
            return (0..count).map(share).collect();
        }
        let norms: Vec<f64> = (0..count).map(|operand| products.norm(operand)).collect();
        let mean: f64 = norms
            .iter()
            .enumerate()
            .map(|(operand, norm)| share(operand) * norm)
            .sum();
        let scale = mean / length;
        norms
            .into_iter()
            .enumerate()
            .map(|(operand, norm)| {
                if norm == 0.0 {
                    0.0
                } else {
                    scale * share(operand) / norm
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::span::apply;
    use super::*;

    fn equal() -> MultiSlerp {
        MultiSlerp {
            weights: vec![1.0, 1.0],
        }
    }

    #[test]
    fn weights_turn_towards_the_heavier() {
        let weighted = MultiSlerp {
            weights: vec![3.0, 4.0],
        };
        // The mean direction is (3, 4)/5 at the norm (3·7 + 4·14)/7.
        assert_eq!(apply(weighted, &[&[7.0, 0.0], &[0.0, 14.0]]), [6.6, 8.8]);
    }

    #[test]
    fn what_is_zero_has_no_direction_and_counts_for_the_length() {
        let found = apply(equal(), &[&[0.0, 4.0], &[0.0, 0.0]]);
        assert_eq!(found, [0.0, 2.0]);
    }

    #[test]
    fn means_of_direction_and_length() {
        let half = 0.5f64.sqrt();
        let found = apply(equal(), &[&[2.0, 0.0], &[0.0, 4.0]]);
        assert_eq!(found, [(3.0 * half) as f32, (3.0 * half) as f32]);
        assert_eq!(
            apply(MultiSlerp { weights: vec![1.0] }, &[&[0.3, 0.1]]),
            [0.3, 0.1]
        );
        assert_eq!(apply(equal(), &[&[1.0, 0.0], &[-1.0, 0.0]]), [0.0, 0.0]);
        let order = |one: &[f32], two: &[f32]| apply(equal(), &[one, two]);
        assert_eq!(
            order(&[0.3, 0.1], &[0.2, 0.9]),
            order(&[0.2, 0.9], &[0.3, 0.1])
        );
    }

    #[test]
    fn what_is_not_a_number_does_not_panic() {
        assert!(apply(equal(), &[&[f32::NAN, 1.0], &[1.0, 1.0]])[0].is_nan());
    }
}
