//! Random elements of a vector, large ones sooner than small ones.
//!
//! MagPrune, the first step of Deep, Bhardwaj and Poria, "DELLA-Merging: reducing interference in model merging through
//! magnitude-based sampling", arXiv 2406.11617, section 3.1. The n elements of each row are ranked by magnitude, from
//! r = 0 for the smallest; an element stays with the probability
//!
//! ```text
//! p = density − epsilon + 2·epsilon · r / (n − 1)
//! ```
//!
//! as in mergekit, where the paper has half that epsilon and n for n − 1. A row is what differs in the last index; a
//! tensor of one dimension is one row, and in a row of one element p is `density`. Equal magnitudes rank in the order of
//! the row. `density` of 1 keeps everything.
//!
//! What stays is divided by its p, so that the expectation of the result is the vector, as in the paper: `rescale="p"`.
//! mergekit scales each tensor to its former L1 norm instead, `rescale="l1"` (its `rescale: true`), or not at all,
//! `rescale="none"`. An L1 norm below 10⁻⁷ stops it from scaling; here only zero does.
//!
//! Whether an element stays depends on seed, name of the tensor, place in it and p alone. p is rounded down to a multiple
//! of 2⁻³² when elements are drawn.

use std::sync::Arc;

use multiversion::multiversion;

use super::dare::SEED;
use super::philox;
use super::ranking::{Chances, Ranking};
use super::trim::DENSITY;
use super::{
    Arguments, Extent, Method, OperandBlock, OperandKinds, Operation, Parameter, ParameterType,
    Range, Signature, StreamingMethod, TensorContext,
};
use crate::coefficient::Coefficient;
use crate::expression::Problem;
use crate::statistics::sum;

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "magprune",
        summary: "random elements of `v`, each kept with a probability that its rank in its row decides, and divided by it",
        operands: &["v"],
        variadic: false,
        kinds: OperandKinds::Vectors,
        parameters: &[DENSITY, EPSILON, SEED, RESCALE],
    },
    build: |arguments| {
        let prune = MagPrune::parse("magprune", arguments)?;
        Ok(Operation::Streaming(Arc::new(prune)))
    },
};

/// How far the probability of the largest and the smallest element of a row are from the density.
pub(super) const EPSILON: Parameter = Parameter {
    name: "epsilon",
    value: ParameterType::Real(Range::ProperShare),
    default: Some("0.15"),
};

