//! What a method takes.

use crate::coefficient::Coefficient;
use crate::expression::Kind;

/// Name, operands and parameters of a method.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    /// One sentence for the help.
    pub(crate) summary: &'static str,
    /// Names of the operands in the order in which they are passed; the last stands for any number when `variadic`.
    pub(crate) operands: &'static [&'static str],
    pub(crate) variadic: bool,
    pub(crate) kinds: OperandKinds,
    pub(crate) parameters: &'static [Parameter],
}

/// Kinds that the operands of a method may have, and what the result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OperandKinds {
    /// Vectors give a vector.
    Vectors,
    /// Models give a model.
    Models,
    /// Models give a model, vectors a vector; both together are refused.
    Alike,
}

impl OperandKinds {
    /// The kind of the result, or what was expected of the operand at an index.
    pub(crate) fn result(self, kinds: &[Kind]) -> Result<Kind, (usize, &'static str)> {
        let first = kinds.first().copied().unwrap_or(Kind::Vector);
        let (result, expected) = match (self, first) {
            (Self::Vectors, _) => (Kind::Vector, "a vector"),
            (Self::Models, _) => (Kind::Model, "models only"),
            (Self::Alike, Kind::Model) => (Kind::Model, "models only, as its first operand is one"),
            (Self::Alike, Kind::Vector) => {
                (Kind::Vector, "vectors only, as its first operand is one")
            }
            (Self::Alike, Kind::Scalar) => return Err((0, "models or vectors")),
        };
        match kinds.iter().position(|kind| *kind != result) {
            Some(index) => Err((index, expected)),
            None => Ok(result),
        }
    }
}

/// A parameter of a method.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) value: ParameterType,
    /// What it is when it is not given, as it would be written; `None` when it must be given.
    pub(crate) default: Option<&'static str>,
}

/// What the value of a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParameterType {
    /// A whole number from 0 to 2^64 − 1.
    Count,
    /// A number in a range, exact.
    Real(Range),
    /// A text in double quotes.
    Text,
    /// A number for each operand, or one for all.
    Weights,
}

/// A range of real numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// (0, 1]: a share that is kept.
    Share,
    /// [0, 1): a share that is dropped.
    ProperShare,
    /// [0, 1]: a place between two ends.
    Unit,
    /// [0, ∞).
    NotNegative,
}

impl Range {
    pub(crate) fn contains(self, number: &Coefficient) -> bool {
        let (zero, one) = (Coefficient::zero(), Coefficient::one());
        match self {
            Self::Share => *number > zero && *number <= one,
            Self::ProperShare => *number >= zero && *number < one,
            Self::Unit => *number >= zero && *number <= one,
            Self::NotNegative => *number >= zero,
        }
    }
}

impl ParameterType {
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Count => "a whole number, 0 or more",
            Self::Real(Range::Share) => "a number above 0 and at most 1",
            Self::Real(Range::ProperShare) => "a number from 0 to below 1",
            Self::Real(Range::Unit) => "a number from 0 to 1",
            Self::Real(Range::NotNegative) => "a number, 0 or more",
            Self::Text => "a text in double quotes",
            Self::Weights => "a number, or one for each operand in parentheses",
        }
    }
}

impl Signature {
    /// How a call looks: `random(v, seed=0)`.
    pub(crate) fn usage(&self) -> String {
        let mut parts: Vec<String> = self
            .operands
            .iter()
            .map(|&operand| operand.to_owned())
            .collect();
        if self.variadic {
            parts.push("…".to_owned());
        }
        parts.extend(self.parameters.iter().map(|parameter| {
            match (parameter.default, parameter.value) {
                (Some(default), ParameterType::Text) => {
                    format!("{}=\"{default}\"", parameter.name)
                }
                (Some(default), _) => format!("{}={default}", parameter.name),
                (None, ParameterType::Text) => format!("\"{}\"", parameter.name),
                // What follows any number of operands can only be given by name.
                (None, _) if self.variadic => format!("{}=", parameter.name),
                (None, _) => parameter.name.to_owned(),
            }
        }));
        format!("{}({})", self.name, parts.join(", "))
    }

    /// The number of operands in words.
    pub(crate) fn operand_count(&self) -> String {
        match (self.operands.len(), self.variadic) {
            (1, false) => "1 operand".to_owned(),
            (count, false) => format!("{count} operands"),
            (count, true) => format!("{count} or more operands"),
        }
    }
}
