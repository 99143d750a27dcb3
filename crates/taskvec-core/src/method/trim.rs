//! The largest elements of a vector.
//!
//! The first step of TIES: Yadav et al., "TIES-Merging: resolving interference when merging models", arXiv 2306.01708,
//! section 3.2: of each vector keep the share `density` of largest magnitude, set the rest to zero. The paper ranks the
//! parameters of the whole model; as in mergekit, ranks here are within each tensor.
//!
//! Exactly ⌊density·n⌋ elements are kept, but at least one, the product being exact: mergekit multiplies doubles, so
//! that 0.29 of 100 elements are 28 there and 29 here. Equal magnitudes are kept in the order of the tensor, which
//! mergekit leaves open. NaN counts as larger than every number, so that it is not hidden.

use std::sync::Arc;

use super::largest::{self, Largest, key};
use super::{
    Method, OperandBlock, OperandKinds, Operation, Parameter, ParameterType, Range, Signature,
    StreamingMethod, TensorContext,
};
use crate::coefficient::Coefficient;

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "trim",
        summary: "the share `density` of elements that are largest in each tensor of `v`, zero elsewhere",
        operands: &["v"],
        variadic: false,
        kinds: OperandKinds::Vectors,
        parameters: &[DENSITY],
    },
    build: |arguments| {
        Ok(Operation::Streaming(Arc::new(Trim {
            share: arguments.real("density"),
            action: Action::Keep { least: 1 },
            after: None,
        })))
    },
};

/// The share of elements that is kept.
pub(super) const DENSITY: Parameter = Parameter {
    name: "density",
    value: ParameterType::Real(Range::Share),
    default: None,
};

/// Keeps or drops the largest elements of each tensor.
pub(super) struct Trim {
    pub(super) share: Coefficient,
    pub(super) action: Action,
    /// What the vector goes through first.
    pub(super) after: Option<Arc<Trim>>,
}

/// What is done with the largest elements.
pub(super) enum Action {
    /// They stay, at least so many, and the others become zero.
    Keep { least: u64 },
    /// They become zero, but never so many that less than the share `remaining` is left.
    Drop { remaining: Coefficient },
}

impl Trim {
    fn largest<'a>(&self, tensor: TensorContext<'_>, known: &'a [Vec<f64>]) -> Largest<'a> {
        let elements = tensor.elements;
        let share = self.share.floor_of(elements);
        let count = match &self.action {
            Action::Keep { least } => share.max(*least),
            Action::Drop { remaining } => {
                share.min(elements.saturating_sub(remaining.floor_of(elements)))
            }
        };
        Largest {
            count,
            elements,
            known,
        }
    }
}

impl StreamingMethod for Trim {
    fn preparations(&self, _operand: usize) -> Vec<Arc<dyn StreamingMethod>> {
        (self.after.iter().cloned())
            .map(|trim| -> Arc<dyn StreamingMethod> { trim })
            .collect()
    }

    fn passes(&self) -> usize {
        largest::PASSES
    }

    fn observe(
        &self,
        pass: usize,
        tensor: TensorContext<'_>,
        known: &[Vec<f64>],
        block: OperandBlock<'_>,
    ) -> Vec<f64> {
        let keys = block.operands[0].iter().map(|value| key(*value));
        self.largest(tensor, known)
            .observe(pass, block.offset, keys)
    }

    fn merge(&self, pass: usize, total: &mut Vec<f64>, partial: &[f64]) {
        largest::merge(pass, total, partial);
    }

    fn emit(
        &self,
        tensor: TensorContext<'_>,
        known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        let selected = self.largest(tensor, known).selected();
        let keeps = matches!(self.action, Action::Keep { .. });
        selected.keep(block.offset, block.operands[0], keeps, output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::apply;

    fn trim(density: (i64, i64), values: &[f32]) -> Vec<f32> {
        let method = Trim {
            share: Coefficient::ratio(density.0, density.1).unwrap(),
            action: Action::Keep { least: 1 },
            after: None,
        };
        apply(&method, &[values])
    }

    #[test]
    fn the_largest_stay_and_at_least_one() {
        let values = [0.5, -3.0, 1.0, -0.25, 2.0];
        assert_eq!(trim((1, 2), &values), [0.0, -3.0, 0.0, 0.0, 2.0]);
        assert_eq!(trim((1, 100), &values), [0.0, -3.0, 0.0, 0.0, 0.0]);
        assert_eq!(trim((1, 1), &values), values);
        // Of equal ones the first, and what is not a number before all.
        let equal = [1.0, -1.0, f32::NAN, 1.0];
        let found = trim((1, 2), &equal);
        assert!(found[2].is_nan());
        assert_eq!([found[0], found[1], found[3]], [1.0, 0.0, 0.0]);
    }
}
