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
    let density: Coefficient = arguments.real("density");
    [
        Trim {
            share: arguments.real("gamma"),
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
