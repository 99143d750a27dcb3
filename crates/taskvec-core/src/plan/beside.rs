//! Plans beside one another: whether their results are the same tensors, and one list of what they all read.
//!
//! A vector that covers part of a model, as adapters do, is zero in the rest and may be held beside one that covers all.
//! So may a vector that was planned with [`PlanOptions::missing_as_zero`](super::PlanOptions::missing_as_zero).

use super::agreement::{self, Incompatible, Mismatch};
use super::input::identity;
use super::{Input, Plan};
use crate::error::{Error, Result};
use crate::expression::Kind;

/// Plans over one list of inputs, so that what they share is read once.
pub(crate) struct Joint {
    plan: Plan,
    places: Vec<Vec<usize>>,
}

impl Joint {
    /// Holds `others` beside `first`.
    ///
    /// # Errors
    ///
    /// [`Error::Incompatible`] with every mismatch between the first and the others.
    pub(crate) fn of(first: &Plan, others: &[&Plan]) -> Result<Self> {
        let mismatches: Vec<Mismatch> = others
            .iter()
            .flat_map(|other| mismatches(first, other))
            .collect();
        if !mismatches.is_empty() {
            return Err(Error::Incompatible(Box::new(Incompatible {
                expression: first.expression().to_string(),
                beside: others
                    .iter()
                    .map(|other| other.expression().to_string())
                    .collect(),
                tensors: first.tensors().len(),
                mismatches,
            })));
        }
        let mut joint = Self {
            plan: first.clone(),
            places: vec![(0..first.inputs.len()).collect()],
        };
        let mut known: Vec<_> = first.inputs.iter().map(identity_of).collect();
        for other in others {
            let mut places = Vec::with_capacity(other.inputs.len());
            for input in &other.inputs {
                let identity = identity_of(input);
                let place = known.iter().position(|known| *known == identity);
                places.push(place.unwrap_or_else(|| {
                    known.push(identity);
                    joint.plan.inputs.push(input.clone());
                    known.len() - 1
                }));
            }
            joint.places.push(places);
        }
        Ok(joint)
    }

    /// The first plan, with the inputs of all.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where input `input` of plan number `plan`, the first being 0, stands among the inputs of all.
    pub(crate) fn place(&self, plan: usize, input: usize) -> usize {
        self.places[plan][input]
    }
}

fn identity_of(input: &Input) -> crate::reference::Reference {
    identity(input.checkpoint.reference())
}

fn mismatches(first: &Plan, other: &Plan) -> Vec<Mismatch> {
    let names = [first, other].map(|plan| plan.expression().to_string());
    let configs = [first, other].map(|plan| plan.layout().config());
    let mut mismatches = match configs {
        [Some(left), Some(right)] => {
            agreement::decisive_mismatches((&names[0], &names[1]), left, right)
        }
        _ => Vec::new(),
    };
    for (tensor, left) in first.tensors() {
        match other.tensors().get(tensor) {
            Some(right) if left.shape != right.shape => mismatches.push(Mismatch::Shape {
                tensor: tensor.clone(),
                left: (names[0].clone(), left.shape.clone()),
                right: (names[1].clone(), right.shape.clone()),
            }),
            Some(right) if left.is_measured() != right.is_measured() => {
                mismatches.push(Mismatch::Dtype {
                    tensor: tensor.clone(),
                    left: (names[0].clone(), left.dtype),
                    right: (names[1].clone(), right.dtype),
                });
            }
            None if left.is_measured() && !may_lack(other) => {
                mismatches.push(missing(tensor, [&names[0], &names[1]], other));
            }
            _ => {}
        }
    }
    let alone = other
        .tensors()
        .iter()
        .filter(|(tensor, right)| right.is_measured() && !first.tensors().contains_key(*tensor));
    if !may_lack(first) {
        mismatches.extend(alone.map(|(tensor, _)| missing(tensor, [&names[1], &names[0]], first)));
    }
    mismatches
}

/// Whether what a plan does not have is zero in it.
fn may_lack(plan: &Plan) -> bool {
    let is_part = plan
        .inputs
        .iter()
        .all(|input| input.checkpoint.covers_part());
    plan.kind() == Kind::Vector && (is_part || plan.options.missing_as_zero)
}

fn missing(tensor: &str, [present, absent]: [&str; 2], lacking: &Plan) -> Mismatch {
    Mismatch::Missing {
        tensor: tensor.to_owned(),
        present: present.to_owned(),
        absent: absent.to_owned(),
        absent_is_vector: lacking.kind() == Kind::Vector,
    }
}
