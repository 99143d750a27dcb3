//! One streaming pass over a plan, or over two, that keeps sums and no weights.
//!
//! What is measured is a *change* `d`. Of a vector it is the vector. Of a model it is the distance from its template:
//! with `target + 0.5*v`, `d = 0.5·v`. Of a model that is its template, weights as they are, it is the weights.
//!
//! When the result is stored in BF16 or F16, part of `d` is lost to rounding, and a small `d` may vanish: see
//! [`Rounding`](super::Rounding).
//!
//! `d` is taken as correctly rounded to singles. Sums are in double precision, in an order that depends on the tensor
//! alone.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use super::change::{CHANGE, MeasuredChange, Widened, piece, starts};
use super::group::Group;
use super::overlap::{Measurement, Overlap};
use super::sums::products;
use super::weight_statistics::WeightStatistics;
use crate::error::{Error, Result};
use crate::execute::{
    Chunk, Computation, Consumer, Job, Ordered, Part, Progress, Root, RunOptions, run,
};
use crate::expression::Kind;
use crate::plan::{Joint, Plan, TensorFormula, Terms};

/// Elements summed at once; fixed, because sums depend on it.
const BLOCK_ELEMENTS: usize = 1 << 14;
/// Blocks that are read and computed together: small reads cost more for the call than for the bytes.
const UNIT_BLOCKS: usize = 4;

/// How a plan is inspected.
#[derive(Debug, Clone, Copy, Default)]
pub struct InspectOptions<'a> {
    /// Threads; all cores when none is given.
    pub threads: Option<NonZeroUsize>,
    /// Stops the inspection as soon as it becomes true.
    pub cancelled: Option<&'a AtomicBool>,
}

/// What is inspected.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The vector or model.
    pub plan: &'a Plan,
    /// A vector that it is held against; both must be vectors then.
    pub beside: Option<&'a Plan>,
    /// What norms are relative to, instead of what the plan itself says.
    pub relative_to: Option<&'a Plan>,
}

impl<'a> From<&'a Plan> for Subject<'a> {
    fn from(plan: &'a Plan) -> Self {
        Self {
            plan,
            beside: None,
            relative_to: None,
        }
    }
}

/// What an inspection will be able to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    /// As [`Inspection::origin`].
    pub origin: Option<String>,
    /// Whether some result is of so few bits that part of the change may not survive.
    pub has_rounding: bool,
}

impl Subject<'_> {
    /// Says, before any weight is read, what an inspection will be able to say.
    ///
    /// # Errors
    ///
    /// What [`inspect`] refuses because of names, shapes and kinds.
    pub fn foresee(self) -> Result<Foreseen> {
        let prepared = Prepared::of(self)?;
        let mut firsts = prepared.inspected.iter().map(|tensor| &tensor.first);
        Ok(Foreseen {
            origin: self.origin_of(self.plan, prepared.measured),
            has_rounding: firsts.any(MeasuredChange::is_rounded),
        })
    }

    /// What the norms of one of its plans are relative to.
    fn origin_of(self, plan: &Plan, measured: Measured) -> Option<String> {
        match self.relative_to {
            Some(relative_to) => Some(relative_to.expression().to_string()),
            None if measured == Measured::Weights => None,
            None => plan.origins(),
        }
    }
}

/// What the numbers of an inspection are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// A vector.
    Vector,
    /// What a model has that its template has not.
    Change,
    /// The weights of a model that is its template.
    Weights,
}

impl Measured {
    /// One word for tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vector => "vector",
            Self::Change => "change",
            Self::Weights => "weights",
        }
    }

    pub(super) fn of(plan: &Plan) -> Self {
        let is_template = |name: &String| {
            let formula = plan.tensors()[name].formula();
            formula.single() == plan.template_of(name)
        };
        let mut measured = plan.tensors().iter().filter(|(_, it)| it.is_measured());
        if plan.kind() == Kind::Vector {
            Self::Vector
        } else if measured.all(|(name, _)| is_template(name)) {
            Self::Weights
        } else {
            Self::Change
        }
    }
}

/// What one pass found.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// What was inspected.
    pub kind: Kind,
    /// What of it was measured.
    pub measured: Measured,
    /// The expression, printed.
    pub expression: String,
    /// The model that norms are relative to: what was asked for; else the template of a model, what was subtracted in a
    /// vector.
    pub origin: Option<String>,
    /// By tensor.
    pub tensors: BTreeMap<String, WeightStatistics>,
    /// What it was held against.
    pub beside: Option<Beside>,
}

/// A second vector that the first was held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside {
    /// The expression, printed.
    pub expression: String,
    /// As [`Inspection::origin`].
    pub origin: Option<String>,
    /// By tensor: of the second vector, and of both.
    pub tensors: BTreeMap<String, (WeightStatistics, Overlap)>,
}

