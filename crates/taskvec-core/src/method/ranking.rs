//! Ranks of the elements of a row by magnitude, and what is drawn with probabilities that rise with them.
//!
//! What is drawn seldom needs a rank. Elements are counted by the leading digits of their magnitudes; the count says
//! between which ranks an element lies, or where all of its digits are alike, which one it has. Only where the word that was
//! drawn falls between the probabilities of the two is the rank itself found. That gives what sorting gives.

use multiversion::multiversion;

use super::largest::key;

/// Bits that each pass of a sort tells apart, and the bits below them.
const DIGITS: [(u32, u32); 3] = [(10, 0), (10, 10), (11, 20)];
/// Rows that are too short for counting to be worth its while.
const SHORT: usize = 256;

/// Bits below the digits by which elements are counted: these are exponent and fraction of BF16.
const BELOW: u32 = 16;
/// Digits that are told apart: sixteen exponents, from that of the largest element on down.
const BUCKETS: usize = 1 << 11;
/// Ranks in a row from which on a sort takes less time than to find each by itself.
const MANY: usize = 300;
/// Elements among which one that is open is looked for together.
const GROUP: usize = 64;
/// How near a word may be to where a probability changes the outcome before rounding has a say.
const SLACK: f64 = 2.0;

/// The probabilities with which the elements of a row stay.
pub(super) struct Chances {
    /// Their mean.
    pub(super) density: f64,
    /// How far the first and the last are from it.
    pub(super) epsilon: f64,
    /// The last rank.
    pub(super) last: f64,
}

impl Chances {
    /// The probability of a rank.
    pub(super) fn of(&self, rank: usize) -> f64 {
        if self.last == 0.0 {
            return self.density;
        }
        let place = rank as f64 / self.last;
        self.density - self.epsilon + place * 2.0 * self.epsilon
    }

    /// Whether what has a rank stays when a word was drawn.
    pub(super) fn keep(&self, rank: usize, word: u32) -> bool {
        u64::from(word) < (self.of(rank) * 2f64.powi(32)) as u64
    }
}

/// What is known of the elements that share a digit.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// The rank of the next of them; if they may differ, the least rank of all.
    rank: u32,
    /// How much farther up its rank may be: nothing if all are alike, for then they rank in the order of the row.
    span: u32,
}

/// Room for the elements of a row.
pub(super) struct Ranking {
    /// Magnitude and place of each element.
    from: Vec<u64>,
    to: Vec<u64>,
    keys: Vec<u32>,
    buckets: Box<[Bucket; BUCKETS]>,
    /// Of each element what its digit says.
    ranks: Vec<Bucket>,
    is_open: Vec<bool>,
    /// Places whose ranks must be found, and one more to write over.
    open: [usize; MANY + 1],
}

impl Default for Ranking {
    fn default() -> Self {
        Self {
            from: Vec::new(),
            to: Vec::new(),
            keys: Vec::new(),
            buckets: Box::new([Bucket::default(); BUCKETS]),
            ranks: Vec::new(),
            is_open: Vec::new(),
            open: [0; MANY + 1],
        }
    }
}

impl Ranking {
    /// Calls `take` with each place and its rank. Equal magnitudes rank in the order of the row.
    pub(super) fn rank(&mut self, values: &[f32], mut take: impl FnMut(usize, usize)) {
        let place = |element: u64| element as u32 as usize;
        let Self { from, to, .. } = self;
        from.clear();
        from.extend(
            (0..)
                .zip(values)
                .map(|(index, value)| u64::from(key(*value)) << 32 | index),
        );
        if values.len() < SHORT {
            from.sort_unstable();
            (0..)
                .zip(from)
                .for_each(|(rank, element)| take(place(*element), rank));
            return;
        }
        // By counting digits from the last to the first, so that equal ones keep their order.
        to.resize(values.len(), 0);
        for (pass, (bits, below)) in DIGITS.into_iter().enumerate() {
            let digit = |element: u64| (element >> (32 + below)) as usize & ((1 << bits) - 1);
            let mut next = [0; 1 << 11];
            for element in from.iter() {
                next[digit(*element)] += 1;
            }
            let mut before = 0;
            for next in &mut next {
                before += std::mem::replace(next, before);
            }
            let is_last = pass + 1 == DIGITS.len();
            for element in from.iter() {
                let rank = &mut next[digit(*element)];
                if is_last {
                    take(place(*element), *rank);
                } else {
                    to[*rank] = *element;
                }
                *rank += 1;
            }
            std::mem::swap(from, to);
        }
    }

