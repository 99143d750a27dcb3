//! Expressions to typed sums over opened checkpoints.

use std::sync::Arc;

use super::call::{GivenParameter, ParameterValue, PlannedCall, Work};
use super::elaboration::{Elaboration, ViewSource};
use super::formula::{Source, Terms};
use super::input::{Bindings, Inputs, Opened};
use super::scalar::{Scalar, Varying};
use crate::checkpoint::{CheckpointKind, LayerMap, Library};
use crate::coefficient::Coefficient;
use crate::error::Result;
use crate::expression::{
    Atom, Call, Expression, ExpressionError, Kind, Node, Operator, Problem, Span, Syntax,
    binary_kind, negated_kind,
};
use crate::method::{self, Parameter, ParameterType, TensorPattern};
use crate::spelling::near_names;

/// What a piece of syntax stands for.
pub(super) enum Meaning {
    Scalar(Scalar),
    Weights(Weights),
}

pub(super) struct Weights {
    pub(super) kind: Kind,
    pub(super) terms: Terms<Source>,
    /// See [`Elaboration::anchors`].
    pub(super) anchors: Vec<usize>,
}

impl Meaning {
    pub(super) fn kind(&self) -> Kind {
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
        known: &mut Opened,
    ) -> Result<Self> {
        let mut elaborator = Elaborator {
            expression,
            inputs: Inputs::new(bindings, library, known),
            sources: Vec::new(),
            place: None,
            calls: Vec::new(),
        };
        match elaborator.meaning(expression.root())? {
            Meaning::Scalar(_) => {
                let problem = Problem::NotWeights {
                    found: Kind::Scalar,
                };
                Err(expression.error(expression.root().span, problem).into())
            }
            Meaning::Weights(weights) => {
                let mut elaboration = Self {
                    kind: weights.kind,
                    inputs: elaborator.inputs.into_opened(),
                    views: Vec::new(),
                    sources: elaborator.sources,
                    anchors: weights.anchors,
                    terms: weights.terms,
                    calls: elaborator.calls,
                    layers: 0,
                };
                elaboration.look();
                elaboration.layers = elaboration
                    .views
                    .iter()
                    .map(|view| view.checkpoint.depth())
                    .max()
                    .unwrap_or(0);
                Ok(elaboration)
            }
        }
    }
}

pub(super) struct Elaborator<'a> {
    pub(super) expression: &'a Expression,
    pub(super) inputs: Inputs<'a>,
    sources: Vec<ViewSource>,
    /// Where the layers of what is being elaborated stand, if not in their own places.
    pub(super) place: Option<Arc<LayerMap>>,
    calls: Vec<PlannedCall>,
}

