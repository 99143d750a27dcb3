//! Plans beside one another: whether their results are the same tensors, and one list of what they all read.
//!
//! A vector that covers part of a model, as adapters do, is zero in the rest and may be held beside one that covers all.
//! So may a vector that was planned with [`PlanOptions::missing_as_zero`](super::PlanOptions::missing_as_zero).

use super::agreement;
use super::input::identity;
use super::mismatch::{Incompatible, Mismatch};
use super::{Input, Plan};
use crate::checkpoint::LayerMap;
use crate::error::{Error, Result};
use crate::expression::Kind;
use crate::reference::Reference;

/// Plans over one list of views, so that what they share is read once.
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
            places: vec![(0..first.views.len()).collect()],
        };
        let mut known: Vec<_> = first.views.iter().map(identity_of).collect();
        for other in others {
            let mut places = Vec::with_capacity(other.views.len());
            for view in &other.views {
                let identity = identity_of(view);
                let place = known.iter().position(|known| *known == identity);
                places.push(place.unwrap_or_else(|| {
                    known.push(identity);
                    joint.plan.views.push(view.clone());
                    known.len() - 1
                }));
            }
            joint.places.push(places);
        }
        Ok(joint)
    }

    /// The first plan, with the views of all.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where view `input` of plan number `plan`, the first being 0, stands among the views of all.
    pub(crate) fn place(&self, plan: usize, input: usize) -> usize {
        self.places[plan][input]
    }
}

/// Which checkpoint it is, and where its layers stand.
fn identity_of(view: &Input) -> (Reference, Option<LayerMap>) {
    let checkpoint = &view.checkpoint;
    (
        identity(checkpoint.reference()),
        checkpoint.layer_map().cloned(),
    )
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
    plan.covers_part() || (plan.kind() == Kind::Vector && plan.options.missing_as_zero)
}

fn missing(tensor: &str, [present, absent]: [&str; 2], lacking: &Plan) -> Mismatch {
    Mismatch::Missing {
        tensor: tensor.to_owned(),
        present: present.to_owned(),
        absent: absent.to_owned(),
        absent_is_vector: lacking.kind() == Kind::Vector,
    }
}
