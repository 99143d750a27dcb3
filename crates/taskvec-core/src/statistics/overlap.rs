//! What two changes have in common.

use super::sums::Products;
use super::weight_statistics::WeightStatistics;

/// Sums over the elements of two changes `d` and `e`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Overlap {
    /// `⟨d, e⟩`.
    pub dot: f64,
    /// Elements where neither is zero or NaN.
    pub nonzero_in_both: u64,
    /// Of those, the ones where both have one sign.
    pub agreeing: u64,
}

/// Why two changes have no cosine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Undefined {
    /// One of them is zero, or both are.
    Zero,
    /// An element is NaN or infinite.
    NotFinite,
}

impl Undefined {
    /// A short name for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::NotFinite => "not finite",
        }
    }
}

impl Overlap {
    /// The share of the elements nonzero in both whose signs agree: a half where signs are independent. None where there
    /// are no such elements.
    pub fn sign_agreement(&self) -> Option<f64> {
        (self.nonzero_in_both > 0).then(|| self.agreeing as f64 / self.nonzero_in_both as f64)
    }

    /// Adds what was found elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.dot += other.dot;
        self.nonzero_in_both += other.nonzero_in_both;
        self.agreeing += other.agreeing;
    }
}

impl From<Products> for Overlap {
    fn from(products: Products) -> Self {
        let Products {
            dot,
            nonzero_in_both,
            agreeing,
        } = products;
        Self {
            dot,
            nonzero_in_both,
            agreeing,
        }
    }
}

/// What was found of some weights: in one change or in two.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measurement {
    /// Of the change that was inspected.
    pub found: WeightStatistics,
    /// Of the one that it was held against, and what they have in common.
    pub beside: Option<(WeightStatistics, Overlap)>,
}

impl Measurement {
    /// `⟨d, e⟩ / (‖d‖·‖e‖)`; none without a second change.
    ///
    /// # Errors
    ///
    /// Where there is no such number.
    pub fn cosine(&self) -> Option<Result<f64, Undefined>> {
        let (second, overlap) = self.beside.as_ref()?;
        let norms = self.found.norm() * second.norm();
        Some(if !norms.is_finite() || !overlap.dot.is_finite() {
            Err(Undefined::NotFinite)
        } else if norms == 0.0 {
            Err(Undefined::Zero)
        } else {
            // The rounding of sums may take it past an end.
            Ok((overlap.dot / norms).clamp(-1.0, 1.0))
        })
    }

    /// [`Overlap::sign_agreement`].
    pub fn sign_agreement(&self) -> Option<f64> {
        self.beside.as_ref()?.1.sign_agreement()
    }

    /// Adds what was found elsewhere, in as many changes.
    pub fn merge(&mut self, other: &Self) {
        self.found.merge(&other.found);
        match (&mut self.beside, &other.beside) {
            (Some((second, overlap)), Some((other_second, other_overlap))) => {
                second.merge(other_second);
                overlap.merge(other_overlap);
            }
            (mine @ None, theirs) => *mine = *theirs,
            (Some(_), None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(first: f64, second: f64, dot: f64) -> Measurement {
        let statistics = |sum_of_squares| WeightStatistics {
            elements: 1,
            sum_of_squares,
            ..WeightStatistics::default()
        };
        let overlap = Overlap {
            dot,
            ..Overlap::default()
        };
        Measurement {
            found: statistics(first),
            beside: Some((statistics(second), overlap)),
        }
    }

    #[test]
    fn a_cosine_is_a_number_or_says_why_not() {
        assert_eq!(of(4.0, 9.0, -3.0).cosine(), Some(Ok(-0.5)));
        assert_eq!(of(4.0, 9.0, 6.0 + 1e-14).cosine(), Some(Ok(1.0)));
        assert_eq!(of(0.0, 9.0, 0.0).cosine(), Some(Err(Undefined::Zero)));
        let infinity = f64::INFINITY;
        assert_eq!(
            of(0.0, infinity, f64::NAN).cosine(),
            Some(Err(Undefined::NotFinite))
        );
        assert_eq!(Measurement::default().cosine(), None);
    }

    #[test]
    fn signs_without_elements_have_no_share() {
        assert_eq!(Overlap::default().sign_agreement(), None);
    }
}
