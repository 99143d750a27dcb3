//! Whether checkpoints fit together: names, shapes, dtypes, and what their configs mean for tensors.
//!
//! Every checkpoint is compared with one, the *reference*: the result's template, or the first checkpoint when the
//! result is a vector. Of a stack each operand has its reference, for the tensors that the others do not have; and what
//! stands in one model must be what could stand in another. All mismatches are collected before any is reported.
//!
//! Not covered: whether two models descend from one initialisation, which only reading them can tell.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::PlanOptions;
use super::elaboration::Elaboration;
use super::input::Input;
use super::mismatch::{Incompatible, Mismatch};
use crate::checkpoint::{Checkpoint, CheckpointKind};
use crate::error::{Error, Result};
use crate::execute::FloatFormat;
use crate::expression::{Expression, Kind};
use crate::statistics::LayerName;

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
    let layout = elaboration.layout();
    let reference = &elaboration.views[layout];
    let mut comparer = Comparer {
        references: Vec::new(),
        options,
        mismatches: Vec::new(),
        notes: Vec::new(),
    };
    comparer.take_reference(reference);
    // Models that results are told apart from are what others are compared with.
    let anchors = elaboration.anchors.iter().copied();
    let is_other = |view: &usize| !elaboration.anchors.contains(view);
    for index in anchors.chain((0..elaboration.views.len()).filter(is_other)) {
        if index != layout {
            comparer.view(&elaboration.views[index]);
        }
    }
    let references = std::mem::take(&mut comparer.references);
    comparer.beside_references(&references, &elaboration.views);
    if !comparer.mismatches.is_empty() {
        // Views of one checkpoint differ from others in the same.
        let mut mismatches: Vec<Mismatch> = Vec::with_capacity(comparer.mismatches.len());
        for mismatch in comparer.mismatches {
            let config = matches!(mismatch, Mismatch::Config { .. });
            if !(config && mismatches.contains(&mismatch)) {
                mismatches.push(mismatch);
            }
        }
        return Err(Error::Incompatible(Box::new(Incompatible {
            expression: expression.to_string(),
            beside: Vec::new(),
            tensors: references
                .iter()
                .map(|reference| reference.checkpoint.tensors().len())
                .sum(),
            mismatches,
        })));
    }
    let mut notes: Vec<String> = Vec::with_capacity(comparer.notes.len());
    for note in comparer.notes {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    // Vectors may each have tensors that the others lack, with `missing_as_zero` or where the first is an adapter.
    let open = options.missing_as_zero || reference.checkpoint.covers_part();
    let holders: Vec<&Input> = if elaboration.kind == Kind::Vector && open {
        elaboration.views.iter().collect()
    } else {
        references
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

/// Whether a tensor's name says that it holds weights, whatever it holds them as: `qweight` is what GPTQ and AWQ call
/// them, `weight` bitsandbytes.
fn holds_weights(tensor: &str) -> bool {
    let last = tensor.rsplit('.').next().unwrap_or(tensor);
    matches!(last, "weight" | "qweight")
}

struct Comparer<'a> {
    /// The first is that of the whole; others have what those before them do not.
    references: Vec<&'a Input>,
    options: &'a PlanOptions,
    mismatches: Vec<Mismatch>,
    notes: Vec<String>,
}

impl<'a> Comparer<'a> {
    /// Floats of eight bits and fewer are weights, and so are the whole numbers of a quantised model; carrying them through
    /// would silently drop the vector.
    fn take_reference(&mut self, reference: &'a Input) {
        let config = reference.checkpoint.config();
        let is_quantised = config
            .and_then(|config| config.get("quantization_config"))
            .is_some_and(|settings| !settings.is_null());
        for (tensor, info) in reference.checkpoint.tensors() {
            let is_weight = info.dtype.is_float() || is_quantised || holds_weights(tensor);
            if is_weight && FloatFormat::of(info.dtype).is_none() {
                self.mismatches.push(Mismatch::Unsupported {
                    tensor: tensor.clone(),
                    checkpoint: reference.name.clone(),
                    dtype: info.dtype,
                });
            }
        }
        self.references.push(reference);
    }

    /// Compares a view with every reference that has a tensor where it has one. What has layers that none of those has
    /// becomes a reference itself.
    fn view(&mut self, view: &'a Input) {
        for index in 0..self.references.len() {
            let reference = self.references[index];
            if index == 0 || shares_place(reference, view) {
                self.config(reference, view);
                self.tensors(reference, view);
            }
        }
        let is_covered = |name: &String| {
            let mut references = self.references.iter();
            references.any(|reference| reference.checkpoint.covers(name))
        };
        let is_moved = view.checkpoint.layer_map().is_some();
        let is_whole = !view.checkpoint.covers_part();
        if is_moved && is_whole && !view.checkpoint.tensors().keys().all(is_covered) {
            let is_known = |known: &&Input| known.name == view.name;
            if !self.references.iter().any(is_known) {
                self.kinship(self.references[0], view);
            }
            self.take_reference(view);
        }
    }

    /// Compares models of which each has layers that the other does not: whether what stands in one could stand in the
    /// other.
    fn kinship(&mut self, reference: &Input, view: &Input) {
        let (here, there) = (reference.checkpoint.stored(), view.checkpoint.stored());
        // Shapes by name, without the number of the layer, each with the tensor that has it.
        let shapes = |checkpoint: &Checkpoint| {
            let mut shapes: BTreeMap<String, Vec<(String, Vec<usize>)>> = BTreeMap::new();
            for (name, info) in checkpoint.tensors() {
                let key = LayerName::of(name).map_or_else(|| name.clone(), |parts| parts.at(0));
                let known = shapes.entry(key).or_default();
                if known.iter().all(|(_, shape)| *shape != info.shape) {
                    known.push((name.clone(), info.shape.clone()));
                }
            }
            shapes
        };
        let (left, right) = (shapes(&here), shapes(&there));
        let missing = |tensor: &str, present: &Input, absent: &Input| Mismatch::Missing {
            tensor: tensor.to_owned(),
            present: present.name.clone(),
            absent: absent.name.clone(),
            absent_is_vector: false,
        };
        for (key, found) in &right {
            let Some(known) = left.get(key) else {
                self.mismatches.push(missing(&found[0].0, view, reference));
                continue;
            };
            let other = found
                .iter()
                .find(|(_, shape)| known.iter().all(|(_, known)| known != shape));
            if let Some((tensor, shape)) = other {
                self.mismatches.push(Mismatch::Shape {
                    tensor: tensor.clone(),
                    left: (reference.name.clone(), known[0].1.clone()),
                    right: (view.name.clone(), shape.clone()),
                });
            }
        }
        for (key, known) in &left {
            if !right.contains_key(key) {
                self.mismatches.push(missing(&known[0].0, reference, view));
            }
        }
    }

    fn tensors(&mut self, reference: &Input, input: &Input) {
        let (here, there) = (&reference.checkpoint, &input.checkpoint);
        let is_vector = |checkpoint: &Checkpoint| checkpoint.kind() == CheckpointKind::Vector;
        for (tensor, left) in here.tensors() {
            let Some(right) = there.tensors().get(tensor) else {
                self.missing(tensor, reference, input);
                continue;
            };
            let computed = |dtype| FloatFormat::of(dtype).is_some();
            if left.shape != right.shape {
                self.mismatches.push(Mismatch::Shape {
                    tensor: tensor.clone(),
                    left: (reference.name.clone(), left.shape.clone()),
                    right: (input.name.clone(), right.shape.clone()),
                });
            } else if left.dtype != right.dtype && !(computed(left.dtype) && computed(right.dtype))
            {
                self.mismatches.push(Mismatch::Dtype {
                    tensor: tensor.clone(),
                    left: (reference.name.clone(), left.dtype),
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
            self.missing(tensor, input, reference);
        }
    }

    /// Compares tensors that the references lack among those that have them: they may count as zero in a reference, and
    /// still be two things.
    fn beside_references(&mut self, references: &[&Input], inputs: &[Input]) {
        let mut first: BTreeMap<&str, &Input> = BTreeMap::new();
        for input in inputs {
            for (tensor, right) in input.checkpoint.tensors() {
                let has = |reference: &&Input| reference.checkpoint.tensors().contains_key(tensor);
                if references.iter().any(has) {
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
        if absent.checkpoint.covers_part() || !absent.checkpoint.covers(tensor) {
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

    fn config(&mut self, reference: &Input, input: &Input) {
        let (Some(left), Some(right)) = (reference.checkpoint.config(), input.checkpoint.config())
        else {
            return;
        };
        let names = (reference.name.as_str(), input.name.as_str());
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
                    reference.name, input.name
                ));
            }
        }
    }
}

/// Whether both have a place for one tensor.
fn shares_place(one: &Input, two: &Input) -> bool {
    let names = one.checkpoint.tensors().keys();
    names.clone().any(|name| two.checkpoint.covers(name))
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
    let reference = &elaboration.views[elaboration.layout()];
    let keys = DECISIVE
        .into_iter()
        .map(|(key, fallback)| (key, fallback, ConfigMeaning::Decisive))
        .chain(NOTEWORTHY.map(|key| (key, Fallback::None, ConfigMeaning::Kept)));
    let mut differences = Vec::new();
    for input in &elaboration.views {
        let (Some(left), Some(right)) = (reference.checkpoint.config(), input.checkpoint.config())
        else {
            continue;
        };
        for (key, fallback, meaning) in keys.clone() {
            let (one, two) = (setting(left, key, fallback), setting(right, key, fallback));
            if differ(&one, &two) {
                let difference = ConfigDifference {
                    key,
                    left: (reference.name.clone(), one),
                    right: (input.name.clone(), two),
                    meaning,
                };
                // Of one checkpoint there may be several views.
                if !differences.contains(&difference) {
                    differences.push(difference);
                }
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
