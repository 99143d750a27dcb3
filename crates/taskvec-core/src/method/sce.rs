//! SCE: select what varies, calculate weights, erase minorities.
//!
//! Wan et al., "FuseChat: knowledge fusion of chat models", arXiv 2408.07990, section 3.3. In each tensor:
//!
//! 1. of the elements whose variance over the vectors is not zero, keep the share `density` of largest variance, in all
//!    vectors alike (the paper's τ, mergekit's `select_topk`; a density of 1 keeps all elements);
//! 2. weigh each vector by the sum of squares of what it kept;
//! 3. elect the sign of each element by the sum over the vectors, and average those that agree with these weights.
//!
//! Variances are computed in double precision and ranked as singles; equal ones go in the order of the tensor, and
//! ⌊density·n⌋ is exact, as in `trim`. mergekit weighs all vectors alike where their mean squares add up to less than
//! 10⁻⁶, which is common for the small changes of fine-tuning; here the paper's weights hold down to zero.

use std::sync::Arc;

use super::elect::{agrees, majority};
use super::largest::{self, Largest, Selected, key};
use super::trim::DENSITY;
use super::{
    Method, OperandBlock, OperandKinds, Operation, Parameter, Signature, StreamingMethod,
    TensorContext,
};
use crate::coefficient::Coefficient;
use crate::statistics::sum;

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "sce",
        summary: "vectors averaged where they vary most and have the elected sign, weighted by their squares",
        operands: &["v"],
        variadic: true,
        kinds: OperandKinds::Vectors,
        parameters: &[Parameter {
            default: Some("1"),
            ..DENSITY
        }],
    },
    build: |arguments| {
        Ok(Operation::Streaming(Arc::new(Sce {
            density: arguments.real("density"),
        })))
    },
};

struct Sce {
    density: Coefficient,
}

impl Sce {
    /// The first pass counts elements that vary behind what the selection counts.
    fn largest<'a>(&self, tensor: TensorContext<'_>, known: &'a [Vec<f64>]) -> Largest<'a> {
        let varying = known.first().and_then(|first| first.last());
        let count = match varying {
            _ if self.density.is_one() => tensor.elements,
            Some(varying) => self.density.floor_of(*varying as u64),
            // Before the first pass is over: anything that is not trivially none.
            None => 1,
        };
        Largest {
            count,
            elements: tensor.elements,
            known,
        }
    }

    fn selected(&self, tensor: TensorContext<'_>, known: &[Vec<f64>]) -> Selected {
        self.largest(tensor, known).selected()
    }
}

/// What orders elements: their variance over the operands.
fn variances<'a>(block: OperandBlock<'a>) -> impl Iterator<Item = u32> + 'a {
    let count = block.operands.len().max(1) as f64;
    let length = block.operands.first().map_or(0, |operand| operand.len());
    (0..length).map(move |index| {
        let values = || {
            block
                .operands
                .iter()
                .map(move |operand| f64::from(operand[index]))
        };
        let mean = values().sum::<f64>() / count;
        key((values().map(|value| (value - mean).powi(2)).sum::<f64>() / count) as f32)
    })
}

impl StreamingMethod for Sce {
    fn passes(&self) -> usize {
        largest::PASSES + 1
    }

    fn observe(
        &self,
        pass: usize,
        tensor: TensorContext<'_>,
        known: &[Vec<f64>],
        block: OperandBlock<'_>,
    ) -> Vec<f64> {
        if pass < largest::PASSES {
            let largest = self.largest(tensor, known);
            let mut found = largest.observe(pass, block.offset, variances(block));
            if pass == 0 {
                found.push(variances(block).filter(|key| *key != 0).count() as f64);
            }
            return found;
        }
        let selected = self.selected(tensor, known);
        let kept: Vec<bool> = (block.offset..)
            .zip(variances(block))
            .map(|(index, key)| selected.contains(key, index))
            .collect();
        block
            .operands
            .iter()
            .map(|operand| {
                sum(kept.len(), |index| {
                    if kept[index] {
                        f64::from(operand[index]).powi(2)
                    } else {
                        0.0
                    }
                })
            })
            .collect()
    }

    fn merge(&self, pass: usize, total: &mut Vec<f64>, partial: &[f64]) {
        // The sums of squares are added up as counts are.
        largest::merge(
            if pass < largest::PASSES { pass } else { 0 },
            total,
            partial,
        );
    }

    fn emit(
        &self,
        tensor: TensorContext<'_>,
        known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        let selected = self.selected(tensor, known);
        let weights = known.get(largest::PASSES).map_or(&[][..], Vec::as_slice);
        let keys = (block.offset..).zip(variances(block));
        for ((index, output), (place, key)) in output.iter_mut().enumerate().zip(keys) {
            *output = 0.0;
            if selected.contains(key, place) {
                let values = block.operands.iter().map(|operand| operand[index]);
                *output = weighted_majority(values, weights);
            }
        }
    }
}

fn weighted_majority(values: impl Iterator<Item = f32> + Clone, weights: &[f64]) -> f32 {
    let Some(positive) = majority(values.clone().map(f64::from)) else {
        return f32::NAN;
    };
    let (mut sum, mut total) = (0.0, 0.0);
    for (value, weight) in values
        .zip(weights)
        .filter(|(value, _)| agrees(f64::from(*value), positive))
    {
        sum += f64::from(value) * weight;
        total += weight;
    }
    if total == 0.0 {
        0.0
    } else {
        (sum / total) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sce(density: (i64, i64), operands: &[&[f32]]) -> Vec<f32> {
        let method = Sce {
            density: Coefficient::ratio(density.0, density.1).unwrap(),
        };
        crate::method::apply(&method, operands)
    }

    #[test]
    fn weights_are_sums_of_squares() {
        // Squares 4 + 4 against 1 + 1: weights 4/5 and 1/5.
        assert_eq!(sce((1, 1), &[&[2.0, 2.0], &[1.0, -1.0]]), [1.8, 2.0]);
    }

    #[test]
    fn only_what_varies_most_is_kept() {
        let (one, two): ([f32; 5], [f32; 5]) =
            ([1.0, 5.0, 0.0, 1.0, 2.0], [1.0, 1.0, 3.0, 2.0, 2.0]);
        // Three elements vary, so half of them is one.
        let found = sce((1, 2), &[&one, &two]);
        assert_eq!(found.iter().filter(|value| **value != 0.0).count(), 1);
        assert_ne!(found[1], 0.0);
    }

    #[test]
    fn a_vector_alone_is_itself() {
        assert_eq!(sce((1, 1), &[&[1.0, -2.0, 0.0]]), [1.0, -2.0, 0.0]);
        assert_eq!(sce((1, 2), &[&[1.0, -2.0, 0.0]]), [0.0; 3]);
        assert!(sce((1, 1), &[&[f32::NAN], &[1.0]])[0].is_nan());
    }
}
