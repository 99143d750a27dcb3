//! The functions of the expression language, one file for each.
//!
//! A method is a `Signature` and a constructor. What it constructs is one of two things:
//!
//! - a `LinearMethod` says with which weights its operands are summed in a given tensor. It costs nothing: the plan
//!   folds it into the linear combination around it, which stays correctly rounded.
//! - a `StreamingMethod` is anything else. It sees its operands as slices of singles, makes as many passes over a
//!   tensor as it needs to gather sums, and then computes one output per element. Operands that are expressions are
//!   rounded once to singles before it sees them; its output is exact again for the combination around it. It may have
//!   each operand go through other methods first, which is how a method of many vectors reuses one of a single vector.
//!   Slices end anywhere, unless it says that it needs whole rows, or in a pass the whole tensor.
//!
//! To add a method: write its file, and name it in `METHODS`.

mod arcee_fusion;
mod arguments;
mod breadcrumbs;
mod breadcrumbs_ties;
mod dare;
mod dare_ties;
mod della;
mod elect;
mod except;
mod gaussian;
mod karcher;
mod largest;
mod layers;
mod linear;
mod lowrank;
mod magprune;
mod match_norm;
mod mean;
mod model_stock;
mod multislerp;
mod nearswap;
mod nuslerp;
mod only;
mod orthogonal;
mod pattern;
mod philox;
mod ram;
mod ramplus_tl;
mod random;
mod ranking;
mod sce;
mod sign;
mod signature;
mod slerp;
mod span;
mod span_lines;
mod ties;
mod trim;

use std::fmt;
use std::sync::Arc;

pub(crate) use arguments::{Arguments, bind};
pub(crate) use gaussian::Gaussian;
pub(crate) use layers::{LAYERS, MOST_LAYERS, STACK, selected_layers};
pub(crate) use pattern::TensorPattern;
pub(crate) use signature::{OperandKinds, Parameter, ParameterType, Range, Signature};

use crate::coefficient::Coefficient;
use crate::expression::Problem;

/// Every function that computes something, by name.
pub(crate) const METHODS: [&Method; 27] = [
    &arcee_fusion::METHOD,
    &breadcrumbs::METHOD,
    &breadcrumbs_ties::METHOD,
    &dare::METHOD,
    &dare_ties::METHOD,
    &della::METHOD,
    &except::METHOD,
    &karcher::METHOD,
    &linear::METHOD,
    &lowrank::METHOD,
    &magprune::METHOD,
    &match_norm::METHOD,
    &mean::METHOD,
    &model_stock::METHOD,
    &multislerp::METHOD,
    &nearswap::METHOD,
    &nuslerp::METHOD,
    &only::METHOD,
    &orthogonal::METHOD,
    &ram::METHOD,
    &ramplus_tl::METHOD,
    &random::METHOD,
    &sce::METHOD,
    &sign::METHOD,
    &slerp::METHOD,
    &ties::METHOD,
    &trim::METHOD,
];

/// A function of the expression language.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) signature: Signature,
    /// Makes the operation out of arguments that fit the signature.
    pub(crate) build: fn(&Arguments) -> Result<Operation, Problem>,
}

/// The method of that name.
pub(crate) fn find(name: &str) -> Option<&'static Method> {
    METHODS
        .into_iter()
        .find(|method| method.signature.name == name)
}

/// How a function is called and what it does, for help texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionHelp {
    /// The call with all parameters and their defaults, such as `random(v, seed=0)`.
    pub usage: String,
    /// One sentence.
    pub summary: &'static str,
}

/// Every function of the expression language, sorted by name.
pub fn functions() -> Vec<FunctionHelp> {
    signatures()
        .into_iter()
        .map(|signature| FunctionHelp {
            usage: signature.usage(),
            summary: signature.summary,
        })
        .collect()
}

/// Signatures of all functions, sorted by name: of the methods, and of what gives layers other places.
pub(crate) fn signatures() -> Vec<&'static Signature> {
    let mut signatures: Vec<&'static Signature> =
        METHODS.iter().map(|method| &method.signature).collect();
    signatures.extend([&LAYERS, &STACK]);
    signatures.sort_by_key(|signature| signature.name);
    signatures
}

/// What a call does.
#[derive(Clone)]
pub(crate) enum Operation {
    Linear(Arc<dyn LinearMethod>),
    Streaming(Arc<dyn StreamingMethod>),
}

impl fmt::Debug for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Linear(_) => "Linear",
            Self::Streaming(_) => "Streaming",
        })
    }
}

/// A method whose result is, tensor by tensor, a linear combination of its operands.
pub(crate) trait LinearMethod: Send + Sync {
    /// The weight of each operand in tensor `name`. A weight of zero leaves the operand unread.
    fn weights(&self, name: &str, operands: usize) -> Vec<Coefficient>;

