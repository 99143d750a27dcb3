//! The average of models or of vectors.
//!
//! Of models it is the "model soup" of Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models
//! improves accuracy without increasing inference time", arXiv 2203.05482, equation 1 with uniform weights.

use std::sync::Arc;

use super::{LinearMethod, Method, OperandKinds, Operation, Signature};
use crate::coefficient::Coefficient;

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "mean",
        summary: "the average of models, a model, or of vectors, a vector",
        operands: &["a"],
        variadic: true,
        kinds: OperandKinds::Alike,
        parameters: &[],
    },
    build: |_| Ok(Operation::Linear(Arc::new(Mean))),
};

struct Mean;

impl LinearMethod for Mean {
    fn weights(&self, _name: &str, operands: usize) -> Vec<Coefficient> {
        let count = i64::try_from(operands).unwrap_or(i64::MAX);
        vec![Coefficient::ratio(1, count).unwrap_or_else(Coefficient::zero); operands]
    }
}
