//! Expressions as sums, and what is left of one in a single tensor.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::call::PlannedCall;
use super::scalar::TensorPlace;
use crate::coefficient::Coefficient;
use crate::expression::{Problem, Span};
use crate::method::{Extent, Operation, StreamingMethod, TensorContext};

/// What a term of a sum multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A checkpoint, by its place among the views of the inputs.
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
    /// The tensor in a checkpoint, by its place among the plan's views of its inputs.
    Input(usize),
    /// The result of a step, by its place among the formula's steps.
    Step(usize),
}

impl Terms<Operand> {
    /// The same terms over other lists: input `i` stands at `place(i)` there, and `steps` steps stand before these.
    pub(crate) fn moved(&self, place: &dyn Fn(usize) -> usize, steps: usize) -> Self {
        let moved = |operand| match operand {
            Operand::Input(input) => Operand::Input(place(input)),
            Operand::Step(step) => Operand::Step(step + steps),
        };
        let terms = self.iter();
        Self(
            terms
                .map(|(operand, coefficient)| (moved(operand), coefficient.clone()))
                .collect(),
        )
    }
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
    /// The same formula over other lists; see [`Terms::moved`].
    pub(crate) fn moved(&self, place: &dyn Fn(usize) -> usize, steps: usize) -> Self {
        let step = |step: &Step| Step {
            text: Arc::clone(&step.text),
            method: Arc::clone(&step.method),
            operands: step
                .operands
                .iter()
                .map(|terms| terms.moved(place, steps))
                .collect(),
        };
        Self {
            steps: self.steps.iter().map(step).collect(),
            terms: self.terms.moved(place, steps),
        }
    }

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

/// Elements that a row may have where a method needs whole rows: 64 MiB of singles.
const LARGEST_ROW: u64 = 1 << 24;
/// Elements that a tensor may have where a method needs it whole: 1 GiB of singles.
const LARGEST_TENSOR: u64 = 1 << 28;

/// Lowers the terms of an expression for one tensor.
pub(super) struct Lowering<'a> {
    pub(super) tensor: TensorPlace<'a>,
    pub(super) context: TensorContext<'a>,
    pub(super) calls: &'a [PlannedCall],
    /// Whether a view has the tensor.
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
                    let Some((name, layers)) = call.seen(self.tensor) else {
                        continue;
                    };
                    let name = name.as_str();
                    match call.operation(TensorPlace { name, layers })? {
                        Operation::Linear(method) => {
                            let weights = method.weights(name, call.operands.len());
                            for (operand, weight) in call.operands.iter().zip(&weights) {
                                if !weight.is_zero() {
                                    let operand = self.lower(operand)?;
                                    lowered.add_all(&operand, &(weight * coefficient));
                                }
                            }
                        }
                        Operation::Streaming(method) if method.is_identity(self.context) => {
                            if let Some(operand) = call.operands.first() {
                                lowered.add_all(&self.lower(operand)?, coefficient);
                            }
                        }
                        Operation::Streaming(method) => {
                            if let Some(step) = self.step(index, call, &method)? {
                                lowered.add(Operand::Step(step), coefficient);
                            }
                        }
                    }
                }
            }
        }
        Ok(lowered)
    }

    /// The step that computes a call; none where nothing is left of its operands, for methods make zero of zeros.
    fn step(
        &mut self,
        index: usize,
        call: &PlannedCall,
        method: &Arc<dyn StreamingMethod>,
    ) -> Result<Option<usize>, (Span, Problem)> {
        if let Some(step) = self.placed.get(&index) {
            return Ok(Some(*step));
        }
        let at_call = |problem| (call.span, problem);
        let mut operands = Vec::with_capacity(call.operands.len());
        for operand in &call.operands {
            operands.push(self.lower(operand)?);
        }
        if operands.iter().all(|terms| terms.len() == 0) {
            return Ok(None);
        }
        for (place, terms) in operands.iter_mut().enumerate() {
            for (number, preparation) in method.preparations(place).into_iter().enumerate() {
                if preparation.is_identity(self.context) {
                    continue;
                }
                check(&*preparation, self.context).map_err(at_call)?;
                self.steps.push(Step {
                    text: format!("{} {place}.{number}", call.text).into(),
                    method: preparation,
                    operands: vec![std::mem::take(terms)],
                });
                *terms = Terms::one(Operand::Step(self.steps.len() - 1));
            }
        }
        check(&**method, self.context).map_err(at_call)?;
        self.steps.push(Step {
            text: Arc::clone(&call.text),
            method: Arc::clone(method),
            operands,
        });
        self.placed.insert(index, self.steps.len() - 1);
        Ok(Some(self.steps.len() - 1))
    }
}

/// Refuses a tensor that the method has no meaning for, or that it cannot have at hand as it must.
fn check(method: &dyn StreamingMethod, tensor: TensorContext<'_>) -> Result<(), Problem> {
    method.check(tensor)?;
    let extent = (0..method.passes())
        .map(|pass| method.observes(pass))
        .fold(method.emits(), Ord::max);
    let (needed, elements, limit) = match extent {
        Extent::Elements => return Ok(()),
        Extent::Rows => ("in whole rows", tensor.row(), LARGEST_ROW),
        Extent::Tensor => ("whole", tensor.elements, LARGEST_TENSOR),
    };
    if elements <= limit {
        return Ok(());
    }
    Err(Problem::TooLargeAtOnce {
        tensor: tensor.name.to_owned(),
        needed,
        elements,
        limit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::OperandBlock;

    struct Needs(Extent);

    impl StreamingMethod for Needs {
        fn passes(&self) -> usize {
            1
        }

        fn observes(&self, _pass: usize) -> Extent {
            self.0
        }

        fn emit(&self, _: TensorContext<'_>, _: &[Vec<f64>], _: OperandBlock<'_>, _: &mut [f32]) {}
    }

    #[test]
    fn what_cannot_be_at_hand_is_refused_by_name() {
        let shape = [1 << 10, 1 << 20];
        let tensor = TensorContext::of("embed.weight", &shape);
        assert_eq!(check(&Needs(Extent::Elements), tensor), Ok(()));
        assert_eq!(check(&Needs(Extent::Rows), tensor), Ok(()));
        let Err(problem) = check(&Needs(Extent::Tensor), tensor) else {
            panic!("a tensor of 4 GiB");
        };
        assert_eq!(
            problem.to_string(),
            "`embed.weight` must be taken whole, 1073741824 elements at once; at most 268435456 are"
        );
        assert!(
            problem
                .hint()
                .unwrap()
                .contains("except(v, \"embed.weight\")")
        );
        let flat = [1 << 30];
        assert!(check(&Needs(Extent::Rows), TensorContext::of("flat", &flat)).is_err());
    }
}
