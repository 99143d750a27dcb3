//! Methods of [`span`](super::span) applied to every row or every column of a tensor by itself.
//!
//! A row is what differs in the last index, a column what differs in the first; a tensor of one dimension is one of
//! either. Rows come whole, so that their inner products and their output are computed at one go. Inner products of columns
//! are gathered in a pass, one set for each column.

use std::sync::Arc;

use super::span::{InSpan, Products, SpanMethod, combine, inner_products};
use super::{
    Arguments, Extent, OperandBlock, Operation, Parameter, ParameterType, StreamingMethod,
    TensorContext,
};
use crate::expression::Problem;

/// What is one vector.
pub(super) const OVER: Parameter = Parameter {
    name: "over",
    value: ParameterType::Text,
    default: Some("tensor"),
};

/// What is one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Tensor,
    Rows,
    Columns,
}

impl Over {
    /// The value of the parameter `over` of `function`.
    pub(super) fn parse(function: &str, arguments: &Arguments) -> Result<Self, Problem> {
        match arguments.text("over") {
            "tensor" => Ok(Self::Tensor),
            "rows" => Ok(Self::Rows),
            "columns" => Ok(Self::Columns),
            other => Err(Problem::ParameterValue {
                function: function.to_owned(),
                parameter: "over".to_owned(),
                expected: "\"tensor\", \"rows\" or \"columns\"".to_owned(),
                found: format!("`{other}`"),
            }),
        }
    }

    /// The method over such vectors.
    pub(super) fn operation<M: SpanMethod + 'static>(self, method: M) -> Operation {
        Operation::Streaming(match self {
            Self::Tensor => Arc::new(InSpan(method)),
            Self::Rows => Arc::new(InRows(method)),
            Self::Columns => Arc::new(InColumns(method)),
        })
    }
}

struct InRows<M>(M);

impl<M: SpanMethod> StreamingMethod for InRows<M> {
    fn emits(&self) -> Extent {
        Extent::Rows
    }

    fn emit(
        &self,
        tensor: TensorContext<'_>,
        _known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        let length = tensor.row() as usize;
        for (index, output) in output.chunks_mut(length).enumerate() {
            let place = index * length..index * length + output.len();
            let row: Vec<&[f32]> = block
                .operands
                .iter()
                .map(|operand| &operand[place.clone()])
                .collect();
            let products = Products {
                operands: row.len(),
                upper: &inner_products::<M>(&row),
            };
            combine(&self.0.weights(&products), &row, output);
        }
    }
}

struct InColumns<M>(M);

/// Columns of a tensor: its elements by the places of their column.
fn columns(tensor: TensorContext<'_>) -> usize {
    match tensor.shape {
        [] | [_] => 1,
        [_, others @ ..] => others.iter().product::<usize>().max(1),
    }
}

impl<M: SpanMethod> StreamingMethod for InColumns<M> {
    fn passes(&self) -> usize {
        1
    }

    /// One set of inner products for each column.
    fn observe(
        &self,
        _pass: usize,
        tensor: TensorContext<'_>,
        _known: &[Vec<f64>],
        block: OperandBlock<'_>,
    ) -> Vec<f64> {
        let (columns, operands) = (columns(tensor), block.operands);
        let pairs = operands.len() * (operands.len() + 1) / 2;
        let count = operands.first().map_or(0, |operand| operand.len());
        let mut sums = vec![0.0; columns * pairs];
        let mut values = vec![0.0; operands.len()];
        let first = (block.offset % columns as u64) as usize;
        for index in 0..count {
            let origin = if M::RELATIVE_TO_FIRST {
                f64::from(operands[0][index])
            } else {
                0.0
            };
            for (value, operand) in values.iter_mut().zip(operands) {
                *value = f64::from(operand[index]) - origin;
            }
            let column = (first + index) % columns;
            let mut sums = sums[column * pairs..][..pairs].iter_mut();
            for (row, one) in values.iter().enumerate() {
                for (other, sum) in values[row..].iter().zip(&mut sums) {
                    *sum += one * other;
                }
            }
        }
        sums
    }

