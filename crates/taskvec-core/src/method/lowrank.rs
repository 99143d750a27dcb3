//! A vector with matrices of a lower rank.
//!
//! In each matrix the product of its first `rank` singular components: by Eckart and Young, "The approximation of one
//! matrix by another of lower rank", Psychometrika 1936, no matrix of that rank is nearer to it. [`factor`] says how
//! they are found, and how near: small matrices are decomposed whole, of large ones the range is searched from random
//! numbers that `seed` and the tensor's name determine.
//!
//! Tensors of one dimension pass through as they are, which the plan notes; so do matrices with a side of `rank` or less,
//! whose rank that is already. A tensor of three dimensions or more is no matrix and is refused, as is one of more than
//! 2²⁸ elements: the matrix is held as singles while it is factored, one matrix at a time. A matrix with an element that
//! is not finite becomes NaN. mergekit has nothing like it among its merge methods.

use std::sync::Arc;

use super::dare::SEED;
use super::{
    Extent, Method, OperandBlock, OperandKinds, Operation, Parameter, ParameterType, Signature,
    StreamingMethod, TensorContext,
};
use crate::adapter::{Matrix, Search, factor};
use crate::expression::Problem;

/// Columns that are summed together: the sums then stay in the first-level cache.
const BLOCK: usize = 512;

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "lowrank",
        summary: "the nearest vector whose matrices have at most a rank; tensors of one dimension stay as they are",
        operands: &["v"],
        variadic: false,
        kinds: OperandKinds::Vectors,
        parameters: &[
            Parameter {
                name: "rank",
                value: ParameterType::Count,
                default: None,
            },
            SEED,
        ],
    },
    build: |arguments| match usize::try_from(arguments.count("rank")) {
        Ok(rank) if rank > 0 => Ok(Operation::Streaming(Arc::new(LowRank {
            rank,
            seed: arguments.count("seed"),
        }))),
        _ => Err(Problem::ParameterValue {
            function: "lowrank".to_owned(),
            parameter: "rank".to_owned(),
            expected: "a whole number, 1 or more".to_owned(),
            found: format!("`{}`", arguments.count("rank")),
        }),
    },
};

struct LowRank {
    rank: usize,
    seed: u64,
}

impl StreamingMethod for LowRank {
    fn is_identity(&self, tensor: TensorContext<'_>) -> bool {
        match tensor.shape {
            [] | [_] => true,
            [rows, columns] => *rows.min(columns) <= self.rank,
            _ => false,
        }
    }

    fn note(&self, tensor: TensorContext<'_>) -> Option<&'static str> {
        (tensor.shape.len() < 2)
            .then_some("tensors that are no matrices pass through `lowrank` as they are")
    }

    fn check(&self, tensor: TensorContext<'_>) -> Result<(), Problem> {
        if tensor.shape.len() <= 2 {
            return Ok(());
        }
        Err(Problem::NotAMatrix {
            function: "lowrank",
            tensor: tensor.name.to_owned(),
            shape: tensor.shape.to_vec(),
        })
    }

    fn passes(&self) -> usize {
        1
    }

    fn observes(&self, _pass: usize) -> Extent {
        Extent::Tensor
    }

    /// The factors, left before right; nothing where an element is not finite.
    fn observe(
        &self,
        _pass: usize,
        tensor: TensorContext<'_>,
        _known: &[Vec<f64>],
        block: OperandBlock<'_>,
    ) -> Vec<f64> {
        let values = block.operands[0];
        let &[rows, columns] = tensor.shape else {
            return Vec::new();
        };
        if values.iter().any(|value| !value.is_finite()) {
            return Vec::new();
        }
        let matrix = Matrix {
            values,
            rows,
            columns,
        };
        // The threads of the run wait for this one meanwhile.
        let search = Search {
            seed: self.seed,
            tensor: tensor.name,
            threads: None,
        };
        match factor(&matrix, self.rank, search) {
            Ok(factors) => [factors.left, factors.right].concat(),
            Err(_) => Vec::new(),
        }
    }

    fn emit(
        &self,
        tensor: TensorContext<'_>,
        known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        let factors = known.first().map_or(&[][..], Vec::as_slice);
        let &[rows, columns] = tensor.shape else {
            return;
        };
        if factors.len() != self.rank * (rows + columns) {
            output.fill(f32::NAN);
            return;
        }
        let (left, right) = factors.split_at(rows * self.rank);
        let mut sums = [0.0; BLOCK];
        let mut done = 0;
        while done < output.len() {
            let place = block.offset as usize + done;
            let (row, column) = (place / columns, place % columns);
            let count = (columns - column).min(output.len() - done).min(BLOCK);
            let sums = &mut sums[..count];
            sums.fill(0.0);
            for (component, factor) in left[row * self.rank..][..self.rank].iter().enumerate() {
                let numbers = &right[component * columns + column..][..count];
                for (sum, number) in sums.iter_mut().zip(numbers) {
                    *sum += factor * number;
                }
            }
            for (output, sum) in output[done..].iter_mut().zip(sums) {
                *output = *sum as f32;
            }
            done += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::apply_to;

    const RANK_ONE: LowRank = LowRank { rank: 1, seed: 0 };

    #[test]
    fn the_smaller_component_goes() {
        // 3·e₁e₁ᵀ + 2·e₂e₃ᵀ.
        let values = [3.0, 0.0, 0.0, 0.0, 0.0, 2.0];
        let found = apply_to(&RANK_ONE, &[2, 3], &[&values]);
        for (found, expected) in found.iter().zip([3.0, 0.0, 0.0, 0.0, 0.0, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found}");
        }
    }

    #[test]
    fn a_matrix_of_that_rank_is_itself() {
        let values: Vec<f32> = (0..700 * 3)
            .map(|index| ((index / 3) as f32 - 349.5) * [1.0, -2.0, 0.5][index % 3])
            .collect();
        let found = apply_to(&RANK_ONE, &[700, 3], &[&values]);
        for (found, value) in found.iter().zip(&values) {
            assert!((found - value).abs() <= 1e-5 * 700.0, "{found} {value}");
        }
    }

    #[test]
    fn what_needs_no_work_is_left_alone() {
        for (shape, is_identity) in [
            (&[5][..], true),
            (&[], true),
            (&[1, 9], true),
            (&[9, 1], true),
            (&[2, 2], false),
            (&[1, 1, 1], false),
        ] {
            let tensor = TensorContext {
                name: "w",
                shape,
                elements: 1,
            };
            assert_eq!(RANK_ONE.is_identity(tensor), is_identity, "{shape:?}");
            assert_eq!(
                RANK_ONE.check(tensor).is_err(),
                shape.len() > 2,
                "{shape:?}"
            );
        }
    }

    #[test]
    fn what_is_not_finite_spreads_over_the_matrix() {
        let found = apply_to(&RANK_ONE, &[2, 2], &[&[1.0, f32::INFINITY, 0.0, 2.0]]);
        assert!(found.iter().all(|value| value.is_nan()));
    }
}
