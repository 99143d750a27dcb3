//! One tensor's formula made ready to run on ranges of elements.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::block::{store_singles, widen};
use super::float::FloatFormat;
use super::linear::{LinearKernel, Tally};
use crate::checkpoint::Checkpoint;
use crate::coefficient::Coefficient;
use crate::error::Result;
use crate::method::{OperandBlock, StreamingMethod, TensorContext};
use crate::plan::{Operand, Plan, TensorFormula, Terms};

/// A value that is wanted of a tensor: a sum over its operands, rounded to a format.
pub(crate) struct Root<'a> {
    pub(crate) terms: &'a Terms<Operand>,
    pub(crate) format: FloatFormat,
}

/// What earlier passes found out, for each step.
pub(crate) type Known = Arc<Vec<Vec<Vec<f64>>>>;

/// A formula with its kernels.
pub(crate) struct Computation {
    name: String,
    elements: u64,
    inputs: Vec<TensorInput>,
    steps: Vec<PreparedStep>,
    roots: Vec<Combination>,
    everything: Needs,
}

struct TensorInput {
    checkpoint: Checkpoint,
    format: FloatFormat,
}

struct PreparedStep {
    text: Arc<str>,
    method: Arc<dyn StreamingMethod>,
    operands: Vec<Combination>,
    /// What must be at hand before the operands can be computed.
    needs: Needs,
}

/// Inputs and steps, each in ascending order.
#[derive(Default, Clone)]
struct Needs {
    inputs: BTreeSet<usize>,
    steps: BTreeSet<usize>,
}

struct Combination {
    operands: Vec<Operand>,
    coefficients: Vec<Coefficient>,
    kernel: LinearKernel,
    format: FloatFormat,
}

/// What the formulas of a tensor are compiled into.
struct Compiler<'a> {
    name: &'a str,
    inputs: Vec<TensorInput>,
    steps: Vec<PreparedStep>,
}

/// Buffers of one thread, reused from chunk to chunk.
#[derive(Default)]
pub(crate) struct Workspace {
    inputs: Vec<Vec<u8>>,
    steps: Vec<Vec<u8>>,
    operands: Vec<Vec<f32>>,
    result: Vec<f32>,
    bytes: Vec<u8>,
    outputs: Vec<Vec<u8>>,
}

