//! The elements of largest magnitude, exactly so many of them, in bounded memory.
//!
//! The bits of |x|, read as a whole number, order singles by magnitude; NaN stands above all others. Three passes count
//! them by 11, 10 and 10 bits from the top, which leaves one magnitude as the threshold. Elements above it are all
//! selected; of those that equal it the first in the order of the tensor are, and a fourth pass finds the last of them.
//! So neither threads nor chunks matter, and what a block adds is at most 2048 counters or the places of its equal elements.

use multiversion::multiversion;

/// Passes that a selection needs.
pub(super) const PASSES: usize = 4;

/// Bits that each counting pass tells apart, and the bits below them.
pub(super) const DIGITS: [(u32, u32); 3] = [(11, 20), (10, 10), (10, 0)];

/// What orders elements: the bits of the magnitude.
#[inline(always)]
pub(super) fn key(value: f32) -> u32 {
    value.to_bits() & (u32::MAX >> 1)
}

/// A selection of the `count` largest of `elements`, as far as passes have found it out.
pub(super) struct Largest<'a> {
    pub(super) count: u64,
    pub(super) elements: u64,
    /// What each pass found; a method may append numbers of its own to the counters.
    pub(super) known: &'a [Vec<f64>],
}

/// A selection that is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Selected {
    threshold: u32,
    /// The last element that equals the threshold and is selected.
    last: u64,
}

impl Selected {
    pub(super) fn contains(self, key: u32, index: u64) -> bool {
        key > self.threshold || (key == self.threshold && index <= self.last)
    }

    /// The values from element `offset` on that are selected, or those that are not, and zeros for the others.
    pub(super) fn keep(self, offset: u64, values: &[f32], is_kept: bool, output: &mut [f32]) {
        let equal = self.last.saturating_add(1).saturating_sub(offset);
        let equal = u32::try_from(equal).unwrap_or(u32::MAX);
        keep(values, self.threshold, equal, is_kept, output);
    }
}

/// Of the values that equal the threshold those before place `equal` are selected.
#[multiversion(targets("x86_64+avx2"))]
fn keep(values: &[f32], threshold: u32, equal: u32, is_kept: bool, output: &mut [f32]) {
    for ((place, value), output) in (0u32..).zip(values).zip(output) {
        let key = key(*value);
        let is_selected = (key > threshold) | ((key == threshold) & (place < equal));
        *output = if is_selected == is_kept { *value } else { 0.0 };
    }
}

impl Largest<'_> {
    fn is_trivial(&self) -> bool {
        self.count == 0 || self.count >= self.elements
    }

    /// What one pass needs to know of a block that begins at element `offset`.
    pub(super) fn observe(
        &self,
        pass: usize,
        offset: u64,
        keys: impl Iterator<Item = u32>,
    ) -> Vec<f64> {
        if self.is_trivial() {
            return Vec::new();
        }
        let (prefix, wanted) = self.descend(pass);
        let Some((bits, below)) = DIGITS.get(pass).copied() else {
            let equal = (offset..).zip(keys).filter(|(_, key)| *key == prefix);
            return [wanted as f64, -1.0]
                .into_iter()
                .chain(equal.map(|(index, _)| index as f64))
                .collect();
        };
        // Weights have few exponents. Where the next element raises the counter that the last one raised, it waits for
        // it; with two sets of counters by turns it does not.
        let mut counts = vec![[0u32; 2]; 1 << bits];
        let leading = keys.filter(|key| key >> (bits + below) == prefix);
        for (index, key) in leading.enumerate() {
            counts[(key >> below & ((1 << bits) - 1)) as usize][index % 2] += 1;
        }
        let counts = counts.into_iter();
        counts
            .map(|[even, odd]| f64::from(even) + f64::from(odd))
            .collect()
    }

    /// The leading digits of the threshold after `passes` passes, and how many elements with them are selected.
    fn descend(&self, passes: usize) -> (u32, u64) {
        let (mut prefix, mut wanted) = (0, self.count);
        for ((bits, _), counts) in DIGITS.iter().zip(self.known).take(passes) {
            let mut digit = 0;
            for (index, count) in counts.iter().take(1 << bits).enumerate().rev() {
                digit = index as u32;
                if wanted <= *count as u64 {
                    break;
                }
                wanted -= *count as u64;
            }
            prefix = prefix << bits | digit;
        }
        (prefix, wanted)
    }

    /// The selection, after all passes.
    pub(super) fn selected(&self) -> Selected {
        if self.count == 0 {
            return Selected {
                threshold: u32::MAX,
                last: 0,
            };
        }
        if self.is_trivial() {
            return Selected {
                threshold: 0,
                last: u64::MAX,
            };
        }
        let mut search = self.known.get(DIGITS.len()).cloned().unwrap_or_default();
        settle(&mut search);
        Selected {
            threshold: self.descend(DIGITS.len()).0,
            last: search.get(1).map_or(0, |last| *last as u64),
        }
    }
}

