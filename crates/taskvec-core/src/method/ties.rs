//! TIES: trim, elect signs, merge what agrees.
//!
//! Yadav et al., "TIES-Merging: resolving interference when merging models", arXiv 2306.01708, algorithm 1. Each vector
//! is trimmed as by `trim`, in every tensor; [`elect`](super::elect) does the rest and says how weights are meant.
//! Weights do not change which elements are trimmed, except that a weighted operand is rounded to singles first.
//!
//! `base + ties(a - base, b - base, density=0.2)` is mergekit's `ties` with equal weights.

use std::sync::Arc;

use super::elect::{COMBINE_MEAN, Combine, Elect, weights};
use super::linear::WEIGHTS;
use super::trim::{Action, DENSITY, Trim};
use super::{Method, OperandKinds, Operation, Signature, StreamingMethod};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "ties",
        summary: "vectors trimmed to their largest elements, then averaged where they have the elected sign",
        operands: &["v"],
        variadic: true,
        kinds: OperandKinds::Vectors,
        parameters: &[DENSITY, WEIGHTS, COMBINE_MEAN],
    },
    build: |arguments| {
        let share = arguments.real("density");
        let preparations = move |_| -> Vec<Arc<dyn StreamingMethod>> {
            vec![Arc::new(Trim {
                share: share.clone(),
                action: Action::Keep { least: 1 },
                after: None,
            })]
        };
        Ok(Operation::Streaming(Arc::new(Elect {
            weights: weights(arguments),
            preparations,
            combine: Combine::parse("ties", arguments)?,
        })))
    },
};