impl Computation {
    /// Prepares the formula of tensor `name` for the given roots.
    pub(crate) fn new(
        plan: &Plan,
        name: &str,
        elements: u64,
        formula: &TensorFormula,
        roots: &[Root<'_>],
    ) -> Self {
        Self::of_family(name, elements, &[(plan, formula, roots)])
    }

    /// Prepares the formulas that several plans have for tensor `name`, each for its roots: what they have in common is
    /// read and computed once. With the same plans and formulas in the same order, steps are numbered alike whatever the
    /// roots are.
    pub(crate) fn of_family(
        name: &str,
        elements: u64,
        members: &[(&Plan, &TensorFormula, &[Root<'_>])],
    ) -> Self {
        let mut compiler = Compiler {
            name,
            inputs: Vec::new(),
            steps: Vec::new(),
        };
        let mut roots = Vec::new();
        for (plan, formula, wanted) in members {
            let places = compiler.steps(plan, formula);
            roots.extend(
                wanted
                    .iter()
                    .map(|root| compiler.combination(plan, &places, root.terms, root.format)),
            );
        }
        let everything = Needs::of(&roots, &compiler.steps);
        Self {
            name: name.to_owned(),
            elements,
            inputs: compiler.inputs,
            steps: compiler.steps,
            roots,
            everything,
        }
    }

    pub(crate) fn elements(&self) -> u64 {
        self.elements
    }

    /// Steps and their passes, in the order in which they can be made.
    pub(crate) fn stages(&self) -> Vec<(usize, usize)> {
        self.everything
            .steps
            .iter()
            .flat_map(|step| (0..self.steps[*step].method.passes()).map(|pass| (*step, pass)))
            .collect()
    }

    pub(crate) fn steps(&self) -> usize {
        self.steps.len()
    }

    /// Bytes of the widest element that is read or written: what the size of a chunk is measured in.
    pub(crate) fn widest(&self) -> usize {
        let inputs = self.inputs.iter().map(|input| input.format);
        let steps = self.steps.iter().map(|_| FloatFormat::F32);
        inputs
            .chain(steps)
            .chain(self.roots.iter().map(|root| root.format))
            .map(FloatFormat::size_bytes)
            .max()
            .unwrap_or(1)
    }

    /// Buffers that a chunk needs.
    pub(crate) fn buffers(&self) -> usize {
        let operands = self
            .steps
            .iter()
            .map(|step| step.operands.len())
            .max()
            .unwrap_or(0);
        self.inputs.len() + self.roots.len() + self.steps.len() + operands
    }

    pub(crate) fn root_size(&self) -> usize {
        self.roots
            .first()
            .map_or(1, |root| root.format.size_bytes())
    }

    fn context(&self) -> TensorContext<'_> {
        TensorContext {
            name: &self.name,
            elements: self.elements,
        }
    }

    /// One block of one pass of a step.
    pub(crate) fn observe(
        &self,
        (step, pass): (usize, usize),
        offset: u64,
        count: usize,
        known: &Known,
        workspace: &mut Workspace,
    ) -> Result<Vec<f64>> {
        let prepared = &self.steps[step];
        self.gather(&prepared.needs, offset, count, known, workspace)?;
        self.operands(prepared, count, workspace);
        let operands: Vec<&[f32]> = workspace.operands[..prepared.operands.len()]
            .iter()
            .map(Vec::as_slice)
            .collect();
        let block = OperandBlock {
            offset,
            operands: &operands,
        };
        Ok(prepared
            .method
            .observe(pass, self.context(), &known[step], block))
    }

    pub(crate) fn merge(
        &self,
        (step, pass): (usize, usize),
        total: &mut Vec<f64>,
        partial: &[f64],
    ) {
        self.steps[step].method.merge(pass, total, partial);
    }

    /// The roots on one range of elements, as stored bytes, and what is not finite in each.
    pub(crate) fn emit<'w>(
        &self,
        offset: u64,
        count: usize,
        known: &Known,
        workspace: &'w mut Workspace,
    ) -> Result<(Vec<&'w [u8]>, Vec<Tally>)> {
        self.gather(&self.everything, offset, count, known, workspace)?;
        let mut outputs = std::mem::take(&mut workspace.outputs);
        outputs.resize_with(self.roots.len().max(outputs.len()), Vec::new);
        let mut tallies = Vec::with_capacity(self.roots.len());
        for (root, output) in self.roots.iter().zip(&mut outputs) {
            output.resize(count * root.format.size_bytes(), 0);
            let mut tally = Tally::default();
            root.evaluate(workspace, output, &mut tally);
            tallies.push(tally);
        }
        workspace.outputs = outputs;
        let outputs = workspace.outputs[..self.roots.len()].iter();
        Ok((outputs.map(Vec::as_slice).collect(), tallies))
    }

    /// Reads the inputs and computes the steps that are needed.
    fn gather(
        &self,
        needs: &Needs,
        offset: u64,
        count: usize,
        known: &Known,
        workspace: &mut Workspace,
    ) -> Result<()> {
        workspace
            .inputs
            .resize_with(self.inputs.len().max(workspace.inputs.len()), Vec::new);
        workspace
            .steps
            .resize_with(self.steps.len().max(workspace.steps.len()), Vec::new);
        for &index in &needs.inputs {
            let input = &self.inputs[index];
            let size = input.format.size_bytes();
            let buffer = &mut workspace.inputs[index];
            buffer.resize(count * size, 0);
            input
                .checkpoint
                .read_at(&self.name, offset * size as u64, buffer)?;
        }
        for &index in &needs.steps {
            let step = &self.steps[index];
            self.operands(step, count, workspace);
            let operands: Vec<&[f32]> = workspace.operands[..step.operands.len()]
                .iter()
                .map(Vec::as_slice)
                .collect();
            workspace.result.resize(count, 0.0);
            let block = OperandBlock {
                offset,
                operands: &operands,
            };
            step.method
                .emit(self.context(), &known[index], block, &mut workspace.result);
            let stored = &mut workspace.steps[index];
            stored.resize(count * FloatFormat::F32.size_bytes(), 0);
            store_singles(&workspace.result, stored);
        }
        Ok(())
    }

    /// Computes the operands of a step as singles.
    fn operands(&self, step: &PreparedStep, count: usize, workspace: &mut Workspace) {
        let mut operands = std::mem::take(&mut workspace.operands);
        let mut bytes = std::mem::take(&mut workspace.bytes);
        operands.resize_with(step.operands.len().max(operands.len()), Vec::new);
        bytes.resize(count * FloatFormat::F32.size_bytes(), 0);
        for (combination, operand) in step.operands.iter().zip(&mut operands) {
            combination.evaluate(workspace, &mut bytes, &mut Tally::default());
            operand.resize(count, 0.0);
            widen(FloatFormat::F32, &bytes, operand);
        }
        workspace.operands = operands;
        workspace.bytes = bytes;
    }
}

impl Compiler<'_> {
    /// Adds the steps of a formula, save those that are there already, and returns the place of each.
    fn steps(&mut self, plan: &Plan, formula: &TensorFormula) -> Vec<usize> {
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
    fn combination(
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
                    let place = self.input(&plan.input(input).checkpoint);
                    (Operand::Input(place), self.inputs[place].format)
                }
            };
            operands.push(operand);
            typed.push((coefficient.clone(), format));
        }
        Combination {
            operands,
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
    fn of(combinations: &[Combination], steps: &[PreparedStep]) -> Self {
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

    fn evaluate(&self, workspace: &Workspace, output: &mut [u8], tally: &mut Tally) {
        let inputs: Vec<&[u8]> = self
            .operands
            .iter()
            .map(|operand| match operand {
                Operand::Input(input) => workspace.inputs[*input].as_slice(),
                Operand::Step(step) => workspace.steps[*step].as_slice(),
            })
            .collect();
        self.kernel.evaluate(&inputs, output, tally);
    }
}
