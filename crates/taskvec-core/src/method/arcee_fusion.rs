//! Arcee Fusion: a fine-tune where its change is important, the base elsewhere.
//!
//! A method of Arcee's without a paper, as mergekit 0.1.5 has it. With the softmax of the weights of each row, `p` of the
//! fine-tune and `q` of the base, each plus 10⁻⁸, an element is as important as
//!
//! ```text
//! I = |tuned − base| · Σ p·ln(p/q)        the sum over the element's row
//! ```
//!
//! and is taken from the fine-tune where I ≥ median + 1.5·(third quartile − first quartile) of the tensor. Quartiles are
//! elements: number ⌊q·(n − 1)⌋ in ascending order, counted from 0.
//!
//! Divergences are computed in double precision, and a negative one, which only rounding makes, is zero; importances are
//! compared as singles. mergekit computes all of it in `dtype`: in single precision the divergence of the small changes
//! of fine-tuning is lost in rounding. Of tensors with more than a million elements it estimates the quartiles from a
//! random million; these are exact. A row is what differs in the last index.

use std::sync::Arc;

use super::largest::{DIGITS, key};
use super::{
    Extent, Method, OperandBlock, OperandKinds, Operation, Signature, StreamingMethod,
    TensorContext,
};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "arcee_fusion",
        summary: "`tuned` where its change from `base` is important for its row and tensor, `base` elsewhere",
        operands: &["base", "tuned"],
        variadic: false,
        kinds: OperandKinds::Models,
        parameters: &[],
    },
    build: |_| Ok(Operation::Streaming(Arc::new(ArceeFusion))),
};

/// What is added to probabilities.
const OFFSET: f64 = 1e-8;

struct ArceeFusion;

/// Places of the quartiles among so many elements, in ascending order.
fn quartiles(elements: u64) -> [u64; 3] {
    let last = elements.saturating_sub(1);
    [1, 2, 3].map(|quarter| (u128::from(last) * quarter / 4) as u64)
}

/// The leading digits of the element at a place, and its place among those that share them, after the passes whose
/// counts are given.
fn descend<'a>(counts: impl Iterator<Item = &'a [f64]>, place: u64) -> (u32, u64) {
    let (mut prefix, mut rest) = (0, place);
    for ((bits, _), counts) in DIGITS.iter().zip(counts) {
        let mut digit = 0;
        for (index, count) in counts.iter().enumerate() {
            digit = index as u32;
            if rest < *count as u64 {
                break;
            }
            rest -= *count as u64;
        }
        prefix = prefix << bits | digit;
    }
    (prefix, rest)
}

/// The counts that passes made for one of the quartiles.
fn counts(known: &[Vec<f64>], quartile: usize) -> impl Iterator<Item = &[f64]> {
    known
        .iter()
        .skip(1)
        .zip(DIGITS)
        .map(move |(counts, (bits, _))| {
            counts
                .get(quartile << bits..(quartile + 1) << bits)
                .unwrap_or(&[])
        })
}

/// Importances of a block's elements.
fn importances<'a>(
    tensor: TensorContext<'_>,
    known: &'a [Vec<f64>],
    block: OperandBlock<'a>,
) -> impl Iterator<Item = f32> + 'a {
    let divergences = known.first().map_or(&[][..], Vec::as_slice);
    let row = tensor.row();
    let (base, tuned) = (block.operands[0], block.operands[1]);
    (block.offset..)
        .zip(base.iter().zip(tuned))
        .map(move |(index, (base, tuned))| {
            let divergence = divergences
                .get((index / row) as usize)
                .copied()
                .unwrap_or(0.0);
            ((f64::from(*tuned) - f64::from(*base)).abs() * divergence) as f32
        })
}

fn threshold(tensor: TensorContext<'_>, known: &[Vec<f64>]) -> f64 {
    let places = quartiles(tensor.elements);
    let [first, median, third] = [0, 1, 2].map(|quartile| {
        let (bits, _) = descend(counts(known, quartile), places[quartile]);
        f64::from(f32::from_bits(bits))
    });
    median + 1.5 * (third - first)
}

/// `Σ p·ln(p/q)` of the softmax of two rows.
fn divergence(base: &[f32], tuned: &[f32]) -> f64 {
    let softmax = |row: &[f32]| {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f64> = row
            .iter()
            .map(|value| libm::exp(f64::from(*value) - f64::from(largest)))
            .collect();
        let total: f64 = powers.iter().sum();
        powers.into_iter().map(move |power| power / total + OFFSET)
    };
    let sum: f64 = softmax(tuned)
        .zip(softmax(base))
        .map(|(p, q)| p * libm::log(p / q))
        .sum();
    // Not `max`, which would hide NaN.
    if sum < 0.0 { 0.0 } else { sum }
}

impl StreamingMethod for ArceeFusion {
    fn passes(&self) -> usize {
        1 + DIGITS.len()
    }

    fn observes(&self, pass: usize) -> Extent {
        if pass == 0 {
            Extent::Rows
        } else {
            Extent::Elements
        }
    }

