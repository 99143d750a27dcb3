//! A sum with weights.
//!
//! mergekit's `linear` without normalisation. What it does for models no sum can say: an expression moves a model by
//! vectors, so that the weights of models in it always add up to one; here they need not.

use std::sync::Arc;

use super::signature::{Parameter, ParameterType};
use super::{LinearMethod, Method, OperandKinds, Operation, Signature};
use crate::coefficient::Coefficient;

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "linear",
        summary: "the sum of models, a model, or of vectors, a vector, each times its weight",
        operands: &["a"],
        variadic: true,
        kinds: OperandKinds::Alike,
        parameters: &[Parameter {
            default: None,
            ..WEIGHTS
        }],
    },
    build: |arguments| {
        let weights = arguments.weights("weights").to_vec();
        Ok(Operation::Linear(Arc::new(Linear { weights })))
    },
};

/// A weight for each operand.
pub(super) const WEIGHTS: Parameter = Parameter {
    name: "weights",
    value: ParameterType::Weights,
    default: Some("1"),
};

struct Linear {
    weights: Vec<Coefficient>,
}

impl LinearMethod for Linear {
    fn weights(&self, _name: &str, _operands: usize) -> Vec<Coefficient> {
        self.weights.clone()
    }
}
