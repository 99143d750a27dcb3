//! What storing a change in few bits does to it.
//!
//! Let `θ` be what a model's change starts from (zero for a vector), `d` the change, and `r = round(θ + d) − θ` what
//! arrives. A small `d` may vanish in the rounding, in part or wholly.

/// Sums over some elements, and what follows from them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rounding {
    /// `‖d‖²`.
    pub change: f64,
    /// `⟨r, d⟩`.
    pub kept: f64,
    /// `‖r − d‖²`.
    pub lost: f64,
    /// Elements with `d ≠ 0`; a whole number unless estimated.
    pub changed: f64,
    /// Of those, the ones with `r = 0`: nothing of their change arrives.
    pub vanished: f64,
}

impl Rounding {
    /// Sums over one block: `change` is `d`, `origin` is `θ`, `stored` what `θ + d` was rounded to.
    ///
    /// All three have one length; no `origin` is an origin of zeros.
    pub(crate) fn of(change: &[f32], origin: Option<&[f32]>, stored: &[f32]) -> Self {
        // Differences of values of few bits are exact in double precision.
        let arrived = |index: usize| {
            let from = origin.map_or(0.0, |origin| f64::from(origin[index]));
            f64::from(stored[index]) - from
        };
        let wanted = |index: usize| f64::from(change[index]);
        let count = change.len();
        Self {
            change: super::sum_of_squares(change),
            kept: super::sums::sum(count, |index| arrived(index) * wanted(index)),
            lost: super::sums::sum(count, |index| (arrived(index) - wanted(index)).powi(2)),
            changed: change.iter().filter(|&&value| value != 0.0).count() as f64,
            vanished: (0..count)
                .filter(|&index| change[index] != 0.0 && arrived(index) == 0.0)
                .count() as f64,
        }
    }

    /// `‖r − d‖ / ‖d‖`: the length of what rounding adds, along `d` and across it. None where nothing changes or
    /// something is not finite.
    pub fn lost_share(&self) -> Option<f64> {
        self.share((self.lost / self.change).sqrt())
    }

    /// `⟨r, d⟩ / ‖d‖²`: how far the stored weights moved along `d`, where 1 is all the way.
    pub fn survived_share(&self) -> Option<f64> {
        self.share(self.kept / self.change)
    }

    /// The share of the elements with `d ≠ 0` of which nothing arrives.
    pub fn vanished_share(&self) -> Option<f64> {
        self.share(self.vanished / self.changed)
    }

    fn share(&self, share: f64) -> Option<f64> {
        Some(share).filter(|share| self.change > 0.0 && share.is_finite())
    }

    /// Adds `weight` times what was found elsewhere.
    pub(crate) fn add(&mut self, other: &Self, weight: f64) {
        self.change += weight * other.change;
        self.kept += weight * other.kept;
        self.lost += weight * other.lost;
        self.changed += weight * other.changed;
        self.vanished += weight * other.vanished;
    }
}

/// The [`Rounding`] of a whole result, estimated from some of its blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RoundingEstimate {
    /// What is estimated.
    pub rounding: Rounding,
    /// Elements that are computed and then rounded to fewer bits than a single has.
    pub elements: u64,
    /// Elements that were looked at; where these are all, nothing is estimated.
    pub sampled: u64,
}

impl RoundingEstimate {
    /// The share of the elements that was looked at.
    pub fn sampled_share(&self) -> f64 {
        self.sampled as f64 / self.elements.max(1) as f64
    }

    /// Whether not every element was looked at.
    pub fn is_estimate(&self) -> bool {
        self.sampled < self.elements
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.rounding.add(&other.rounding, 1.0);
        self.elements += other.elements;
        self.sampled += other.sampled;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_change_in_part_lost() {
        // Whole steps of a half: the second change vanishes, the third grows, the fourth is none.
        let found = Rounding::of(
            &[0.5, 0.125, 0.375, 0.0],
            Some(&[1.0; 4]),
            &[1.5, 1.0, 1.5, 1.0],
        );
        assert_eq!((found.changed, found.vanished), (3.0, 1.0));
        assert_eq!(found.change, 0.25 + 0.015625 + 0.140625);
        assert_eq!(found.lost, 0.015625 + 0.015625);
        assert_eq!(found.kept, 0.25 + 0.1875);
        assert_eq!(found.vanished_share(), Some(1.0 / 3.0));
        assert_eq!(
            Rounding::of(&[0.0], None, &[0.0]).lost_share(),
            None,
            "nothing changes"
        );
        let broken = Rounding::of(&[f32::NAN, 1.0], None, &[f32::NAN, 1.0]);
        assert_eq!((broken.lost_share(), broken.survived_share()), (None, None));
    }
}