    /// Says of each element whether it stays, with the word that was drawn for it.
    pub(super) fn draw(
        &mut self,
        values: &[f32],
        words: &[u32],
        chances: &Chances,
        kept: &mut [bool],
    ) {
        if values.len() >= SHORT {
            let least = self.count(values);
            let open = self.draw_by_digits(least, words, chances, kept);
            if open < MANY {
                for place in &self.open[..open] {
                    kept[*place] = chances.keep(rank_of(&self.keys, *place), words[*place]);
                }
                return;
            }
        }
        self.rank(values, |index, rank| {
            kept[index] = chances.keep(rank, words[index])
        });
    }

    /// Counts elements by digits, and returns the leading bits that have the least digit, with everything below them.
    fn count(&mut self, values: &[f32]) -> u32 {
        self.keys.clear();
        self.keys.extend(values.iter().map(|value| key(*value)));
        let largest = self.keys.iter().copied().fold(0, u32::max);
        let least = (largest >> BELOW).saturating_sub(BUCKETS as u32 - 1);
        let buckets = &mut *self.buckets;
        buckets.fill(Bucket::default());
        // Elements are counted where ranks will stand.
        for key in &self.keys {
            let digit = digit(*key, least);
            let is_mixed = (key << (32 - BELOW) != 0) | ((digit == 0) & (*key != 0));
            let Bucket { rank, span } = buckets[digit];
            buckets[digit] = Bucket {
                rank: rank + 1,
                span: span | u32::from(is_mixed),
            };
        }
        let mut before = 0;
        for bucket in buckets.iter_mut() {
            let count = std::mem::replace(&mut bucket.rank, before);
            bucket.span *= count.saturating_sub(1);
            before += count;
        }
        least
    }

    /// What the digits decide. The places of the rest go to `open`, and their number is returned, or [`MANY`].
    fn draw_by_digits(
        &mut self,
        least: u32,
        words: &[u32],
        chances: &Chances,
        kept: &mut [bool],
    ) -> usize {
        self.ranks.clear();
        self.ranks.extend(self.keys.iter().map(|key| {
            let bucket = &mut self.buckets[digit(*key, least)];
            let found = *bucket;
            bucket.rank = found.rank + u32::from(found.span == 0);
            found
        }));
        self.is_open.resize(words.len(), false);
        decide(&self.ranks, words, chances, kept, &mut self.is_open);
        let mut open = 0;
        for (group, is_open) in self.is_open.chunks(GROUP).enumerate() {
            if !is_open.contains(&true) {
                continue;
            }
            for (place, _) in is_open.iter().enumerate().filter(|(_, is_open)| **is_open) {
                self.open[open] = group * GROUP + place;
                open = (open + 1).min(MANY);
            }
        }
        open
    }
}

/// What is certain of elements between two ranks each: whether they stay; and which of them are open.
#[multiversion(targets("x86_64+avx2"))]
fn decide(
    ranks: &[Bucket],
    words: &[u32],
    chances: &Chances,
    kept: &mut [bool],
    is_open: &mut [bool],
) {
    let scale = 2f64.powi(32);
    let first = (chances.density - chances.epsilon) * scale;
    let step = 2.0 * chances.epsilon / chances.last * scale;
    let (below, above) = (first - SLACK, first + SLACK);
    // Ranks are well below 2^31, and signed numbers are what vectors convert.
    let double = |rank: u32| f64::from(rank as i32);
    let outcomes = kept.iter_mut().zip(is_open);
    for ((bucket, word), (kept, is_open)) in ranks.iter().zip(words).zip(outcomes) {
        let word = double(word ^ 1 << 31) + 2f64.powi(31);
        let is_kept = word < below + double(bucket.rank) * step;
        let is_dropped = word > above + double(bucket.rank + bucket.span) * step;
        *kept = is_kept;
        *is_open = !(is_kept | is_dropped);
    }
}

