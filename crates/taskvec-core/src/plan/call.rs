//! Calls whose arguments are known, for all tensors alike or for each by itself.

use std::sync::Arc;

use super::formula::Source;
use super::formula::Terms;
use super::scalar::{Scalar, TensorPlace};
use crate::checkpoint::LayerMap;
use crate::coefficient::Coefficient;
use crate::expression::{Problem, Span};
use crate::method::{Arguments, LinearMethod, Method, Operation, Parameter, ParameterType};

/// A call, typed.
#[derive(Debug, Clone)]
pub(super) struct PlannedCall {
    pub(super) work: Work,
    pub(super) operands: Vec<Terms<Source>>,
    /// The call printed: equal texts are equal calls.
    pub(super) text: Arc<str>,
    /// Where its layers stand, if not in their own places: the call sees the names and the depth of the inside.
    pub(super) place: Option<Arc<LayerMap>>,
    pub(super) span: Span,
}

/// What a call does.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// The same in every tensor.
    Fixed(Operation),
    /// A method whose parameters are numbers of the tensor.
    Varying {
        method: &'static Method,
        parameters: Vec<GivenParameter>,
    },
    /// One operand, times a number of the tensor.
    Scaled(Scalar),
}

/// A parameter of a call.
#[derive(Debug, Clone)]
pub(super) struct GivenParameter {
    pub(super) parameter: &'static Parameter,
    pub(super) value: ParameterValue,
    /// Where it stands, or the call when it is not given.
    pub(super) span: Span,
}

/// The value of a parameter.
#[derive(Debug, Clone)]
pub(super) enum ParameterValue {
    Default,
    Text(String),
    Number(Scalar),
    /// One for each operand.
    Weights(Vec<Scalar>),
}

impl ParameterValue {
    fn scalars(&self) -> &[Scalar] {
        match self {
            Self::Default | Self::Text(_) => &[],
            Self::Number(scalar) => std::slice::from_ref(scalar),
            Self::Weights(scalars) => scalars,
        }
    }

    fn describe(&self, numbers: &[Coefficient]) -> String {
        match (self, numbers) {
            (Self::Text(text), _) => format!("`\"{text}\"`"),
            (_, [number]) => format!("`{number}`"),
            _ => "nothing".to_owned(),
        }
    }
}

impl Work {
    /// What `method` does with these parameters.
    pub(super) fn of(
        method: &'static Method,
        parameters: Vec<GivenParameter>,
        operands: usize,
        call: Span,
    ) -> Result<Self, (Span, Problem)> {
        let varies = parameters
            .iter()
            .flat_map(|given| given.value.scalars())
            .any(|scalar| scalar.constant().is_none());
        if varies {
            return Ok(Self::Varying { method, parameters });
        }
        build(method, &parameters, operands, None, call).map(Self::Fixed)
    }
}

impl PlannedCall {
    /// The tensor as the call sees it, if it stands in a place of its own: its name there, and the layers there. None where
    /// the tensor is another's.
    pub(super) fn seen(&self, tensor: TensorPlace<'_>) -> Option<(String, u32)> {
        match &self.place {
            None => Some((tensor.name.to_owned(), tensor.layers)),
            Some(place) => Some((place.own_name(tensor.name)?, place.depth)),
        }
    }

    /// What the call does in a tensor.
    pub(super) fn operation(&self, tensor: TensorPlace<'_>) -> Result<Operation, (Span, Problem)> {
        match &self.work {
            Work::Fixed(operation) => Ok(operation.clone()),
            Work::Varying { method, parameters } => build(
                method,
                parameters,
                self.operands.len(),
                Some(tensor),
                self.span,
            ),
            Work::Scaled(scalar) => {
                let factor = scalar.at(tensor).map_err(|problem| (self.span, problem))?;
                Ok(Operation::Linear(Arc::new(Factor(factor))))
            }
        }
    }

    /// Checks the call's patterns against the tensors there are.
    pub(super) fn check<'a>(
        &self,
        names: &(impl Iterator<Item = &'a str> + Clone),
    ) -> Result<(), (Span, Problem)> {
        let at_call = |problem| (self.span, problem);
        match &self.work {
            Work::Fixed(Operation::Linear(method)) => {
                method.check(&mut names.clone()).map_err(at_call)
            }
            Work::Fixed(Operation::Streaming(_)) => Ok(()),
            Work::Varying { parameters, .. } => parameters.iter().try_for_each(|given| {
                let mut scalars = given.value.scalars().iter();
                scalars
                    .try_for_each(|scalar| scalar.check(names))
                    .map_err(|problem| (given.span, problem))
            }),
            Work::Scaled(scalar) => scalar.check(names).map_err(at_call),
        }
    }
}

/// Builds the operation of one tensor, or of all when no parameter needs to know which.
fn build(
    method: &'static Method,
    parameters: &[GivenParameter],
    operands: usize,
    tensor: Option<TensorPlace<'_>>,
    call: Span,
) -> Result<Operation, (Span, Problem)> {
    let mut arguments = Arguments::default();
    for given in parameters {
        let parameter = given.parameter;
        let mut numbers = Vec::new();
        for scalar in given.value.scalars() {
            numbers.push(match (scalar.constant(), tensor) {
                (Some(number), _) => number.clone(),
                (None, Some(tensor)) => {
                    scalar.at(tensor).map_err(|problem| (given.span, problem))?
                }
                (None, None) => Coefficient::zero(),
            });
        }
        let fits = match &given.value {
            ParameterValue::Default => arguments.set_default(parameter, operands),
            ParameterValue::Text(text) => arguments.set_text(parameter, text),
            ParameterValue::Number(_) if parameter.value == ParameterType::Weights => {
                let weights = numbers.iter().cycle().take(operands).cloned().collect();
                arguments.set_weights(parameter, weights)
            }
            ParameterValue::Number(_) => numbers
                .first()
                .is_some_and(|number| arguments.set_number(parameter, number)),
            ParameterValue::Weights(_) => arguments.set_weights(parameter, numbers.clone()),
        };
        if fits {
            continue;
        }
        let (function, parameter_name) = (method.signature.name, parameter.name);
        let expected = parameter.value.describe();
        let found = given.value.describe(&numbers);
        let mut scalars = given.value.scalars().iter();
        let varies = scalars.any(|scalar| scalar.constant().is_none());
        let problem = match tensor.filter(|_| varies) {
            Some(tensor) => Problem::ParameterValueIn {
                function,
                parameter: parameter_name,
                expected,
                found,
                tensor: tensor.name.to_owned(),
            },
            None => Problem::ParameterValue {
                function: function.to_owned(),
                parameter: parameter_name.to_owned(),
                expected: expected.to_owned(),
                found,
            },
        };
        return Err((given.span, problem));
    }
    (method.build)(&arguments).map_err(|problem| (call, problem))
}

/// A factor of the one operand.
struct Factor(Coefficient);

impl LinearMethod for Factor {
    fn weights(&self, _name: &str, operands: usize) -> Vec<Coefficient> {
        vec![self.0.clone(); operands]
    }
}
