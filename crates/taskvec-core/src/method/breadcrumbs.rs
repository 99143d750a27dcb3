//! A vector without its largest and its smallest elements.
//!
//! Davari and Belilovsky, "Model Breadcrumbs: scaling multi-task model merging with sparse masks", arXiv 2312.06795,
//! equation 2: in each tensor the share `gamma` of largest magnitude is set to zero, as outliers, and so are the
//! smallest, until the share `density` is left.
//!
//! Of n elements the ⌊gamma·n⌋ largest are dropped, or fewer where ⌊density·n⌋ would not remain, as in mergekit; so
//! a density of 1 drops nothing. Products are exact and equal magnitudes go in the order of the tensor, as in `trim`.
//! The merge of mergekit's `breadcrumbs` is the sum: `base + breadcrumbs(a - base, …) + breadcrumbs(b - base, …)`.

use std::sync::Arc;

use super::trim::{Action, DENSITY, Trim};
use super::{
    Arguments, Method, OperandKinds, Operation, Parameter, ParameterType, Range, Signature,
};
use crate::coefficient::Coefficient;

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "breadcrumbs",
        summary: "the share `density` of elements that are largest in each tensor of `v` after the share `gamma`",
        operands: &["v"],
        variadic: false,
        kinds: OperandKinds::Vectors,
        parameters: &[DENSITY, GAMMA],
    },
    build: |arguments| {
        let [outliers, rest] = masks(arguments);
        Ok(Operation::Streaming(Arc::new(Trim {
            after: Some(Arc::new(outliers)),
            ..rest
        })))
    },
};

/// The share of largest elements that is dropped.
pub(super) const GAMMA: Parameter = Parameter {
    name: "gamma",
    value: ParameterType::Real(Range::ProperShare),
    default: Some("0.01"),
};

/// What drops the outliers, and what keeps the largest of those that are left.
pub(super) fn masks(arguments: &Arguments) -> [Trim; 2] {
    of_shares(arguments.real("density"), arguments.real("gamma"))
}

fn of_shares(density: Coefficient, gamma: Coefficient) -> [Trim; 2] {
    [
        Trim {
            share: gamma,
            action: Action::Drop {
                remaining: density.clone(),
            },
            after: None,
        },
        Trim {
            share: density,
            action: Action::Keep { least: 0 },
            after: None,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::apply;

    /// What is left of a vector, as the two steps leave it.
    fn breadcrumbs(density: (i64, i64), gamma: (i64, i64), values: &[f32]) -> Vec<f32> {
        let [outliers, rest] = of_shares(
            Coefficient::ratio(density.0, density.1).unwrap(),
            Coefficient::ratio(gamma.0, gamma.1).unwrap(),
        );
        apply(&rest, &[&apply(&outliers, &[values])])
    }

    #[test]
    fn the_largest_go_and_the_next_stay() {
        let values = [5.0, -1.0, 4.0, 2.0, -3.0, 0.5, 0.25, 6.0, 0.0, 1.5];
        let found = breadcrumbs((3, 10), (2, 10), &values);
        assert_eq!(found, [0.0, 0.0, 4.0, 2.0, -3.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        // Never so many go that fewer than the density are left.
        let found = breadcrumbs((8, 10), (5, 10), &values);
        let left = found.iter().filter(|value| **value != 0.0).count();
        assert_eq!((left, found[7], found[0]), (7, 0.0, 0.0));
        // A density that is no element keeps none.
        assert_eq!(breadcrumbs((1, 20), (0, 1), &values), [0.0; 10]);
    }
}