/// Merges what blocks returned.
pub(super) fn merge(pass: usize, total: &mut Vec<f64>, partial: &[f64]) {
    if pass < DIGITS.len() {
        total
            .iter_mut()
            .zip(partial)
            .for_each(|(total, partial)| *total += partial);
    } else {
        settle(total);
        if total.first().is_some_and(|wanted| *wanted > 0.0) {
            total.extend_from_slice(partial.get(2..).unwrap_or_default());
            settle(total);
        }
    }
}

/// Takes the wanted elements off the front of a search: how many are wanted, the last that was taken, elements to take.
fn settle(search: &mut Vec<f64>) {
    let [wanted, last, positions @ ..] = search.as_mut_slice() else {
        return;
    };
    let taken = positions.len().min(*wanted as usize);
    if let Some(position) = taken.checked_sub(1).and_then(|index| positions.get(index)) {
        *last = *position;
        *wanted -= taken as f64;
    }
    search.truncate(2);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Selects in blocks of `block` elements, as the executor does.
    fn select(values: &[f32], count: u64, block: usize) -> Vec<bool> {
        let mut known = Vec::new();
        let elements = values.len() as u64;
        for pass in 0..PASSES {
            let largest = Largest {
                count,
                elements,
                known: &known,
            };
            let mut total: Option<Vec<f64>> = None;
            for (index, block_values) in values.chunks(block).enumerate() {
                let keys = block_values.iter().map(|value| key(*value));
                let partial = largest.observe(pass, (index * block) as u64, keys);
                match &mut total {
                    None => total = Some(partial),
                    Some(total) => merge(pass, total, &partial),
                }
            }
            known.push(total.unwrap_or_default());
        }
        let selected = Largest {
            count,
            elements,
            known: &known,
        }
        .selected();
        let chosen: Vec<bool> = (0..)
            .zip(values)
            .map(|(index, value)| selected.contains(key(*value), index))
            .collect();
        // The same in blocks, and what is not selected.
        for is_kept in [true, false] {
            let mut kept = vec![f32::NAN; values.len()];
            for (index, (values, kept)) in
                values.chunks(block).zip(kept.chunks_mut(block)).enumerate()
            {
                selected.keep((index * block) as u64, values, is_kept, kept);
            }
            for ((kept, value), chosen) in kept.iter().zip(values).zip(&chosen) {
                let expected = if *chosen == is_kept { *value } else { 0.0 };
                assert_eq!(kept.to_bits(), expected.to_bits());
            }
        }
        chosen
    }

    proptest! {
        #[test]
        fn selects_what_a_stable_sort_puts_first(
            values in prop::collection::vec(
                prop_oneof![any::<f32>(), (-3i8..3).prop_map(f32::from), Just(f32::NAN)], 1..60),
            count in 0u64..70,
            block in 1usize..70,
        ) {
            let mut order: Vec<usize> = (0..values.len()).collect();
            order.sort_by_key(|&index| std::cmp::Reverse(key(values[index])));
            let mut expected = vec![false; values.len()];
            order.iter().take(count as usize).for_each(|&index| expected[index] = true);
            prop_assert_eq!(select(&values, count, block), expected);
        }
    }
}