impl Inspection {
    /// One tensor; empty where there is none of that name.
    pub fn measurement(&self, tensor: &str) -> Measurement {
        let second = |beside: &Beside| beside.tensors.get(tensor).copied();
        Measurement {
            found: self.tensors.get(tensor).copied().unwrap_or_default(),
            beside: self.beside.as_ref().and_then(second),
        }
    }

    /// Tensors of one key together.
    pub fn by<K: Ord>(&self, key: impl Fn(&str) -> K) -> BTreeMap<K, Measurement> {
        let mut found: BTreeMap<K, Measurement> = BTreeMap::new();
        for name in self.tensors.keys() {
            let of_key = found.entry(key(name)).or_default();
            of_key.merge(&self.measurement(name));
        }
        found
    }

    /// All tensors together.
    pub fn whole(&self) -> Measurement {
        self.by(|_| ()).remove(&()).unwrap_or_default()
    }

    /// All tensors of what was inspected together.
    pub fn total(&self) -> WeightStatistics {
        self.whole().found
    }

    /// What was inspected by layer and module.
    pub fn groups(&self) -> BTreeMap<Group, WeightStatistics> {
        let groups = self.by(Group::of).into_iter();
        groups.map(|(group, it)| (group, it.found)).collect()
    }
}

/// Reads every input once and measures the change that a plan stands for, alone or beside another.
///
/// Tensors that are carried and not computed are left out.
///
/// # Errors
///
/// [`Error::NotAVector`] when a model is to be held against something, [`Error::Incompatible`] with everything in which
/// the plans differ, [`Error::NothingToMeasure`]; when an input cannot be read or the inspection was cancelled.
pub fn inspect<'a>(
    subject: impl Into<Subject<'a>>,
    options: &InspectOptions<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Inspection> {
    let subject: Subject<'_> = subject.into();
    let plan = subject.plan;
    let Prepared {
        joint,
        measured,
        inspected,
    } = Prepared::of(subject)?;
    let run_options = RunOptions {
        threads: options.threads,
        chunk: Chunk::Elements((UNIT_BLOCKS * BLOCK_ELEMENTS) as u64),
        cancelled: options.cancelled,
        progress,
        bytes_total: inspected
            .iter()
            .map(|tensor| tensor.first.elements * CHANGE.size_bytes() as u64)
            .sum(),
        hashes: None,
    };
    let summary = Summary {
        tensors: &inspected,
        found: inspected.iter().map(|_| Mutex::default()).collect(),
    };
    run(
        std::slice::from_ref(&(0..inspected.len())),
        &|index| Job::Compute {
            computation: inspected[index].computation(joint.plan()),
            surveys: Vec::new(),
        },
        &summary,
        &run_options,
    )?;

    let origin = |plan: &Plan| subject.origin_of(plan, measured);
    let mut inspection = Inspection {
        kind: plan.kind(),
        measured,
        expression: plan.expression().to_string(),
        origin: origin(plan),
        tensors: BTreeMap::new(),
        beside: subject.beside.map(|second| Beside {
            expression: second.expression().to_string(),
            origin: origin(second),
            tensors: BTreeMap::new(),
        }),
    };
    for (tensor, found) in inspected.iter().zip(summary.found) {
        let Measurement { found, beside } = found.into_inner().unwrap_or_default().1;
        inspection
            .tensors
            .insert(tensor.first.name.to_owned(), found);
        if let Some(all) = &mut inspection.beside {
            let name = tensor.first.name.to_owned();
            all.tensors.insert(name, beside.unwrap_or_default());
        }
    }
    Ok(inspection)
}

/// Everything that is known of an inspection before a weight is read.
struct Prepared<'a> {
    joint: Joint,
    measured: Measured,
    inspected: Vec<Inspected<'a>>,
}

impl<'a> Prepared<'a> {
    fn of(subject: Subject<'a>) -> Result<Self> {
        let plan = subject.plan;
        if let Some(second) = subject.beside {
            for plan in [plan, second] {
                if plan.kind() == Kind::Model {
                    return Err(Error::NotAVector {
                        expression: plan.expression().to_string(),
                        purpose: "what is held against one another are vectors",
                    });
                }
            }
        }
        let others: Vec<&Plan> = (subject.beside.into_iter())
            .chain(subject.relative_to)
            .collect();
        let joint = Joint::of(plan, &others)?;
        let measured = Measured::of(plan);
        let inspected = inspected(subject, measured, &joint);
        if inspected.is_empty() {
            return Err(Error::NothingToMeasure {
                expression: plan.expression().to_string(),
            });
        }
        Ok(Self {
            joint,
            measured,
            inspected,
        })
    }
}

/// A tensor in the vector or model that is inspected, and in what it is held against.
struct Inspected<'a> {
    first: MeasuredChange<'a>,
    second: Option<MeasuredChange<'a>>,
    /// What norms are relative to, where that was named; its steps stand behind those of the others.
    reference: TensorFormula,
}

