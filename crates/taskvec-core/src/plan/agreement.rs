//! Whether checkpoints fit together: names, shapes, dtypes, and what their configs mean for tensors.
//!
//! Every checkpoint is compared with one, the *reference*: the result's template, or the first checkpoint when the
//! result is a vector. All mismatches are collected before any is reported.
//!
//! Not covered: whether two models descend from one initialisation, which only reading them can tell.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use super::PlanOptions;
use super::elaborate::Elaboration;
use super::input::Input;
use super::rows::differ_in_rows;
use crate::checkpoint::{Checkpoint, CheckpointKind};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::execute::FloatFormat;
use crate::expression::{Expression, Kind};

/// Mismatches that a message lists before it counts the rest.
const SHOWN: usize = 20;

/// One thing on which two checkpoints differ. Names are the atoms of the expression.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Mismatch {
    /// A tensor with two shapes.
    Shape {
        /// The tensor.
        tensor: String,
        /// The first checkpoint and the shape there.
        left: (String, Vec<usize>),
        /// The second checkpoint and the shape there.
        right: (String, Vec<usize>),
    },
    /// A tensor with two dtypes between which nothing can be computed.
    Dtype {
        /// The tensor.
        tensor: String,
        /// The first checkpoint and the dtype there.
        left: (String, Dtype),
        /// The second checkpoint and the dtype there.
        right: (String, Dtype),
    },
    /// A tensor that one checkpoint has and the other has not.
    Missing {
        /// The tensor.
        tensor: String,
        /// Who has it.
        present: String,
        /// Who has not.
        absent: String,
        /// Whether the one without it is a vector, in which it could count as zero.
        absent_is_vector: bool,
    },
    /// A tensor of weights in a format on which no arithmetic is done.
    Unsupported {
        /// The tensor.
        tensor: String,
        /// Where.
        checkpoint: String,
        /// Its dtype.
        dtype: Dtype,
    },
    /// A setting that gives tensors of the same shape another meaning.
    Config {
        /// The key in `config.json`.
        key: &'static str,
        /// The first checkpoint and its value.
        left: (String, Value),
        /// The second checkpoint and its value.
        right: (String, Value),
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape {
                tensor,
                left,
                right,
            } => {
                let ((first, one), (second, two)) = (left, right);
                write!(
                    formatter,
                    "`{tensor}`: `{first}` is {one:?}, `{second}` is {two:?}"
                )
            }
            Self::Dtype {
                tensor,
                left,
                right,
            } => {
                write!(
                    formatter,
                    "`{tensor}`: `{}` is {}, `{}` is {}",
                    left.0, left.1, right.0, right.1
                )
            }
            Self::Missing {
                tensor,
                present,
                absent,
                ..
            } => {
                write!(
                    formatter,
                    "`{tensor}`: `{present}` has it, `{absent}` does not"
                )
            }
            Self::Unsupported {
                tensor,
                checkpoint,
                dtype,
            } => {
                write!(
                    formatter,
                    "`{tensor}`: `{checkpoint}` is {dtype}, on which no arithmetic is done"
                )
            }
            Self::Config { key, left, right } => {
                write!(
                    formatter,
                    "config `{key}`: `{}` has {}, `{}` has {}",
                    left.0, left.1, right.0, right.1
                )
            }
        }
    }
}

/// The error of checkpoints that do not fit together.
#[derive(Debug, Clone, PartialEq)]
pub struct Incompatible {
    /// The expression, printed.
    pub expression: String,
    /// Expressions that were to be held beside it, where checkpoints of several do not fit.
    pub beside: Vec<String>,
    /// Tensors of the reference.
    pub tensors: usize,
    /// Everything that does not fit.
    pub mismatches: Vec<Mismatch>,
}

impl fmt::Display for Incompatible {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |wanted: fn(&Mismatch) -> bool| {
            self.mismatches.iter().filter(|each| wanted(each)).count()
        };
        let parts = [
            (
                count(|each| matches!(each, Mismatch::Config { .. })),
                "config values differ",
            ),
            (
                count(|each| matches!(each, Mismatch::Shape { .. })),
                "shapes differ",
            ),
            (
                count(|each| matches!(each, Mismatch::Dtype { .. })),
                "dtypes differ",
            ),
            (
                count(|each| matches!(each, Mismatch::Unsupported { .. })),
                "dtypes are not supported",
            ),
            (
                count(|each| matches!(each, Mismatch::Missing { .. })),
                "tensors are on one side only",
            ),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| {
                format!(
                    "{count} {}",
                    if *count == 1 {
                        singular(what)
                    } else {
                        (*what).to_owned()
                    }
                )
            })
            .collect();
        write!(
            formatter,
            "the checkpoints of {} do not fit together: {} ({} tensors compared)",
            self.expressions(),
            parts.join(", "),
            self.tensors
        )?;
        for mismatch in self.mismatches.iter().take(SHOWN) {
            write!(formatter, "\n  {mismatch}")?;
        }
        if self.mismatches.len() > SHOWN {
            write!(formatter, "\n  and {} more", self.mismatches.len() - SHOWN)?;
        }
        Ok(())
    }
}

