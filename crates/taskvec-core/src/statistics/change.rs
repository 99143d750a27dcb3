//! One tensor's change, computed and measured block by block.

use super::inspect::WeightStatistics;
use super::rounding::Rounding;
use super::sums::{census, sum_of_squares};
use crate::coefficient::Coefficient;
use crate::execute::{Computation, FloatFormat, Root, widen};
use crate::expression::Kind;
use crate::plan::{Operand, Plan, PlannedTensor, Production, TensorFormula, Terms};

/// Format in which a change is measured.
pub(super) const CHANGE: FloatFormat = FloatFormat::F32;

/// A tensor and what is wanted of it. What a change is, is said in [`inspect`](super::inspect).
pub(crate) struct MeasuredChange<'a> {
    pub(super) name: &'a str,
    pub(crate) elements: u64,
    formula: TensorFormula,
    change: Terms<Operand>,
    origin: Option<Terms<Operand>>,
    /// Format of the stored result, when its rounding is of interest.
    stored: Option<FloatFormat>,
    /// Whether the stored result has the origin in it.
    is_model: bool,
}

impl<'a> MeasuredChange<'a> {
    /// None for a tensor on which no arithmetic is done.
    pub(crate) fn new(plan: &Plan, name: &'a str) -> Option<Self> {
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

    /// As [`MeasuredChange::new`], for a tensor that is computed and whose result is rounded to few bits.
    pub(crate) fn rounded(plan: &Plan, name: &'a str) -> Option<Self> {
        let computed = matches!(plan.tensors()[name].production, Production::Compute(_));
        Self::new(plan, name).filter(|measured| computed && measured.stored.is_some())
    }

    /// What computes the [`roots`](Self::roots).
    pub(crate) fn computation(&self, plan: &Plan) -> Computation {
        Computation::new(plan, self.name, self.elements, &self.formula, &self.roots())
    }

    /// The change, its origin where there is one, and the stored result where its rounding is of interest.
    pub(crate) fn roots(&self) -> Vec<Root<'_>> {
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
        roots
    }

    /// What rounding does to one block of the [`roots`](Self::roots).
    pub(crate) fn rounding(&self, outputs: &[&[u8]]) -> Rounding {
        let (change, origin, stored) = self.widened(outputs);
        self.rounding_of(&change, origin.as_deref(), &stored.unwrap_or_default())
    }

    /// Everything about one block.
    pub(super) fn measure(&self, outputs: &[&[u8]]) -> WeightStatistics {
        let (change, origin, stored) = self.widened(outputs);
        let rounding = stored.map(|stored| self.rounding_of(&change, origin.as_deref(), &stored));
        let special = census(&change);
        WeightStatistics {
            elements: change.len() as u64,
            zeros: special.zeros,
            nan: special.nan,
            infinite: special.infinite,
            largest: special.largest.into(),
            sum_of_squares: sum_of_squares(&change),
            origin_sum_of_squares: origin.as_deref().map(sum_of_squares),
            rounding,
        }
    }

    fn rounding_of(&self, change: &[f32], origin: Option<&[f32]>, stored: &[f32]) -> Rounding {
        Rounding::of(change, origin.filter(|_| self.is_model), stored)
    }

    /// Change, origin and stored result as singles.
    fn widened(&self, outputs: &[&[u8]]) -> (Vec<f32>, Option<Vec<f32>>, Option<Vec<f32>>) {
        let mut outputs = outputs.iter();
        let mut next = |format: FloatFormat| {
            outputs.next().map(|bytes| {
                if format == CHANGE {
                    let singles = bytes.as_chunks().0.iter();
                    return singles.map(|bytes| f32::from_le_bytes(*bytes)).collect();
                }
                let mut values = vec![0.0; bytes.len() / format.size_bytes()];
                widen(format, bytes, &mut values);
                values
            })
        };
        let change = next(CHANGE).unwrap_or_default();
        let origin = self.origin.as_ref().and_then(|_| next(CHANGE));
        let stored = self.stored.and_then(next);
        (change, origin, stored)
    }
}
