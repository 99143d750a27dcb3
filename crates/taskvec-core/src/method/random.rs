//! The control of the paper's study: a random direction as long as a given one.
//!
//! In each tensor the result is Gaussian noise scaled to the L2 norm of `v` there. If a model gains from `v` and not
//! from this, it is the direction that counts and not the distance.

use std::sync::Arc;

use super::gaussian::Gaussian;
use super::signature::{Parameter, ParameterType};
use super::{
    Method, OperandBlock, OperandKinds, Operation, Signature, StreamingMethod, TensorContext,
};
use crate::statistics::sum_of_squares;

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "random",
        summary: "a random vector with the L2 norm of `v` in every tensor",
        operands: &["v"],
        variadic: false,
        kinds: OperandKinds::Vectors,
        parameters: &[Parameter {
            name: "seed",
            value: ParameterType::Count,
            default: Some("0"),
        }],
    },
    build: |arguments| {
        Ok(Operation::Streaming(Arc::new(Random {
            seed: arguments.count("seed"),
        })))
    },
};

struct Random {
    seed: u64,
}

impl StreamingMethod for Random {
    fn passes(&self) -> usize {
        1
    }

    /// Sums of squares of the operand and of the noise before scaling.
    fn observe(
        &self,
        _pass: usize,
        tensor: TensorContext<'_>,
        _known: &[Vec<f64>],
        block: OperandBlock<'_>,
    ) -> Vec<f64> {
        let operand = block.operands[0];
        let mut noise = vec![0.0; operand.len()];
        Gaussian::new(self.seed, tensor.name).fill(block.offset, &mut noise);
        vec![sum_of_squares(operand), sum_of_squares(&noise)]
    }

    fn emit(
        &self,
        tensor: TensorContext<'_>,
        known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        let (wanted, found) = (known[0][0], known[0][1]);
        // A tensor without elements has no noise to scale.
        let scale = if found > 0.0 {
            (wanted / found).sqrt()
        } else {
            0.0
        };
        Gaussian::new(self.seed, tensor.name).fill(block.offset, output);
        output
            .iter_mut()
            .for_each(|value| *value = (f64::from(*value) * scale) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::apply;

    #[test]
    fn as_long_as_the_vector_in_another_direction() {
        let values: Vec<f32> = (0..4000u16)
            .map(|index| f32::from(index % 7) - 3.0)
            .collect();
        let found = apply(&Random { seed: 1 }, &[&values]);
        let ratio = sum_of_squares(&found) / sum_of_squares(&values);
        assert!((ratio - 1.0).abs() < 1e-6, "{ratio}");
        let products = values.iter().zip(&found);
        let dot: f64 = products.map(|(one, other)| f64::from(one * other)).sum();
        // A cosine of random directions deviates by 1/√4000.
        let cosine = dot / sum_of_squares(&values);
        assert!(cosine.abs() < 5.0 / 4000f64.sqrt(), "{cosine}");
        assert_ne!(found, apply(&Random { seed: 2 }, &[&values]));
        assert_eq!(apply(&Random { seed: 1 }, &[&[0.0; 3]]), [0.0; 3]);
    }
}
