//! Model Stock: as far from the base as the fine-tunes agree.
//!
//! Jang, Yun and Han, "Model Stock: all we need is just a few fine-tuned models", arXiv 2403.19522, equation 5 for N
//! fine-tunes: with the angle θ between their differences from the base,
//!
//! ```text
//! t = N·cos θ / (1 + (N − 1)·cos θ)      t · mean + (1 − t) · base
//! ```
//!
//! in each tensor, or in each of its rows, which is mergekit's `filter_wise: true`; cos θ is the mean over all pairs, as in
//! mergekit. A pair with a zero difference counts as cosine 0, where mergekit divides by a norm product of at least 10⁻⁶,
//! which shrinks the cosines of very small changes, those of single rows in particular. Where the denominator vanishes
//! the result is the base, as in mergekit.

use super::span::{Products, SpanMethod};
use super::span_lines::{OVER, Over};
use super::{Method, OperandKinds, Signature};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "model_stock",
        summary: "the mean of fine-tunes of `base`, drawn back to it as far as they disagree, in every tensor or row",
        operands: &["base", "a", "b"],
        variadic: true,
        kinds: OperandKinds::Models,
        parameters: &[OVER],
    },
    build: |arguments| Over::parse("model_stock", arguments).map(|over| over.operation(ModelStock)),
};

struct ModelStock;

impl SpanMethod for ModelStock {
    const RELATIVE_TO_FIRST: bool = true;

    fn weights(&self, products: &Products<'_>) -> Vec<f64> {
        let tuned = products.operands().saturating_sub(1);
        let (mut sum, mut pairs) = (0.0, 0u32);
        for one in 1..=tuned {
            for other in one + 1..=tuned {
                sum += products.cosine(one, other);
                pairs += 1;
            }
        }
        let cosine = sum / f64::from(pairs.max(1));
        let count = tuned as f64;
        let denominator = 1.0 + (count - 1.0) * cosine;
        let share = if denominator.abs() < 1e-6 {
            0.0
        } else {
            count * cosine / denominator
        };
        let mut weights = vec![share / count; tuned + 1];
        weights[0] = 1.0 - share;
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::super::span::apply;
    use super::*;

    #[test]
    fn agreement_decides_how_far_to_go() {
        let base = [1.0, 1.0];
        assert_eq!(
            apply(ModelStock, &[&base, &[3.0, 1.0], &[3.0, 1.0]]),
            [3.0, 1.0]
        );
        assert_eq!(apply(ModelStock, &[&base, &[3.0, 1.0], &[1.0, 5.0]]), base);
        assert_eq!(apply(ModelStock, &[&base, &[3.0, 1.0], &[-1.0, 1.0]]), base);
        assert_eq!(apply(ModelStock, &[&base, &base, &base]), base);
        // cos 60° = 1/2, so t = 2/3.
        let tilted = [1.0 + 0.5, 1.0 + 0.75f32.sqrt()];
        let found = apply(ModelStock, &[&base, &[2.0, 1.0], &tilted]);
        assert!((found[0] - 1.5).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn of_three_all_pairs_count() {
        // Changes at 0°, 60° and 90°: cosines 1/2, 0 and √3/2, their mean c, and t = 3c/(1 + 2c).
        let (sine, cosine) = (0.75f64.sqrt(), 0.5);
        let base = [1.0, 1.0];
        let tuned = [2.0, 1.0 + cosine as f32, 1.0];
        let risen = [1.0, 1.0 + sine as f32, 2.0];
        let operands: Vec<[f32; 2]> = (0..3).map(|it| [tuned[it], risen[it]]).collect();
        let found = apply(
            ModelStock,
            &[&base, &operands[0], &operands[1], &operands[2]],
        );
        let mean = (cosine + 0.0 + sine) / 3.0;
        let share = 3.0 * mean / (1.0 + 2.0 * mean);
        let expected = [
            1.0 + share * (1.0 + cosine) / 3.0,
            1.0 + share * (sine + 1.0) / 3.0,
        ];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(
                (f64::from(found) - expected).abs() < 1e-6,
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn what_is_not_a_number_does_not_panic() {
        assert!(apply(ModelStock, &[&[1.0], &[f32::NAN], &[1.0]])[0].is_nan());
    }
}
