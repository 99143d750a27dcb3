//! Election of signs: what the methods of the TIES family do with vectors that were made sparse.
//!
//! Yadav et al., arXiv 2306.01708, sections 3.2 and 3.3. For each element the elected sign is that of the sum over the
//! vectors, positive where the sum is zero (as in mergekit; the paper's code takes the commonest sign there). The result
//! is the mean, or the sum, of the elements that have that sign; zeros have none and are not counted.
//!
//! Weights take part in the election, whether they are the parameter `weights` or scalars on the operands. The mean divides
//! by the sum of the `weights` of the vectors that agree, their number where none are given: mergekit's `normalize: true`.
//! Scalars on operands are part of the vectors and do not cancel. `combine="sum"` is `normalize: false`.

use std::sync::Arc;

use super::{Arguments, OperandBlock, Parameter, ParameterType, StreamingMethod, TensorContext};
use crate::coefficient::Coefficient;
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

/// The parameter `weights` of a call.
pub(super) fn weights(arguments: &Arguments) -> Vec<f64> {
    arguments
        .weights("weights")
        .iter()
        .map(Coefficient::to_f64)
        .collect()
}

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
    /// One for each operand.
    pub(super) weights: Vec<f64>,
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

    fn emit(
        &self,
        _tensor: TensorContext<'_>,
        _known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        for (index, output) in output.iter_mut().enumerate() {
            let values = block.operands.iter().map(|operand| operand[index]);
            // What has no weight takes no part, so that what is not finite in it does not spread.
            let weighted = values
                .zip(&self.weights)
                .filter(|(_, weight)| **weight != 0.0)
                .map(|(value, weight)| (f64::from(value) * weight, *weight));
            *output = elect(weighted, self.combine);
        }
    }
}

/// Combines weighted values, each with its weight.
fn elect(values: impl Iterator<Item = (f64, f64)> + Clone, combine: Combine) -> f32 {
    let Some(positive) = majority(values.clone().map(|(value, _)| value)) else {
        return f32::NAN;
    };
    let (mut sum, mut weights) = (0.0, 0.0);
    for (value, weight) in values.filter(|(value, _)| agrees(*value, positive)) {
        sum += value;
        weights += weight;
    }
    match combine {
        // Weights of both signs can cancel; mergekit leaves the sum as it is then.
        Combine::Mean if weights != 0.0 => (sum / weights) as f32,
        _ => sum as f32,
    }
}

/// Whether the elected sign is positive; none where the sum is NaN, which must not be outvoted silently.
pub(super) fn majority(values: impl Iterator<Item = f64>) -> Option<bool> {
    let sum: f64 = values.sum();
    (!sum.is_nan()).then_some(sum >= 0.0)
}

/// Whether a value has the elected sign.
pub(super) fn agrees(value: f64, positive: bool) -> bool {
    if positive { value > 0.0 } else { value < 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(values: &[f32]) -> (f32, f32) {
        let elected = |combine| elect(values.iter().map(|value| (f64::from(*value), 1.0)), combine);
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
    fn the_mean_divides_by_the_weights_that_agree() {
        let values = [(0.5 * 2.0, 0.5), (1.0, 1.0), (-0.25, 0.25)];
        assert_eq!(elect(values.into_iter(), Combine::Mean), (2.0 / 1.5) as f32);
        assert_eq!(elect(values.into_iter(), Combine::Sum), 2.0);
        let cancelling = [(2.0, 1.0), (3.0, -1.0)];
        assert_eq!(elect(cancelling.into_iter(), Combine::Mean), 5.0);
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