    /// First the divergence of each row; then how many elements have each next digit, for each quartile.
    fn observe(
        &self,
        pass: usize,
        tensor: TensorContext<'_>,
        known: &[Vec<f64>],
        block: OperandBlock<'_>,
    ) -> Vec<f64> {
        let Some(digit) = pass.checked_sub(1) else {
            let row = tensor.row() as usize;
            let rows = block.operands[0]
                .chunks(row)
                .zip(block.operands[1].chunks(row));
            return rows.map(|(base, tuned)| divergence(base, tuned)).collect();
        };
        let (bits, below) = DIGITS[digit];
        let prefixes = quartiles(tensor.elements).into_iter().enumerate();
        let prefixes: Vec<u32> = prefixes
            .map(|(quartile, place)| descend(counts(known, quartile), place).0)
            .collect();
        let mut found = vec![0.0; 3 << bits];
        for key in importances(tensor, known, block).map(key) {
            for (quartile, prefix) in prefixes.iter().enumerate() {
                if key >> (bits + below) == *prefix {
                    let digit = key >> below & ((1 << bits) - 1);
                    found[(quartile << bits) + digit as usize] += 1.0;
                }
            }
        }
        found
    }

    fn merge(&self, pass: usize, total: &mut Vec<f64>, partial: &[f64]) {
        if pass == 0 {
            total.extend_from_slice(partial);
            return;
        }
        for (total, partial) in total.iter_mut().zip(partial) {
            *total += partial;
        }
    }

    fn emit(
        &self,
        tensor: TensorContext<'_>,
        known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        let threshold = threshold(tensor, known);
        let values = block.operands[0].iter().zip(block.operands[1]);
        let elements = values.zip(importances(tensor, known, block));
        for (((base, tuned), importance), output) in elements.zip(output) {
            // NaN is below nothing, and that of a base that is replaced is not hidden.
            let is_kept = f64::from(importance) < threshold || base.is_nan();
            *output = if is_kept { *base } else { *tuned };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{apply, apply_to};

    #[test]
    fn quartiles_are_elements_of_what_was_sorted() {
        let mut values: Vec<f32> = (0..=1000)
            .map(|index| (index * 7919 % 1001) as f32 / 3.0)
            .collect();
        // Rows whose divergence is one, so that a change is its importance.
        let tensor = TensorContext {
            name: "w",
            shape: &[1001, 1],
            elements: 1001,
        };
        let base = vec![0.0; values.len()];
        let operands: [&[f32]; 2] = [&base, &values];
        let block = OperandBlock {
            offset: 0,
            operands: &operands,
        };
        let mut known = vec![vec![1.0; values.len()]];
        for pass in 1..=3 {
            known.push(ArceeFusion.observe(pass, tensor, &known, block));
        }
        let found = threshold(tensor, &known);
        values.sort_by(f32::total_cmp);
        let [first, median, third] = [250, 500, 750].map(|place| f64::from(values[place]));
        assert_eq!(found, median + 1.5 * (third - first));
        assert_eq!(quartiles(192), [47, 95, 143]);
        assert_eq!((quartiles(1), quartiles(0)), ([0; 3], [0; 3]));
    }

    #[test]
    fn the_divergence_is_that_of_softmax() {
        // p = (3/4, 1/4) against q = (1/2, 1/2): ¾·ln(3/2) + ¼·ln(1/2).
        let found = divergence(&[1.0, 1.0], &[3f32.ln(), 0.0]);
        let expected = 0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln();
        assert!((found - expected).abs() < 1e-7, "{found}");
        // Softmax does not see what is added to all of a row.
        assert!(divergence(&[1.0, 2.0], &[3.0, 4.0]) < 1e-15);
    }

    #[test]
    fn outliers_are_taken_and_the_rest_is_the_base() {
        let base = [0.0; 16];
        let mut tuned = [0.01; 16];
        tuned[5] = 2.0;
        let found = apply(&ArceeFusion, &[&base, &tuned]);
        let mut expected = base;
        expected[5] = 2.0;
        // Where most changes are equal the quartiles are one, and nothing is below them.
        assert_eq!(found, tuned);
        for (index, tuned) in tuned.iter_mut().enumerate() {
            *tuned += index as f32 * 0.001;
        }
        let found = apply(&ArceeFusion, &[&base, &tuned]);
        expected[5] = tuned[5];
        assert_eq!(found, expected);
    }

    #[test]
    fn rows_weigh_by_their_own_divergence() {
        // The same changes; in the second row the softmax moves hardly at all.
        let base = [0.0, 0.0, 0.0, 0.0, 30.0, 0.0, 0.0, 0.0];
        let tuned: Vec<f32> = base
            .iter()
            .zip([0.1, 2.0, 0.2, 0.3, 0.1, 2.0, 0.2, 0.3])
            .map(|(base, change)| base + change)
            .collect();
        let found = apply_to(&ArceeFusion, &[2, 4], &[&base, &tuned]);
        assert_eq!(found[1], tuned[1]);
        assert_eq!(found[4..], base[4..]);
    }

    #[test]
    fn what_did_not_change_is_itself() {
        let values = [1.0, -2.0, 0.5];
        assert_eq!(apply(&ArceeFusion, &[&values, &values]), values);
        assert!(apply(&ArceeFusion, &[&[f32::NAN, 1.0], &[0.0, 1.0]])[0].is_nan());
    }
}
