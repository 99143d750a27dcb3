//! A small, portable source of random numbers.
//!
//! SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", section 5).
//! The streams are part of what a task version means: an item, a perturbation or a bootstrap interval
//! must come out the same on every platform and in every later release, which is why this is not a
//! dependency whose algorithm may change. Not for cryptography.

/// One deterministic stream of random numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Random {
    state: u64,
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    /// A stream of its own for every sequence of `keys`, such as (seed, task, split, index).
    ///
    /// Any item of a series can be made alone and on any thread: nothing is shared between streams.
    #[must_use]
    pub fn derive(keys: &[u64]) -> Self {
        let state = keys.iter().fold(mix(keys.len() as u64), |state, key| {
            mix(state.wrapping_add(GAMMA) ^ mix(key.wrapping_add(GAMMA)))
        });
        Self { state }
    }

    /// A key for [`Random::derive`] from a name (FNV-1a).
    #[must_use]
    pub fn key(name: &str) -> u64 {
        name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// A uniform integer in `0..bound`; 0 when `bound` is 0 or 1.
    ///
    /// Unbiased: Lemire 2019, "Fast random integer generation in an interval", algorithm 5.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        if bound < 2 {
            return 0;
        }
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            // The low half decides whether this draw would favour some results; the high half is the result.
            if product as u64 >= threshold {
                return (product >> 64) as usize;
            }
        }
    }

    /// A uniform integer in `low..=high`; `low` when the range is empty.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below((high.saturating_sub(low) as usize) + 1) as u32
    }

    /// True in half of the draws.
    pub fn coin(&mut self) -> bool {
        self.next_u64() >> 63 == 1
    }

    /// Puts `items` into a uniformly random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// `count` distinct indices below `bound`, in random order; all of them where `count` is larger.
    pub fn distinct(&mut self, count: usize, bound: usize) -> Vec<usize> {
        let mut indices: Vec<usize> = (0..bound).collect();
        self.shuffle(&mut indices);
        indices.truncate(count);
        indices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_that_of_the_published_generator() {
        // First three outputs of SplitMix64 for state 1234567, as listed with the reference C code by Vigna.
        let mut random = Random { state: 1_234_567 };
        assert_eq!(random.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(random.next_u64(), 3_203_168_211_198_807_973);
        assert_eq!(random.next_u64(), 9_817_491_932_198_370_423);
    }

    #[test]
    fn every_key_and_every_position_matters() {
        let first = Random::derive(&[1, 2]);
        assert_ne!(first, Random::derive(&[2, 1]));
        assert_ne!(first, Random::derive(&[1, 2, 0]));
        assert_ne!(Random::derive(&[]), Random::derive(&[0]));
        assert_eq!(first, Random::derive(&[1, 2]));
    }

    #[test]
    fn below_is_even() {
        let mut random = Random::derive(&[7]);
        let mut counts = [0u32; 6];
        for _ in 0..60_000 {
            counts[random.below(6)] += 1;
        }
        // Six standard deviations of a binomial with p = 1/6 are 548.
        assert!(
            counts.iter().all(|&count| count.abs_diff(10_000) < 548),
            "{counts:?}"
        );
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
    }

    #[test]
    fn distinct_indices_are_distinct() {
        let mut random = Random::derive(&[3]);
        for count in 0..10 {
            let mut indices = random.distinct(count, 8);
            indices.sort_unstable();
            indices.dedup();
            assert_eq!(indices.len(), count.min(8));
        }
    }
}
