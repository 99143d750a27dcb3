//! Which elements of a tensor an estimate looks at.
//!
//! A tensor is cut into blocks, blocks into stretches, and of every stretch one block is taken, chosen by a hash of a
//! seed, the tensor's name and the stretch's number. So every tensor is looked at, the sample is spread evenly, and it
//! depends on nothing else: neither threads nor chunks, nor the machine.

use crate::content_hash::ContentHash;

/// How much is looked at, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sampling {
    /// Elements of a block: read together.
    pub(crate) block: u64,
    /// Blocks of a stretch, of which one is taken. One takes everything.
    pub(crate) stretch: u64,
    pub(crate) seed: u64,
}

/// A run of elements that is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SampledBlock {
    /// First element, flattened.
    pub(crate) begin: u64,
    pub(crate) elements: usize,
    /// Elements it stands for, itself among them, as a multiple of its own.
    pub(crate) weight: f64,
}

impl Sampling {
    /// Takes everything of a result of up to twice `enough` elements, and of a longer one about `enough` or one block in
    /// `thinnest`, whichever is more: small models are not worth an estimate.
    pub(crate) fn of(elements: u64, enough: u64, thinnest: u64, block: u64, seed: u64) -> Self {
        Self {
            block,
            stretch: (elements / enough.max(1)).clamp(1, thinnest.max(1)),
            seed,
        }
    }

    /// The blocks of the tensor of that name and length, in its order. At least one unless it is empty.
    pub(crate) fn blocks(&self, tensor: &str, elements: u64) -> Vec<SampledBlock> {
        let mut text = self.seed.to_le_bytes().to_vec();
        text.extend_from_slice(tensor.as_bytes());
        let [a, b, c, d, e, f, g, h, ..] = *ContentHash::of(&text).as_bytes();
        let key = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let whole = self.block.saturating_mul(self.stretch).max(1);
        (0..elements.div_ceil(whole))
            .map(|stretch| {
                let start = stretch * whole;
                let stands_for = whole.min(elements - start);
                let candidates = stands_for.div_ceil(self.block);
                let begin = start + mix(key.wrapping_add(stretch)) % candidates * self.block;
                let length = self.block.min(start + stands_for - begin);
                SampledBlock {
                    begin,
                    elements: length as usize,
                    weight: stands_for as f64 / length as f64,
                }
            })
            .collect()
    }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014: the finaliser of SplitMix64.
fn mix(counter: u64) -> u64 {
    let mut bits = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLING: Sampling = Sampling {
        block: 10,
        stretch: 4,
        seed: 0,
    };

    #[test]
    fn one_block_of_every_stretch_and_weights_that_add_up() {
        for elements in [1, 9, 10, 11, 39, 40, 41, 405, 1000] {
            let blocks = SAMPLING.blocks("w", elements);
            assert_eq!(blocks.len() as u64, elements.div_ceil(40));
            let mut total = 0.0;
            for (stretch, block) in (0..).zip(&blocks) {
                assert!(block.begin / 40 == stretch && block.begin % 10 == 0);
                assert!(block.elements > 0 && block.begin + block.elements as u64 <= elements);
                total += block.weight * block.elements as f64;
            }
            assert!((total - elements as f64).abs() < 1e-9, "{elements}");
        }
        assert!(SAMPLING.blocks("w", 0).is_empty());
    }

    #[test]
    fn short_results_are_taken_whole_and_long_ones_thinly() {
        let stretch = |elements| Sampling::of(elements, 100, 8, 10, 0).stretch;
        assert_eq!(
            [0, 199, 200, 399, 800, 1_000_000].map(stretch),
            [1, 1, 2, 3, 8, 8]
        );
    }

    #[test]
    fn name_and_seed_choose_and_a_stretch_of_one_takes_all() {
        let begins = |sampling: Sampling, name: &str| -> Vec<u64> {
            let blocks = sampling.blocks(name, 4000);
            blocks.iter().map(|block| block.begin).collect()
        };
        let other = Sampling {
            seed: 1,
            ..SAMPLING
        };
        assert_eq!(begins(SAMPLING, "w"), begins(SAMPLING, "w"));
        assert_ne!(begins(SAMPLING, "w"), begins(SAMPLING, "v"));
        assert_ne!(begins(SAMPLING, "w"), begins(other, "w"));
        let all = Sampling {
            stretch: 1,
            ..SAMPLING
        };
        assert_eq!(
            begins(all, "w"),
            (0..400).map(|block| block * 10).collect::<Vec<_>>()
        );
    }
}