fn singular(what: &str) -> String {
    what.replace("values differ", "value differs")
        .replace("shapes differ", "shape differs")
        .replace("dtypes differ", "dtype differs")
        .replace("dtypes are", "dtype is")
        .replace("tensors are", "tensor is")
}

impl std::error::Error for Incompatible {}

impl Incompatible {
    fn expressions(&self) -> String {
        let first = format!("`{}`", self.expression);
        match self.beside.as_slice() {
            [] => first,
            [rest @ .., last] => {
                let rest: String = rest.iter().map(|each| format!(", `{each}`")).collect();
                format!("{first}{rest} and `{last}`")
            }
        }
    }

    /// What explains the mismatches, where one thing does.
    pub fn hint(&self) -> Option<String> {
        let rows_of = |mismatch: &Mismatch| match mismatch {
            Mismatch::Shape {
                tensor,
                left,
                right,
            } if differ_in_rows(tensor, &left.1, &right.1) => Some((left.1[0], right.1[0])),
            _ => None,
        };
        let rows = self.mismatches.iter().find_map(rows_of).map(|(left, right)| {
            let differ = format!(
                "the vocabularies differ, {left} rows against {right}: one was resized or padded for another tokenizer"
            );
            if self.mismatches.iter().all(|mismatch| rows_of(mismatch).is_some()) {
                format!("{differ}; `--rows common` combines the rows that both have")
            } else {
                differ
            }
        });
        let architecture = self.mismatches.iter().any(|mismatch| {
            matches!(
                mismatch,
                Mismatch::Config {
                    key: "model_type" | "hidden_size" | "num_hidden_layers",
                    ..
                }
            )
        });
        if architecture {
            return Some(
                "these are different architectures; vectors move only between models of one shape"
                    .to_owned(),
            );
        }
        let head = self.mismatches.iter().all(|mismatch| {
            matches!(mismatch, Mismatch::Missing { tensor, .. } if tensor.ends_with("lm_head.weight"))
        });
        if head {
            return Some(
                "one side stores `lm_head.weight` and the other ties it to its embeddings; save both the same way"
                    .to_owned(),
            );
        }
        let vectors = self.mismatches.iter().all(|mismatch| {
            matches!(
                mismatch,
                Mismatch::Missing {
                    absent_is_vector: true,
                    ..
                }
            )
        });
        if vectors {
            return Some(
                "to let tensors that a vector lacks count as zero, pass `--missing-as-zero`"
                    .to_owned(),
            );
        }
        rows
    }
}

/// What a comparison that found no mismatch returns.
pub(super) struct Comparison {
    /// Tensors of the result.
    pub(super) tensors: BTreeSet<String>,
    /// Of those, the ones that are computed.
    pub(super) computed: BTreeSet<String>,
    pub(super) notes: Vec<String>,
}

/// Compares every input with the reference.
pub(super) fn compare(
    expression: &Expression,
    elaboration: &Elaboration,
    options: &PlanOptions,
) -> Result<Comparison> {
    let reference = &elaboration.inputs[elaboration.layout()];
    let mut comparer = Comparer {
        reference,
        options,
        mismatches: Vec::new(),
        notes: Vec::new(),
    };
    comparer.refuse_unsupported();
    for (index, input) in elaboration.inputs.iter().enumerate() {
        if index != elaboration.layout() {
            comparer.config(input);
            comparer.tensors(input);
        }
    }
    comparer.beside_reference(&elaboration.inputs);
    if !comparer.mismatches.is_empty() {
        return Err(Error::Incompatible(Box::new(Incompatible {
            expression: expression.to_string(),
            beside: Vec::new(),
            tensors: reference.checkpoint.tensors().len(),
            mismatches: comparer.mismatches,
        })));
    }
    let notes = comparer.notes;
    // Vectors may each have tensors that the others lack, with `missing_as_zero` or where the first is an adapter.
    let open = options.missing_as_zero || reference.checkpoint.covers_part();
    let holders: Vec<&Input> = if elaboration.kind == Kind::Vector && open {
        elaboration.inputs.iter().collect()
    } else {
        vec![reference]
    };
    let mut tensors = BTreeSet::new();
    let mut computed = BTreeSet::new();
    for holder in holders {
        for name in holder.checkpoint.tensors().keys() {
            let weight = is_weight(&holder.checkpoint, name);
            if weight {
                computed.insert(name.clone());
            }
            if weight || elaboration.kind == Kind::Model {
                tensors.insert(name.clone());
            }
        }
    }
    Ok(Comparison {
        tensors,
        computed,
        notes,
    })
}

