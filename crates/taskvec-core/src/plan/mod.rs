//! Plans: everything about a result that can be known before the first weight is read.
//!
//! A plan opens the checkpoints of an expression (headers only), types the expression, compares the checkpoints with
//! one another, and lowers the expression to one formula for each tensor. A plan that was built can be written, loaded
//! or inspected; what could go wrong after that is the disk.
//!
//! Rules that a plan fixes:
//!
//! - The **template** of a model is its leftmost model that nothing is subtracted from: `target` in
//!   `target + (grpo - sft)`. From it come tensor order, shards, dtypes, config, tokenizer.
//! - Tensors that are not BF16, F16, F32 or F64 are no weights to compute on. They are carried from the template byte for
//!   byte; vectors do not have them. Weights that are stored so all the same, quantised, are refused.
//! - Tensors of a model keep the template's dtype; tensors of a vector are F32. [`PlanOptions::output_dtype`] overrides
//!   both.
//! - Numbers that differ from tensor to tensor are evaluated here, once for each tensor and exactly.
//! - Formulas speak of **views** of the inputs. A view has the tensors of a checkpoint under the names that they have in the
//!   result, where layers may stand in other places; without `layers` and `stack` each input is its one view.
//! - An atom whose coefficients cancel exactly is not read at all: `a - a` is zero even where `a` is not finite.

mod agreement;
mod beside;
mod build;
mod call;
mod depth;
mod elaborate;
mod elaboration;
mod formula;
mod input;
mod mismatch;
mod reads;
mod relayered_config;
mod rows;
mod scalar;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

pub use agreement::{ConfigDifference, ConfigMeaning};
pub(crate) use beside::Joint;
pub(crate) use formula::{Operand, Step, TensorFormula, Terms};
pub use input::Bindings;
pub(crate) use input::Input;
pub use mismatch::{Incompatible, Mismatch};
pub(crate) use reads::Reads;

use crate::checkpoint::Checkpoint;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::execute::FloatFormat;
use crate::expression::{Expression, Kind};

/// Choices that change what a plan computes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// Dtype of every computed tensor, instead of the template's for models and F32 for vectors.
    pub output_dtype: Option<Dtype>,
    /// Let a tensor that a vector does not have count as zero in it. Without this, it is a mismatch.
    pub missing_as_zero: bool,
    /// Let embeddings of different lengths be combined in the rows that all have. Without this, they are a mismatch.
    pub common_rows: bool,
    /// Let models be written that do not descend from one initialisation. Without this, [`write`](crate::write) refuses
    /// them.
    pub allow_strangers: bool,
}

/// A tensor of the result.
#[derive(Debug, Clone)]
pub struct PlannedTensor {
    /// Its elements' type.
    pub dtype: Dtype,
    /// Its dimensions, outermost first.
    pub shape: Vec<usize>,
    pub(crate) production: Production,
}

/// Where the bytes of a tensor come from.
#[derive(Debug, Clone)]
pub(crate) enum Production {
    /// From a view, unchanged.
    Copy {
        input: usize,
    },
    Compute(TensorFormula),
}

/// An expression over opened checkpoints that fit together.
#[derive(Debug, Clone)]
pub struct Plan {
    expression: Expression,
    kind: Kind,
    /// Checkpoints, each once.
    inputs: Vec<Input>,
    /// The inputs as formulas refer to them, and which input each is a view of.
    views: Vec<Input>,
    inputs_of_views: Vec<usize>,
    /// Views. Of a model its template, see [`elaboration::Elaboration::anchors`].
    anchors: Vec<usize>,
    layout: usize,
    tensors: BTreeMap<String, PlannedTensor>,
    options: PlanOptions,
    notes: Vec<String>,
    row_notes: Vec<String>,
    aliases: BTreeMap<String, String>,
}

