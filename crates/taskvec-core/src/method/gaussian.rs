//! Normal numbers by counter: element `i` is a function of key and `i` alone.
//!
//! Random bits are those of [`philox`](super::philox); normal numbers follow by Box and Muller (1958). Logarithm and sine are those of the `libm` crate, which gives the same bits
//! on every platform; those of the system do not.

use super::philox::{key, philox};

/// A stream of standard normal numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gaussian {
    key: [u32; 2],
}

impl Gaussian {
    /// The stream of one tensor under one seed.
    pub(crate) fn new(seed: u64, tensor: &str) -> Self {
        let mut text = seed.to_le_bytes().to_vec();
        text.extend_from_slice(tensor.as_bytes());
        Self { key: key(&text) }
    }

    /// Fills `output` with elements `offset`, `offset + 1`, … of the stream.
    pub(crate) fn fill(&self, offset: u64, output: &mut [f32]) {
        let mut at = offset;
        let mut rest = output;
        while !rest.is_empty() {
            let four = self.four(at / 4);
            let skipped = (at % 4) as usize;
            let count = (4 - skipped).min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(&four[skipped..][..count]);
            at += count as u64;
            rest = later;
        }
    }

    fn four(&self, counter: u64) -> [f32; 4] {
        let [a, b, c, d] = philox([counter as u32, (counter >> 32) as u32, 0, 0], self.key);
        let [first, second] = normal_pair(a, b);
        let [third, fourth] = normal_pair(c, d);
        [first, second, third, fourth]
    }
}

fn normal_pair(radius: u32, angle: u32) -> [f32; 2] {
    // Middle of one of 2^32 equal parts of (0, 1): never 0, whose logarithm is infinite.
    let uniform = |bits: u32| (f64::from(bits) + 0.5) / 4_294_967_296.0;
    let radius = (-2.0 * libm::log(uniform(radius))).sqrt();
    let (sine, cosine) = libm::sincos(std::f64::consts::TAU * uniform(angle));
    [(radius * cosine) as f32, (radius * sine) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_gives_the_same_stream() {
        let stream = Gaussian::new(7, "w");
        let mut whole = vec![0.0; 103];
        stream.fill(5, &mut whole);
        let mut pieces = vec![0.0; 103];
        let (head, tail) = pieces.split_at_mut(31);
        stream.fill(5, head);
        stream.fill(36, tail);
        assert_eq!(whole, pieces);
    }

    #[test]
    fn moments_are_those_of_the_normal_distribution() {
        let count = 200_000;
        let mut values = vec![0.0; count];
        Gaussian::new(0, "w").fill(0, &mut values);
        let moment = |power: i32| {
            values
                .iter()
                .map(|&value| f64::from(value).powi(power))
                .sum::<f64>()
                / count as f64
        };
        // Four standard errors of each mean.
        let tolerance = |variance: f64| 4.0 * (variance / count as f64).sqrt();
        assert!(moment(1).abs() < tolerance(1.0));
        assert!((moment(2) - 1.0).abs() < tolerance(2.0));
        assert!(moment(3).abs() < tolerance(15.0));
        assert!((moment(4) - 3.0).abs() < tolerance(96.0));
        let neighbours: f64 = values
            .windows(2)
            .map(|pair| f64::from(pair[0]) * f64::from(pair[1]))
            .sum::<f64>()
            / count as f64;
        assert!(neighbours.abs() < tolerance(1.0));
    }

    #[test]
    fn seeds_and_tensors_have_streams_of_their_own() {
        let first = |seed, tensor| {
            let mut value = [0.0];
            Gaussian::new(seed, tensor).fill(0, &mut value);
            value[0]
        };
        assert_ne!(first(0, "a"), first(0, "b"));
        assert_ne!(first(0, "a"), first(1, "a"));
    }
}
