//! Singular values of a change, matrix by matrix.
//!
//! Whether a change is of low rank decides whether an adapter can hold it. Of a matrix `W` with singular values
//! `σ₁ ≥ σ₂ ≥ …` the energy that rank `r` keeps is `Σ_{i≤r} σᵢ² / ‖W‖_F²` (Eckart and Young), and its stable rank
//! `‖W‖_F² / σ₁²` (Rudelson and Vershynin, arXiv math/0503442). The Frobenius norm is exact whatever is known of the `σᵢ`.
//!
//! Not covered: tensors of more than two dimensions, such as stacked experts.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};

use super::change::{CHANGE, MeasuredChange};
use super::group::{Group, Module};
use super::inspect::Measured;
use super::sums::sum_of_squares;
use crate::adapter::{Matrix, Search, is_small, singular_values};
use crate::error::{Error, Result};
use crate::execute::load_computed;
use crate::plan::Plan;

/// How spectra are computed.
#[derive(Debug, Clone, Copy)]
pub struct SpectrumOptions<'a> {
    /// Singular values wanted of each matrix.
    pub count: NonZeroUsize,
    /// Those of embeddings and the output head as well.
    pub embeddings: bool,
    /// Threads; all cores when none is given. No value depends on it.
    pub threads: Option<NonZeroUsize>,
    /// Stops the work as soon as it becomes true.
    pub cancelled: Option<&'a AtomicBool>,
}

/// The leading singular values of one matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// The tensor's name.
    pub tensor: String,
    /// Rows and columns.
    pub shape: [usize; 2],
    /// `‖W‖_F²`.
    pub squared_norm: f64,
    /// The largest first; as many as were asked for or there are.
    pub singular_values: Vec<f64>,
    /// Whether the matrix was decomposed whole. Values from a search in its range are estimates from below, the last of them
    /// by a percent or two where the spectrum is flat.
    pub exact: bool,
}

impl Spectrum {
    /// `‖W‖_F² / σ₁²`, between 1 and the rank; none of a matrix of zeros.
    pub fn stable_rank(&self) -> Option<f64> {
        let first = self.singular_values.first().filter(|value| **value > 0.0)?;
        Some((self.squared_norm / (first * first)).max(1.0))
    }

    /// The share of the energy in the leading `rank` components; none of a matrix of zeros.
    pub fn kept_share(&self, rank: usize) -> Option<f64> {
        let leading = self.singular_values.iter().take(rank);
        let kept: f64 = leading.map(|value| value * value).sum();
        // Rounding may take the sum past the norm.
        (self.squared_norm > 0.0).then(|| (kept / self.squared_norm).min(1.0))
    }
}

/// Why a tensor has no spectrum here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum NoSpectrum {
    /// It is no matrix.
    NoMatrix,
    /// An embedding or the output head, which were not asked for.
    Embedding,
    /// The change in it is zero.
    Zero,
    /// An element is NaN or infinite.
    NotFinite,
}

/// The spectra of a change.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spectra {
    /// By tensor, in the order of their names.
    pub matrices: Vec<Spectrum>,
    /// Tensors without one, in the order of their names.
    pub left_out: Vec<(String, NoSpectrum)>,
}

/// Computes the leading singular values of every matrix of the change that a plan stands for, one matrix in memory at a
/// time.
///
/// # Errors
///
/// When an input cannot be read or the work was cancelled.
pub fn spectra(
    plan: &Plan,
    options: &SpectrumOptions<'_>,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Spectra> {
    let mut found = Spectra::default();
    let weights = Measured::of(plan) == Measured::Weights;
    for (index, (name, tensor)) in plan.tensors().iter().enumerate() {
        progress(index, plan.tensors().len());
        let cancelled = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        if options.cancelled.is_some_and(cancelled) {
            return Err(Error::Cancelled);
        }
        let change = if weights {
            MeasuredChange::of_weights(plan, name)
        } else {
            MeasuredChange::new(plan, name)
        };
        let Some(change) = change else { continue };
        match spectrum(plan, &change, &tensor.shape, options)? {
            Ok(spectrum) => found.matrices.push(spectrum),
            Err(reason) => found.left_out.push((name.clone(), reason)),
        }
    }
    progress(plan.tensors().len(), plan.tensors().len());
    Ok(found)
}

fn spectrum(
    plan: &Plan,
    change: &MeasuredChange<'_>,
    shape: &[usize],
    options: &SpectrumOptions<'_>,
) -> Result<Result<Spectrum, NoSpectrum>> {
    let [rows, columns] = *shape else {
        return Ok(Err(NoSpectrum::NoMatrix));
    };
    let is_embedding = matches!(
        Group::of(change.name).module,
        Module::Embedding | Module::LmHead
    );
    if is_embedding && !options.embeddings {
        return Ok(Err(NoSpectrum::Embedding));
    }
    let computation = || change.change_alone(plan);
    let values = load_computed(computation, change.elements, CHANGE, options.threads)?;
    let squared_norm = sum_of_squares(&values);
    if !squared_norm.is_finite() {
        return Ok(Err(NoSpectrum::NotFinite));
    }
    if squared_norm == 0.0 {
        return Ok(Err(NoSpectrum::Zero));
    }
    let matrix = Matrix {
        values: &values,
        rows,
        columns,
    };
    let search = Search {
        seed: 0,
        tensor: change.name,
        threads: options.threads,
    };
    let count = options.count.get().min(rows).min(columns);
    Ok(Ok(Spectrum {
        tensor: change.name.to_owned(),
        shape: [rows, columns],
        squared_norm,
        singular_values: singular_values(&matrix, count, search)?,
        exact: is_small(&matrix, count),
    }))
}
