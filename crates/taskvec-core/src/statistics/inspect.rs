//! One streaming pass over a plan that keeps sums and no weights.
//!
//! What is measured is a *change* `d`. Of a vector it is the vector. Of a model it is the distance from its template:
//! with `target + 0.5*v`, `d = 0.5·v`.
//!
//! When the result is stored in BF16 or F16, part of `d` is lost to rounding, and a small `d` may vanish: let `θ` be the
//! template (zero for a vector) and `r = round(θ + d) − θ` what arrives. Then
//!
//! - *survival* is `⟨r, d⟩ / ‖d‖²`: how far the stored weights moved along `d`, where 1 is all the way;
//! - *rounding error* is `‖r − d‖ / ‖d‖`: the length of what the rounding adds, along `d` and across it.
//!
//! `d` is taken as correctly rounded to singles. Sums are in double precision, in an order that depends on the tensor
//! alone.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use super::group::Group;
use super::sums::{sum, sum_of_squares};
use crate::coefficient::Coefficient;
use crate::error::Result;
use crate::execute::{
    Chunk, Computation, Consumer, FloatFormat, Job, Ordered, Part, Progress, Root, RunOptions, run,
    widen,
};
use crate::expression::Kind;
use crate::plan::{Operand, Plan, PlannedTensor, Production, TensorFormula, Terms};

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
    /// `⟨r, d⟩` and `‖r − d‖²`, where the output is of fewer bits than a single.
    pub rounding: Option<(f64, f64)>,
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

    /// `⟨r, d⟩ / ‖d‖²`: the share of the change that survives the rounding of the output.
    pub fn survival(&self) -> Option<f64> {
        self.rounding
            .filter(|_| self.sum_of_squares > 0.0)
            .map(|(kept, _)| kept / self.sum_of_squares)
    }

    /// `‖r − d‖ / ‖d‖`: how much the rounding of the output adds to the change, as a share of it.
    pub fn rounding_error(&self) -> Option<f64> {
        self.rounding
            .filter(|_| self.sum_of_squares > 0.0)
            .map(|(_, lost)| (lost / self.sum_of_squares).sqrt())
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
            (Some(one), Some(two)) => Some((one.0 + two.0, one.1 + two.1)),
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
    let inspected: Vec<Inspected<'_>> = plan
        .tensors_in_file_order()
        .into_iter()
        .filter_map(|name| Inspected::new(plan, name))
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
        &|index| Job::Compute(inspected[index].computation(plan)),
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

/// Format in which the change is measured.
const CHANGE: FloatFormat = FloatFormat::F32;

/// A tensor and what is wanted of it.
struct Inspected<'a> {
    name: &'a str,
    elements: u64,
    formula: TensorFormula,
    change: Terms<Operand>,
    origin: Option<Terms<Operand>>,
    /// Format of the stored result, when its rounding is of interest.
    stored: Option<FloatFormat>,
    /// Whether the stored result has the origin in it.
    is_model: bool,
}

impl<'a> Inspected<'a> {
    fn new(plan: &Plan, name: &'a str) -> Option<Self> {
        let tensor: &PlannedTensor = &plan.tensors()[name];
        let format = FloatFormat::of(tensor.dtype)?;
        let formula = match &tensor.production {
            Production::Compute(formula) => formula.clone(),
            Production::Copy { input } => TensorFormula {
                steps: Vec::new(),
                terms: Terms::one(Operand::Input(*input)),
            },
        };
        let is_model = plan.kind() == Kind::Model;
        let mut change = formula.terms.clone();
        if let Some(template) = plan.template_input() {
            change.add(Operand::Input(template), &-Coefficient::one());
        }
        let has_tensor = |input: &usize| plan.input(*input).checkpoint.tensors().contains_key(name);
        let origin = plan
            .origin_input()
            .filter(has_tensor)
            .map(|input| Terms::one(Operand::Input(input)));
        let stored = Some(format).filter(|format| format.size_bytes() < CHANGE.size_bytes());
        Some(Self {
            name,
            elements: tensor.element_count(),
            formula,
            change,
            origin,
            stored,
            is_model,
        })
    }

    fn computation(&self, plan: &Plan) -> Computation {
        let mut roots = vec![Root {
            terms: &self.change,
            format: CHANGE,
        }];
        roots.extend(self.origin.as_ref().map(|terms| Root {
            terms,
            format: CHANGE,
        }));
        roots.extend(self.stored.map(|format| Root {
            terms: &self.formula.terms,
            format,
        }));
        Computation::new(plan, self.name, self.elements, &self.formula, &roots)
    }

    fn measure(&self, outputs: &[&[u8]]) -> WeightStatistics {
        let values = |bytes: &[u8], format: FloatFormat| {
            let mut values = vec![0.0; bytes.len() / format.size_bytes()];
            widen(format, bytes, &mut values);
            values
        };
        let mut outputs = outputs.iter();
        let mut next = |format| outputs.next().map(|bytes| values(bytes, format));
        let change = next(CHANGE).unwrap_or_default();
        let origin = self.origin.as_ref().and_then(|_| next(CHANGE));
        let stored = self.stored.and_then(&mut next);
        let rounding = stored.map(|stored| {
            // Differences of values of few bits are exact in double precision.
            let arrived = |index: usize| {
                let from = if self.is_model {
                    origin
                        .as_ref()
                        .map_or(0.0, |origin| f64::from(origin[index]))
                } else {
                    0.0
                };
                f64::from(stored[index]) - from
            };
            let kept = sum(change.len(), |index| {
                arrived(index) * f64::from(change[index])
            });
            let lost = sum(change.len(), |index| {
                (arrived(index) - f64::from(change[index])).powi(2)
            });
            (kept, lost)
        });
        let count =
            |wanted: fn(f32) -> bool| change.iter().filter(|&&value| wanted(value)).count() as u64;
        let largest = change
            .iter()
            .filter(|value| value.is_finite())
            .fold(0f32, |largest, value| largest.max(value.abs()));
        WeightStatistics {
            elements: change.len() as u64,
            zeros: count(|value| value == 0.0),
            nan: count(f32::is_nan),
            infinite: count(f32::is_infinite),
            largest: largest.into(),
            sum_of_squares: sum_of_squares(&change),
            origin_sum_of_squares: origin.as_deref().map(sum_of_squares),
            rounding,
        }
    }
}

/// The consumer that merges blocks in their order.
struct Summary<'a> {
    tensors: &'a [Inspected<'a>],
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
