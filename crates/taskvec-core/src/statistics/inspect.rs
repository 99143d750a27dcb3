//! One streaming pass over a plan that keeps sums and no weights.
//!
//! What is measured is a *change* `d`. Of a vector it is the vector. Of a model it is the distance from its template:
//! with `target + 0.5*v`, `d = 0.5·v`.
//!
//! When the result is stored in BF16 or F16, part of `d` is lost to rounding, and a small `d` may vanish: see
//! [`Rounding`].
//!
//! `d` is taken as correctly rounded to singles. Sums are in double precision, in an order that depends on the tensor
//! alone.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use super::change::{CHANGE, MeasuredChange};
use super::group::Group;
use super::rounding::Rounding;
use crate::error::Result;
use crate::execute::{Chunk, Consumer, Job, Ordered, Part, Progress, RunOptions, run};
use crate::expression::Kind;
use crate::plan::Plan;

/// Elements summed at once; fixed, because sums depend on it.
const BLOCK_ELEMENTS: usize = 1 << 14;

/// How a plan is inspected.
#[derive(Debug, Clone, Copy, Default)]
pub struct InspectOptions<'a> {
    /// Threads; all cores when none is given.
    pub threads: Option<NonZeroUsize>,
    /// Stops the inspection as soon as it becomes true.
    pub cancelled: Option<&'a AtomicBool>,
}

/// What one pass over a plan found.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// What was inspected.
    pub kind: Kind,
    /// The expression, printed.
    pub expression: String,
    /// The model that norms are relative to: the template of a model, what was subtracted in a vector.
    pub origin: Option<String>,
    /// By tensor.
    pub tensors: BTreeMap<String, WeightStatistics>,
}

/// Sums over some weights, and what follows from them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct WeightStatistics {
    /// Elements.
    pub elements: u64,
    /// Elements of the change that are exactly zero.
    pub zeros: u64,
    /// Elements of the change that are NaN.
    pub nan: u64,
    /// Elements of the change that are infinite.
    pub infinite: u64,
    /// Largest magnitude in the change, over finite elements.
    pub largest: f64,
    /// `‖d‖²`.
    pub sum_of_squares: f64,
    /// `‖θ‖²` of the origin, where there is one.
    pub origin_sum_of_squares: Option<f64>,
    /// What storing the result does to the change, where the output is of fewer bits than a single.
    pub rounding: Option<Rounding>,
}

impl WeightStatistics {
    /// `‖d‖`.
    pub fn norm(&self) -> f64 {
        self.sum_of_squares.sqrt()
    }

    /// `‖d‖ / ‖θ‖`; none without an origin or where that is zero.
    pub fn relative_norm(&self) -> Option<f64> {
        self.origin_sum_of_squares
            .filter(|origin| *origin > 0.0)
            .map(|origin| (self.sum_of_squares / origin).sqrt())
    }

    /// [`Rounding::survived_share`], where the output is rounded.
    pub fn survival(&self) -> Option<f64> {
        self.rounding?.survived_share()
    }

    /// [`Rounding::lost_share`], where the output is rounded.
    pub fn rounding_error(&self) -> Option<f64> {
        self.rounding?.lost_share()
    }

    /// Adds what was found elsewhere.
    pub fn merge(&mut self, other: &Self) {
        // What one side does not know is unknown of both, unless one side is empty.
        let both = |one: Option<f64>, two: Option<f64>| Some(one? + two?);
        if self.elements == 0 {
            *self = *other;
            return;
        }
        if other.elements == 0 {
            return;
        }
        self.elements += other.elements;
        self.zeros += other.zeros;
        self.nan += other.nan;
        self.infinite += other.infinite;
        self.largest = self.largest.max(other.largest);
        self.sum_of_squares += other.sum_of_squares;
        self.origin_sum_of_squares = both(self.origin_sum_of_squares, other.origin_sum_of_squares);
        self.rounding = match (self.rounding, other.rounding) {
            (Some(mut one), Some(two)) => {
                one.add(&two, 1.0);
                Some(one)
            }
            _ => None,
        };
    }
}

impl Inspection {
    /// All tensors together.
    pub fn total(&self) -> WeightStatistics {
        let mut total = WeightStatistics::default();
        self.tensors.values().for_each(|tensor| total.merge(tensor));
        total
    }

    /// By layer and module.
    pub fn groups(&self) -> BTreeMap<Group, WeightStatistics> {
        let mut groups: BTreeMap<Group, WeightStatistics> = BTreeMap::new();
        for (name, tensor) in &self.tensors {
            groups.entry(Group::of(name)).or_default().merge(tensor);
        }
        groups
    }
}

/// Reads every input once and measures the change that the plan stands for.
///
/// Tensors that are carried and not computed are left out.
///
/// # Errors
///
/// When an input cannot be read or the inspection was cancelled.
pub fn inspect(
    plan: &Plan,
    options: &InspectOptions<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Inspection> {
    let inspected: Vec<MeasuredChange<'_>> = plan
        .tensors_in_file_order()
        .into_iter()
        .filter_map(|name| MeasuredChange::new(plan, name))
        .collect();
    let run_options = RunOptions {
        threads: options.threads,
        chunk: Chunk::Elements(BLOCK_ELEMENTS as u64),
        cancelled: options.cancelled,
        progress,
        bytes_total: inspected
            .iter()
            .map(|tensor| tensor.elements * CHANGE.size_bytes() as u64)
            .sum(),
    };
    let summary = Summary {
        tensors: &inspected,
        found: inspected.iter().map(|_| Mutex::default()).collect(),
    };
    run(
        std::slice::from_ref(&(0..inspected.len())),
        &|index| Job::Compute {
            computation: inspected[index].computation(plan),
            surveys: Vec::new(),
        },
        &summary,
        &run_options,
    )?;
    let found = summary
        .found
        .into_iter()
        .map(|found| found.into_inner().unwrap_or_default().1);
    let names = inspected.iter().map(|tensor| tensor.name.to_owned());
    let origin = plan
        .origin_input()
        .map(|input| plan.input(input).name.clone());
    Ok(Inspection {
        kind: plan.kind(),
        expression: plan.expression().to_string(),
        origin,
        tensors: names.zip(found).collect(),
    })
}

/// The consumer that merges blocks in their order.
struct Summary<'a> {
    tensors: &'a [MeasuredChange<'a>],
    found: Vec<Mutex<(Ordered<WeightStatistics>, WeightStatistics)>>,
}

impl Consumer for Summary<'_> {
    fn consume(&self, tensor: usize, part: Part<'_>) -> Result<()> {
        let block = part.byte_offset / (BLOCK_ELEMENTS * CHANGE.size_bytes()) as u64;
        let measured = self.tensors[tensor].measure(part.outputs);
        if let Ok(mut found) = self.found[tensor].lock() {
            let (ordered, total) = &mut *found;
            ordered.push(block, measured, |block| total.merge(&block));
        }
        Ok(())
    }
}
