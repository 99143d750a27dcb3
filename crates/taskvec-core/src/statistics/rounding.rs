//! What storing a change in few bits does to it.
//!
//! Let `θ` be what a model's change starts from (zero for a vector), `d` the change, and `r = round(θ + d) − θ` what
//! arrives. A small `d` may vanish in the rounding, in part or wholly.

use multiversion::multiversion;

use super::sums::LANES;

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
        rounding(change, origin, stored)
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

#[multiversion(targets("x86_64+avx2"))]
fn rounding(change: &[f32], origin: Option<&[f32]>, stored: &[f32]) -> Rounding {
    const ZEROS: [f32; LANES] = [0.0; LANES];
    let mut found = Lanes::default();
    let ((changes, change), (stores, stored)) =
        (change.as_chunks::<LANES>(), stored.as_chunks::<LANES>());
    let origin = origin.map(<[f32]>::as_chunks::<LANES>);
    for (index, (change, stored)) in changes.iter().zip(stores).enumerate() {
        let origin = origin.map_or(&ZEROS, |(origins, _)| &origins[index]);
        found.add(change, origin, stored);
    }
    let origin = origin.map_or(&ZEROS[..change.len()], |(_, origin)| origin);
    found.add(change, origin, stored);
    found.total()
}

/// Partial sums, added in one order on every processor.
#[derive(Default)]
struct Lanes {
    change: [f64; LANES],
    kept: [f64; LANES],
    lost: [f64; LANES],
    changed: [f64; LANES],
    vanished: [f64; LANES],
}

impl Lanes {
    #[inline(always)]
    fn add(&mut self, change: &[f32], origin: &[f32], stored: &[f32]) {
        for (lane, ((&change, &origin), &stored)) in
            change.iter().zip(origin).zip(stored).enumerate()
        {
            let wanted = f64::from(change);
            // Differences of values of few bits are exact in double precision.
            let arrived = f64::from(stored) - f64::from(origin);
            let missing = arrived - wanted;
            self.change[lane] += wanted * wanted;
            self.kept[lane] += arrived * wanted;
            self.lost[lane] += missing * missing;
            let changes = if wanted != 0.0 { 1.0 } else { 0.0 };
            self.changed[lane] += changes;
            self.vanished[lane] += if arrived == 0.0 { changes } else { 0.0 };
        }
    }

    fn total(&self) -> Rounding {
        Rounding {
            change: self.change.iter().sum(),
            kept: self.kept.iter().sum(),
            lost: self.lost.iter().sum(),
            changed: self.changed.iter().sum(),
            vanished: self.vanished.iter().sum(),
        }
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
