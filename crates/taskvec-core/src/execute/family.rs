//! Several outputs made together: what they have in common is read and computed once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::computation::{Computation, Root};
use super::float::FloatFormat;
use super::job::{Consumer, Job, Part, Survey, Surveyed};
use super::layout::Form;
use super::pending::Pending;
use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::plan::{Plan, Production, TensorFormula};
use crate::statistics::{MeasuredChange, Sampling};

/// A tensor in those outputs for which it is made in the same way.
pub(super) struct Task<'a> {
    name: &'a str,
    targets: Vec<Target<'a>>,
}

/// Where a tensor of one output goes.
struct Target<'a> {
    output: usize,
    /// Its number among the output's places.
    place: usize,
    shard: usize,
    form: Form<'a>,
    /// Bytes of an element; of copies of a byte.
    size: u64,
}

/// The tasks of all outputs, in lanes: one for each shard of the first output, whose places follow one another, and more
/// for what only others have.
pub(super) fn lanes_and_tasks<'a>(
    outputs: &'a [Pending<'_>],
) -> (Vec<Range<usize>>, Vec<Task<'a>>) {
    let places: Vec<_> = outputs.iter().map(Pending::places).collect();
    let numbers: Vec<BTreeMap<&str, usize>> = places
        .iter()
        .map(|places| places.iter().map(|place| place.name).zip(0..).collect())
        .collect();
    let mut lanes = Vec::new();
    let mut tasks: Vec<Task<'a>> = Vec::new();
    let mut seen = BTreeSet::new();
    for (first, of_first) in places.iter().enumerate() {
        for in_shard in of_first.chunk_by(|one, two| one.shard == two.shard) {
            let begin = tasks.len();
            for name in in_shard.iter().map(|place| place.name) {
                if !seen.insert(name) {
                    continue;
                }
                let before = tasks.len();
                for output in first..outputs.len() {
                    let Some(&number) = numbers[output].get(name) else {
                        continue;
                    };
                    let plan = outputs[output].draft.plan;
                    let place = &places[output][number];
                    let target = Target {
                        output,
                        place: number,
                        shard: place.shard,
                        form: place.form.clone(),
                        size: unit_bytes(plan, name),
                    };
                    let fitting = tasks[before..].iter_mut().find(|task| {
                        let other = outputs[task.targets[0].output].draft.plan;
                        are_made_alike(name, plan, other)
                    });
                    match fitting {
                        Some(task) => task.targets.push(target),
                        None => tasks.push(Task {
                            name,
                            targets: vec![target],
                        }),
                    }
                }
            }
            if begin < tasks.len() {
                lanes.push(begin..tasks.len());
            }
        }
    }
    (lanes, tasks)
}

/// The input of which a tensor is a copy.
fn source<'a>(plan: &'a Plan, name: &str) -> Option<&'a Checkpoint> {
    match plan.tensors()[name].production {
        Production::Copy { input } => Some(&plan.view(input).checkpoint),
        Production::Compute(_) => None,
    }
}

fn unit_bytes(plan: &Plan, name: &str) -> u64 {
    match source(plan, name) {
        Some(_) => 1,
        None => plan.tensors()[name].dtype.bits() / 8,
    }
}

/// Whether one job makes the tensor for both plans.
fn are_made_alike(name: &str, one: &Plan, two: &Plan) -> bool {
    match (source(one, name), source(two, name)) {
        (Some(one), Some(two)) => one.is(two),
        (None, None) => one.tensors()[name].element_count() == two.tensors()[name].element_count(),
        _ => false,
    }
}

/// What a plan says of a tensor, and where it is looked at in passing.
pub(super) type Member<'a> = (&'a Plan, Option<(&'a MeasuredChange<'a>, Sampling)>);