/// What is measured, in the order of the first plan's files.
fn inspected<'a>(subject: Subject<'a>, measured: Measured, joint: &Joint) -> Vec<Inspected<'a>> {
    let mut names = subject.plan.tensors_in_file_order();
    if let Some(second) = subject.beside {
        let known: BTreeSet<&str> = names.iter().copied().collect();
        let others = second.tensors_in_file_order().into_iter();
        names.extend(others.filter(|name| !known.contains(name)));
    }
    names
        .into_iter()
        .filter_map(|name| Inspected::new(subject, measured, joint, name))
        .collect()
}

impl<'a> Inspected<'a> {
    /// None for a tensor on which no arithmetic is done.
    fn new(subject: Subject<'a>, measured: Measured, joint: &Joint, name: &'a str) -> Option<Self> {
        let planned = |plan: &'a Plan| plan.tensors().get(name).filter(|it| it.is_measured());
        let elements = [Some(subject.plan), subject.beside]
            .into_iter()
            .flatten()
            .find_map(planned)?
            .element_count();
        let change = |plan: &'a Plan| match planned(plan) {
            None => Some(MeasuredChange::absent(name, elements)),
            Some(tensor) if measured == Measured::Weights => {
                let weights = MeasuredChange::of_weights(plan, name)?;
                Some(match tensor.is_copied() {
                    true => weights.unrounded(),
                    false => weights,
                })
            }
            Some(_) => MeasuredChange::new(plan, name),
        };
        let place = |plan: usize| move |input: usize| joint.place(plan, input);
        let mut first = change(subject.plan)?;
        let mut second = match subject.beside {
            None => None,
            Some(plan) => {
                let steps = first.steps().len();
                Some(change(plan)?.unrounded().moved(&place(1), steps))
            }
        };
        let mut reference = TensorFormula::default();
        if let Some(plan) = subject.relative_to {
            let steps = first.steps().len() + second.as_ref().map_or(0, |it| it.steps().len());
            let number = 1 + usize::from(second.is_some());
            reference = planned(plan)?.formula().moved(&place(number), steps);
            first.relative_to(&reference.terms);
            second
                .iter_mut()
                .for_each(|it| it.relative_to(&reference.terms));
        }
        Some(Self {
            first,
            second,
            reference,
        })
    }

    fn computation(&self, plan: &Plan) -> Computation {
        let second = self.second.iter();
        let mut steps = self.first.steps().to_vec();
        steps.extend(second.clone().flat_map(|it| it.steps()).cloned());
        steps.extend(self.reference.steps.iter().cloned());
        let formula = TensorFormula {
            steps,
            terms: Terms::default(),
        };
        let roots: Vec<Root<'_>> = self
            .first
            .roots()
            .into_iter()
            .chain(second.into_iter().flat_map(MeasuredChange::roots))
            .collect();
        Computation::new(plan, self.first.name, self.first.elements, &formula, &roots)
    }

    /// Everything about one block.
    fn measure(&self, outputs: &[&[u8]]) -> Measurement {
        let mut found = Measurement::default();
        let mut widened = Widened::default();
        let Some(second) = &self.second else {
            for start in starts(outputs) {
                let first = self.first.measure(outputs, start, &mut widened);
                found.found.merge(&first);
            }
            return found;
        };
        let (firsts, seconds) = outputs.split_at(self.first.roots().len());
        for start in starts(outputs) {
            let overlap = products(piece(firsts, start), piece(seconds, start)).into();
            let first = self.first.measure(firsts, start, &mut widened);
            let second = second.measure(seconds, start, &mut widened);
            found.merge(&Measurement {
                found: first,
                beside: Some((second, overlap)),
            });
        }
        found
    }
}

/// The consumer that merges blocks in their order.
struct Summary<'a> {
    tensors: &'a [Inspected<'a>],
    found: Vec<Mutex<(Ordered<Measurement>, Measurement)>>,
}

impl Consumer for Summary<'_> {
    fn consume<'a>(&self, tensor: usize, part: Part<'a>) -> Result<()> {
        let first = part.byte_offset / (BLOCK_ELEMENTS * CHANGE.size_bytes()) as u64;
        let bytes = part.outputs.first().map_or(0, |change| change.len());
        let elements = bytes / CHANGE.size_bytes();
        for (block, start) in (first..).zip((0..elements).step_by(BLOCK_ELEMENTS)) {
            let end = elements.min(start + BLOCK_ELEMENTS);
            let of_block = |output: &&'a [u8]| -> &'a [u8] {
                let size = output.len() / elements;
                &output[start * size..end * size]
            };
            let outputs: Vec<&[u8]> = part.outputs.iter().map(of_block).collect();
            let measured = self.tensors[tensor].measure(&outputs);
            if let Ok(mut found) = self.found[tensor].lock() {
                let (ordered, total) = &mut *found;
                ordered.push(block, measured, |block| total.merge(&block));
            }
        }
        Ok(())
    }
}
