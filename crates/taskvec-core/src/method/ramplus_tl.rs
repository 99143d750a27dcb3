//! Reinforced agent merging that strengthens what one vector alone changes.
//!
//! mergekit's `ramplus_tl`, the tensor-local form of RAM+ in arXiv 2601.13572: as `ram`, but in each tensor an element
//! that vector i alone changed is scaled by
//!
//! ```text
//! λᵢ = 1 + r·min(ρᵢ, alpha)      ρᵢ = shared elements of i / unique elements of i
//! ```
//!
//! where a vector without unique elements has none to scale.

use std::sync::Arc;

use super::ram::{EPSILON, changed, merged};
use super::{
    Method, OperandBlock, OperandKinds, Operation, Parameter, ParameterType, Range, Signature,
    StreamingMethod, TensorContext,
};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "ramplus_tl",
        summary: "as `ram`, with what one vector alone changes scaled up by how much it shares with others",
        operands: &["v"],
        variadic: true,
        kinds: OperandKinds::Vectors,
        parameters: &[
            Parameter {
                name: "r",
                value: ParameterType::Real(Range::NotNegative),
                default: Some("0.1"),
            },
            Parameter {
                name: "alpha",
                value: ParameterType::Real(Range::NotNegative),
                default: Some("0.2"),
            },
            EPSILON,
        ],
    },
    build: |arguments| {
        Ok(Operation::Streaming(Arc::new(RamPlus {
            strength: arguments.real("r").to_f64(),
            limit: arguments.real("alpha").to_f64(),
            epsilon: arguments.real("epsilon").to_f64(),
        })))
    },
};

struct RamPlus {
    strength: f64,
    limit: f64,
    epsilon: f64,
}

impl StreamingMethod for RamPlus {
    fn passes(&self) -> usize {
        1
    }

    /// Shared and unique elements of each operand.
    fn observe(
        &self,
        _pass: usize,
        _tensor: TensorContext<'_>,
        _known: &[Vec<f64>],
        block: OperandBlock<'_>,
    ) -> Vec<f64> {
        let mut counts = vec![0.0; 2 * block.operands.len()];
        let length = block.operands.first().map_or(0, |operand| operand.len());
        let mut changing = Vec::with_capacity(block.operands.len());
        for index in 0..length {
            changing.clear();
            let operands = block.operands.iter().enumerate();
            changing.extend(
                operands
                    .filter(|(_, operand)| changed(operand[index], self.epsilon))
                    .map(|(place, _)| place),
            );
            let is_unique = usize::from(changing.len() == 1);
            changing
                .iter()
                .for_each(|place| counts[2 * place + is_unique] += 1.0);
        }
        counts
    }

    fn emit(
        &self,
        _tensor: TensorContext<'_>,
        known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        let counts = known.first().map_or(&[][..], Vec::as_slice);
        let scales: Vec<f64> = counts
            .as_chunks()
            .0
            .iter()
            .map(|[shared, unique]| {
                1.0 + self.strength * (shared / unique.max(1.0)).min(self.limit)
            })
            .collect();
        for (index, output) in output.iter_mut().enumerate() {
            let values = block.operands.iter().map(|operand| operand[index]);
            *output = merged(values, &scales, self.epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_has_a_limit_and_needs_nothing_unique() {
        let method = RamPlus {
            strength: 0.5,
            limit: 0.5,
            epsilon: 0.1,
        };
        // Two shared and one unique would double what is unique without the limit; below epsilon nothing counts.
        let found =
            crate::method::apply(&method, &[&[1.0, 1.0, 2.0, 0.05], &[0.05, 3.0, 4.0, 0.0]]);
        assert_eq!(found, [1.25, 2.0, 3.0, 0.0]);
    }

    #[test]
    fn unique_elements_grow_with_what_is_shared() {
        let method = RamPlus {
            strength: 0.5,
            limit: 2.0,
            epsilon: 0.0,
        };
        let operands: [&[f32]; 2] = [&[1.0, 1.0, 2.0, 0.0], &[0.0, 3.0, 4.0, 1.0]];
        let block = OperandBlock {
            offset: 0,
            operands: &operands,
        };
        let tensor = TensorContext {
            name: "w",
            shape: &[4],
            elements: 4,
        };
        let known = [method.observe(0, tensor, &[], block)];
        assert_eq!(known[0], [2.0, 1.0, 2.0, 1.0]);
        let mut output = [0.0; 4];
        method.emit(tensor, &known, block, &mut output);
        assert_eq!(output, [2.0, 2.0, 3.0, 2.0]);
    }
}
