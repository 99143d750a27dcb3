//! A vector restricted to some tensors.

use std::sync::Arc;

use super::pattern::TensorPattern;
use super::signature::{Parameter, ParameterType};
use super::{LinearMethod, Method, OperandKinds, Operation, Signature};
use crate::coefficient::Coefficient;
use crate::expression::Problem;

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "only",
        summary: "the vector in the tensors that match a pattern such as \"layers.8-20.mlp\", zero elsewhere",
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
            keeps_matches: true,
        })))
    },
};

/// Keeps or drops the tensors that a pattern matches.
pub(super) struct Selection {
    pub(super) pattern: TensorPattern,
    pub(super) keeps_matches: bool,
}

impl LinearMethod for Selection {
    fn weights(&self, name: &str, operands: usize) -> Vec<Coefficient> {
        let kept = self.pattern.matches(name) == self.keeps_matches;
        vec![
            if kept {
                Coefficient::one()
            } else {
                Coefficient::zero()
            };
            operands
        ]
    }

    fn check(&self, names: &mut dyn Iterator<Item = &str>) -> Result<(), Problem> {
        self.pattern.require_match(names)
    }
}
