//! Expressions to typed sums over opened checkpoints.

use std::collections::BTreeMap;

use super::formula::{Lowering, PlannedCall, Source, TensorFormula, Terms};
use super::input::{Bindings, Input, Inputs};
use crate::checkpoint::{CheckpointKind, Library};
use crate::coefficient::Coefficient;
use crate::error::Result;
use crate::expression::{
    Call, Expression, Kind, Node, Operator, Problem, Syntax, binary_kind, negated_kind,
};
use crate::method::{self, Arguments, METHODS, Operation, ParameterType};
use crate::spelling::near_names;

/// An expression with its types and checkpoints known.
#[derive(Debug)]
pub(super) struct Elaboration {
    pub(super) kind: Kind,
    pub(super) inputs: Vec<Input>,
    /// Of a model its template; of a vector the model it was told apart from.
    pub(super) anchor: Option<usize>,
    terms: Terms<Source>,
    calls: Vec<PlannedCall>,
}

/// What a piece of syntax stands for.
enum Meaning {
    Scalar(Coefficient),
    Weights(Weights),
}

struct Weights {
    kind: Kind,
    terms: Terms<Source>,
    anchor: Option<usize>,
}

impl Meaning {
    fn kind(&self) -> Kind {
        match self {
            Self::Scalar(_) => Kind::Scalar,
            Self::Weights(weights) => weights.kind,
        }
    }
}

impl Elaboration {
    /// Opens and types.
    pub(super) fn of(
        expression: &Expression,
        bindings: &Bindings,
        library: &Library,
    ) -> Result<Self> {
        let mut elaborator = Elaborator {
            expression,
            inputs: Inputs::new(bindings, library),
            calls: Vec::new(),
        };
        match elaborator.meaning(expression.root())? {
            Meaning::Scalar(_) => {
                let problem = Problem::NotWeights {
                    found: Kind::Scalar,
                };
                Err(expression.error(expression.root().span, problem).into())
            }
            Meaning::Weights(weights) => Ok(Self {
                kind: weights.kind,
                anchor: weights.anchor,
                terms: weights.terms,
                calls: elaborator.calls,
                inputs: elaborator.inputs.into_opened(),
            }),
        }
    }

    pub(super) fn template(&self) -> Option<usize> {
        self.anchor.filter(|_| self.kind == Kind::Model)
    }

    /// The input whose shards and order an output mirrors, and that others are compared with: of a vector the first that
    /// is whole, where one is.
    pub(super) fn layout(&self) -> usize {
        self.template().unwrap_or_else(|| {
            let whole = |input: &Input| !input.checkpoint.covers_part();
            self.inputs.iter().position(whole).unwrap_or(0)
        })
    }

    /// The formula of one tensor.
    pub(super) fn lower(&self, name: &str) -> TensorFormula {
        let has_tensor = |input: usize| self.inputs[input].checkpoint.tensors().contains_key(name);
        let mut lowering = Lowering {
            name,
            calls: &self.calls,
            has_tensor: &has_tensor,
            steps: Vec::new(),
            placed: BTreeMap::new(),
        };
        let terms = lowering.lower(&self.terms);
        TensorFormula {
            steps: lowering.steps,
            terms,
        }
    }

    /// Checks the calls' arguments against the tensors there are.
    pub(super) fn check_calls<'a>(
        &self,
        expression: &Expression,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<()> {
        for call in &self.calls {
            if let Operation::Linear(method) = &call.operation {
                method
                    .check(&mut names.clone())
                    .map_err(|problem| expression.error(call.span, problem))?;
            }
        }
        Ok(())
    }
}

struct Elaborator<'a> {
    expression: &'a Expression,
    inputs: Inputs<'a>,
    calls: Vec<PlannedCall>,
}

