//! What a plan reads of its inputs.

use std::collections::{BTreeMap, BTreeSet};

use super::formula::{Operand, TensorFormula, Terms};
use super::{Plan, Production};

/// Tensors that are read of one weight file, by the names that they have in it.
pub(crate) type Reads = BTreeMap<String, Read>;

/// Where a plan reads a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    /// One of its views.
    pub(crate) view: usize,
    /// The tensor's name there.
    pub(crate) name: String,
}

impl Plan {
    /// What is read of each of [`Plan::inputs`], by the number of the weight file: tensors that are copied, and tensors in
    /// formulas.
    pub(crate) fn reads(&self) -> Vec<BTreeMap<usize, Reads>> {
        let mut reads = vec![BTreeMap::new(); self.inputs.len()];
        for (name, tensor) in &self.tensors {
            let views = match &tensor.production {
                Production::Copy { input } => BTreeSet::from([*input]),
                Production::Compute(formula) => formula.views(),
            };
            for view in views {
                let checkpoint = &self.views[view].checkpoint;
                if let Some(info) = checkpoint.tensors().get(name) {
                    let of_file: &mut Reads = reads[self.inputs_of_views[view]]
                        .entry(info.location.file)
                        .or_default();
                    of_file
                        .entry(checkpoint.stored_name(name).into_owned())
                        .or_insert_with(|| Read {
                            view,
                            name: name.clone(),
                        });
                }
            }
        }
        reads
    }
}

impl TensorFormula {
    /// The views that the tensor itself needs, directly or through steps.
    fn views(&self) -> BTreeSet<usize> {
        let (mut views, mut steps) = (BTreeSet::new(), BTreeSet::new());
        let mut sums: Vec<&Terms<Operand>> = vec![&self.terms];
        while let Some(terms) = sums.pop() {
            for (operand, _) in terms.iter() {
                match operand {
                    Operand::Input(view) => {
                        views.insert(view);
                    }
                    Operand::Step(step) => {
                        if steps.insert(step) {
                            sums.extend(&self.steps[step].operands);
                        }
                    }
                }
            }
        }
        views
    }
}
