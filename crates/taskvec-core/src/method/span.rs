//! Methods whose result is, in each tensor, a combination of the operands themselves.
//!
//! Rotations, projections and rescalings lie in the span of their operands, with weights that are functions of the
//! operands' inner products. One pass gathers those, in double precision; the weights follow without looking at an
//! element again, and the output is `Σ wᵢ·xᵢ` in double precision, rounded to a single. An operand of weight 0 takes no
//! part, so that what is not finite in it does not spread.

use multiversion::multiversion;

use super::{OperandBlock, StreamingMethod, TensorContext};
use crate::statistics::sum;

/// What the inner products of the operands of one tensor determine.
pub(super) trait SpanMethod: Send + Sync {
    /// Inner products are those of the differences from the first operand. Where operands lie close together this saves
    /// the digits that subtracting inner products would lose.
    const RELATIVE_TO_FIRST: bool = false;

    /// The weight of each operand.
    fn weights(&self, products: &Products<'_>) -> Vec<f64>;
}

/// Inner products of the operands of one tensor.
pub(super) struct Products<'a> {
    pub(super) operands: usize,
    /// Row by row, each from the diagonal on.
    pub(super) upper: &'a [f64],
}

impl Products<'_> {
    pub(super) fn operands(&self) -> usize {
        self.operands
    }

    pub(super) fn of(&self, one: usize, other: usize) -> f64 {
        let (row, column) = (one.min(other), one.max(other));
        let before = row * self.operands - row * row.saturating_sub(1) / 2;
        self.upper
            .get(before + column - row)
            .copied()
            .unwrap_or(0.0)
    }

    pub(super) fn norm(&self, operand: usize) -> f64 {
        self.of(operand, operand).sqrt()
    }

    /// The cosine of the angle between two operands, from −1 to 1; 0 where one of them is zero.
    pub(super) fn cosine(&self, one: usize, other: usize) -> f64 {
        let norms = self.norm(one) * self.norm(other);
        if norms == 0.0 {
            0.0
        } else {
            (self.of(one, other) / norms).clamp(-1.0, 1.0)
        }
    }
}

/// A [`SpanMethod`] at work.
pub(super) struct InSpan<M>(pub(super) M);

impl<M: SpanMethod> StreamingMethod for InSpan<M> {
    fn passes(&self) -> usize {
        1
    }

    fn observe(
        &self,
        _pass: usize,
        _tensor: TensorContext<'_>,
        _known: &[Vec<f64>],
        block: OperandBlock<'_>,
    ) -> Vec<f64> {
        inner_products::<M>(block.operands)
    }

    fn emit(
        &self,
        _tensor: TensorContext<'_>,
        known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        let products = Products {
            operands: block.operands.len(),
            upper: known.first().map_or(&[], Vec::as_slice),
        };
        combine(&self.0.weights(&products), block.operands, output);
    }
}

/// The inner products of slices, as [`Products`] has them.
pub(super) fn inner_products<M: SpanMethod>(operands: &[&[f32]]) -> Vec<f64> {
    let count = operands.first().map_or(0, |operand| operand.len());
    let value = |operand: &[f32], index: usize| {
        let origin = if M::RELATIVE_TO_FIRST {
            f64::from(operands[0][index])
        } else {
            0.0
        };
        f64::from(operand[index]) - origin
    };
    let mut products = Vec::with_capacity(operands.len() * (operands.len() + 1) / 2);
    for (row, one) in operands.iter().enumerate() {
        for other in &operands[row..] {
            products.push(sum(count, |index| value(one, index) * value(other, index)));
        }
    }
    products
}

/// Elements that are summed together.
const LANES: usize = 256;

/// `Σ weight·operand`.
pub(super) fn combine(weights: &[f64], operands: &[&[f32]], output: &mut [f32]) {
    let terms: Vec<(f64, &[f32])> = weights
        .iter()
        .copied()
        .zip(operands.iter().copied())
        .filter(|(weight, _)| *weight != 0.0)
        .collect();
    add_up(&terms, output);
}

/// `Σ wᵢ·xᵢ`, one operand after the other, which registers like.
#[multiversion(targets("x86_64+avx2"))]
fn add_up(terms: &[(f64, &[f32])], output: &mut [f32]) {
    let Some(((first_weight, first), others)) = terms.split_first() else {
        return output.fill(0.0);
    };
    for (start, output) in (0..).step_by(LANES).zip(output.chunks_mut(LANES)) {
        let mut sums = [0.0; LANES];
        // A sum that begins with its first term keeps a negative zero.
        for (sum, value) in sums.iter_mut().zip(&first[start..]) {
            *sum = first_weight * f64::from(*value);
        }
        for (weight, values) in others {
            for (sum, value) in sums.iter_mut().zip(&values[start..]) {
                *sum += weight * f64::from(*value);
            }
        }
        for (output, sum) in output.iter_mut().zip(sums) {
            *output = sum as f32;
        }
    }
}

/// Applies a method to whole tensors, for tests of its algebra.
#[cfg(test)]
pub(super) fn apply<M: SpanMethod>(method: M, operands: &[&[f32]]) -> Vec<f32> {
    super::apply(&InSpan(method), operands)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_found_where_they_were_put() {
        let upper = [11.0, 12.0, 13.0, 14.0, 22.0, 23.0, 24.0, 33.0, 34.0, 44.0];
        let products = Products {
            operands: 4,
            upper: &upper,
        };
        for row in 0..4 {
            for column in row..4 {
                let expected = ((row + 1) * 10 + column + 1) as f64;
                assert_eq!(products.of(row, column), expected);
                assert_eq!(products.of(column, row), expected);
            }
        }
    }
}
