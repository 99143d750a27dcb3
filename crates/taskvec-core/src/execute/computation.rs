//! One tensor's formula made ready to run on ranges of elements.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::compile::{Combination, Compiler, Needs, PreparedStep, TensorInput};
use super::float::FloatFormat;
use super::linear::Tally;
use super::singles;
use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::method::{Extent, OperandBlock, TensorContext};
use crate::plan::{Operand, Plan, TensorFormula, Terms};

/// A value that is wanted of a tensor: a sum over its operands, rounded to a format.
pub(crate) struct Root<'a> {
    pub(crate) terms: &'a Terms<Operand>,
    pub(crate) format: FloatFormat,
}

/// What a range of elements is made of and came out as.
pub(crate) struct Emitted<'w> {
    /// Stored bytes of each root.
    pub(crate) outputs: Vec<&'w [u8]>,
    /// What is not finite in each root.
    pub(crate) tallies: Vec<Tally>,
    /// Stored bytes of each of [`Computation::inputs`], behind the place of the first in the tensor.
    pub(crate) inputs: Vec<(u64, &'w [u8])>,
}

/// Elements that are gathered together where a method sees a whole tensor.
const PIECE_ELEMENTS: u64 = 1 << 18;
/// Elements that go through all steps together: their operands and results then stay near the processor.
const STEPPED_ELEMENTS: usize = 1 << 13;

/// What earlier passes found out, for each step.
pub(crate) type Known = Arc<Vec<Vec<Vec<f64>>>>;

/// A formula with its kernels.
pub(crate) struct Computation {
    name: String,
    shape: Vec<usize>,
    elements: u64,
    inputs: Vec<TensorInput>,
    steps: Vec<PreparedStep>,
    roots: Vec<Combination>,
    /// Whether somebody wants to know what in the roots is not finite.
    is_counted: bool,
    everything: Needs,
}

/// Which of the elements at hand are wanted.
#[derive(Clone)]
struct Window {
    at_hand: usize,
    wanted: Range<usize>,
}

impl Window {
    /// The wanted elements of a buffer that holds all that are at hand.
    fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let size = bytes.len() / self.at_hand.max(1);
        &bytes[self.wanted.start * size..self.wanted.end * size]
    }

    /// A range of the wanted elements.
    fn within(&self, range: Range<usize>) -> Self {
        Self {
            at_hand: self.at_hand,
            wanted: self.wanted.start + range.start..self.wanted.start + range.end,
        }
    }
}

/// Buffers of one thread, reused from chunk to chunk.
#[derive(Default)]
pub(crate) struct Workspace {
    inputs: Vec<Vec<u8>>,
    steps: Vec<Vec<f32>>,
    operands: Vec<Vec<f32>>,
    outputs: Vec<Vec<u8>>,
}

impl Computation {
    /// Prepares the formula of tensor `name` for the given roots, in which nothing is counted.
    pub(crate) fn new(
        plan: &Plan,
        name: &str,
        elements: u64,
        formula: &TensorFormula,
        roots: &[Root<'_>],
    ) -> Self {
        Self::of_family(name, elements, &[(plan, formula, roots)]).uncounted()
    }

    /// Without counting what is not finite in the roots. One that is an input as it stands is then not even copied.
    pub(crate) fn uncounted(self) -> Self {
        Self {
            is_counted: false,
            ..self
        }
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
            shape: members
                .first()
                .and_then(|(plan, ..)| plan.tensors().get(name))
                .map_or_else(Vec::new, |tensor| tensor.shape.clone()),
            elements,
            inputs: compiler.inputs,
            steps: compiler.steps,
            is_counted: true,
            roots,
            everything,
        }
    }

