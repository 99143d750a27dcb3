//! Models, vectors and scalars, and what arithmetic makes of them.
//!
//! | left | operator | right | result |
//! |---|---|---|---|
//! | model | − | model | vector |
//! | model | ± | vector | model |
//! | vector | + | model | model |
//! | vector | ± | vector | vector |
//! | scalar | · | vector | vector |
//! | vector | · or ÷ | scalar | vector |
//! | scalar | any | scalar | scalar |

use std::fmt;

use super::error::Problem;
use super::syntax::Operator;

/// What an expression stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Weights that compute something: a point.
    Model,
    /// A difference of models: a direction.
    Vector,
    /// A number.
    Scalar,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Model => "model",
            Self::Vector => "vector",
            Self::Scalar => "scalar",
        })
    }
}

/// The kind of `left operator right`, or what is wrong with it.
pub(crate) fn binary_kind(operator: Operator, left: Kind, right: Kind) -> Result<Kind, Problem> {
    use Kind::{Model, Scalar, Vector};
    use Operator::{Add, Divide, Multiply, Subtract};
    match (operator, left, right) {
        (_, Scalar, Scalar) => Ok(Scalar),
        (Add | Subtract, Vector, Vector) | (Subtract, Model, Model) => Ok(Vector),
        (Add | Subtract, Model, Vector) | (Add, Vector, Model) => Ok(Model),
        (Multiply, Scalar, Vector) | (Multiply | Divide, Vector, Scalar) => Ok(Vector),
        (Add, Model, Model) => Err(Problem::ModelPlusModel),
        (Subtract, Vector, Model) => Err(Problem::VectorMinusModel),
        (Multiply, Scalar, Model) | (Multiply | Divide, Model, Scalar) => Err(Problem::ScaledModel),
        (Add | Subtract, ..) => Err(Problem::ScalarPlusWeights {
            operator: operator.symbol(),
            left,
            right,
        }),
        (Multiply, ..) => Err(Problem::ProductOfWeights { left, right }),
        (Divide, ..) => Err(Problem::DivisionByWeights { divisor: right }),
    }
}

/// The kind of `-operand`, or what is wrong with it.
pub(crate) fn negated_kind(operand: Kind) -> Result<Kind, Problem> {
    if operand == Kind::Model {
        Err(Problem::NegatedModel)
    } else {
        Ok(operand)
    }
}
