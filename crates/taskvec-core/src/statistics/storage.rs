//! How few bits hold a result exactly.
//!
//! A vector is the difference of two models, and differences of numbers of few bits often need more: `1 − 2⁻⁹` does not
//! fit BF16 though both terms do. Updates by reinforcement learning are often small and mostly zero, and fit. Which it is,
//! one pass over the inputs tells; and which matrices are smaller when only what is not zero is stored.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::inspect::InspectOptions;
use crate::checkpoint::sparse::{MAX_COLUMNS, WEIGHT};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::execute::{
    Chunk, Computation, Consumer, Decoded, FloatFormat, Job, Part, Progress, Root, RunOptions, run,
};
use crate::plan::{Plan, TensorFormula};

/// Candidates, smallest first; of equal sizes the one that models are published in.
const CANDIDATES: [(Dtype, FloatFormat); 4] = [
    (Dtype::Bf16, FloatFormat::Bf16),
    (Dtype::F16, FloatFormat::F16),
    (Dtype::F32, FloatFormat::F32),
    (Dtype::F64, FloatFormat::F64),
];

/// Elements looked at together. What is stored of a sparse matrix is counted in such blocks, and written in several.
pub(crate) const BLOCK_ELEMENTS: u64 = 1 << 14;

/// What a result needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// The smallest type that holds every computed element exactly; F64 where none does.
    pub dtype: Dtype,
    /// Elements that were looked at.
    pub elements: u64,
    /// Of those, the ones that are exactly zero.
    pub zeros: u64,
    /// Of each matrix that is smaller without its zeros, how many elements are stored before each block, and in all.
    pub(crate) sparse: BTreeMap<String, Vec<u64>>,
}

impl Storage {
    /// How many matrices are smaller when only what is not zero is stored.
    pub fn sparse_tensors(&self) -> usize {
        self.sparse.len()
    }
}

/// Computes every element of a plan's result in double precision and finds the smallest type that holds them all.
///
/// Tensors that are carried and not computed are left out. NaN and infinities fit any type.
///
/// # Errors
///
/// When an input cannot be read or the work was cancelled.
pub fn smallest_storage(
    plan: &Plan,
    options: &InspectOptions<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Storage> {
    // Copies among them: a type is asked for that all fit. Integers are never part of a vector.
    let computed: Vec<(&str, TensorFormula)> = plan
        .tensors_in_file_order()
        .into_iter()
        .filter(|name| FloatFormat::of(plan.tensors()[*name].dtype).is_some())
        .map(|name| (name, plan.tensors()[name].formula()))
        .collect();
    let elements = |name: &str| plan.tensors()[name].element_count();
    let total = computed.iter().map(|(name, _)| elements(name)).sum();
    let needs: Vec<Mutex<Need>> = computed
        .iter()
        .map(|(name, _)| Mutex::new(Need::of(elements(name))))
        .collect();
    run(
        std::slice::from_ref(&(0..computed.len())),
        &|index| {
            let (name, formula) = &computed[index];
            let root = Root {
                terms: &formula.terms,
                format: FloatFormat::F64,
            };
            Job::Compute {
                computation: Computation::new(plan, name, elements(name), formula, &[root]),
                surveys: Vec::new(),
            }
        },
        &Scan(&needs),
        &RunOptions {
            threads: options.threads,
            chunk: Chunk::Elements(BLOCK_ELEMENTS),
            cancelled: options.cancelled,
            progress,
            bytes_total: total * FloatFormat::F64.size_bytes() as u64,
            hashes: None,
        },
    )?;
    let needs: Vec<Need> = needs
        .into_iter()
        .map(|need| need.into_inner().unwrap_or_default())
        .collect();
    let fits = |candidate: usize| needs.iter().all(|need| need.fits[candidate]);
    let fitting = (0..CANDIDATES.len()).find(|candidate| fits(*candidate));
    let dtype = fitting.map_or(Dtype::F64, |candidate| CANDIDATES[candidate].0);
    let mut sparse = BTreeMap::new();
    for ((name, _), need) in computed.iter().zip(&needs) {
        if let Some(counts) = need.sparse(name, &plan.tensors()[*name].shape, dtype) {
            sparse.insert((*name).to_owned(), counts);
        }
    }
    Ok(Storage {
        dtype,
        elements: total,
        zeros: needs.iter().map(|need| need.zeros).sum(),
        sparse,
    })
}

/// What the elements seen so far need. The order in which they are seen does not matter.
struct Need {
    fits: [bool; CANDIDATES.len()],
    zeros: u64,
    /// Elements of each block that are not stored as all bits zero.
    stored: Vec<u32>,
}

impl Default for Need {
    fn default() -> Self {
        Self::of(0)
    }
}

impl Need {
    fn of(elements: u64) -> Self {
        Self {
            fits: [true; CANDIDATES.len()],
            zeros: 0,
            stored: vec![0; elements.div_ceil(BLOCK_ELEMENTS) as usize],
        }
    }

    fn add(&mut self, value: f64) {
        if value == 0.0 {
            self.zeros += 1;
            return;
        }
        for (fits, (_, format)) in self.fits.iter_mut().zip(CANDIDATES) {
            *fits = *fits && holds(format, value);
        }
    }

    /// How much is stored before each block, and in all, where that makes the tensor smaller: a matrix whose rows fill
    /// their part of a mask.
    fn sparse(&self, name: &str, shape: &[usize], dtype: Dtype) -> Option<Vec<u64>> {
        let &[rows, columns] = shape else { return None };
        let suits = columns.is_multiple_of(8) && columns <= MAX_COLUMNS && name.ends_with(WEIGHT);
        let mut before = vec![0u64];
        for count in &self.stored {
            before.push(before.last().copied().unwrap_or(0) + u64::from(*count));
        }
        let (elements, rows) = ((rows as u64) * (columns as u64), rows as u64);
        let bytes = |count: u64| dtype.byte_len(count).unwrap_or(u64::MAX);
        // Three more tensors take some room in the header, too.
        let parts = 16 + 8 * rows + elements / 8 + 512;
        let sparse = bytes(before.last().copied().unwrap_or(0)).saturating_add(parts);
        (suits && sparse < bytes(elements)).then_some(before)
    }
}

/// Whether `value` is a number of `format`.
fn holds(format: FloatFormat, value: f64) -> bool {
    let Decoded::Finite {
        mantissa, exponent, ..
    } = FloatFormat::F64.decode(value.to_bits())
    else {
        return true;
    };
    if mantissa == 0 {
        return true;
    }
    let lowest = exponent + mantissa.trailing_zeros() as i32;
    let highest = exponent + 63 - mantissa.leading_zeros() as i32;
    highest <= format.maximum_exponent()
        && lowest >= format.quantum_exponent()
        && highest - lowest < format.precision()
}

struct Scan<'a>(&'a [Mutex<Need>]);

