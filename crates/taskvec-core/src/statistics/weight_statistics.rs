//! What is known of some weights after looking at each of them once.

use super::rounding::Rounding;

/// Sums over some weights, and what follows from them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct WeightStatistics {
    /// Elements.
    pub elements: u64,
    /// Elements of the change that are exactly zero.
    pub zeros: u64,
    /// Elements of the change that are NaN.
    pub nan: u64,
    /// Elements of the change that are infinite.
    pub infinite: u64,
    /// Largest magnitude in the change, over finite elements.
    pub largest: f64,
    /// `‖d‖²`.
    pub sum_of_squares: f64,
    /// `‖θ‖²` of the origin, where there is one.
    pub origin_sum_of_squares: Option<f64>,
    /// What storing the result does to the change, where the output is of fewer bits than a single.
    pub rounding: Option<Rounding>,
}

impl WeightStatistics {
    /// `‖d‖`.
    pub fn norm(&self) -> f64 {
        self.sum_of_squares.sqrt()
    }

    /// `‖d‖ / ‖θ‖`; none without an origin or where that is zero.
    pub fn relative_norm(&self) -> Option<f64> {
        self.origin_sum_of_squares
            .filter(|origin| *origin > 0.0)
            .map(|origin| (self.sum_of_squares / origin).sqrt())
    }

    /// [`Rounding::survived_share`], where the output is rounded.
    pub fn survival(&self) -> Option<f64> {
        self.rounding?.survived_share()
    }

    /// [`Rounding::lost_share`], where the output is rounded.
    pub fn rounding_error(&self) -> Option<f64> {
        self.rounding?.lost_share()
    }

    /// Adds what was found elsewhere.
    pub fn merge(&mut self, other: &Self) {
        // What one side does not know is unknown of both, unless one side is empty.
        let both = |one: Option<f64>, two: Option<f64>| Some(one? + two?);
        if self.elements == 0 {
            *self = *other;
            return;
        }
        if other.elements == 0 {
            return;
        }
        self.elements += other.elements;
        self.zeros += other.zeros;
        self.nan += other.nan;
        self.infinite += other.infinite;
        self.largest = self.largest.max(other.largest);
        self.sum_of_squares += other.sum_of_squares;
        self.origin_sum_of_squares = both(self.origin_sum_of_squares, other.origin_sum_of_squares);
        self.rounding = match (self.rounding, other.rounding) {
            (Some(mut one), Some(two)) => {
                one.add(&two, 1.0);
                Some(one)
            }
            _ => None,
        };
    }
}
