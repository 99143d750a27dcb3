//! Plans compared with what was written of them.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use super::computation::{Computation, Root};
use super::float::FloatFormat;
use super::job::{Chunk, Consumer, Job, Part, Progress, RunOptions, Survey, Surveyed};
use super::record::side_by_side;
use super::run::run;
use crate::checkpoint::Checkpoint;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::plan::{Plan, Production};
use crate::statistics::{SampledBlock, Sampling};
use crate::verification::VerifyOptions;

/// Elements that are compared together.
const BLOCK_ELEMENTS: u64 = 1 << 10;
/// Blocks of a large result of which one is compared unless all are.
const STRETCH: u64 = 64;
/// Elements that are compared in any case where there are as many.
const ENOUGH: u64 = 8 << 20;

/// What computing elements again showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recomputation {
    /// Elements of the output.
    pub elements: u64,
    /// Elements that were compared.
    pub compared: u64,
    /// Of those, elements of which a bit differs.
    pub different: u64,
    /// The first of them, in the order of the plan's tensors.
    pub first: Option<Difference>,
    /// Tensors that are missing, too many, or of another shape or dtype, as sentences.
    pub structure: Vec<String>,
}

/// An element that is not what the record says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its tensor.
    pub tensor: String,
    /// Its place in the tensor, flattened.
    pub element: u64,
    /// What it would be: a number where it has one, else its bytes in hexadecimal.
    pub computed: String,
    /// What it is.
    pub found: String,
}

impl Recomputation {
    /// Whether nothing differs.
    pub fn is_sound(&self) -> bool {
        self.different == 0 && self.structure.is_empty()
    }
}