impl Consumer for Scan<'_> {
    fn consume(&self, tensor: usize, part: Part<'_>) -> Result<()> {
        let mut found = Need::default();
        let mut stored = 0;
        for bytes in part.outputs[0].as_chunks().0 {
            let value = f64::from_le_bytes(*bytes);
            // A negative zero has a bit, and is kept.
            stored += u32::from(value.to_bits() != 0);
            found.add(value);
        }
        if let Ok(mut need) = self.0[tensor].lock() {
            need.zeros += found.zeros;
            for (fits, here) in need.fits.iter_mut().zip(found.fits) {
                *fits &= here;
            }
            let block = part.byte_offset / (8 * BLOCK_ELEMENTS);
            if let Some(count) = need.stored.get_mut(block as usize) {
                *count = stored;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_format_holds() {
        let fits = |value: f64| CANDIDATES.map(|(_, format)| holds(format, value));
        assert_eq!(fits(1.0), [true; 4]);
        assert_eq!(fits(-0.0), [true; 4]);
        assert_eq!(fits(f64::NAN), [true; 4]);
        assert_eq!(fits(f64::NEG_INFINITY), [true; 4]);
        // Nine bits; beyond the largest F16; below its smallest subnormal.
        assert_eq!(fits(1.0 + 2f64.powi(-8)), [false, true, true, true]);
        assert_eq!(fits(65536.0), [true, false, true, true]);
        assert_eq!(fits(2f64.powi(-25)), [true, false, true, true]);
        assert_eq!(fits(0.1), [false, false, false, true]);
        assert_eq!(fits(0.1f32.into()), [false, false, true, true]);
        // The smallest subnormals, and half of them.
        assert_eq!(fits(2f64.powi(-133)), [true, false, true, true]);
        assert_eq!(fits(2f64.powi(-134)), [false, false, true, true]);
        assert_eq!(fits(2f64.powi(-150)), [false, false, false, true]);
        assert_eq!(fits(f64::from_bits(1)), [false, false, false, true]);
        assert_eq!(fits(2f64.powi(128)), [false, false, false, true]);
        // As the formats themselves say, over many numbers of few bits.
        for bits in (0u32..=u32::from(u16::MAX)).map(|high| high << 16) {
            assert!(holds(FloatFormat::Bf16, f32::from_bits(bits).into()));
        }
    }
}
