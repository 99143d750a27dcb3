//! Random elements of a vector, scaled up to keep its mean.
//!
//! Yu et al., "Language models are super Mario: absorbing abilities from homologous models as a free lunch", arXiv
//! 2311.03099, equation 3 with drop rate p = 1 − density: an element stays with probability `density` and is divided by
//! it, so that the expectation of the result is the vector.
//!
//! Whether an element stays depends on seed, name of the tensor and place in it alone. Two vectors that are made sparse
//! with one seed lose the same elements; the operands of `dare_ties` do not. `density` is rounded down to a multiple of
//! 2⁻³² when elements are drawn.
//!
//! mergekit does not divide by `density`: by default it scales each tensor so that its L1 norm is what it was. Both agree
//! in the limit of large tensors. Its generator is torch's, so the elements drawn are others.

use std::sync::Arc;

use multiversion::multiversion;

use super::philox;
use super::trim::DENSITY;
use super::{
    Method, OperandBlock, OperandKinds, Operation, Parameter, ParameterType, Signature,
    StreamingMethod, TensorContext,
};
use crate::coefficient::Coefficient;

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "dare",
        summary: "a random share `density` of the elements of `v`, divided by that share, zero elsewhere",
        operands: &["v"],
        variadic: false,
        kinds: OperandKinds::Vectors,
        parameters: &[DENSITY, SEED],
    },
    build: |arguments| {
        Ok(Operation::Streaming(Arc::new(Dare {
            density: arguments.real("density"),
            seed: arguments.count("seed"),
            operand: 0,
        })))
    },
};

/// The seed of random choices.
pub(super) const SEED: Parameter = Parameter {
    name: "seed",
    value: ParameterType::Count,
    default: Some("0"),
};

/// Drops and rescales the operand of a place.
pub(super) struct Dare {
    pub(super) density: Coefficient,
    pub(super) seed: u64,
    pub(super) operand: usize,
}

impl StreamingMethod for Dare {
    fn emit(
        &self,
        tensor: TensorContext<'_>,
        _known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        // The word in front keeps the choice apart from the noise of `random` with the same seed.
        let mut stream = b"dare".to_vec();
        stream.extend_from_slice(&self.seed.to_le_bytes());
        stream.extend_from_slice(&(self.operand as u64).to_le_bytes());
        stream.extend_from_slice(tensor.name.as_bytes());
        let key = philox::key(&stream);
        let values = block.operands[0];
        // A density of 1 keeps everything, and its bound is no word.
        let Ok(limit) = u32::try_from(self.density.floor_of(1 << 32)) else {
            return output.copy_from_slice(values);
        };
        let density = self.density.to_f64();
        philox::for_pieces(key, block.offset, values.len(), |place, words| {
            drop_and_rescale(
                &values[place.clone()],
                words,
                limit,
                density,
                &mut output[place],
            );
        });
    }
}

#[multiversion(targets("x86_64+avx2"))]
fn drop_and_rescale(values: &[f32], words: &[u32], limit: u32, density: f64, output: &mut [f32]) {
    for ((value, word), output) in values.iter().zip(words).zip(output) {
        let rescaled = (f64::from(*value) / density) as f32;
        *output = if *word < limit { rescaled } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dare(
        density: (i64, i64),
        seed: u64,
        operand: usize,
        name: &str,
        values: &[f32],
    ) -> Vec<f32> {
        let method = Dare {
            density: Coefficient::ratio(density.0, density.1).unwrap(),
            seed,
            operand,
        };
        let mut output = vec![f32::NAN; values.len()];
        let tensor = TensorContext {
            name,
            shape: &[values.len()],
            elements: values.len() as u64,
        };
        let block = OperandBlock {
            offset: 0,
            operands: &[values],
        };
        method.emit(tensor, &[], block, &mut output);
        output
    }

    #[test]
    fn keeps_the_share_and_the_mean() {
        let values = vec![1.0; 100_000];
        for (numerator, denominator) in [(1, 10), (1, 2), (9, 10)] {
            let found = dare((numerator, denominator), 7, 0, "w", &values);
            let share = numerator as f64 / denominator as f64;
            let kept = found.iter().filter(|value| **value != 0.0).count() as f64;
            // Five standard deviations of a binomial count.
            let deviation = (values.len() as f64 * share * (1.0 - share)).sqrt();
            assert!((kept - share * values.len() as f64).abs() < 5.0 * deviation);
            assert!(
                found
                    .iter()
                    .all(|value| *value == 0.0 || *value == (1.0 / share) as f32)
            );
        }
    }

    #[test]
    fn a_density_of_one_changes_nothing() {
        let values = [1.5, -0.25, 0.0, 1e-40, f32::MAX];
        assert_eq!(dare((1, 1), 3, 0, "w", &values), values);
    }

    #[test]
    fn seeds_operands_and_tensors_choose_for_themselves() {
        let values = vec![1.0; 1000];
        let first = dare((1, 2), 0, 0, "w", &values);
        assert_eq!(first, dare((1, 2), 0, 0, "w", &values));
        for other in [
            dare((1, 2), 1, 0, "w", &values),
            dare((1, 2), 0, 1, "w", &values),
            dare((1, 2), 0, 0, "x", &values),
        ] {
            let equal = first.iter().zip(&other).filter(|(a, b)| a == b).count();
            assert!((400..600).contains(&equal), "{equal}");
        }
    }
}
