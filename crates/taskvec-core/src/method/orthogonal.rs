//! What one vector has that another has not.
//!
//! In each tensor `v − to·⟨v, to⟩/⟨to, to⟩`, the first step of Gram and Schmidt; `v` where `to` is zero. mergekit has
//! nothing like it.

use std::sync::Arc;

use super::span::{InSpan, Products, SpanMethod};
use super::{Method, OperandKinds, Operation, Signature};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "orthogonal",
        summary: "`v` less its projection on `to`, in every tensor",
        operands: &["v", "to"],
        variadic: false,
        kinds: OperandKinds::Vectors,
        parameters: &[],
    },
    build: |_| Ok(Operation::Streaming(Arc::new(InSpan(Orthogonal)))),
};

struct Orthogonal;

impl SpanMethod for Orthogonal {
    fn weights(&self, products: &Products<'_>) -> Vec<f64> {
        let length = products.of(1, 1);
        let share = if length == 0.0 {
            0.0
        } else {
            -products.of(0, 1) / length
        };
        vec![1.0, share]
    }
}

#[cfg(test)]
mod tests {
    use super::super::span::apply;
    use super::*;

    #[test]
    fn nothing_of_the_other_is_left() {
        assert_eq!(apply(Orthogonal, &[&[3.0, 4.0], &[2.0, 0.0]]), [0.0, 4.0]);
        assert_eq!(apply(Orthogonal, &[&[3.0, 4.0], &[3.0, 4.0]]), [0.0, 0.0]);
        assert_eq!(apply(Orthogonal, &[&[3.0, 4.0], &[-4.0, 3.0]]), [3.0, 4.0]);
        assert_eq!(apply(Orthogonal, &[&[3.0, 4.0], &[0.0, 0.0]]), [3.0, 4.0]);
        let left = apply(Orthogonal, &[&[0.1, 0.7, -0.3], &[0.5, 0.2, 0.9]]);
        let product = 0.5 * left[0] + 0.2 * left[1] + 0.9 * left[2];
        assert!(product.abs() < 2e-7, "{product}");
    }
}