/// What there is to know of an expression, whether or not its checkpoints fit together.
#[derive(Debug, Clone)]
pub struct Check {
    /// What the result would be.
    pub kind: Kind,
    /// The checkpoints, each once, in the order in which the expression names them, with the atom that names each.
    pub inputs: Vec<(String, Checkpoint)>,
    /// Among them, the one that the others are compared with.
    pub layout: usize,
    /// Among them, the one whose config, tokenizer, dtypes and shards the result takes; none for a vector.
    pub template: Option<usize>,
    /// Settings that differ, and what of it.
    pub config_differences: Vec<ConfigDifference>,
    /// The plan, or everything that stands in its way.
    pub outcome: Result<Plan, Incompatible>,
}

impl Plan {
    /// Whether the result is a model or a vector.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The expression; its printed form is canonical.
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    /// The checkpoints, each once, in the order in which the expression names them, with the atom that names each.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &Checkpoint)> {
        self.inputs
            .iter()
            .map(|input| (input.name.as_str(), &input.checkpoint))
    }

    /// The model whose config, tokenizer, dtypes and shards the result takes; none when the result is a vector. Where
    /// layers stand in other places than in their checkpoints, it is seen so that its config fits the result.
    pub fn template(&self) -> Option<&Checkpoint> {
        let anchor = self.anchors.first();
        anchor
            .filter(|_| self.kind == Kind::Model)
            .map(|view| &self.views[*view].checkpoint)
    }

    /// The model that the result is told apart from: a model's template, or what a vector was subtracted from. None
    /// when no model takes part.
    pub fn origin(&self) -> Option<&Checkpoint> {
        let anchor = self.anchors.first();
        anchor.map(|view| &self.views[*view].checkpoint)
    }

    /// The checkpoint whose shards and tensor order an output mirrors.
    pub(crate) fn layout(&self) -> &Checkpoint {
        &self.views[self.layout].checkpoint
    }

    /// The tensors of the result.
    pub fn tensors(&self) -> &BTreeMap<String, PlannedTensor> {
        &self.tensors
    }

    /// Dtype that was asked for, if one was.
    pub fn output_dtype(&self) -> Option<Dtype> {
        self.options.output_dtype
    }

    /// Differences between the checkpoints that do not stand in the way but that the user should know of, as sentences.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Among the notes, what `common_rows` did, tensor by tensor.
    pub fn row_notes(&self) -> &[String] {
        &self.row_notes
    }

    /// Among the inputs, the one that the others are compared with and whose tokens the rows of embeddings follow.
    pub fn layout_input(&self) -> usize {
        self.inputs_of_views[self.layout]
    }

    /// Options that changed the result or let something pass, by the name under which provenance records them.
    pub fn flags(&self) -> BTreeMap<String, Value> {
        let mut flags = BTreeMap::new();
        if self.options.missing_as_zero {
            flags.insert("missing_as_zero".to_owned(), json!(true));
        }
        if self.options.common_rows {
            flags.insert("rows".to_owned(), json!("common"));
        }
        if self.options.allow_strangers {
            flags.insert("allow_strangers".to_owned(), json!(true));
        }
        flags
    }

    /// References of bound names whose checkpoints [`Plan::inputs`] lists under another name.
    pub fn aliases(&self) -> &BTreeMap<String, String> {
        &self.aliases
    }

    /// Whether it is a vector in which what it does not have is zero, since it is in all that it is made of.
    pub(crate) fn covers_part(&self) -> bool {
        let mut inputs = self.inputs.iter();
        self.kind == Kind::Vector && inputs.all(|input| input.checkpoint.covers_part())
    }

    /// Whether tensors may be read with other rows than are stored.
    pub(crate) fn combines_common_rows(&self) -> bool {
        self.options.common_rows
    }

    /// Whether models of different initialisations may be written.
    pub(crate) fn allows_strangers(&self) -> bool {
        self.options.allow_strangers
    }

    /// The view that a tensor of the result is told apart from.
    pub(crate) fn origin_of(&self, tensor: &str) -> Option<usize> {
        let mut anchors = self.anchors.iter().copied();
        anchors.find(|view| self.views[*view].checkpoint.covers(tensor))
    }

    /// Names of the models that the result is told apart from; none when no model takes part.
    pub(crate) fn origins(&self) -> Option<String> {
        let mut names: Vec<&str> = Vec::new();
        for view in &self.anchors {
            let name = self.views[*view].name.as_str();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// As [`Plan::origin_of`], where the result is a model and so has it in it.
    pub(crate) fn template_of(&self, tensor: &str) -> Option<usize> {
        self.origin_of(tensor).filter(|_| self.kind == Kind::Model)
    }

    pub(crate) fn view(&self, index: usize) -> &Input {
        &self.views[index]
    }

    /// The checkpoint of [`Plan::inputs`] with that number.
    pub(crate) fn input(&self, index: usize) -> &Checkpoint {
        &self.inputs[index].checkpoint
    }

    /// Names of the tensors by the file that they lie in: those of the layout, then those of the models that have layers
    /// which the layout does not have. What no such file has is in the last.
    pub(crate) fn tensors_by_file(&self) -> Vec<Vec<&str>> {
        let is_moved = |view: &usize| self.views[*view].checkpoint.layer_map().is_some();
        let others = self.anchors.iter().copied().filter(is_moved);
        let mut files: Vec<Vec<&str>> = Vec::new();
        let mut known: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let mut placed: BTreeSet<&str> = BTreeSet::new();
        for view in [self.layout].into_iter().chain(others) {
            let shards = self.views[view].checkpoint.shards();
            for (index, shard) in shards.iter().enumerate() {
                let file = *known
                    .entry((self.inputs_of_views[view], index))
                    .or_insert_with(|| {
                        files.push(Vec::new());
                        files.len() - 1
                    });
                for name in shard.tensors {
                    if let Some((name, _)) = self.tensors.get_key_value(name)
                        && placed.insert(name)
                    {
                        files[file].push(name);
                    }
                }
            }
        }
        if files.len() > 1 {
            files.retain(|file| !file.is_empty());
        }
        let rest = self.tensors.keys().map(String::as_str);
        let rest = rest.filter(|name| !placed.contains(name));
        match files.last_mut() {
            Some(last) => last.extend(rest),
            None => files.push(rest.collect()),
        }
        files
    }

    /// Names of the tensors, file by file.
    pub(crate) fn tensors_in_file_order(&self) -> Vec<&str> {
        self.tensors_by_file().concat()
    }
}

impl PlannedTensor {
    /// Whether its bytes are those of an input, which are copied; others are computed.
    pub fn is_copied(&self) -> bool {
        matches!(self.production, Production::Copy { .. })
    }

    /// How it is computed, a copy among that.
    pub(crate) fn formula(&self) -> TensorFormula {
        match &self.production {
            Production::Compute(formula) => formula.clone(),
            Production::Copy { input } => TensorFormula {
                steps: Vec::new(),
                terms: Terms::one(Operand::Input(*input)),
            },
        }
    }

    /// Whether the expression leaves nothing of it, whatever the inputs hold.
    pub fn is_zero(&self) -> bool {
        matches!(&self.production, Production::Compute(formula) if formula.terms.len() == 0)
    }

    /// Whether its elements are numbers that something can be measured of.
    pub(crate) fn is_measured(&self) -> bool {
        FloatFormat::of(self.dtype).is_some()
    }

    /// Number of elements.
    pub fn element_count(&self) -> u64 {
        self.shape
            .iter()
            .map(|&dimension| dimension as u64)
            .product()
    }

    /// Bytes of the stored tensor. The plan's inputs were validated, so the size is known to fit.
    pub fn byte_len(&self) -> u64 {
        self.dtype.byte_len(self.element_count()).unwrap_or(0)
    }
}
