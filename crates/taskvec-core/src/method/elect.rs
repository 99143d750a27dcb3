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

use multiversion::multiversion;

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
        // What has no weight takes no part, so that what is not finite in it does not spread.
        let operands: Vec<(&[f32], f64)> = (block.operands.iter().copied())
            .zip(self.weights.iter().copied())
            .filter(|(_, weight)| *weight != 0.0)
            .collect();
        match operands.as_slice() {
            [(one, 1.0), (other, 1.0)] => elect_of_two(one, other, self.combine, output),
            _ => elect(&operands, self.combine, output),
        }
    }
}

/// As [`elect`], of two vectors of weight 1, which nearly all are: the sign of their sum is that of one addition, and what
/// there is to be added is two numbers.
#[multiversion(targets("x86_64+avx2"))]
fn elect_of_two(one: &[f32], other: &[f32], combine: Combine, output: &mut [f32]) {
    let of_both = if combine == Combine::Mean { 0.5 } else { 1.0 };
    for ((one, other), output) in one.iter().zip(other).zip(output) {
        let sum = one + other;
        let is_positive = sum >= 0.0;
        let (first, second) = (agrees(*one, is_positive), agrees(*other, is_positive));
        let value = |value: f32, agrees: bool| f64::from(if agrees { value } else { 0.0 });
        let factor = if first & second { of_both } else { 1.0 };
        let elected = ((value(*one, first) + value(*other, second)) * factor) as f32;
        // A sum that is NaN must not be outvoted silently.
        *output = if sum.is_nan() { f32::NAN } else { elected };
    }
}

/// Elements that are elected together.
const LANES: usize = 256;

/// Combines operands, each with its weight. One operand after the other, which registers like, and each element's sums in
/// the order of the operands.
#[multiversion(targets("x86_64+avx2"))]
fn elect(operands: &[(&[f32], f64)], combine: Combine, output: &mut [f32]) {
    for (start, output) in (0..).step_by(LANES).zip(output.chunks_mut(LANES)) {
        let (mut all, mut sums, mut weights) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for (values, weight) in operands {
            for (all, value) in all.iter_mut().zip(&values[start..]) {
                *all += f64::from(*value) * weight;
            }
        }
        for (values, weight) in operands {
            let sums = sums.iter_mut().zip(&mut weights);
            for (((sum, weights), all), value) in sums.zip(&all).zip(&values[start..]) {
                let value = f64::from(*value) * weight;
                let agrees = agrees(value, *all >= 0.0);
                *sum += if agrees { value } else { 0.0 };
                *weights += if agrees { *weight } else { 0.0 };
            }
        }
        for (((output, sum), weights), all) in output.iter_mut().zip(sums).zip(weights).zip(all) {
            // Weights of both signs can cancel; mergekit leaves the sum as it is then.
            let divisor = if combine == Combine::Mean && weights != 0.0 {
                weights
            } else {
                1.0
            };
            // A sum that is NaN must not be outvoted silently.
            *output = if all.is_nan() {
                f32::NAN
            } else {
                (sum / divisor) as f32
            };
        }
    }
}

/// Whether the elected sign is positive; none where the sum is NaN, which must not be outvoted silently.
pub(super) fn majority(values: impl Iterator<Item = f64>) -> Option<bool> {
    let sum: f64 = values.sum();
    (!sum.is_nan()).then_some(sum >= 0.0)
}

/// Whether a value has the elected sign.
#[inline(always)]
pub(super) fn agrees<T: PartialOrd + From<u8>>(value: T, positive: bool) -> bool {
    let zero = T::from(0);
    if positive { value > zero } else { value < zero }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn elected(values: &[(f32, f64)], combine: Combine) -> f32 {
        // Beside other elements, of which some are in another group.
        let columns: Vec<Vec<f32>> = values
            .iter()
            .map(|(value, _)| [vec![0.5; LANES], vec![*value, -2.0]].concat())
            .collect();
        let operands: Vec<(&[f32], f64)> = columns
            .iter()
            .zip(values)
            .map(|(column, (_, weight))| (column.as_slice(), *weight))
            .collect();
        let mut output = vec![9.0; LANES + 2];
        elect(&operands, combine, &mut output);
        output[LANES]
    }

    fn both(values: &[f32]) -> (f32, f32) {
        let weighted: Vec<(f32, f64)> = values.iter().map(|value| (*value, 1.0)).collect();
        (
            elected(&weighted, Combine::Mean),
            elected(&weighted, Combine::Sum),
        )
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
        let values = [(2.0, 0.5), (1.0, 1.0), (-1.0, 0.25)];
        assert_eq!(elected(&values, Combine::Mean), (2.0 / 1.5) as f32);
        assert_eq!(elected(&values, Combine::Sum), 2.0);
        let cancelling = [(2.0, 1.0), (-3.0, -1.0)];
        assert_eq!(elected(&cancelling, Combine::Mean), 5.0);
    }

    proptest! {
        #[test]
        fn two_vectors_are_combined_as_many_are(
            values in prop::collection::vec(
                prop_oneof![any::<(f32, f32)>(), (-2i8..3, -2i8..3).prop_map(|(one, two)| (one.into(), two.into()))],
                1..40),
            is_mean in any::<bool>(),
        ) {
            let combine = if is_mean { Combine::Mean } else { Combine::Sum };
            let (one, other): (Vec<f32>, Vec<f32>) = values.into_iter().unzip();
            let mut outputs = [vec![9.0; one.len()], vec![9.0; one.len()]];
            elect(&[(&one, 1.0), (&other, 1.0)], combine, &mut outputs[0]);
            elect_of_two(&one, &other, combine, &mut outputs[1]);
            let bits = |values: &Vec<f32>| values.iter().map(|it| it.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&outputs[0]), bits(&outputs[1]));
        }
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
