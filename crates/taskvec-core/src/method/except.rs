//! A vector without some tensors.

use std::sync::Arc;

use super::only::Selection;
use super::pattern::TensorPattern;
use super::signature::{Parameter, ParameterType};
use super::{Method, OperandKinds, Operation, Signature};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "except",
        summary: "the vector, zero in the tensors that match a pattern such as \"embed_tokens, lm_head\"",
        operands: &["v"],
        variadic: false,
        kinds: OperandKinds::Vectors,
        parameters: &[Parameter {
            name: "tensors",
            value: ParameterType::Text,
            default: None,
        }],
    },
    build: |arguments| {
        let pattern = TensorPattern::parse(arguments.text("tensors"))?;
        Ok(Operation::Linear(Arc::new(Selection {
            pattern,
            keeps_matches: false,
        })))
    },
};
