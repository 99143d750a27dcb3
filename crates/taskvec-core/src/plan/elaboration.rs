//! What an elaborated expression is: a typed sum over views of its inputs, and what it comes to in one tensor.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::call::{PlannedCall, Work};
use super::formula::{Lowering, Source, TensorFormula, Terms};
use super::input::Input;
use super::relayered_config::of_depth;
use super::scalar::TensorPlace;
use crate::checkpoint::LayerMap;
use crate::error::Result;
use crate::expression::{Expression, Kind};
use crate::method::{Operation, TensorContext};

/// An expression with its types and checkpoints known.
#[derive(Debug)]
pub(super) struct Elaboration {
    pub(super) kind: Kind,
    pub(super) inputs: Vec<Input>,
    /// The inputs as the expression takes them, which formulas refer to: each as it is, or with its layers in other
    /// places, and then once for each way in which they are.
    pub(super) views: Vec<Input>,
    pub(super) sources: Vec<ViewSource>,
    /// Views. Of a model its template; of a vector the model it was told apart from. Of a stack those of all operands,
    /// and each counts for the tensors that it has.
    pub(super) anchors: Vec<usize>,
    pub(super) terms: Terms<Source>,
    pub(super) calls: Vec<PlannedCall>,
    /// Layers of the result, counted over the names of all tensors.
    pub(super) layers: u32,
}

/// What a view is a view of.
#[derive(Debug, PartialEq)]
pub(super) struct ViewSource {
    pub(super) input: usize,
    /// Where its layers stand, if not where they are stored.
    pub(super) place: Option<Arc<LayerMap>>,
}

impl Elaboration {
    /// Makes the views of the inputs, again when inputs have changed.
    pub(super) fn look(&mut self) {
        self.views = self
            .sources
            .iter()
            .map(|source| {
                let Input { name, checkpoint } = &self.inputs[source.input];
                Input {
                    name: name.clone(),
                    checkpoint: match &source.place {
                        None => checkpoint.clone(),
                        Some(place) => of_depth(&checkpoint.with_layers(place), place.length()),
                    },
                }
            })
            .collect();
    }

    /// The input of which a view is one.
    pub(super) fn input_of(&self, view: usize) -> usize {
        self.sources[view].input
    }

    pub(super) fn template(&self) -> Option<usize> {
        self.anchors
            .first()
            .copied()
            .filter(|_| self.kind == Kind::Model)
    }

    /// The view whose shards and order an output mirrors, and that others are compared with: of a vector the first that
    /// is whole, where one is.
    pub(super) fn layout(&self) -> usize {
        self.template().unwrap_or_else(|| {
            let whole = |view: &Input| !view.checkpoint.covers_part();
            self.views.iter().position(whole).unwrap_or(0)
        })
    }

    /// The formula of one tensor.
    pub(super) fn lower(
        &self,
        expression: &Expression,
        name: &str,
        shape: &[usize],
    ) -> Result<TensorFormula> {
        let has_tensor = |view: usize| self.views[view].checkpoint.tensors().contains_key(name);
        let mut lowering = Lowering {
            tensor: TensorPlace {
                name,
                layers: self.layers,
            },
            context: TensorContext::of(name, shape),
            calls: &self.calls,
            has_tensor: &has_tensor,
            steps: Vec::new(),
            placed: BTreeMap::new(),
        };
        let terms = lowering
            .lower(&self.terms)
            .map_err(|(span, problem)| expression.error(span, problem))?;
        Ok(TensorFormula {
            steps: lowering.steps,
            terms,
        })
    }

    /// What methods have to say of tensors of these names and shapes, as sentences.
    pub(super) fn notes<'a>(
        &self,
        tensors: impl Iterator<Item = (&'a String, &'a [usize])> + Clone,
    ) -> Vec<String> {
        let mut notes = Vec::new();
        for call in &self.calls {
            let Work::Fixed(Operation::Streaming(method)) = &call.work else {
                continue;
            };
            let here = |name: &str| call.place.as_ref().is_none_or(|place| place.covers(name));
            let mut said = tensors.clone().filter_map(|(name, shape)| {
                let name = Some(name).filter(|name| here(name))?;
                let note = method.note(TensorContext::of(name, shape))?;
                Some((name, note))
            });
            if let Some((name, note)) = said.next() {
                let others = match said.count() {
                    0 => String::new(),
                    1 => " and 1 other".to_owned(),
                    count => format!(" and {count} others"),
                };
                let note = format!("{note}: `{name}`{others}");
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
        }
        notes
    }

    /// Checks the calls' arguments against the tensors there are.
    pub(super) fn check_calls<'a>(
        &self,
        expression: &Expression,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<()> {
        for call in &self.calls {
            // Patterns speak of the names that the call sees.
            let own: Option<Vec<String>> = call.place.as_ref().map(|place| {
                names
                    .clone()
                    .filter_map(|name| place.own_name(name))
                    .collect()
            });
            match own {
                None => call.check(&names),
                Some(own) => call.check(&own.iter().map(String::as_str)),
            }
            .map_err(|(span, problem)| expression.error(span, problem))?;
        }
        Ok(())
    }
}