impl Elaborator<'_> {
    fn meaning(&mut self, node: &Node) -> Result<Meaning> {
        let refuse = |problem| self.expression.error(node.span, problem);
        match &node.syntax {
            Syntax::Scalar(value) => Ok(Meaning::Scalar(value.clone())),
            Syntax::Atom(atom) => {
                let input = self.inputs.open(self.expression, atom, node.span)?;
                let (kind, anchor) = match self.inputs.checkpoint(input).kind() {
                    CheckpointKind::Model => (Kind::Model, Some(input)),
                    CheckpointKind::Vector => (Kind::Vector, None),
                };
                Ok(Meaning::Weights(Weights {
                    kind,
                    terms: Terms::one(Source::Checkpoint(input)),
                    anchor,
                }))
            }
            Syntax::Negate(operand) => {
                let operand = self.meaning(operand)?;
                negated_kind(operand.kind()).map_err(refuse)?;
                Ok(match operand {
                    Meaning::Scalar(value) => Meaning::Scalar(-value),
                    Meaning::Weights(weights) => scaled(weights, &-Coefficient::one()),
                })
            }
            Syntax::Binary {
                operator,
                left,
                right,
            } => {
                let (left, right) = (self.meaning(left)?, self.meaning(right)?);
                let refuse = |problem| self.expression.error(node.span, problem);
                let kind = binary_kind(*operator, left.kind(), right.kind()).map_err(refuse)?;
                Ok(combine(*operator, kind, left, right).map_err(refuse)?)
            }
            Syntax::Call(call) => self.call(node, call),
        }
    }

    fn call(&mut self, node: &Node, call: &Call) -> Result<Meaning> {
        let expression = self.expression;
        let Some(method) = method::find(&call.function) else {
            let known: Vec<&'static str> =
                METHODS.iter().map(|method| method.signature.name).collect();
            let problem = Problem::UnknownFunction {
                function: call.function.clone(),
                near: near_names(&call.function, known.iter().copied()),
                known,
            };
            return Err(expression.error(call.function_span, problem).into());
        };
        let signature = &method.signature;
        let bound = method::bind(signature, call)
            .map_err(|(span, problem)| expression.error(span, problem))?;

        let mut operands = Vec::with_capacity(bound.operands.len());
        let mut kinds = Vec::with_capacity(bound.operands.len());
        let mut anchor = None;
        for operand in &bound.operands {
            let meaning = self.meaning(operand)?;
            kinds.push(meaning.kind());
            if let Meaning::Weights(weights) = meaning {
                anchor = anchor.or(weights.anchor);
                operands.push(weights.terms);
            }
        }
        let kind = signature
            .kinds
            .result(&kinds)
            .map_err(|(index, expected)| {
                let function = call.function.clone();
                let problem = Problem::OperandKind {
                    function,
                    expected,
                    found: kinds[index],
                };
                expression.error(bound.operands[index].span, problem)
            })?;

        let mut arguments = Arguments::default();
        for (parameter, given) in bound.parameters {
            let fits = match (parameter.value, given) {
                (ParameterType::Text, given) => arguments.set_text(parameter, given),
                (ParameterType::Count | ParameterType::Real(_), None) => {
                    arguments.set_number(parameter, None)
                }
                (ParameterType::Count | ParameterType::Real(_), Some(given)) => {
                    match self.constant(given) {
                        Some(number) => arguments.set_number(parameter, Some(&number)),
                        None => false,
                    }
                }
            };
            if !fits {
                let problem = Problem::ParameterValue {
                    function: call.function.clone(),
                    parameter: parameter.name.to_owned(),
                    expected: parameter.value.describe().to_owned(),
                    found: given.map_or_else(|| "nothing".to_owned(), |given| format!("`{given}`")),
                };
                return Err(expression
                    .error(given.map_or(node.span, |given| given.span), problem)
                    .into());
            }
        }
        let operation =
            (method.build)(&arguments).map_err(|problem| expression.error(node.span, problem))?;

        let text = node.to_string();
        // A method is a function of its text, so the same text is the same vector, and may cancel.
        let index = self
            .calls
            .iter()
            .position(|known| known.text == text)
            .unwrap_or_else(|| {
                self.calls.push(PlannedCall {
                    operation,
                    operands,
                    text,
                    span: node.span,
                });
                self.calls.len() - 1
            });
        Ok(Meaning::Weights(Weights {
            kind,
            terms: Terms::one(Source::Call(index)),
            anchor,
        }))
    }

    /// The value of a constant expression; none when it has anything but numbers in it.
    fn constant(&self, node: &Node) -> Option<Coefficient> {
        match &node.syntax {
            Syntax::Scalar(value) => Some(value.clone()),
            Syntax::Negate(operand) => self.constant(operand).map(|value| -value),
            Syntax::Binary {
                operator,
                left,
                right,
            } => scalar(*operator, &self.constant(left)?, &self.constant(right)?).ok(),
            Syntax::Atom(_) | Syntax::Call(_) => None,
        }
    }
}

fn scaled(weights: Weights, factor: &Coefficient) -> Meaning {
    Meaning::Weights(Weights {
        terms: weights.terms.scaled(factor),
        ..weights
    })
}

fn scalar(
    operator: Operator,
    left: &Coefficient,
    right: &Coefficient,
) -> Result<Coefficient, Problem> {
    match operator {
        Operator::Add => Ok(left + right),
        Operator::Subtract => Ok(left - right),
        Operator::Multiply => Ok(left * right),
        Operator::Divide => left.checked_div(right).ok_or(Problem::DivisionByZero),
    }
}

/// The meaning of an operation whose kinds were found to fit.
fn combine(
    operator: Operator,
    kind: Kind,
    left: Meaning,
    right: Meaning,
) -> Result<Meaning, Problem> {
    match (left, right) {
        (Meaning::Scalar(left), Meaning::Scalar(right)) => {
            scalar(operator, &left, &right).map(Meaning::Scalar)
        }
        (Meaning::Scalar(factor), Meaning::Weights(weights)) => Ok(scaled(weights, &factor)),
        (Meaning::Weights(weights), Meaning::Scalar(factor)) => {
            let one = Coefficient::one();
            let factor = if operator == Operator::Divide {
                scalar(operator, &one, &factor)?
            } else {
                factor
            };
            Ok(scaled(weights, &factor))
        }
        (Meaning::Weights(mut left), Meaning::Weights(right)) => {
            let sign = if operator == Operator::Subtract {
                -Coefficient::one()
            } else {
                Coefficient::one()
            };
            left.terms.add_all(&right.terms, &sign);
            let anchor = match (left.kind, right.kind) {
                // A difference of models is told apart from what was subtracted.
                (Kind::Model, Kind::Model) => right.anchor,
                (Kind::Vector, Kind::Model) => right.anchor,
                (Kind::Model, _) => left.anchor,
                _ => left.anchor.or(right.anchor),
            };
            Ok(Meaning::Weights(Weights {
                kind,
                terms: left.terms,
                anchor,
            }))
        }
    }
}