fn is_weight(checkpoint: &Checkpoint, name: &str) -> bool {
    checkpoint
        .tensors()
        .get(name)
        .is_some_and(|info| FloatFormat::of(info.dtype).is_some())
}

struct Comparer<'a> {
    reference: &'a Input,
    options: &'a PlanOptions,
    mismatches: Vec<Mismatch>,
    notes: Vec<String>,
}

impl Comparer<'_> {
    /// Floats of eight bits and fewer are weights; carrying them through would silently drop the vector.
    fn refuse_unsupported(&mut self) {
        for (tensor, info) in self.reference.checkpoint.tensors() {
            if info.dtype.is_float() && FloatFormat::of(info.dtype).is_none() {
                self.mismatches.push(Mismatch::Unsupported {
                    tensor: tensor.clone(),
                    checkpoint: self.reference.name.clone(),
                    dtype: info.dtype,
                });
            }
        }
    }

    fn tensors(&mut self, input: &Input) {
        let (here, there) = (&self.reference.checkpoint, &input.checkpoint);
        let is_vector = |checkpoint: &Checkpoint| checkpoint.kind() == CheckpointKind::Vector;
        for (tensor, left) in here.tensors() {
            let Some(right) = there.tensors().get(tensor) else {
                self.missing(tensor, self.reference, input);
                continue;
            };
            let computed = |dtype| FloatFormat::of(dtype).is_some();
            if left.shape != right.shape {
                self.mismatches.push(Mismatch::Shape {
                    tensor: tensor.clone(),
                    left: (self.reference.name.clone(), left.shape.clone()),
                    right: (input.name.clone(), right.shape.clone()),
                });
            } else if left.dtype != right.dtype && !(computed(left.dtype) && computed(right.dtype))
            {
                self.mismatches.push(Mismatch::Dtype {
                    tensor: tensor.clone(),
                    left: (self.reference.name.clone(), left.dtype),
                    right: (input.name.clone(), right.dtype),
                });
            }
        }
        for tensor in there
            .tensors()
            .keys()
            .filter(|tensor| !here.tensors().contains_key(*tensor))
        {
            // Beside a vector, a model's integers are not missing: vectors do not have them.
            if is_vector(here) && !is_vector(there) && !is_weight(there, tensor) {
                continue;
            }
            self.missing(tensor, input, self.reference);
        }
    }

    /// Compares tensors that the reference lacks among those that have them: they may count as zero in the reference, and
    /// still be two things.
    fn beside_reference(&mut self, inputs: &[Input]) {
        let mut first: BTreeMap<&str, &Input> = BTreeMap::new();
        for input in inputs {
            for (tensor, right) in input.checkpoint.tensors() {
                if self.reference.checkpoint.tensors().contains_key(tensor) {
                    continue;
                }
                let holder = *first.entry(tensor).or_insert(input);
                let left = &holder.checkpoint.tensors()[tensor];
                if left.shape != right.shape {
                    self.mismatches.push(Mismatch::Shape {
                        tensor: tensor.clone(),
                        left: (holder.name.clone(), left.shape.clone()),
                        right: (input.name.clone(), right.shape.clone()),
                    });
                }
            }
        }
    }

    fn missing(&mut self, tensor: &str, present: &Input, absent: &Input) {
        if absent.checkpoint.covers_part() {
            return;
        }
        let absent_is_vector = absent.checkpoint.kind() == CheckpointKind::Vector;
        let carried = !is_weight(&present.checkpoint, tensor);
        if absent_is_vector && (carried || self.options.missing_as_zero) {
            return;
        }
        self.mismatches.push(Mismatch::Missing {
            tensor: tensor.to_owned(),
            present: present.name.clone(),
            absent: absent.name.clone(),
            absent_is_vector,
        });
    }

    fn config(&mut self, input: &Input) {
        let (Some(left), Some(right)) = (
            self.reference.checkpoint.config(),
            input.checkpoint.config(),
        ) else {
            return;
        };
        let names = (self.reference.name.as_str(), input.name.as_str());
        self.mismatches
            .extend(decisive_mismatches(names, left, right));
        for key in NOTEWORTHY {
            let (one, two) = (
                setting(left, key, Fallback::None),
                setting(right, key, Fallback::None),
            );
            if differ(&one, &two) {
                self.notes.push(format!(
                    "config `{key}` differs: `{}` has {one}, `{}` has {two}",
                    self.reference.name, input.name
                ));
            }
        }
    }
}

