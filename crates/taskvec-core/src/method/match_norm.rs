//! A vector with the length of another.
//!
//! In each tensor `v · ‖to‖/‖v‖` with L2 norms; zero where `v` is zero. mergekit has nothing like it.

use std::sync::Arc;

use super::span::{InSpan, Products, SpanMethod};
use super::{Method, OperandKinds, Operation, Signature};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "match_norm",
        summary: "`v` scaled to the L2 norm of `to` in every tensor",
        operands: &["v", "to"],
        variadic: false,
        kinds: OperandKinds::Vectors,
        parameters: &[],
    },
    build: |_| Ok(Operation::Streaming(Arc::new(InSpan(MatchNorm)))),
};

struct MatchNorm;

impl SpanMethod for MatchNorm {
    fn weights(&self, products: &Products<'_>) -> Vec<f64> {
        let found = products.of(0, 0);
        let scale = if found == 0.0 {
            0.0
        } else {
            (products.of(1, 1) / found).sqrt()
        };
        vec![scale, 0.0]
    }
}

#[cfg(test)]
mod tests {
    use super::super::span::apply;
    use super::*;

    #[test]
    fn direction_of_one_and_length_of_the_other() {
        assert_eq!(apply(MatchNorm, &[&[3.0, 4.0], &[0.0, 10.0]]), [6.0, 8.0]);
        assert_eq!(apply(MatchNorm, &[&[0.3, -0.4], &[0.3, -0.4]]), [0.3, -0.4]);
        assert_eq!(apply(MatchNorm, &[&[0.0, 0.0], &[1.0, 1.0]]), [0.0, 0.0]);
        assert_eq!(apply(MatchNorm, &[&[1.0, 1.0], &[0.0, 0.0]]), [0.0, 0.0]);
        assert!(apply(MatchNorm, &[&[1.0, f32::NAN], &[1.0, 1.0]])[0].is_nan());
    }
}
