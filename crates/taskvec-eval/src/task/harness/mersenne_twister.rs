//! Python's random numbers, to the bit: the harness draws few-shot examples with `random.Random(1234).sample`.
//!
//! MT19937 of Matsumoto and Nishimura 1998, "Mersenne Twister", seeded by `init_by_array` as CPython seeds it
//! from an integer. Crates offer the generator, none Python's seeding and `sample` on top of it, which are
//! most of what is here. Not for cryptography.

const N: usize = 624;
const M: usize = 397;

/// `random.Random(seed)` of CPython.
#[derive(Clone)]
pub struct MersenneTwister {
    state: [u32; N],
    index: usize,
}

impl MersenneTwister {
    /// The generator of `random.Random(seed)` for a seed below 2³².
    #[must_use]
    pub fn new(seed: u32) -> Self {
        let mut state = [0_u32; N];
        state[0] = 19_650_218;
        for i in 1..N {
            let previous = state[i - 1];
            state[i] = 1_812_433_253_u32
                .wrapping_mul(previous ^ (previous >> 30))
                .wrapping_add(i as u32);
        }
        // init_by_array with a key of one word.
        let mut i = 1;
        let wrap = |state: &mut [u32; N], i: &mut usize| {
            *i += 1;
            if *i == N {
                state[0] = state[N - 1];
                *i = 1;
            }
        };
        for _ in 0..N {
            let previous = state[i - 1];
            state[i] = (state[i] ^ (previous ^ (previous >> 30)).wrapping_mul(1_664_525))
                .wrapping_add(seed);
            wrap(&mut state, &mut i);
        }
        for _ in 0..N - 1 {
            let previous = state[i - 1];
            state[i] = (state[i] ^ (previous ^ (previous >> 30)).wrapping_mul(1_566_083_941))
                .wrapping_sub(i as u32);
            wrap(&mut state, &mut i);
        }
        state[0] = 0x8000_0000;
        Self { state, index: N }
    }

    fn next_u32(&mut self) -> u32 {
        if self.index == N {
            for i in 0..N {
                let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
                let twist = if y & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ twist;
            }
            self.index = 0;
        }
        let mut y = self.state[self.index];
        self.index += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// `_randbelow`: as many bits as `bound` has, drawn again until they are below it.
    fn below(&mut self, bound: usize) -> usize {
        let bits = usize::BITS - bound.leading_zeros();
        loop {
            // Populations here are far below 2³², so that one word is enough.
            let draw = (self.next_u32() >> (32 - bits.clamp(1, 32))) as usize;
            if draw < bound {
                return draw;
            }
        }
    }

    /// `sample(range(population), count)`: distinct indices in the order drawn; all of them, shuffled, where
    /// `count` is larger.
    pub fn sample(&mut self, population: usize, count: usize) -> Vec<usize> {
        let count = count.min(population);
        // Python keeps a set where that is smaller than a copy of the population; the draws differ.
        let mut threshold = 21_usize;
        if count > 5 {
            let power = ((count * 3) as f64).log(4.0).ceil() as u32;
            threshold += 4_usize.saturating_pow(power);
        }
        if population <= threshold {
            let mut pool: Vec<usize> = (0..population).collect();
            return (0..count)
                .map(|drawn| {
                    let position = self.below(population - drawn);
                    let chosen = pool[position];
                    pool[position] = pool[population - drawn - 1];
                    chosen
                })
                .collect();
        }
        let mut chosen = Vec::with_capacity(count);
        while chosen.len() < count {
            let draw = self.below(population);
            if !chosen.contains(&draw) {
                chosen.push(draw);
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From CPython 3.11: `r = random.Random(1234); [r.sample(range(7473), 5) for _ in range(3)]`, then
    /// `r.sample(range(20), 6)`, `r.sample(range(400), 12)`, `r.sample(range(80), 6)`.
    #[test]
    fn samples_are_cpythons() {
        let mut random = MersenneTwister::new(1234);
        assert_eq!(random.sample(7473, 5), [6374, 3610, 957, 61, 742]);
        assert_eq!(random.sample(7473, 5), [7462, 6610, 4769, 286, 5501]);
        assert_eq!(random.sample(7473, 5), [5677, 687, 806, 6279, 2905]);
        assert_eq!(random.sample(20, 6), [7, 0, 18, 17, 11, 10]);
        assert_eq!(
            random.sample(400, 12),
            [319, 247, 315, 237, 76, 46, 93, 365, 58, 7, 257, 249]
        );
        assert_eq!(random.sample(80, 6), [31, 8, 69, 59, 78, 11]);
        assert!(random.sample(0, 3).is_empty());
    }
}
