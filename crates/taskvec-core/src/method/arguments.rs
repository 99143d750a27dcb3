//! Arguments of a call, matched to the signature of its method.

use std::collections::BTreeMap;

use num_traits::ToPrimitive as _;

use super::signature::{Parameter, ParameterType, Signature};
use crate::coefficient::Coefficient;
use crate::expression::{Argument, Call, Node, Problem, Span};

/// A call, its arguments told apart.
pub(crate) struct BoundCall<'tree> {
    /// What the method works on.
    pub(crate) operands: Vec<&'tree Node>,
    /// Its parameters, with the node of each that was given.
    pub(crate) parameters: Vec<(&'static Parameter, Option<&'tree Node>)>,
}

/// Tells operands from parameters, positional ones by their place.
///
/// The first positional arguments are the operands; further ones fill the parameters in order, unless the method takes
/// any number of operands. Where it takes a fixed number, operands may be given by name as well.
pub(crate) fn bind<'tree>(
    signature: &'static Signature,
    call: &'tree Call,
) -> Result<BoundCall<'tree>, (Span, Problem)> {
    let function = || signature.name.to_owned();
    let (named, positional): (Vec<&Argument>, Vec<&Argument>) = call
        .arguments
        .iter()
        .partition(|argument| argument.key.is_some());
    let operand_count = if signature.variadic {
        positional.len()
    } else {
        signature.operands.len()
    };
    let mut operands: Vec<Option<&Node>> = positional
        .iter()
        .take(operand_count)
        .map(|argument| Some(&argument.value))
        .collect();
    operands.resize(operand_count.max(signature.operands.len()), None);
    let wrong_count = |found: usize| {
        let problem = Problem::OperandCount {
            function: function(),
            expected: signature.operand_count(),
            found,
            usage: signature.usage(),
        };
        (call.function_span, problem)
    };
    if positional.len().saturating_sub(operand_count) > signature.parameters.len() {
        return Err(wrong_count(positional.len()));
    }
    let mut given: BTreeMap<&str, &Node> = BTreeMap::new();
    let by_place = positional
        .iter()
        .skip(operand_count)
        .zip(signature.parameters);
    for (argument, parameter) in by_place {
        given.insert(parameter.name, &argument.value);
    }
    for argument in named {
        let key = argument.key.as_deref().unwrap_or_default();
        let parameter = key.to_owned();
        let span = argument.value.span;
        let place = signature.operands.iter().position(|name| *name == key);
        if let Some(place) = place.filter(|_| !signature.variadic) {
            if operands[place].replace(&argument.value).is_some() {
                let function = function();
                return Err((
                    span,
                    Problem::RepeatedParameter {
                        function,
                        parameter,
                    },
                ));
            }
            continue;
        }
        if signature
            .parameters
            .iter()
            .all(|parameter| parameter.name != key)
        {
            let usage = signature.usage();
            return Err((
                span,
                Problem::UnknownParameter {
                    function: function(),
                    parameter,
                    usage,
                },
            ));
        }
        if given.insert(key, &argument.value).is_some() {
            return Err((
                span,
                Problem::RepeatedParameter {
                    function: function(),
                    parameter,
                },
            ));
        }
    }
    let found = operands.iter().flatten().count();
    if found < operands.len() {
        return Err(wrong_count(found));
    }
    let mut parameters = Vec::with_capacity(signature.parameters.len());
    for parameter in signature.parameters {
        let node = given.get(parameter.name).copied();
        if node.is_none() && parameter.default.is_none() {
            let problem = Problem::MissingParameter {
                function: function(),
                parameter: parameter.name.to_owned(),
                usage: signature.usage(),
            };
            return Err((call.function_span, problem));
        }
        parameters.push((parameter, node));
    }
    Ok(BoundCall {
        operands: operands.into_iter().flatten().collect(),
        parameters,
    })
}

/// Values of the parameters of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Arguments(BTreeMap<&'static str, Value>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Count(u64),
    Real(Coefficient),
    Text(String),
    Weights(Vec<Coefficient>),
}

impl Arguments {
    /// Takes the default of a parameter in a call with so many operands. Returns whether there is one that fits.
    pub(crate) fn set_default(&mut self, parameter: &'static Parameter, operands: usize) -> bool {
        let Some(default) = parameter.default else {
            return false;
        };
        match (parameter.value, default.parse::<Coefficient>()) {
            (ParameterType::Text, _) => self.set_text(parameter, default),
            (ParameterType::Weights, Ok(number)) => {
                self.set_weights(parameter, vec![number; operands])
            }
            (ParameterType::Count | ParameterType::Real(_), Ok(number)) => {
                self.set_number(parameter, &number)
            }
            (_, Err(_)) => false,
        }
    }

    /// Takes the text of a parameter. Returns whether it fits.
    pub(crate) fn set_text(&mut self, parameter: &'static Parameter, text: &str) -> bool {
        self.0.insert(parameter.name, Value::Text(text.to_owned()));
        parameter.value == ParameterType::Text
    }

    /// Takes one number for each operand. Returns whether it fits.
    pub(crate) fn set_weights(
        &mut self,
        parameter: &'static Parameter,
        weights: Vec<Coefficient>,
    ) -> bool {
        self.0.insert(parameter.name, Value::Weights(weights));
        parameter.value == ParameterType::Weights
    }

    /// Takes the number of a parameter. Returns whether it fits.
    pub(crate) fn set_number(
        &mut self,
        parameter: &'static Parameter,
        number: &Coefficient,
    ) -> bool {
        let is_whole = *number == Coefficient::whole(number.numerator());
        let value = match parameter.value {
            ParameterType::Count if is_whole => number.numerator().to_u64().map(Value::Count),
            ParameterType::Real(range) if range.contains(number) => {
                Some(Value::Real(number.clone()))
            }
            _ => None,
        };
        value
            .map(|value| self.0.insert(parameter.name, value))
            .is_some()
    }

    /// The value of a parameter of type [`ParameterType::Count`].
    pub(crate) fn count(&self, name: &str) -> u64 {
        match self.0.get(name) {
            Some(Value::Count(count)) => *count,
            _ => 0,
        }
    }

    /// The value of a parameter of type [`ParameterType::Real`].
    pub(crate) fn real(&self, name: &str) -> Coefficient {
        match self.0.get(name) {
            Some(Value::Real(number)) => number.clone(),
            _ => Coefficient::zero(),
        }
    }

    /// The value of a parameter of type [`ParameterType::Text`].
    pub(crate) fn text(&self, name: &str) -> &str {
        match self.0.get(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// The value of a parameter of type [`ParameterType::Weights`].
    pub(crate) fn weights(&self, name: &str) -> &[Coefficient] {
        match self.0.get(name) {
            Some(Value::Weights(weights)) => weights,
            _ => &[],
        }
    }
}