    /// The tensor's name, in the plans and in the inputs.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What is read to compute the roots.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &Checkpoint> {
        let inputs = self.everything.inputs.iter();
        inputs.map(|input| &self.inputs[*input].checkpoint)
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
            shape: &self.shape,
            elements: self.elements,
        }
    }

    /// Elements of a row.
    pub(crate) fn row(&self) -> u64 {
        self.context().row()
    }

    /// What a stage must have at hand at once.
    pub(crate) fn observed(&self, (step, pass): (usize, usize)) -> Extent {
        let prepared = &self.steps[step];
        prepared
            .method
            .observes(pass)
            .max(self.emitted(&prepared.needs))
    }

    /// Elements that a chunk of output is a multiple of, so that nothing is computed twice.
    pub(crate) fn grain(&self) -> u64 {
        match self.emitted(&self.everything) {
            Extent::Elements => 1,
            Extent::Rows | Extent::Tensor => self.row(),
        }
    }

    /// What the steps must have at hand at once to be computed.
    fn emitted(&self, needs: &Needs) -> Extent {
        let steps = needs.steps.iter().map(|step| &self.steps[*step]);
        steps
            .map(|step| step.method.emits())
            .max()
            .unwrap_or(Extent::Elements)
    }

    /// A range of elements, widened to whole rows where steps need them.
    fn widened(&self, needs: &Needs, offset: u64, count: usize) -> Range<u64> {
        let end = offset + count as u64;
        match self.emitted(needs) {
            Extent::Elements => offset..end,
            Extent::Rows | Extent::Tensor => {
                let row = self.row();
                offset - offset % row..end.next_multiple_of(row).min(self.elements)
            }
        }
    }

    /// Blocks of `length` elements, the last one perhaps of fewer, in one pass of a step: what it says of each.
    pub(crate) fn observe(
        &self,
        (step, pass): (usize, usize),
        (offset, count): (u64, usize),
        length: u64,
        known: &Known,
        workspace: &mut Workspace,
    ) -> Result<Vec<Vec<f64>>> {
        let prepared = &self.steps[step];
        let observe = |offset: u64, operands: &[&[f32]]| {
            let block = OperandBlock { offset, operands };
            prepared
                .method
                .observe(pass, self.context(), &known[step], block)
        };
        if prepared.method.observes(pass) != Extent::Tensor {
            let window = self.gather(&prepared.needs, offset, count, known, workspace)?;
            let blocks = (0..count).step_by(length as usize).map(|start| {
                let block = window.within(start..count.min(start + length as usize));
                prepared.compute_operands(&block, workspace);
                observe(
                    offset + start as u64,
                    &prepared.operands_in(&block, workspace),
                )
            });
            return Ok(blocks.collect());
        }
        // A piece at a time: what stays is the operands alone.
        let mut whole: Vec<Vec<f32>> = prepared
            .operands
            .iter()
            .map(|_| Vec::with_capacity(count))
            .collect();
        let end = offset + count as u64;
        let mut at = offset;
        while at < end {
            let piece = PIECE_ELEMENTS.min(end - at);
            let window = self.gather(&prepared.needs, at, piece as usize, known, workspace)?;
            prepared.compute_operands(&window, workspace);
            let operands = prepared.operands_in(&window, workspace);
            for (whole, operand) in whole.iter_mut().zip(operands) {
                whole.extend_from_slice(operand);
            }
            at += piece;
        }
        let operands: Vec<&[f32]> = whole.iter().map(Vec::as_slice).collect();
        Ok(vec![observe(offset, &operands)])
    }

    pub(crate) fn merge(
        &self,
        (step, pass): (usize, usize),
        total: &mut Vec<f64>,
        partial: &[f64],
    ) {
        self.steps[step].method.merge(pass, total, partial);
    }

    /// The roots on one range of elements.
    pub(crate) fn emit<'w>(
        &self,
        offset: u64,
        count: usize,
        known: &Known,
        workspace: &'w mut Workspace,
    ) -> Result<Emitted<'w>> {
        let window = self.gather(&self.everything, offset, count, known, workspace)?;
        let mut outputs = std::mem::take(&mut workspace.outputs);
        outputs.resize_with(self.roots.len().max(outputs.len()), Vec::new);
        let mut tallies = vec![Tally::default(); self.roots.len()];
        for (index, (root, output)) in self.roots.iter().zip(&mut outputs).enumerate() {
            if self.at_hand(index).is_none() {
                output.resize(count * root.format.size_bytes(), 0);
                root.evaluate(workspace, &window, output, &mut tallies[index]);
            }
        }
        workspace.outputs = outputs;
        let workspace = &*workspace;
        let outputs = workspace.outputs[..self.roots.len()].iter().enumerate();
        let outputs = outputs.map(|(index, output)| match self.at_hand(index) {
            Some(input) => window.of(&workspace.inputs[input]),
            None => output.as_slice(),
        });
        let inputs = self.everything.inputs.iter().map(|input| {
            let bytes = window.of(&workspace.inputs[*input]);
            let size = self.inputs[*input].format.size_bytes() as u64;
            (offset * size, bytes)
        });
        Ok(Emitted {
            outputs: outputs.collect(),
            tallies,
            inputs: inputs.collect(),
        })
    }

    /// The input that a root is as it stands, where nobody wants it counted.
    fn at_hand(&self, root: usize) -> Option<usize> {
        self.roots[root].as_stored.filter(|_| !self.is_counted)
    }

    /// Reads the inputs and computes the steps that are needed. Returns where the wanted elements lie among those at hand.
    fn gather(
        &self,
        needs: &Needs,
        offset: u64,
        count: usize,
        known: &Known,
        workspace: &mut Workspace,
    ) -> Result<Window> {
        let wanted = count;
        let widened = self.widened(needs, offset, count);
        let first = (offset - widened.start) as usize;
        let (offset, count) = (widened.start, (widened.end - widened.start) as usize);
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
            workspace.steps[index].resize(count, 0.0);
        }
        let together = match self.emitted(needs) {
            Extent::Elements => STEPPED_ELEMENTS,
            Extent::Rows | Extent::Tensor => STEPPED_ELEMENTS.next_multiple_of(self.row() as usize),
        };
        for start in (0..count).step_by(together) {
            let window = Window {
                at_hand: count,
                wanted: start..count.min(start + together),
            };
            for &index in &needs.steps {
                self.step(index, offset, &window, known, workspace);
            }
        }
        Ok(Window {
            at_hand: count,
            wanted: first..first + wanted,
        })
    }

    /// Computes the wanted elements of a step, of which the first at hand is element `offset`.
    fn step(
        &self,
        index: usize,
        offset: u64,
        window: &Window,
        known: &Known,
        workspace: &mut Workspace,
    ) {
        let step = &self.steps[index];
        step.compute_operands(window, workspace);
        // No step is its own operand.
        let mut result = std::mem::take(&mut workspace.steps[index]);
        let block = OperandBlock {
            offset: offset + window.wanted.start as u64,
            operands: &step.operands_in(window, workspace),
        };
        let output = &mut result[window.wanted.clone()];
        step.method
            .emit(self.context(), &known[index], block, output);
        workspace.steps[index] = result;
    }
}