impl Elaborator<'_> {
    pub(super) fn meaning(&mut self, node: &Node) -> Result<Meaning> {
        let refuse = |problem| self.expression.error(node.span, problem);
        match &node.syntax {
            Syntax::Scalar(_) | Syntax::List(_) | Syntax::Rules(_) => {
                Ok(Meaning::Scalar(self.scalar(node)?))
            }
            Syntax::Tuple(_) => Err(refuse(Problem::MisplacedTuple).into()),
            Syntax::Atom(atom) => {
                let input = self.inputs.open(self.expression, atom, node.span)?;
                self.check_depth(node, input)?;
                let view = self.view(input);
                let (kind, anchors) = match self.inputs.checkpoint(input).kind() {
                    CheckpointKind::Model => (Kind::Model, vec![view]),
                    CheckpointKind::Vector => (Kind::Vector, Vec::new()),
                };
                Ok(Meaning::Weights(Weights {
                    kind,
                    terms: Terms::one(Source::Checkpoint(view)),
                    anchors,
                }))
            }
            Syntax::Negate(operand) => {
                let operand = self.meaning(operand)?;
                negated_kind(operand.kind()).map_err(refuse)?;
                Ok(match operand {
                    Meaning::Scalar(value) => Meaning::Scalar(value.negated()),
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
                let (weights, factor) = match (left, right) {
                    (Meaning::Scalar(left), Meaning::Scalar(right)) => {
                        let value = Scalar::binary(*operator, left, right).map_err(refuse)?;
                        return Ok(Meaning::Scalar(value));
                    }
                    (Meaning::Weights(left), Meaning::Weights(right)) => {
                        return Ok(Meaning::Weights(sum(*operator, kind, left, right)));
                    }
                    (Meaning::Weights(weights), Meaning::Scalar(divisor))
                        if *operator == Operator::Divide =>
                    {
                        let one = Scalar::Constant(Coefficient::one());
                        let factor = Scalar::binary(*operator, one, divisor).map_err(refuse)?;
                        (weights, factor)
                    }
                    (Meaning::Scalar(factor), Meaning::Weights(weights))
                    | (Meaning::Weights(weights), Meaning::Scalar(factor)) => (weights, factor),
                };
                Ok(match factor {
                    Scalar::Constant(factor) => scaled(weights, &factor),
                    // A factor that changes from tensor to tensor is a call of its own, resolved for each.
                    Scalar::Varying(_) => Meaning::Weights(Weights {
                        terms: self.call_terms(node, Work::Scaled(factor), vec![weights.terms]),
                        ..weights
                    }),
                })
            }
            Syntax::Call(call) => self.call(node, call),
        }
    }

    /// The view of an input in the present place.
    fn view(&mut self, input: usize) -> usize {
        let source = ViewSource {
            input,
            place: self.place.clone(),
        };
        let known = self.sources.iter().position(|known| *known == source);
        known.unwrap_or_else(|| {
            self.sources.push(source);
            self.sources.len() - 1
        })
    }

    fn call(&mut self, node: &Node, call: &Call) -> Result<Meaning> {
        if let Some(meaning) = self.relayered(node, call)? {
            return Ok(meaning);
        }
        let expression = self.expression;
        let Some(method) = method::find(&call.function) else {
            let known: Vec<&'static str> = method::signatures()
                .iter()
                .map(|signature| signature.name)
                .collect();
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
        let mut anchors = Vec::new();
        for operand in &bound.operands {
            let meaning = self.meaning(operand)?;
            kinds.push(meaning.kind());
            if let Meaning::Weights(weights) = meaning {
                if anchors.is_empty() {
                    anchors = weights.anchors;
                }
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

        let mut parameters = Vec::with_capacity(bound.parameters.len());
        for (parameter, given) in bound.parameters {
            parameters.push(GivenParameter {
                parameter,
                value: match given {
                    None => ParameterValue::Default,
                    Some(given) => self.parameter(call, parameter, given, operands.len())?,
                },
                span: given.map_or(node.span, |given| given.span),
            });
        }
        let work = Work::of(method, parameters, operands.len(), node.span)
            .map_err(|(span, problem)| expression.error(span, problem))?;
        Ok(Meaning::Weights(Weights {
            kind,
            terms: self.call_terms(node, work, operands),
            anchors,
        }))
    }

    /// The call as a term; the same call twice is one.
    fn call_terms(
        &mut self,
        node: &Node,
        work: Work,
        operands: Vec<Terms<Source>>,
    ) -> Terms<Source> {
        let text: Arc<str> = node.to_string().into();
        // A method is a function of its text, so the same text in the same place is the same vector, and may cancel.
        let index = self
            .calls
            .iter()
            .position(|known| known.text == text && known.place == self.place)
            .unwrap_or_else(|| {
                self.calls.push(PlannedCall {
                    work,
                    operands,
                    text,
                    place: self.place.clone(),
                    span: node.span,
                });
                self.calls.len() - 1
            });
        Terms::one(Source::Call(index))
    }

    /// The value of a parameter that was given.
    fn parameter(
        &self,
        call: &Call,
        parameter: &Parameter,
        given: &Node,
        operands: usize,
    ) -> Result<ParameterValue, ExpressionError> {
        let value = match (parameter.value, &given.syntax) {
            (ParameterType::Text, Syntax::Atom(Atom::Quoted(text))) => {
                Some(ParameterValue::Text(text.clone()))
            }
            (ParameterType::Text, _) => None,
            (ParameterType::Weights, Syntax::Tuple(items)) => {
                if items.len() != operands {
                    let problem = Problem::WeightCount {
                        function: call.function.clone(),
                        operands,
                        weights: items.len(),
                    };
                    return Err(self.expression.error(given.span, problem));
                }
                let weights: Result<Vec<Scalar>, _> = items
                    .iter()
                    .map(|item| self.scalar_in(item, "a weight"))
                    .collect();
                Some(ParameterValue::Weights(weights?))
            }
            _ if is_scalar(given) => Some(ParameterValue::Number(self.scalar(given)?)),
            _ => None,
        };
        value.ok_or_else(|| {
            let problem = Problem::ParameterValue {
                function: call.function.clone(),
                parameter: parameter.name.to_owned(),
                expected: parameter.value.describe().to_owned(),
                found: format!("`{given}`"),
            };
            self.expression.error(given.span, problem)
        })
    }

    /// As [`Self::scalar`], for a part of something.
    fn scalar_in(&self, node: &Node, place: &'static str) -> Result<Scalar, ExpressionError> {
        if is_scalar(node) {
            return self.scalar(node);
        }
        let found = format!("`{node}`");
        Err(self
            .expression
            .error(node.span, Problem::NotANumber { place, found }))
    }

    /// The value of an expression of numbers alone.
    fn scalar(&self, node: &Node) -> Result<Scalar, ExpressionError> {
        let refuse = |span: Span, problem| self.expression.error(span, problem);
        match &node.syntax {
            Syntax::Scalar(value) => Ok(Scalar::Constant(value.clone())),
            Syntax::Negate(operand) => Ok(self.scalar_in(operand, "this")?.negated()),
            Syntax::Binary {
                operator,
                left,
                right,
            } => {
                let (left, right) = (
                    self.scalar_in(left, "this")?,
                    self.scalar_in(right, "this")?,
                );
                Scalar::binary(*operator, left, right).map_err(|problem| refuse(node.span, problem))
            }
            Syntax::List(items) => {
                let place = "an element of a list";
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    match self.scalar_in(item, place)? {
                        Scalar::Constant(value) => values.push(value),
                        Scalar::Varying(_) => {
                            let found = "a list or rules".to_owned();
                            return Err(refuse(item.span, Problem::NotANumber { place, found }));
                        }
                    }
                }
                Ok(Scalar::list(values))
            }
            Syntax::Rules(written) => {
                let (mut rules, mut otherwise) = (Vec::new(), None);
                for rule in written {
                    let value = self.scalar_in(&rule.value, "the value of a rule")?;
                    match &rule.pattern {
                        Some(pattern) => rules.push((
                            TensorPattern::parse(pattern)
                                .map_err(|problem| refuse(rule.pattern_span, problem))?,
                            value,
                        )),
                        None => otherwise = Some(value),
                    }
                }
                Ok(Scalar::varying(Varying::Rules { rules, otherwise }))
            }
            Syntax::Atom(_) | Syntax::Call(_) | Syntax::Tuple(_) => {
                let found = format!("`{node}`");
                let place = "this";
                Err(refuse(node.span, Problem::NotANumber { place, found }))
            }
        }
    }
}

/// Whether an expression is made of numbers alone.
fn is_scalar(node: &Node) -> bool {
    match &node.syntax {
        Syntax::Scalar(_) | Syntax::List(_) | Syntax::Rules(_) => true,
        Syntax::Negate(operand) => is_scalar(operand),
        Syntax::Binary { left, right, .. } => is_scalar(left) && is_scalar(right),
        Syntax::Atom(_) | Syntax::Call(_) | Syntax::Tuple(_) => false,
    }
}

fn scaled(weights: Weights, factor: &Coefficient) -> Meaning {
    Meaning::Weights(Weights {
        terms: weights.terms.scaled(factor),
        ..weights
    })
}

/// A sum or difference whose kinds were found to fit.
fn sum(operator: Operator, kind: Kind, mut left: Weights, right: Weights) -> Weights {
    let sign = if operator == Operator::Subtract {
        -Coefficient::one()
    } else {
        Coefficient::one()
    };
    left.terms.add_all(&right.terms, &sign);
    let anchors = match (left.kind, right.kind) {
        // A difference of models is told apart from what was subtracted.
        (Kind::Model | Kind::Vector, Kind::Model) => right.anchors,
        (Kind::Model, _) => left.anchors,
        _ if left.anchors.is_empty() => right.anchors,
        _ => left.anchors,
    };
    Weights {
        kind,
        terms: left.terms,
        anchors,
    }
}
