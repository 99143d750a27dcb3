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
//!   byte; vectors do not have them.
//! - Tensors of a model keep the template's dtype; tensors of a vector are F32. [`PlanOptions::output_dtype`] overrides
//!   both.
//! - Numbers that differ from tensor to tensor are evaluated here, once for each tensor and exactly.
//! - An atom whose coefficients cancel exactly is not read at all: `a - a` is zero even where `a` is not finite.

mod agreement;
mod beside;
mod call;
mod elaborate;
mod formula;
mod input;
mod rows;
mod scalar;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

pub use agreement::{ConfigDifference, ConfigMeaning, Incompatible, Mismatch};
pub(crate) use beside::Joint;
pub(crate) use formula::{Operand, Step, TensorFormula, Terms};
pub use input::Bindings;
pub(crate) use input::Input;
use input::Opened;

use crate::checkpoint::{Checkpoint, Library};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::execute::FloatFormat;
use crate::expression::{Expression, Kind};
use elaborate::Elaboration;

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
    /// From a checkpoint, unchanged.
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
    inputs: Vec<Input>,
    template: Option<usize>,
    origin: Option<usize>,
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
    /// Opens, types, compares and lowers.
    ///
    /// # Errors
    ///
    /// [`Error::Expression`] when a name is not bound, a function does not exist or kinds do not fit;
    /// [`Error::Incompatible`] with every mismatch between the checkpoints; and whatever opening a checkpoint can say.
    pub fn build(
        expression: &Expression,
        bindings: &Bindings,
        library: &Library,
        options: &PlanOptions,
    ) -> Result<Self> {
        Self::build_opened(expression, bindings, library, options, &mut Opened::new())
    }

    /// As [`Plan::build`] for each of several expressions, with every checkpoint opened once: plans of one family, as a
    /// sweep over a number is, which [`write_all`](crate::write_all) writes in one pass.
    ///
    /// # Errors
    ///
    /// As [`Plan::build`], for the first expression that has one.
    pub fn build_all(
        expressions: &[Expression],
        bindings: &Bindings,
        library: &Library,
        options: &PlanOptions,
    ) -> Result<Vec<Self>> {
        let mut known = Opened::new();
        expressions
            .iter()
            .map(|expression| {
                Self::build_opened(expression, bindings, library, options, &mut known)
            })
            .collect()
    }

    fn build_opened(
        expression: &Expression,
        bindings: &Bindings,
        library: &Library,
        options: &PlanOptions,
        known: &mut Opened,
    ) -> Result<Self> {
        require_storable(options)?;
        let elaboration = Elaboration::of(expression, bindings, library, known)?;
        Self::complete(expression, bindings, elaboration, options)
    }

    /// As [`Plan::build`], and returns what there is to know where the checkpoints do not fit together too.
    ///
    /// # Errors
    ///
    /// As [`Plan::build`], save that [`Incompatible`] is part of the answer.
    pub fn check(
        expression: &Expression,
        bindings: &Bindings,
        library: &Library,
        options: &PlanOptions,
    ) -> Result<Check> {
        require_storable(options)?;
        let elaboration = Elaboration::of(expression, bindings, library, &mut Opened::new())?;
        Ok(Check {
            kind: elaboration.kind,
            inputs: elaboration
                .inputs
                .iter()
                .map(|input| (input.name.clone(), input.checkpoint.clone()))
                .collect(),
            layout: elaboration.layout(),
            template: elaboration.template(),
            config_differences: agreement::config_differences(&elaboration),
            outcome: match Self::complete(expression, bindings, elaboration, options) {
                Ok(plan) => Ok(plan),
                Err(Error::Incompatible(mismatches)) => Err(*mismatches),
                Err(error) => return Err(error),
            },
        })
    }

    fn complete(
        expression: &Expression,
        bindings: &Bindings,
        mut elaboration: Elaboration,
        options: &PlanOptions,
    ) -> Result<Self> {
        let row_notes = if options.common_rows {
            rows::fit(&mut elaboration)
        } else {
            Vec::new()
        };
        let comparison = agreement::compare(expression, &elaboration, options)?;
        let mut plan = Self {
            expression: expression.clone(),
            kind: elaboration.kind,
            template: elaboration.template(),
            origin: elaboration.anchor,
            layout: elaboration.layout(),
            tensors: BTreeMap::new(),
            options: options.clone(),
            notes: [comparison.notes, row_notes.clone()].concat(),
            row_notes,
            aliases: aliases(expression, bindings, &elaboration.inputs),
            inputs: Vec::new(),
        };
        elaboration.check_calls(expression, comparison.computed.iter().map(String::as_str))?;
        for name in &comparison.tensors {
            let tensor = plan_tensor(expression, &elaboration, options, name)?;
            plan.tensors.insert(name.clone(), tensor);
        }
        // A tensor that a model copies from an input has nothing of the methods in it.
        let is_model = plan.kind == Kind::Model;
        let changed = plan.tensors.iter().filter(|(_, tensor)| {
            FloatFormat::of(tensor.dtype).is_some()
                && !tensor.is_zero()
                && !(is_model && tensor.is_copied())
        });
        let noted = elaboration.notes(changed.map(|(name, tensor)| (name, &tensor.shape[..])));
        plan.notes.extend(noted);
        plan.inputs = elaboration.inputs;
        Ok(plan)
    }

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

    /// The model whose config, tokenizer, dtypes and shards the result takes; none when the result is a vector.
    pub fn template(&self) -> Option<&Checkpoint> {
        self.template.map(|input| &self.inputs[input].checkpoint)
    }

    /// The model that the result is told apart from: a model's template, or what a vector was subtracted from. None
    /// when no model takes part.
    pub fn origin(&self) -> Option<&Checkpoint> {
        self.origin.map(|input| &self.inputs[input].checkpoint)
    }

    /// The checkpoint whose shards and tensor order an output mirrors.
    pub(crate) fn layout(&self) -> &Checkpoint {
        &self.inputs[self.layout].checkpoint
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
        self.layout
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

    /// Whether models of different initialisations may be written.
    pub(crate) fn allows_strangers(&self) -> bool {
        self.options.allow_strangers
    }

    pub(crate) fn origin_input(&self) -> Option<usize> {
        self.origin
    }

    pub(crate) fn template_input(&self) -> Option<usize> {
        self.template
    }

    pub(crate) fn input(&self, index: usize) -> &Input {
        &self.inputs[index]
    }

    /// Names of the tensors in the order of the layout's files, then what it does not have.
    pub(crate) fn tensors_in_file_order(&self) -> Vec<&str> {
        let layout = self.layout();
        let mut order: Vec<&str> = layout
            .shards()
            .iter()
            .flat_map(|shard| shard.tensors)
            .filter_map(|name| self.tensors.get_key_value(name))
            .map(|(name, _)| name.as_str())
            .collect();
        let placed: BTreeSet<&str> = order.iter().copied().collect();
        order.extend(
            self.tensors
                .keys()
                .map(String::as_str)
                .filter(|name| !placed.contains(name)),
        );
        order
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

/// # Errors
///
/// [`Error::OutputDtype`].
fn require_storable(options: &PlanOptions) -> Result<()> {
    match options.output_dtype {
        Some(dtype) if FloatFormat::of(dtype).is_none() => Err(Error::OutputDtype { dtype }),
        _ => Ok(()),
    }
}

fn aliases(
    expression: &Expression,
    bindings: &Bindings,
    inputs: &[Input],
) -> BTreeMap<String, String> {
    expression
        .names()
        .into_iter()
        .filter(|name| inputs.iter().all(|input| input.name != *name))
        .filter_map(|name| Some((name.to_owned(), bindings.names.get(name)?.to_string())))
        .collect()
}

fn plan_tensor(
    expression: &Expression,
    elaboration: &Elaboration,
    options: &PlanOptions,
    name: &str,
) -> Result<PlannedTensor> {
    // The first to have it is the layout wherever the layout has it.
    let holder = |input: &usize| {
        elaboration.inputs[*input]
            .checkpoint
            .tensors()
            .contains_key(name)
    };
    let layout = elaboration.layout();
    let source = Some(layout)
        .filter(holder)
        .or_else(|| (0..elaboration.inputs.len()).find(holder))
        .unwrap_or(layout);
    let info = &elaboration.inputs[source].checkpoint.tensors()[name];
    let shape = info.shape.clone();
    if FloatFormat::of(info.dtype).is_none() {
        return Ok(PlannedTensor {
            dtype: info.dtype,
            shape,
            production: Production::Copy { input: source },
        });
    }
    let default = if elaboration.kind == Kind::Model {
        info.dtype
    } else {
        Dtype::F32
    };
    let dtype = options.output_dtype.unwrap_or(default);
    let formula = elaboration.lower(expression, name, &shape)?;
    let production = match formula.single() {
        Some(input) if elaboration.inputs[input].checkpoint.tensors()[name].dtype == dtype => {
            Production::Copy { input }
        }
        _ => Production::Compute(formula),
    };
    Ok(PlannedTensor {
        dtype,
        shape,
        production,
    })
}