/// Settings of two configs that make their tensors different things.
pub(super) fn decisive_mismatches(
    names: (&str, &str),
    left: &Map<String, Value>,
    right: &Map<String, Value>,
) -> Vec<Mismatch> {
    DECISIVE
        .into_iter()
        .filter_map(|(key, fallback)| {
            let (one, two) = (setting(left, key, fallback), setting(right, key, fallback));
            differ(&one, &two).then(|| Mismatch::Config {
                key,
                left: (names.0.to_owned(), one),
                right: (names.1.to_owned(), two),
            })
        })
        .collect()
}

/// A setting that differs between two checkpoints. Names are the atoms of the expression.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigDifference {
    /// The key in `config.json`.
    pub key: &'static str,
    /// The checkpoint that others are compared with, and its value.
    pub left: (String, Value),
    /// The other, and its value.
    pub right: (String, Value),
    /// What of it.
    pub meaning: ConfigMeaning,
}

/// What a setting that differs means for the tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigMeaning {
    /// Tensors of one name are not the same thing: nothing is computed.
    Decisive,
    /// Tensors stay comparable; what the model computes with them follows the template's setting.
    Kept,
}

/// Every setting known to matter on which an input differs from the one that all are compared with.
pub(super) fn config_differences(elaboration: &Elaboration) -> Vec<ConfigDifference> {
    let reference = &elaboration.inputs[elaboration.layout()];
    let keys = DECISIVE
        .into_iter()
        .map(|(key, fallback)| (key, fallback, ConfigMeaning::Decisive))
        .chain(NOTEWORTHY.map(|key| (key, Fallback::None, ConfigMeaning::Kept)));
    let mut differences = Vec::new();
    for input in &elaboration.inputs {
        let (Some(left), Some(right)) = (reference.checkpoint.config(), input.checkpoint.config())
        else {
            continue;
        };
        for (key, fallback, meaning) in keys.clone() {
            let (one, two) = (setting(left, key, fallback), setting(right, key, fallback));
            if differ(&one, &two) {
                differences.push(ConfigDifference {
                    key,
                    left: (reference.name.clone(), one),
                    right: (input.name.clone(), two),
                    meaning,
                });
            }
        }
    }
    differences
}

/// Whether two settings are known and not the same. What one config leaves out is up to its loader.
fn differ(one: &Value, two: &Value) -> bool {
    !one.is_null() && !two.is_null() && one != two
}

/// What a key means that is not there.
#[derive(Clone, Copy)]
enum Fallback {
    None,
    /// The value of another key.
    Same(&'static str),
    /// `hidden_size / num_attention_heads`.
    HeadSize,
}

/// Settings without which tensors of one name and shape are not the same thing.
const DECISIVE: [(&str, Fallback); 9] = [
    ("model_type", Fallback::None),
    ("hidden_size", Fallback::None),
    ("intermediate_size", Fallback::None),
    ("num_hidden_layers", Fallback::None),
    ("num_attention_heads", Fallback::None),
    ("num_key_value_heads", Fallback::Same("num_attention_heads")),
    ("head_dim", Fallback::HeadSize),
    ("hidden_act", Fallback::None),
    ("num_experts", Fallback::None),
];

/// Settings that change what a model computes but leave its tensors comparable.
const NOTEWORTHY: [&str; 6] = [
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "rms_norm_eps",
    "vocab_size",
    "tie_word_embeddings",
];

/// The value of a key, looked up in `text_config` as well, where multimodal models keep their language model's.
fn setting(config: &Map<String, Value>, key: &str, fallback: Fallback) -> Value {
    let nested = config.get("text_config").and_then(Value::as_object);
    let found = |key: &str| {
        config
            .get(key)
            .or_else(|| nested?.get(key))
            .filter(|value| !value.is_null())
            .cloned()
    };
    found(key)
        .or_else(|| match fallback {
            Fallback::None => None,
            Fallback::Same(other) => found(other),
            Fallback::HeadSize => {
                let (size, heads) = (
                    found("hidden_size")?.as_u64()?,
                    found("num_attention_heads")?.as_u64()?,
                );
                size.checked_div(heads).map(Value::from)
            }
        })
        .unwrap_or(Value::Null)
}
