//! Results that arrive in any order and are taken in one.

use std::collections::BTreeMap;

/// Holds items back until those before them have come.
///
/// Units are handed out in order, so about as many items wait here as there are threads.
#[derive(Debug)]
pub(crate) struct Ordered<T> {
    next: u64,
    waiting: BTreeMap<u64, T>,
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self {
            next: 0,
            waiting: BTreeMap::new(),
        }
    }
}

impl<T> Ordered<T> {
    /// Accepts item `index` and applies all that are due. Returns how many were applied so far.
    pub(crate) fn push(&mut self, index: u64, item: T, mut apply: impl FnMut(T)) -> u64 {
        self.waiting.insert(index, item);
        while let Some(item) = self.waiting.remove(&self.next) {
            apply(item);
            self.next += 1;
        }
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applies_in_order() {
        let mut ordered = Ordered::default();
        let mut seen = Vec::new();
        for (index, applied) in [(2, 0), (0, 1), (3, 1), (1, 4)] {
            assert_eq!(ordered.push(index, index, |item| seen.push(item)), applied);
        }
        assert_eq!(seen, [0, 1, 2, 3]);
    }
}
