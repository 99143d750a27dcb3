//! Whether models descend from one initialisation.
//!
//! Arithmetic between models means something where their weights are points near one another, as those of fine-tunes of
//! one model are. That is looked at, not believed: `‖a − b‖ / ‖b‖` over a sample of blocks, for each part of the network.
//! Fine-tunes lie far below 1; two models of the same recipe from different seeds are independent, which puts them near
//! √2. Gains of normalisations and biases are not asked: they lie near one value in every model.
//!
//! Not covered: vectors, which do not say what they were subtracted from.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};

use super::group::NetworkPart;
use super::sampling::Sampling;
use super::sums::{sum, sum_of_squares};
use crate::checkpoint::{Checkpoint, CheckpointKind};
use crate::error::{Error, Result};
use crate::execute::{FloatFormat, side_by_side, widen};
use crate::plan::Plan;

/// A distance is an order of magnitude, for which few of a large model's blocks will do.
const STRETCH: u64 = 512;
/// Elements that are looked at in any case where there are as many.
const ENOUGH: u64 = 1 << 20;
/// Elements of a block.
const BLOCK_ELEMENTS: u64 = 1 << 12;
/// Sampled elements of matrices below which nothing is concluded: over so many, the cosine of independent weights is
/// 0 ± 0.03.
const FEWEST: u64 = 1024;
/// Largest `‖a − b‖² / (‖a‖² + ‖b‖²)` of relatives. Independent weights have 1; of equal norms, this is a relative
/// distance of 1.22.
const LARGEST_SPREAD: f64 = 0.75;

/// How lineage is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct LineageOptions<'a> {
    /// Threads; all cores when none is given.
    pub threads: Option<NonZeroUsize>,
    /// Stops as soon as it becomes true.
    pub cancelled: Option<&'a AtomicBool>,
}

/// How far two sets of weights lie apart, estimated.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Distance {
    /// `‖a − b‖²`.
    pub difference: f64,
    /// `‖a‖²`.
    pub left: f64,
    /// `‖b‖²`.
    pub right: f64,
    /// Elements that were looked at.
    pub sampled: u64,
}

impl Distance {
    /// `‖a − b‖ / ‖b‖`; none where `b` is zero or something is not finite.
    pub fn relative(&self) -> Option<f64> {
        let ratio = (self.difference / self.right).sqrt();
        Some(ratio).filter(|ratio| ratio.is_finite())
    }

    fn add(&mut self, other: &Self) {
        self.difference += other.difference;
        self.left += other.left;
        self.right += other.right;
        self.sampled += other.sampled;
    }
}

/// What a distance says about two models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// They descend from one initialisation.
    Relatives,
    /// They do not.
    Strangers,
    /// Too few weights, or weights that are not finite: nothing can be said.
    Unknown,
}

impl Verdict {
    /// One word for tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relatives => "relatives",
            Self::Strangers => "strangers",
            Self::Unknown => "unknown",
        }
    }
}

/// Two models side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Kinship {
    /// `a`, as the expression names it.
    pub left: String,
    /// `b`.
    pub right: String,
    /// By part of the network.
    pub parts: BTreeMap<NetworkPart, Distance>,
    /// Over all matrices: what the verdict rests on.
    pub matrices: Distance,
}

impl Kinship {
    /// What the matrices say.
    pub fn verdict(&self) -> Verdict {
        let Distance {
            difference,
            left,
            right,
            sampled,
        } = self.matrices;
        let spread = difference / (left + right);
        if sampled < FEWEST || !spread.is_finite() {
            Verdict::Unknown
        } else if spread > LARGEST_SPREAD {
            Verdict::Strangers
        } else {
            Verdict::Relatives
        }
    }
}

/// Every two models of a plan side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Lineage {
    /// In the order of the inputs; empty where fewer than two models take part.
    pub pairs: Vec<Kinship>,
    /// The share of the weights that was looked at.
    pub sampled: f64,
}

impl Lineage {
    /// # Errors
    ///
    /// [`Error::Strangers`] with every pair of models that are.
    pub fn refuse_strangers(&self) -> Result<()> {
        let strangers: Vec<(String, String, f64)> = self
            .pairs
            .iter()
            .filter(|pair| pair.verdict() == Verdict::Strangers)
            .map(|pair| {
                let distance = pair.matrices.relative().unwrap_or(f64::INFINITY);
                (pair.left.clone(), pair.right.clone(), distance)
            })
            .collect();
        if strangers.is_empty() {
            Ok(())
        } else {
            Err(Error::Strangers { pairs: strangers })
        }
    }
}