/// How what stays is scaled.
pub(super) const RESCALE: Parameter = Parameter {
    name: "rescale",
    value: ParameterType::Text,
    default: Some("p"),
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rescale {
    /// By the inverse of the probability.
    Probability,
    /// To the L1 norm that the tensor had.
    Norm,
    None,
}

/// Drops and rescales the operand of a place.
#[derive(Clone)]
pub(super) struct MagPrune {
    density: Coefficient,
    epsilon: Coefficient,
    seed: u64,
    operand: usize,
    rescale: Rescale,
}

impl MagPrune {
    /// The same for the operand of a place, which draws for itself.
    pub(super) fn of_operand(&self, operand: usize) -> Self {
        Self {
            operand,
            ..self.clone()
        }
    }

    /// As the parameters of `function` have it, for the first operand.
    pub(super) fn parse(function: &str, arguments: &Arguments) -> Result<Self, Problem> {
        let refuse = |parameter: &str, expected: String, found: String| Problem::ParameterValue {
            function: function.to_owned(),
            parameter: parameter.to_owned(),
            expected,
            found: format!("`{found}`"),
        };
        let (density, epsilon) = (arguments.real("density"), arguments.real("epsilon"));
        let (zero, one) = (Coefficient::zero(), Coefficient::one());
        let bounds = (&density - &epsilon, &density + &epsilon);
        if !density.is_one() && (bounds.0 <= zero || bounds.1 > one) {
            let expected = "less than the density, and at most 1 less the density: the probabilities `density` ± `epsilon` lie above 0 and up to 1";
            return Err(refuse(
                "epsilon",
                expected.to_owned(),
                format!("{epsilon}` with a density of `{density}"),
            ));
        }
        let rescale = match arguments.text("rescale") {
            "p" => Rescale::Probability,
            "l1" => Rescale::Norm,
            "none" => Rescale::None,
            other => {
                let expected = "\"p\", \"l1\" or \"none\"".to_owned();
                return Err(refuse("rescale", expected, other.to_owned()));
            }
        };
        Ok(Self {
            density,
            epsilon,
            seed: arguments.count("seed"),
            operand: 0,
            rescale,
        })
    }

    /// What is left of whole rows.
    fn prune(&self, tensor: TensorContext<'_>, block: OperandBlock<'_>, output: &mut [f32]) {
        // The word in front keeps the choice apart from those of other methods with the same seed.
        let mut stream = b"della".to_vec();
        stream.extend_from_slice(&self.seed.to_le_bytes());
        stream.extend_from_slice(&(self.operand as u64).to_le_bytes());
        stream.extend_from_slice(tensor.name.as_bytes());
        let mut words = vec![0; output.len()];
        let key = philox::key(&stream);
        philox::for_pieces(key, block.offset, output.len(), |place, drawn| {
            words[place].copy_from_slice(drawn);
        });
        let row = tensor.row() as usize;
        let mut kept = vec![false; row];
        let mut ranking = Ranking::default();
        let rows = block.operands[0].chunks(row).zip(words.chunks(row));
        for ((values, words), output) in rows.zip(output.chunks_mut(row)) {
            let chances = self.chances(values.len());
            if self.rescale == Rescale::Probability {
                ranking.rank(values, |index, rank| {
                    let probability = chances.of(rank);
                    output[index] = if chances.keep(rank, words[index]) {
                        (f64::from(values[index]) / probability) as f32
                    } else {
                        0.0
                    };
                });
                continue;
            }
            ranking.draw(values, words, &chances, &mut kept);
            keep(values, &kept, output);
        }
    }

    /// The probabilities in a row of so many elements.
    fn chances(&self, elements: usize) -> Chances {
        Chances {
            density: self.density.to_f64(),
            epsilon: self.epsilon.to_f64(),
            last: elements.saturating_sub(1) as f64,
        }
    }
}

/// What stays, and zeros. With bits and not with a choice: half of all elements stay, and no processor guesses which.
#[multiversion(targets("x86_64+avx2"))]
fn keep(values: &[f32], kept: &[bool], output: &mut [f32]) {
    for ((output, value), kept) in output.iter_mut().zip(values).zip(kept) {
        let mask = 0u32.wrapping_sub(u32::from(*kept));
        *output = f32::from_bits(value.to_bits() & mask);
    }
}

/// Zeros stay zeros, whatever the factor.
#[multiversion(targets("x86_64+avx2"))]
fn scale(values: &mut [f32], factor: f64) {
    for value in values {
        let scaled = (f64::from(*value) * factor) as f32;
        *value = if *value == 0.0 { *value } else { scaled };
    }
}

/// The L1 norm, in one fixed order.
#[multiversion(targets("x86_64+avx2"))]
fn norm(values: &[f32]) -> f64 {
    sum(values.len(), |index| f64::from(values[index].abs()))
}

impl StreamingMethod for MagPrune {
    fn is_identity(&self, _tensor: TensorContext<'_>) -> bool {
        self.density.is_one()
    }

    fn passes(&self) -> usize {
        usize::from(self.rescale == Rescale::Norm)
    }

    fn observes(&self, _pass: usize) -> Extent {
        Extent::Rows
    }

    fn emits(&self) -> Extent {
        Extent::Rows
    }

    /// L1 norms before and after.
    fn observe(
        &self,
        _pass: usize,
        tensor: TensorContext<'_>,
        _known: &[Vec<f64>],
        block: OperandBlock<'_>,
    ) -> Vec<f64> {
        let values = block.operands[0];
        let mut kept = vec![0.0; values.len()];
        self.prune(tensor, block, &mut kept);
        vec![norm(values), norm(&kept)]
    }

    fn emit(
        &self,
        tensor: TensorContext<'_>,
        known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        self.prune(tensor, block, output);
        if let Some([before, after]) = known.first().map(Vec::as_slice)
            && *after != 0.0
        {
            scale(output, before / after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::apply_to;

    fn magprune(density: (i64, i64), epsilon: (i64, i64), rescale: Rescale) -> MagPrune {
        MagPrune {
            density: Coefficient::ratio(density.0, density.1).unwrap(),
            epsilon: Coefficient::ratio(epsilon.0, epsilon.1).unwrap(),
            seed: 3,
            operand: 0,
            rescale,
        }
    }

    fn probabilities(method: &MagPrune, values: &[f32]) -> Vec<f64> {
        let mut found = vec![f64::NAN; values.len()];
        let chances = method.chances(values.len());
        Ranking::default().rank(values, |index, rank| found[index] = chances.of(rank));
        found
    }

    #[test]
    fn probabilities_follow_ranks() {
        let method = magprune((1, 2), (1, 4), Rescale::Probability);
        let found = probabilities(&method, &[0.3, -4.0, 0.0, 1.0, -0.2]);
        assert_eq!(found, [0.5, 0.75, 0.25, 0.625, 0.375]);
        // Equal magnitudes in their order, and what is not a number above all.
        let found = probabilities(&method, &[1.0, f32::NAN, -1.0, f32::INFINITY, 0.5]);
        assert_eq!(found, [0.375, 0.75, 0.5, 0.625, 0.25]);
        assert_eq!(probabilities(&method, &[7.0]), [0.5]);
    }

    #[test]
    fn rows_are_ranked_by_themselves() {
        let method = magprune((1, 2), (49, 100), Rescale::None);
        // Each row rises: early places hardly ever stay, late ones nearly always.
        let values: Vec<f32> = (0..1000).map(|index| (index % 10) as f32 + 1.0).collect();
        let found = apply_to(&method, &[100, 10], &[&values]);
        let kept = |place: usize| {
            found[place..]
                .iter()
                .step_by(10)
                .filter(|value| **value != 0.0)
                .count()
        };
        assert!(kept(0) < 8 && kept(9) > 92, "{} {}", kept(0), kept(9));
        let found = apply_to(&method, &[1000], &[&values]);
        let early = found[..500].iter().filter(|value| **value != 0.0).count();
        assert!((200..300).contains(&early), "{early}");
    }

    #[test]
    fn the_expectation_is_the_vector() {
        let row = 50;
        let values: Vec<f32> = (0..200_000)
            .map(|index| (index % row) as f32 - 20.0)
            .collect();
        let method = magprune((3, 10), (1, 5), Rescale::Probability);
        let found = apply_to(&method, &[4000, row], &[&values]);
        for (place, value) in values.iter().copied().map(f64::from).enumerate().take(row) {
            let mean = found[place..]
                .iter()
                .step_by(row)
                .map(|value| f64::from(*value))
                .sum::<f64>()
                / 4000.0;
            // Of the least probability, 1/10, the mean of 4000 draws deviates by 3/√4000 of the value.
            assert!(
                (mean - value).abs() <= 5.0 * 3.0 / 4000f64.sqrt() * value.abs(),
                "{place}: {mean}"
            );
        }
    }

    #[test]
    fn the_norm_is_kept_where_it_is_asked_for() {
        let values: Vec<f32> = (0..4000)
            .map(|index| ((index * 37) % 101) as f32 - 50.0)
            .collect();
        let norm = |values: &[f32]| {
            values
                .iter()
                .map(|value| f64::from(value.abs()))
                .sum::<f64>()
        };
        let found = apply_to(
            &magprune((1, 2), (1, 5), Rescale::Norm),
            &[40, 100],
            &[&values],
        );
        assert!((norm(&found) / norm(&values) - 1.0).abs() < 1e-6);
        let plain = apply_to(
            &magprune((1, 2), (1, 5), Rescale::None),
            &[40, 100],
            &[&values],
        );
        let scale = norm(&values) / norm(&plain);
        for (found, plain) in found.iter().zip(&plain) {
            assert_eq!(*found, (f64::from(*plain) * scale) as f32);
        }
        let nothing = apply_to(
            &magprune((1, 2), (1, 5), Rescale::Norm),
            &[2, 2],
            &[&[0.0; 4]],
        );
        assert_eq!(nothing, [0.0; 4]);
    }
}