/// The leading bits of a magnitude, counted from the least that are told apart.
#[inline(always)]
fn digit(key: u32, least: u32) -> usize {
    // No digit is that large; the remainder says so to the compiler.
    (key >> BELOW).saturating_sub(least) as usize % BUCKETS
}

/// The rank of one place.
#[multiversion(targets("x86_64+avx2"))]
fn rank_of(keys: &[u32], place: usize) -> usize {
    let (before, after) = keys.split_at(place);
    let key = keys[place];
    let below = |count: u32, other: &u32| count + u32::from(*other < key);
    let not_above = before
        .iter()
        .fold(0, |count, other| count + u32::from(*other <= key));
    after.iter().fold(not_above, below) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A few magnitudes again and again, any bits, or magnitudes close together.
    fn row(length: usize, kind: u32, seed: u32) -> Vec<f32> {
        (0..length as u32)
            .map(|index| {
                let bits = (index + 1)
                    .wrapping_mul(2_654_435_761)
                    .wrapping_add(seed)
                    .wrapping_mul(0x9e37_79b1);
                let bits = bits ^ bits >> 15;
                match kind {
                    0 => (bits >> 8) as i32 as f32 % 7.0 - 3.0,
                    1 if bits % 5 == 0 => (bits % 7) as f32 - 3.0,
                    1 => f32::from_bits(bits),
                    2 => 1.0 + (bits >> 9) as f32 * 2f32.powi(-30),
                    // As differences of BF16 are: few digits, but for one in fifty.
                    _ if bits % 50 == 0 => f32::from_bits(0x3c00_0000 + (bits >> 8)),
                    _ => f32::from_bits((0x3c00 + (bits >> 25) * 5) << 16 | bits << 31),
                }
            })
            .collect()
    }

    #[test]
    fn long_rows_are_ranked_as_a_stable_sort_does() {
        let mut ranking = Ranking::default();
        for length in [SHORT - 1, SHORT, 3000, 700] {
            let values = row(length, 1, 0);
            let mut order: Vec<usize> = (0..length).collect();
            order.sort_by_key(|index| key(values[*index]));
            let mut found = vec![usize::MAX; length];
            ranking.rank(&values, |index, rank| found[rank] = index);
            assert_eq!(found, order, "{length}");
            let keys: Vec<u32> = values.iter().map(|value| key(*value)).collect();
            for (rank, place) in order.into_iter().enumerate() {
                assert_eq!(rank_of(&keys, place), rank);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn what_stays_is_what_stays_after_sorting(
            length in (SHORT - 2)..2500,
            kind in 0u32..4,
            seed in any::<u32>(),
            (density, epsilon) in prop::sample::select(&[(0.5, 0.15), (0.5, 0.0), (0.3, 0.29), (0.9, 0.1)][..]),
            same_words in any::<bool>(),
        ) {
            let values = row(length, kind, seed);
            let chances = Chances { density, epsilon, last: (length - 1) as f64 };
            let mut ranking = Ranking::default();
            // Words on the very border of a rank's probability too.
            let words: Vec<u32> = (0..length)
                .map(|index| match same_words {
                    true => (chances.of(index) * 2f64.powi(32)) as u32 - u32::from(index % 3 == 0),
                    false => (index as u32).wrapping_mul(0x9e37_79b1) ^ seed,
                })
                .collect();
            let mut expected = vec![false; length];
            ranking.rank(&values, |index, rank| expected[index] = chances.keep(rank, words[index]));
            let mut found = vec![true; length];
            ranking.draw(&values, &words, &chances, &mut found);
            prop_assert_eq!(found, expected);
        }
    }
}