/// Computes elements of `plan` again and compares them with those of `output`, bit by bit.
///
/// # Errors
///
/// When something cannot be read, or on cancellation.
pub(crate) fn recompute(
    plan: &Plan,
    output: &Checkpoint,
    options: &VerifyOptions<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Recomputation> {
    let elements = plan.tensors().values().map(|tensor| tensor.element_count());
    let thinnest = if options.all { 1 } else { STRETCH };
    let sampling = Sampling::of(
        elements.sum(),
        ENOUGH,
        thinnest,
        BLOCK_ELEMENTS,
        options.seed,
    );
    let mut found = Recomputation::default();
    let (mut computed, mut copied) = (Vec::new(), Vec::new());
    for name in plan.tensors_in_file_order() {
        let planned = &plan.tensors()[name];
        found.elements += planned.element_count();
        match output.tensors().get(name) {
            None => found.structure.push(format!("`{name}` is missing")),
            Some(stored) if stored.shape != planned.shape || stored.dtype != planned.dtype => {
                found.structure.push(format!(
                    "`{name}` would be {} {:?}, it is {} {:?}",
                    planned.dtype, planned.shape, stored.dtype, stored.shape
                ));
            }
            Some(_) if planned.is_copied() => copied.push(name),
            Some(_) => computed.push(name),
        }
    }
    let extra = output
        .tensors()
        .keys()
        .filter(|name| !plan.tensors().contains_key(*name));
    found
        .structure
        .extend(extra.map(|name| format!("`{name}` is not of the expression")));

    let comparison = Comparison {
        output,
        names: &computed,
        dtypes: computed
            .iter()
            .map(|name| plan.tensors()[*name].dtype)
            .collect(),
        counted: Mutex::default(),
    };
    let byte_len = |name: &&str| plan.tensors()[*name].byte_len();
    let run_options = RunOptions {
        threads: options.threads,
        chunk: Chunk::Automatic,
        cancelled: options.cancelled,
        progress,
        bytes_total: computed.iter().map(byte_len).sum(),
        hashes: None,
    };
    run(
        std::slice::from_ref(&(0..computed.len())),
        &|index| survey(plan, computed[index], sampling),
        &comparison,
        &run_options,
    )?;
    let of_copies = side_by_side(copied.len(), options.threads, &|index| {
        if options
            .cancelled
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
        {
            return Err(Error::Cancelled);
        }
        compare_copy(plan, output, copied[index], sampling)
    })?;
    let counted = comparison.counted.into_inner().unwrap_or_default();
    for counted in [counted].into_iter().chain(of_copies) {
        found.compared += counted.compared;
        found.different += counted.different;
        let first = counted.first.map(|(_, _, first)| first);
        found.first = found.first.or(first);
    }
    Ok(found)
}

fn survey(plan: &Plan, name: &str, sampling: Sampling) -> Job {
    let tensor = &plan.tensors()[name];
    let elements = tensor.element_count();
    let formula = match &tensor.production {
        Production::Compute(formula) => formula.clone(),
        // Copies are compared without computing.
        Production::Copy { .. } => Default::default(),
    };
    let root = Root {
        terms: &formula.terms,
        // Only floats are computed, see the plan's rules.
        format: FloatFormat::of(tensor.dtype).unwrap_or(FloatFormat::F32),
    };
    Job::Survey(Survey {
        computation: Computation::new(plan, name, elements, &formula, &[root]),
        blocks: sampling.blocks(name, elements),
    })
}

/// Compares a copied tensor with its source.
fn compare_copy(
    plan: &Plan,
    output: &Checkpoint,
    name: &str,
    sampling: Sampling,
) -> Result<Counted> {
    let tensor = &plan.tensors()[name];
    let mut counted = Counted::default();
    let Production::Copy { input } = &tensor.production else {
        return Ok(counted);
    };
    let source = &plan.view(*input).checkpoint;
    // Elements of a few bits share bytes: such tensors are compared byte by byte.
    let size = tensor.dtype.bits() / 8;
    let (size, elements) = if size == 0 {
        (1, tensor.byte_len())
    } else {
        (size, tensor.element_count())
    };
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    for block in sampling.blocks(name, elements) {
        let bytes = block.elements * size as usize;
        expected.resize(bytes, 0);
        found.resize(bytes, 0);
        source.read_at(name, block.begin * size, &mut expected)?;
        output.read_at(name, block.begin * size, &mut found)?;
        counted.count(
            (0, name),
            tensor.dtype,
            size as usize,
            block,
            [&expected, &found],
        );
    }
    Ok(counted)
}

/// Elements that were compared.
#[derive(Debug, Default)]
struct Counted {
    compared: u64,
    different: u64,
    /// With the numbers of its tensor and element, so that the first stays the first whoever found it.
    first: Option<(usize, u64, Difference)>,
}

impl Counted {
    fn count(
        &mut self,
        (number, tensor): (usize, &str),
        dtype: Dtype,
        size: usize,
        block: SampledBlock,
        [expected, found]: [&[u8]; 2],
    ) {
        self.compared += block.elements as u64;
        if expected == found {
            return;
        }
        let pairs = expected.chunks_exact(size).zip(found.chunks_exact(size));
        for (element, (one, two)) in (block.begin..).zip(pairs) {
            if one == two {
                continue;
            }
            self.different += 1;
            let earlier = self
                .first
                .as_ref()
                .is_some_and(|(known, at, _)| (*known, *at) <= (number, element));
            if !earlier {
                let difference = Difference {
                    tensor: tensor.to_owned(),
                    element,
                    computed: shown(dtype, one),
                    found: shown(dtype, two),
                };
                self.first = Some((number, element, difference));
            }
        }
    }
}

fn shown(dtype: Dtype, bytes: &[u8]) -> String {
    match FloatFormat::of(dtype) {
        Some(format) if bytes.len() == format.size_bytes() => {
            format.to_f64(format.load(bytes, 0)).to_string()
        }
        _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// The consumer that compares.
struct Comparison<'a> {
    output: &'a Checkpoint,
    names: &'a [&'a str],
    dtypes: Vec<Dtype>,
    counted: Mutex<Counted>,
}

impl Consumer for Comparison<'_> {
    fn consume(&self, _tensor: usize, _part: Part<'_>) -> Result<()> {
        Ok(())
    }

    fn survey(&self, tensor: usize, surveyed: Surveyed, outputs: &[&[u8]]) -> Result<()> {
        let Some(expected) = outputs.first() else {
            return Ok(());
        };
        let (name, block) = (self.names[tensor], surveyed.block);
        let size = expected.len() / block.elements.max(1);
        let mut found = vec![0; expected.len()];
        self.output
            .read_at(name, block.begin * size as u64, &mut found)?;
        if let Ok(mut counted) = self.counted.lock() {
            let dtype = self.dtypes[tensor];
            counted.count((tensor, name), dtype, size, block, [expected, &found]);
        }
        Ok(())
    }
}
