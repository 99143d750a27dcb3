//! Methods whose result is, in each tensor, a combination of the operands themselves.
//!
//! Rotations, projections and rescalings lie in the span of their operands, with weights that are functions of the
//! operands' inner products. One pass gathers those, in double precision; the weights follow without looking at an
//! element again, and the output is `Σ wᵢ·xᵢ` in double precision, rounded to a single. An operand of weight 0 takes no
//! part, so that what is not finite in it does not spread.

use multiversion::multiversion;

use super::{OperandBlock, StreamingMethod, TensorContext};

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

/// Elements whose doubles, one set for each operand, are at hand together.
const TILE: usize = 512;
/// Independent partial sums of an inner product: fixed, so that all processors add in one order.
const PARTIAL_SUMS: usize = 16;

/// The inner products of slices, as [`Products`] has them.
pub(super) fn inner_products<M: SpanMethod>(operands: &[&[f32]]) -> Vec<f64> {
    products(operands, M::RELATIVE_TO_FIRST)
}

#[multiversion(targets("x86_64+avx2"))]
fn products(operands: &[&[f32]], is_relative: bool) -> Vec<f64> {
    let elements = operands.first().map_or(0, |operand| operand.len());
    let mut sums = vec![[0f64; PARTIAL_SUMS]; operands.len() * (operands.len() + 1) / 2];
    let mut tiles = vec![[0f64; TILE]; operands.len()];
    for start in (0..elements).step_by(TILE) {
        let length = TILE.min(elements - start);
        let piece = |operand: usize| &operands[operand][start..start + length];
        for (operand, tile) in tiles.iter_mut().enumerate() {
            // What a shorter last tile does not fill adds nothing.
            tile[length..].fill(0.0);
            if is_relative {
                for ((value, element), origin) in tile.iter_mut().zip(piece(operand)).zip(piece(0))
                {
                    *value = f64::from(*element) - f64::from(*origin);
                }
            } else {
                for (value, element) in tile.iter_mut().zip(piece(operand)) {
                    *value = f64::from(*element);
                }
            }
        }
        let mut sums = sums.iter_mut();
        for (row, one) in tiles.iter().enumerate() {
            for (other, sum) in tiles[row..].iter().zip(&mut sums) {
                add_products(one, other, sum);
            }
        }
    }
    sums.iter().map(|sums| sums.iter().sum()).collect()
}

#[inline(always)]
fn add_products(one: &[f64; TILE], other: &[f64; TILE], sums: &mut [f64; PARTIAL_SUMS]) {
    let (ones, others) = (
        one.as_chunks::<PARTIAL_SUMS>().0,
        other.as_chunks::<PARTIAL_SUMS>().0,
    );
    // In registers, which memory that somebody might look at is not.
    let mut found = *sums;
    for (one, other) in ones.iter().zip(others) {
        for ((sum, one), other) in found.iter_mut().zip(one).zip(other) {
            *sum += one * other;
        }
    }
    *sums = found;
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
