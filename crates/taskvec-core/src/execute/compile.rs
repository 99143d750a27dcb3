//! Formulas to steps and sums with their kernels: what several formulas of one tensor have in common is there once.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::float::FloatFormat;
use super::linear::LinearKernel;
use crate::checkpoint::Checkpoint;
use crate::coefficient::Coefficient;
use crate::method::StreamingMethod;
use crate::plan::{Operand, Plan, TensorFormula, Terms};

/// A checkpoint that has the tensor, and how it is stored there.
pub(super) struct TensorInput {
    pub(super) checkpoint: Checkpoint,
    pub(super) format: FloatFormat,
}

/// A method with its operands.
pub(super) struct PreparedStep {
    text: Arc<str>,
    pub(super) method: Arc<dyn StreamingMethod>,
    pub(super) operands: Vec<Combination>,
    /// What must be at hand before the operands can be computed.
    pub(super) needs: Needs,
}

/// Inputs and steps, each in ascending order.
#[derive(Default, Clone)]
pub(super) struct Needs {
    pub(super) inputs: BTreeSet<usize>,
    pub(super) steps: BTreeSet<usize>,
}

/// A linear combination of inputs and of results of steps.
pub(super) struct Combination {
    pub(super) operands: Vec<Operand>,
    coefficients: Vec<Coefficient>,
    pub(super) kernel: LinearKernel,
    pub(super) format: FloatFormat,
    /// The input that it is, as it is stored.
    pub(super) as_stored: Option<usize>,
    /// The step whose result it is.
    pub(super) as_computed: Option<usize>,
}

/// What the formulas of a tensor are compiled into.
pub(super) struct Compiler<'a> {
    pub(super) name: &'a str,
    pub(super) inputs: Vec<TensorInput>,
    pub(super) steps: Vec<PreparedStep>,
}

impl Compiler<'_> {
    /// Adds the steps of a formula, save those that are there already, and returns the place of each.
    pub(super) fn steps(&mut self, plan: &Plan, formula: &TensorFormula) -> Vec<usize> {
        let mut places = Vec::with_capacity(formula.steps.len());
        for step in &formula.steps {
            let operands: Vec<Combination> = step
                .operands
                .iter()
                .map(|terms| self.combination(plan, &places, terms, FloatFormat::F32))
                .collect();
            let known = self.steps.iter().position(|known| {
                known.text == step.text
                    && known.operands.len() == operands.len()
                    && known
                        .operands
                        .iter()
                        .zip(&operands)
                        .all(|(one, two)| one.is_equal(two))
            });
            places.push(known.unwrap_or(self.steps.len()));
            if known.is_none() {
                let needs = Needs::of(&operands, &self.steps);
                self.steps.push(PreparedStep {
                    text: Arc::clone(&step.text),
                    method: Arc::clone(&step.method),
                    operands,
                    needs,
                });
            }
        }
        places
    }

    /// Prepares a sum over a plan's inputs and over steps whose `places` are known.
    pub(super) fn combination(
        &mut self,
        plan: &Plan,
        places: &[usize],
        terms: &Terms<Operand>,
        format: FloatFormat,
    ) -> Combination {
        let mut operands = Vec::with_capacity(terms.len());
        let mut typed: Vec<(Coefficient, FloatFormat)> = Vec::with_capacity(terms.len());
        for (operand, coefficient) in terms.iter() {
            let (operand, format) = match operand {
                Operand::Step(step) => (Operand::Step(places[step]), FloatFormat::F32),
                Operand::Input(input) => {
                    let place = self.input(&plan.view(input).checkpoint);
                    (Operand::Input(place), self.inputs[place].format)
                }
            };
            operands.push(operand);
            typed.push((coefficient.clone(), format));
        }
        let as_stored = match (operands.as_slice(), typed.as_slice()) {
            ([Operand::Input(place)], [(coefficient, stored)])
                if coefficient.is_one() && *stored == format =>
            {
                Some(*place)
            }
            _ => None,
        };
        let as_computed = match (operands.as_slice(), typed.as_slice()) {
            ([Operand::Step(place)], [(coefficient, stored)])
                if coefficient.is_one() && *stored == format =>
            {
                Some(*place)
            }
            _ => None,
        };
        Combination {
            operands,
            as_stored,
            as_computed,
            kernel: LinearKernel::new(&typed, format),
            coefficients: typed
                .into_iter()
                .map(|(coefficient, _)| coefficient)
                .collect(),
            format,
        }
    }

    fn input(&mut self, checkpoint: &Checkpoint) -> usize {
        let known = self
            .inputs
            .iter()
            .position(|known| known.checkpoint.is(checkpoint));
        known.unwrap_or_else(|| {
            // Plans lower to inputs only where they have the tensor in such a format.
            let dtype = checkpoint.tensors().get(self.name).map(|info| info.dtype);
            self.inputs.push(TensorInput {
                checkpoint: checkpoint.clone(),
                format: dtype.and_then(FloatFormat::of).unwrap_or(FloatFormat::F32),
            });
            self.inputs.len() - 1
        })
    }
}

impl Needs {
    /// What combinations need, directly or through the steps before them.
    pub(super) fn of(combinations: &[Combination], steps: &[PreparedStep]) -> Self {
        let mut needs = Self::default();
        for operand in combinations
            .iter()
            .flat_map(|combination| &combination.operands)
        {
            match operand {
                Operand::Input(input) => {
                    needs.inputs.insert(*input);
                }
                Operand::Step(step) => {
                    needs.steps.insert(*step);
                    needs.steps.extend(&steps[*step].needs.steps);
                    needs.inputs.extend(&steps[*step].needs.inputs);
                }
            }
        }
        needs
    }
}

impl Combination {
    fn is_equal(&self, other: &Self) -> bool {
        self.operands == other.operands
            && self.coefficients == other.coefficients
            && self.format == other.format
    }
}
