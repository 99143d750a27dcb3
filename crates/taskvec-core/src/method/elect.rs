//! Election of signs: what the methods of the TIES family do with vectors that were made sparse.
//!
//! Yadav et al., arXiv 2306.01708, sections 3.2 and 3.3. For each element the elected sign is that of the sum over the
//! vectors, positive where the sum is zero (as in mergekit; the paper's code takes the commonest sign there). The result
//! is the mean, or the sum, of the elements that have that sign; zeros have none and are not counted.
//!
//! Weights are scalars on the operands, so they take part in the election, as in mergekit. But mergekit's `normalize`
//! divides by the sum of the weights whose vectors agree, where `combine="mean"` divides by their number: with unequal
//! weights the two differ, and a common factor cancels there and stays here. `combine="sum"` is `normalize: false`.

use std::sync::Arc;

use super::{Arguments, OperandBlock, Parameter, ParameterType, StreamingMethod, TensorContext};
use crate::expression::Problem;

/// How elements of the elected sign are combined when nothing is said: their mean.
pub(super) const COMBINE_MEAN: Parameter = Parameter {
    name: "combine",
    value: ParameterType::Text,
    default: Some("mean"),
};

/// The same with their sum as the default.
pub(super) const COMBINE_SUM: Parameter = Parameter {
    default: Some("sum"),
    ..COMBINE_MEAN
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Combine {
    Mean,
    Sum,
}

impl Combine {
    /// The value of the parameter `combine` of `function`.
    pub(super) fn parse(function: &str, arguments: &Arguments) -> Result<Self, Problem> {
        match arguments.text("combine") {
            "mean" => Ok(Self::Mean),
            "sum" => Ok(Self::Sum),
            other => Err(Problem::ParameterValue {
                function: function.to_owned(),
                parameter: "combine".to_owned(),
                expected: "\"mean\" or \"sum\"".to_owned(),
                found: format!("`{other}`"),
            }),
        }
    }
}

/// Combines vectors where they agree with the majority.
pub(super) struct Elect<P> {
    /// What makes the operand of a given place sparse.
    pub(super) preparations: P,
    pub(super) combine: Combine,
}

impl<P> StreamingMethod for Elect<P>
where
    P: Fn(usize) -> Vec<Arc<dyn StreamingMethod>> + Send + Sync,
{
    fn preparations(&self, operand: usize) -> Vec<Arc<dyn StreamingMethod>> {
        (self.preparations)(operand)
    }

    fn passes(&self) -> usize {
        0
    }

    fn observe(
        &self,
        _pass: usize,
        _tensor: TensorContext<'_>,
        _known: &[Vec<f64>],
        _block: OperandBlock<'_>,
    ) -> Vec<f64> {
        Vec::new()
    }

    fn emit(
        &self,
        _tensor: TensorContext<'_>,
        _known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        for (index, output) in output.iter_mut().enumerate() {
            let values = block.operands.iter().map(|operand| operand[index]);
            *output = elect(values, self.combine);
        }
    }
}

fn elect(values: impl Iterator<Item = f32> + Clone, combine: Combine) -> f32 {
    let Some(positive) = majority(values.clone()) else {
        return f32::NAN;
    };
    let (mut sum, mut count) = (0.0, 0u32);
    for value in values.filter(|value| agrees(*value, positive)) {
        sum += f64::from(value);
        count += 1;
    }
    match combine {
        Combine::Mean if count > 0 => (sum / f64::from(count)) as f32,
        _ => sum as f32,
    }
}

/// Whether the elected sign is positive; none where the sum is NaN, which must not be outvoted silently.
pub(super) fn majority(values: impl Iterator<Item = f32>) -> Option<bool> {
    let sum: f64 = values.map(f64::from).sum();
    (!sum.is_nan()).then_some(sum >= 0.0)
}

/// Whether a value has the elected sign.
pub(super) fn agrees(value: f32, positive: bool) -> bool {
    if positive { value > 0.0 } else { value < 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(values: &[f32]) -> (f32, f32) {
        let elected = |combine| elect(values.iter().copied(), combine);
        (elected(Combine::Mean), elected(Combine::Sum))
    }

    #[test]
    fn the_larger_side_wins_and_is_averaged() {
        assert_eq!(both(&[1.0, 2.0, -2.5]), (1.5, 3.0));
        assert_eq!(both(&[1.0, 2.0, -4.0]), (-4.0, -4.0));
        assert_eq!(both(&[0.0, 2.0, 0.0]), (2.0, 2.0));
        assert_eq!(both(&[0.0, 0.0]), (0.0, 0.0));
        assert_eq!(both(&[-1.0]), (-1.0, -1.0));
    }

    #[test]
    fn a_tie_is_positive() {
        assert_eq!(both(&[-1.0, 1.0]), (1.0, 1.0));
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        assert!(both(&[1.0, f32::NAN]).0.is_nan());
        assert!(both(&[f32::INFINITY, f32::NEG_INFINITY]).1.is_nan());
        assert_eq!(both(&[f32::INFINITY, -1.0]).0, f32::INFINITY);
    }
}