impl PreparedStep {
    /// Computes the operands, save those that are results of other steps.
    fn compute_operands(&self, window: &Window, workspace: &mut Workspace) {
        let mut operands = std::mem::take(&mut workspace.operands);
        operands.resize_with(self.operands.len().max(operands.len()), Vec::new);
        for (combination, operand) in self.operands.iter().zip(&mut operands) {
            if combination.as_computed.is_none() {
                operand.resize(window.wanted.len(), 0.0);
                singles::fill(operand, |bytes| {
                    combination.evaluate(workspace, window, bytes, &mut Tally::default());
                });
            }
        }
        workspace.operands = operands;
    }

    /// The operands, after they were computed.
    fn operands_in<'w>(&self, window: &Window, workspace: &'w Workspace) -> Vec<&'w [f32]> {
        let operands = self.operands.iter().zip(&workspace.operands);
        operands
            .map(|(combination, operand)| match combination.as_computed {
                Some(step) => &workspace.steps[step][window.wanted.clone()],
                None => operand.as_slice(),
            })
            .collect()
    }
}

impl Combination {
    fn evaluate(
        &self,
        workspace: &Workspace,
        window: &Window,
        output: &mut [u8],
        tally: &mut Tally,
    ) {
        let stored: Vec<Cow<'_, [u8]>> = self
            .operands
            .iter()
            .map(|operand| match operand {
                Operand::Input(input) => Cow::Borrowed(window.of(&workspace.inputs[*input])),
                Operand::Step(step) => {
                    singles::stored(&workspace.steps[*step][window.wanted.clone()])
                }
            })
            .collect();
        let inputs: Vec<&[u8]> = stored.iter().map(|bytes| &**bytes).collect();
        self.kernel.evaluate(&inputs, output, tally);
    }
}
