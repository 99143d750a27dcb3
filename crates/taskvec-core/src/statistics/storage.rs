//! How few bits hold a result exactly.
//!
//! A vector is the difference of two models, and differences of numbers of few bits often need more: `1 − 2⁻⁹` does not
//! fit BF16 though both terms do. Updates by reinforcement learning are often small and mostly zero, and fit. Which it is,
//! one pass over the inputs tells.

use std::sync::Mutex;

use super::inspect::InspectOptions;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::execute::{
    Chunk, Computation, Consumer, Decoded, FloatFormat, Job, Part, Progress, Root, RunOptions, run,
};
use crate::plan::{Plan, Production};

/// Candidates, smallest first; of equal sizes the one that models are published in.
const CANDIDATES: [(Dtype, FloatFormat); 4] = [
    (Dtype::Bf16, FloatFormat::Bf16),
    (Dtype::F16, FloatFormat::F16),
    (Dtype::F32, FloatFormat::F32),
    (Dtype::F64, FloatFormat::F64),
];

/// Elements looked at together.
const BLOCK_ELEMENTS: u64 = 1 << 14;

/// What a result needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// The smallest type that holds every computed element exactly; F64 where none does.
    pub dtype: Dtype,
    /// Elements that were looked at.
    pub elements: u64,
    /// Of those, the ones that are exactly zero.
    pub zeros: u64,
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
    let computed: Vec<_> = plan
        .tensors_in_file_order()
        .into_iter()
        .filter_map(|name| match &plan.tensors()[name].production {
            Production::Compute(formula) => Some((name, formula)),
            Production::Copy { .. } => None,
        })
        .collect();
    let elements = |name: &str| plan.tensors()[name].element_count();
    let total = computed.iter().map(|(name, _)| elements(name)).sum();
    let need = Mutex::new(Need::default());
    run(
        std::slice::from_ref(&(0..computed.len())),
        &|index| {
            let (name, formula) = computed[index];
            let root = Root {
                terms: &formula.terms,
                format: FloatFormat::F64,
            };
            Job::Compute {
                computation: Computation::new(plan, name, elements(name), formula, &[root]),
                surveys: Vec::new(),
            }
        },
        &Scan(&need),
        &RunOptions {
            threads: options.threads,
            chunk: Chunk::Elements(BLOCK_ELEMENTS),
            cancelled: options.cancelled,
            progress,
            bytes_total: total * FloatFormat::F64.size_bytes() as u64,
        },
    )?;
    let need = need.into_inner().unwrap_or_default();
    let fitting = CANDIDATES.iter().zip(need.fits).find(|(_, fits)| *fits);
    Ok(Storage {
        dtype: fitting.map_or(Dtype::F64, |((dtype, _), _)| *dtype),
        elements: total,
        zeros: need.zeros,
    })
}

/// What the elements seen so far need. The order in which they are seen does not matter.
struct Need {
    fits: [bool; CANDIDATES.len()],
    zeros: u64,
}

impl Default for Need {
    fn default() -> Self {
        Self {
            fits: [true; CANDIDATES.len()],
            zeros: 0,
        }
    }
}

impl Need {
    fn add(&mut self, value: f64) {
        if value == 0.0 {
            self.zeros += 1;
            return;
        }
        for (fits, (_, format)) in self.fits.iter_mut().zip(CANDIDATES) {
            *fits = *fits && holds(format, value);
        }
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

struct Scan<'a>(&'a Mutex<Need>);

impl Consumer for Scan<'_> {
    fn consume(&self, _tensor: usize, part: Part<'_>) -> Result<()> {
        let mut found = Need::default();
        for bytes in part.outputs[0].as_chunks().0 {
            found.add(f64::from_le_bytes(*bytes));
        }
        if let Ok(mut need) = self.0.lock() {
            need.zeros += found.zeros;
            for (fits, here) in need.fits.iter_mut().zip(found.fits) {
                *fits &= here;
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
        assert_eq!(fits(2f64.powi(-1074)), [false, false, false, true]);
        assert_eq!(fits(2f64.powi(128)), [false, false, false, true]);
        // As the formats themselves say, over many numbers of few bits.
        for bits in (0u32..=u32::from(u16::MAX)).map(|high| high << 16) {
            assert!(holds(FloatFormat::Bf16, f32::from_bits(bits).into()));
        }
    }
}