    fn emit(
        &self,
        tensor: TensorContext<'_>,
        known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        let (columns, operands) = (columns(tensor), block.operands);
        let pairs = operands.len() * (operands.len() + 1) / 2;
        let sums = known.first().map_or(&[][..], Vec::as_slice);
        let first = (block.offset % columns as u64) as usize;
        // A block may be short: only the columns that it has elements of.
        for offset in 0..columns.min(output.len()) {
            let column = (first + offset) % columns;
            let products = Products {
                operands: operands.len(),
                upper: sums
                    .get(column * pairs..(column + 1) * pairs)
                    .unwrap_or(&[]),
            };
            let weights = self.0.weights(&products);
            for index in (offset..output.len()).step_by(columns) {
                output[index] = weights
                    .iter()
                    .zip(operands)
                    .filter(|(weight, _)| **weight != 0.0)
                    .map(|(weight, operand)| weight * f64::from(operand[index]))
                    .reduce(|sum, term| sum + term)
                    .unwrap_or(0.0) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::span::apply;
    use super::*;
    use crate::coefficient::Coefficient;
    use crate::method::apply_to;
    use crate::method::slerp::GreatCircle;

    fn circle() -> GreatCircle {
        GreatCircle {
            place: Coefficient::ratio(1, 3).unwrap(),
            is_linear: |cosine| 1.0 - cosine * cosine <= 1e-16,
        }
    }

    static ONE: [f32; 6] = [1.0, 0.0, 2.0, 0.5, -0.25, 3.0];
    static TWO: [f32; 6] = [0.0, 1.0, -1.0, 0.75, 2.0, 1.5];

    #[test]
    fn rows_are_vectors_of_their_own() {
        let found = apply_to(&InRows(circle()), &[3, 2], &[&ONE, &TWO]);
        for row in 0..3 {
            let place = 2 * row..2 * row + 2;
            let alone = apply(circle(), &[&ONE[place.clone()], &TWO[place.clone()]]);
            assert_eq!(found[place], alone[..]);
        }
    }

    #[test]
    fn columns_are_the_rows_of_the_transpose() {
        let turned = |values: &[f32]| -> Vec<f32> {
            (0..3)
                .flat_map(|column| [values[column], values[column + 3]])
                .collect()
        };
        let columns = apply_to(&InColumns(circle()), &[2, 3], &[&ONE, &TWO]);
        let rows = apply_to(&InRows(circle()), &[3, 2], &[&turned(&ONE), &turned(&TWO)]);
        assert_eq!(turned(&columns), rows);
    }

    #[test]
    fn one_dimension_is_one_vector() {
        let whole = apply(circle(), &[&ONE, &TWO]);
        assert_eq!(apply_to(&InRows(circle()), &[6], &[&ONE, &TWO]), whole);
        assert_eq!(apply_to(&InColumns(circle()), &[6], &[&ONE, &TWO]), whole);
    }

    #[test]
    fn columns_do_not_depend_on_where_a_block_begins() {
        let tensor = TensorContext {
            name: "w",
            shape: &[2, 3],
            elements: 6,
        };
        let method = InColumns(circle());
        let block = |range: std::ops::Range<usize>| -> [&'static [f32]; 2] {
            [&ONE[range.clone()], &TWO[range]]
        };
        let whole = apply_to(&method, &[2, 3], &[&ONE, &TWO]);
        let mut known = vec![0.0; 9];
        for range in [0..1, 1..5, 5..6] {
            let operands = block(range.clone());
            let block = OperandBlock {
                offset: range.start as u64,
                operands: &operands,
            };
            method.merge(0, &mut known, &method.observe(0, tensor, &[], block));
        }
        for range in [0..2, 2..3, 3..6] {
            let operands = block(range.clone());
            let block = OperandBlock {
                offset: range.start as u64,
                operands: &operands,
            };
            let mut output = vec![f32::NAN; range.len()];
            method.emit(tensor, &[known.clone()], block, &mut output);
            assert_eq!(output, whole[range]);
        }
    }
}