/// Measures how far the models of a plan lie apart, on a sample that depends on the tensors' names and lengths alone.
///
/// # Errors
///
/// When a model cannot be read, or on cancellation.
pub fn lineage(plan: &Plan, options: &LineageOptions<'_>) -> Result<Lineage> {
    let models: Vec<(&str, &Checkpoint)> = plan
        .inputs()
        .filter(|(_, checkpoint)| checkpoint.kind() == CheckpointKind::Model)
        .collect();
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for right in 0..models.len() {
        pairs.extend((0..right).map(|left| (right, left)));
    }
    let (Some((_, first)), false) = (models.first(), pairs.is_empty()) else {
        return Ok(Lineage {
            pairs: Vec::new(),
            sampled: 0.0,
        });
    };
    let names: Vec<&str> = first
        .tensors()
        .iter()
        .filter(|(_, info)| FloatFormat::of(info.dtype).is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    let elements: u64 = names
        .iter()
        .map(|name| first.tensors()[*name].element_count())
        .sum();
    let sample = Sampling::of(elements, ENOUGH, STRETCH, BLOCK_ELEMENTS, 0);
    // A tensor is one thread's work, so that its sums have one order.
    let found = side_by_side(names.len(), options.threads, &|index| {
        if options
            .cancelled
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
        {
            return Err(Error::Cancelled);
        }
        distances(&models, &pairs, names[index], sample)
    })?;

    let mut lineage = Lineage {
        pairs: pairs
            .iter()
            .map(|&(left, right)| Kinship {
                left: models[left].0.to_owned(),
                right: models[right].0.to_owned(),
                parts: BTreeMap::new(),
                matrices: Distance::default(),
            })
            .collect(),
        sampled: 0.0,
    };
    let mut sampled = 0;
    for (name, found) in names.iter().zip(&found) {
        let part = NetworkPart::of(name);
        let info = &first.tensors()[*name];
        let is_matrix = info.shape.len() >= 2 && part != NetworkPart::Norm;
        sampled += found.first().map_or(0, |distance| distance.sampled);
        for (kinship, distance) in lineage.pairs.iter_mut().zip(found) {
            kinship.parts.entry(part).or_default().add(distance);
            if is_matrix {
                kinship.matrices.add(distance);
            }
        }
    }
    lineage.sampled = sampled as f64 / elements.max(1) as f64;
    Ok(lineage)
}

/// The distance of each pair in one tensor.
fn distances(
    models: &[(&str, &Checkpoint)],
    pairs: &[(usize, usize)],
    name: &str,
    sample: Sampling,
) -> Result<Vec<Distance>> {
    let mut found = vec![Distance::default(); pairs.len()];
    let elements = models[0].1.tensors()[name].element_count();
    let mut bytes = Vec::new();
    let mut values: Vec<Option<Vec<f32>>> = vec![None; models.len()];
    for block in sample.blocks(name, elements) {
        for ((_, checkpoint), values) in models.iter().zip(&mut values) {
            let info = checkpoint.tensors().get(name);
            *values = match info.and_then(|info| FloatFormat::of(info.dtype)) {
                Some(format) if info.is_some_and(|info| info.element_count() == elements) => {
                    bytes.resize(block.elements * format.size_bytes(), 0);
                    let offset = block.begin * format.size_bytes() as u64;
                    checkpoint.read_at(name, offset, &mut bytes)?;
                    let mut widened = vec![0.0; block.elements];
                    widen(format, &bytes, &mut widened);
                    Some(widened)
                }
                _ => None,
            };
        }
        let squares: Vec<f64> = values
            .iter()
            .map(|values| values.as_deref().map_or(0.0, sum_of_squares))
            .collect();
        for (&(left, right), found) in pairs.iter().zip(&mut found) {
            let (Some(a), Some(b)) = (&values[left], &values[right]) else {
                continue;
            };
            let difference = sum(a.len(), |index| {
                (f64::from(a[index]) - f64::from(b[index])).powi(2)
            });
            found.add(&Distance {
                difference: block.weight * difference,
                left: block.weight * squares[left],
                right: block.weight * squares[right],
                sampled: block.elements as u64,
            });
        }
    }
    Ok(found)
}
