//! Expressions as sums, and what is left of one in a single tensor.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::call::PlannedCall;
use super::scalar::TensorPlace;
use crate::coefficient::Coefficient;
use crate::expression::{Problem, Span};
use crate::method::{Operation, StreamingMethod};

/// What a term of a sum multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A checkpoint, by its place among the inputs.
    Checkpoint(usize),
    /// The result of a call, by its place among the calls.
    Call(usize),
}

/// A linear combination with exact coefficients, none of them zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms<S: Ord>(BTreeMap<S, Coefficient>);

impl<S: Ord> Default for Terms<S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<S: Ord + Copy> Terms<S> {
    /// `1·source`.
    pub(crate) fn one(source: S) -> Self {
        Self(BTreeMap::from([(source, Coefficient::one())]))
    }

    /// Adds `coefficient·source`.
    pub(crate) fn add(&mut self, source: S, coefficient: &Coefficient) {
        let sum = self
            .0
            .get(&source)
            .map_or_else(|| coefficient.clone(), |known| known + coefficient);
        if sum.is_zero() {
            self.0.remove(&source);
        } else {
            self.0.insert(source, sum);
        }
    }

    /// Adds `factor·other`.
    pub(crate) fn add_all(&mut self, other: &Self, factor: &Coefficient) {
        for (source, coefficient) in &other.0 {
            self.add(*source, &(coefficient * factor));
        }
    }

    /// This times `factor`.
    pub(crate) fn scaled(&self, factor: &Coefficient) -> Self {
        let mut scaled = Self::default();
        scaled.add_all(self, factor);
        scaled
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (S, &Coefficient)> {
        self.0
            .iter()
            .map(|(source, coefficient)| (*source, coefficient))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// What a term of a tensor's formula multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operand {
    /// The tensor in a checkpoint, by its place among the plan's inputs.
    Input(usize),
    /// The result of a step, by its place among the formula's steps.
    Step(usize),
}

/// How one tensor is computed.
#[derive(Debug, Clone, Default)]
pub(crate) struct TensorFormula {
    /// Results of methods, each after those it needs.
    pub(crate) steps: Vec<Step>,
    /// The tensor itself.
    pub(crate) terms: Terms<Operand>,
}

/// A method at work on one tensor.
#[derive(Clone)]
pub(crate) struct Step {
    /// What the method is and does; steps of one tensor with equal texts and operands are equal.
    pub(crate) text: Arc<str>,
    pub(crate) method: Arc<dyn StreamingMethod>,
    pub(crate) operands: Vec<Terms<Operand>>,
}

impl std::fmt::Debug for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Step")
            .field("operands", &self.operands)
            .finish_non_exhaustive()
    }
}

impl TensorFormula {
    /// The input that the tensor equals, where it is one unchanged.
    pub(crate) fn single(&self) -> Option<usize> {
        let mut terms = self.terms.iter();
        match (terms.next(), terms.next()) {
            (Some((Operand::Input(input), coefficient)), None) if coefficient.is_one() => {
                Some(input)
            }
            _ => None,
        }
    }
}

/// Lowers the terms of an expression for one tensor.
pub(super) struct Lowering<'a> {
    pub(super) tensor: TensorPlace<'a>,
    pub(super) calls: &'a [PlannedCall],
    /// Whether an input has the tensor.
    pub(super) has_tensor: &'a dyn Fn(usize) -> bool,
    pub(super) steps: Vec<Step>,
    /// Step of each call that was lowered already.
    pub(super) placed: BTreeMap<usize, usize>,
}

impl Lowering<'_> {
    /// Recursion is as deep as calls nest, which the parser bounds.
    pub(super) fn lower(
        &mut self,
        terms: &Terms<Source>,
    ) -> Result<Terms<Operand>, (Span, Problem)> {
        let mut lowered = Terms::default();
        for (source, coefficient) in terms.iter() {
            match source {
                Source::Checkpoint(input) => {
                    if (self.has_tensor)(input) {
                        lowered.add(Operand::Input(input), coefficient);
                    }
                }
                Source::Call(index) => {
                    let calls = self.calls;
                    let call = &calls[index];
                    match call.operation(self.tensor)? {
                        Operation::Linear(method) => {
                            let weights = method.weights(self.tensor.name, call.operands.len());
                            for (operand, weight) in call.operands.iter().zip(&weights) {
                                if !weight.is_zero() {
                                    let operand = self.lower(operand)?;
                                    lowered.add_all(&operand, &(weight * coefficient));
                                }
                            }
                        }
                        Operation::Streaming(method) => {
                            let step = self.step(index, call, &method)?;
                            lowered.add(Operand::Step(step), coefficient);
                        }
                    }
                }
            }
        }
        Ok(lowered)
    }

    fn step(
        &mut self,
        index: usize,
        call: &PlannedCall,
        method: &Arc<dyn StreamingMethod>,
    ) -> Result<usize, (Span, Problem)> {
        if let Some(step) = self.placed.get(&index) {
            return Ok(*step);
        }
        let mut operands = Vec::with_capacity(call.operands.len());
        for (place, operand) in call.operands.iter().enumerate() {
            let mut terms = self.lower(operand)?;
            for (number, preparation) in method.preparations(place).into_iter().enumerate() {
                self.steps.push(Step {
                    text: format!("{} {place}.{number}", call.text).into(),
                    method: preparation,
                    operands: vec![terms],
                });
                terms = Terms::one(Operand::Step(self.steps.len() - 1));
            }
            operands.push(terms);
        }
        self.steps.push(Step {
            text: Arc::clone(&call.text),
            method: Arc::clone(method),
            operands,
        });
        self.placed.insert(index, self.steps.len() - 1);
        Ok(self.steps.len() - 1)
    }
}
