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
    Arguments, Method, OperandBlock, OperandKinds, Operation, Parameter, ParameterType, Range,
    Signature, StreamingMethod, TensorContext,
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
        Ok(Operation::Streaming(Arc::new(Breadcrumbs {
            outliers: Arc::new(outliers),
            rest,
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
        },
        Trim {
            share: density,
            action: Action::Keep { least: 0 },
        },
    ]
}

struct Breadcrumbs {
    outliers: Arc<Trim>,
    rest: Trim,
}

impl StreamingMethod for Breadcrumbs {
    fn preparations(&self, _operand: usize) -> Vec<Arc<dyn StreamingMethod>> {
        vec![Arc::<Trim>::clone(&self.outliers)]
    }

    fn passes(&self) -> usize {
        self.rest.passes()
    }

    fn observe(
        &self,
        pass: usize,
        tensor: TensorContext<'_>,
        known: &[Vec<f64>],
        block: OperandBlock<'_>,
    ) -> Vec<f64> {
        self.rest.observe(pass, tensor, known, block)
    }

    fn merge(&self, pass: usize, total: &mut Vec<f64>, partial: &[f64]) {
        self.rest.merge(pass, total, partial);
    }

    fn emit(
        &self,
        tensor: TensorContext<'_>,
        known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        self.rest.emit(tensor, known, block, output);
    }
}