    /// Checks the arguments against the tensors there are, before anything is computed.
    fn check(&self, _names: &mut dyn Iterator<Item = &str>) -> Result<(), Problem> {
        Ok(())
    }
}

/// A tensor as a method sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TensorContext<'a> {
    pub(crate) name: &'a str,
    /// Its dimensions, outermost first.
    pub(crate) shape: &'a [usize],
    /// Elements of the whole tensor.
    pub(crate) elements: u64,
}

impl<'a> TensorContext<'a> {
    pub(crate) fn of(name: &'a str, shape: &'a [usize]) -> Self {
        Self {
            name,
            shape,
            elements: shape.iter().map(|&length| length as u64).product(),
        }
    }
    /// Elements of a row: what differs in the last index alone. A tensor of one dimension is one row.
    pub(crate) fn row(&self) -> u64 {
        self.shape.last().map_or(1, |&last| last as u64).max(1)
    }
}

/// What a method must have at hand at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    /// Any elements.
    Elements,
    /// Whole rows.
    Rows,
    /// The whole tensor.
    Tensor,
}

/// Part of a tensor: the same elements of every operand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OperandBlock<'a> {
    /// Index of the first element in the tensor, flattened.
    pub(crate) offset: u64,
    /// One slice for each operand, all of the same length.
    pub(crate) operands: &'a [&'a [f32]],
}

/// A method that is computed.
///
/// It makes zero of operands that are all zero, and is not called where an expression leaves nothing of any of them.
///
/// Blocks are observed by several threads in any order, always with the same borders; what they return is merged in
/// the order of the tensor. So results do not depend on the number of threads, whatever the method sums.
pub(crate) trait StreamingMethod: Send + Sync {
    /// Methods of one operand that operand number `operand` goes through, in this order, before this one sees it.
    fn preparations(&self, _operand: usize) -> Vec<Arc<dyn StreamingMethod>> {
        Vec::new()
    }

    /// Whether its result is its first operand in this tensor: then nothing is computed.
    fn is_identity(&self, _tensor: TensorContext<'_>) -> bool {
        false
    }

    /// What a user should know of this tensor, as a sentence that its name may follow.
    fn note(&self, _tensor: TensorContext<'_>) -> Option<&'static str> {
        None
    }

    /// Refuses a tensor that the method has no meaning for, before anything is computed.
    fn check(&self, _tensor: TensorContext<'_>) -> Result<(), Problem> {
        Ok(())
    }

    /// Passes over the operands before the first output.
    fn passes(&self) -> usize {
        0
    }

    /// What a block of pass `pass` holds at least; of [`Extent::Rows`] it holds whole ones only.
    fn observes(&self, _pass: usize) -> Extent {
        Extent::Elements
    }

    /// What a block of output holds at least, [`Extent::Rows`] at most.
    fn emits(&self) -> Extent {
        Extent::Elements
    }

    /// What pass `pass` needs to know of one block. `known` holds the outcome of each earlier pass.
    fn observe(
        &self,
        _pass: usize,
        _tensor: TensorContext<'_>,
        _known: &[Vec<f64>],
        _block: OperandBlock<'_>,
    ) -> Vec<f64> {
        Vec::new()
    }

    /// Merges what blocks returned; element by element unless the method has another meaning in mind.
    fn merge(&self, _pass: usize, total: &mut Vec<f64>, partial: &[f64]) {
        total
            .iter_mut()
            .zip(partial)
            .for_each(|(total, partial)| *total += partial);
    }

    /// Computes the output elements of a block of any borders that [`emits`](Self::emits) allows.
    fn emit(
        &self,
        tensor: TensorContext<'_>,
        known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    );
}

/// Applies a method to tensors that are one block each, for tests of its algebra.
#[cfg(test)]
fn apply(method: &dyn StreamingMethod, operands: &[&[f32]]) -> Vec<f32> {
    apply_to(method, &[operands[0].len()], operands)
}

/// As [`apply`], to tensors of a shape.
#[cfg(test)]
fn apply_to(method: &dyn StreamingMethod, shape: &[usize], operands: &[&[f32]]) -> Vec<f32> {
    let mut output = vec![f32::NAN; operands[0].len()];
    let tensor = TensorContext {
        name: "w",
        shape,
        elements: output.len() as u64,
    };
    let block = OperandBlock {
        offset: 0,
        operands,
    };
    let mut known = Vec::new();
    for pass in 0..method.passes() {
        known.push(method.observe(pass, tensor, &known, block));
    }
    method.emit(tensor, &known, block, &mut output);
    output
}