/// The work that makes one tensor for plans that make it alike, and looks at what rounding does to its change on the
/// way: a survey for each plan that wants one, in their order.
pub(super) fn job(name: &str, members: &[Member<'_>]) -> Job {
    let copied = members.first().and_then(|(plan, _)| {
        let tensor = &plan.tensors()[name];
        Some(Job::Copy {
            checkpoint: source(plan, name)?.clone(),
            name: name.to_owned(),
            bytes: tensor.byte_len(),
            format: FloatFormat::of(tensor.dtype),
        })
    });
    copied.unwrap_or_else(|| compute(name, members))
}

/// The work that computes a tensor, a copy too.
pub(super) fn compute(name: &str, members: &[Member<'_>]) -> Job {
    let mut elements = 0;
    let formulas: Vec<(TensorFormula, FloatFormat)> = members
        .iter()
        .map(|(plan, _)| {
            let tensor = &plan.tensors()[name];
            elements = tensor.element_count();
            // Only floats are computed, see the plan's rules.
            let format = FloatFormat::of(tensor.dtype).unwrap_or(FloatFormat::F32);
            (tensor.formula(), format)
        })
        .collect();
    let computed: Vec<(Member<'_>, &TensorFormula, Root<'_>)> = members
        .iter()
        .zip(&formulas)
        .map(|(member, (formula, format))| {
            let root = Root {
                terms: &formula.terms,
                format: *format,
            };
            (*member, formula, root)
        })
        .collect();
    let stored: Vec<_> = computed
        .iter()
        .map(|((plan, _), formula, root)| (*plan, *formula, std::slice::from_ref(root)))
        .collect();
    let surveys = computed
        .iter()
        .enumerate()
        .filter_map(|(index, ((_, measured), ..))| Some((index, (*measured)?)))
        .map(|(index, (measured, sample))| {
            let roots = measured.roots();
            let mut looked_at = stored.clone();
            for (other, (_, _, wanted)) in looked_at.iter_mut().enumerate() {
                *wanted = if other == index { &roots } else { &[] };
            }
            Survey {
                computation: Computation::of_family(name, elements, &looked_at).uncounted(),
                blocks: sample.blocks(name, elements),
            }
        })
        .collect();
    Job::Compute {
        computation: Computation::of_family(name, elements, &stored),
        surveys,
    }
}

/// The consumer that writes.
pub(super) struct Family<'a> {
    pub(super) outputs: &'a [Pending<'a>],
    pub(super) tasks: Vec<Task<'a>>,
}

impl Family<'_> {
    /// Bytes of all tensors of all outputs.
    pub(super) fn bytes_total(&self) -> u64 {
        let bytes = |task: &Task<'_>| {
            let first = &self.outputs[task.targets[0].output];
            first.draft.plan.tensors()[task.name].byte_len() * task.targets.len() as u64
        };
        self.tasks.iter().map(bytes).sum()
    }

    pub(super) fn job(&self, task: usize) -> Job {
        let task = &self.tasks[task];
        let members: Vec<Member<'_>> = task
            .targets
            .iter()
            .map(|target| {
                let draft = &self.outputs[target.output].draft;
                let measured = draft.measured.get(task.name);
                (draft.plan, measured.map(|change| (change, draft.sample)))
            })
            .collect();
        match task.targets[0].form {
            Form::Dense { .. } => job(task.name, &members),
            // Cut where its elements were counted, a copy too.
            Form::Sparse(_) => compute(task.name, &members),
        }
    }
}

impl Consumer for Family<'_> {
    fn consume(&self, task: usize, part: Part<'_>) -> Result<()> {
        let Task { name, targets } = &self.tasks[task];
        let unit = part.byte_offset / targets[0].size;
        for (index, target) in targets.iter().enumerate() {
            // A copy is one for all.
            let index = index.min(part.outputs.len() - 1);
            let output = &self.outputs[target.output];
            output.count(name, part.tallies[index]);
            let tensor = (target.shard, *name);
            let offset = unit * target.size;
            output.write_at(
                target.place,
                tensor,
                &target.form,
                offset,
                part.outputs[index],
            )?;
        }
        Ok(())
    }

    fn copies(&self, task: usize) -> u64 {
        self.tasks[task].targets.len() as u64
    }

    fn survey(&self, task: usize, surveyed: Surveyed, outputs: &[&[u8]]) -> Result<()> {
        let Task { name, targets } = &self.tasks[task];
        let mut looked_at = targets.iter().filter(|target| {
            let draft = &self.outputs[target.output].draft;
            draft.measured.contains_key(name)
        });
        if let Some(target) = looked_at.nth(surveyed.survey) {
            let place = (target.place, *name);
            self.outputs[target.output].look_at(place, surveyed.index, surveyed.block, outputs);
        }
        Ok(())
    }
}
