//! The direction between many operands, at their mean length.
//!
//! Goddard, "Multi-SLERP", <https://goddard.blog/posts/multislerp-wow-what-a-cool-idea>: the operands' directions are
//! projected on the plane that touches the sphere at their mean direction, averaged there, and brought back. In each
//! tensor, with n operands of norms ‖xᵢ‖,
//!
//! ```text
//! m = Σ xᵢ/‖xᵢ‖      (Σ ‖xᵢ‖ / n) · m/‖m‖
//! ```
//!
//! The projections of equally weighted directions average to zero at their own mean, so that of mergekit's steps only
//! these two leave a trace. Where the directions cancel, ‖m‖ < 10⁻⁸·n, the result is the mean; mergekit takes the mean
//! for two operands and fails for more. Its `weight`s other than equal ones are not offered.

use std::sync::Arc;

use super::span::{InSpan, Products, SpanMethod};
use super::{Method, OperandKinds, Operation, Signature};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "multislerp",
        summary: "the mean direction of the operands at their mean L2 norm, in every tensor",
        operands: &["a"],
        variadic: true,
        kinds: OperandKinds::Alike,
        parameters: &[],
    },
    build: |_| Ok(Operation::Streaming(Arc::new(InSpan(MultiSlerp)))),
};

struct MultiSlerp;

impl SpanMethod for MultiSlerp {
    fn weights(&self, products: &Products<'_>) -> Vec<f64> {
        let count = products.operands();
        if count == 1 {
            return vec![1.0];
        }
        let share = 1.0 / count as f64;
        let mut square = 0.0;
        for one in 0..count {
            for other in 0..count {
                // The diagonal of a zero operand is 0, not the 1 of a direction.
                square += share * share * products.cosine(one, other);
            }
        }
        // Rounding can take it below zero, and what is not a number is to stay so.
        let length = if square < 0.0 { 0.0 } else { square.sqrt() };
        if length < 1e-8 {
            return vec![share; count];
        }
        let norms: Vec<f64> = (0..count).map(|operand| products.norm(operand)).collect();
        let scale = share * norms.iter().sum::<f64>() / length;
        norms
            .into_iter()
            .map(|norm| {
                if norm == 0.0 {
                    0.0
                } else {
                    scale * share / norm
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::span::apply;
    use super::*;

    #[test]
    fn means_of_direction_and_length() {
        let half = 0.5f64.sqrt();
        let found = apply(MultiSlerp, &[&[2.0, 0.0], &[0.0, 4.0]]);
        assert_eq!(found, [(3.0 * half) as f32, (3.0 * half) as f32]);
        assert_eq!(apply(MultiSlerp, &[&[0.3, 0.1]]), [0.3, 0.1]);
        assert_eq!(apply(MultiSlerp, &[&[1.0, 0.0], &[-1.0, 0.0]]), [0.0, 0.0]);
        let order = |one: &[f32], two: &[f32]| apply(MultiSlerp, &[one, two]);
        assert_eq!(
            order(&[0.3, 0.1], &[0.2, 0.9]),
            order(&[0.2, 0.9], &[0.3, 0.1])
        );
    }

    #[test]
    fn what_is_not_a_number_does_not_panic() {
        assert!(apply(MultiSlerp, &[&[f32::NAN, 1.0], &[1.0, 1.0]])[0].is_nan());
    }
}
