//! One tensor's change, computed and measured block by block.

use super::rounding::Rounding;
use super::sums::{census, sum_of_stored_squares};
use super::weight_statistics::WeightStatistics;
use crate::coefficient::Coefficient;
use crate::execute::{Computation, FloatFormat, Root, widen};
use crate::expression::Kind;
use crate::plan::{Operand, Plan, PlannedTensor, Production, Step, TensorFormula, Terms};

/// Format in which a change is measured.
pub(super) const CHANGE: FloatFormat = FloatFormat::F32;

/// Elements that are widened and summed together: few enough for the first-level cache.
const WIDENED: usize = 1 << 11;

/// A tensor and what is wanted of it. What a change is, is said in [`inspect`](super::inspect).
pub(crate) struct MeasuredChange<'a> {
    pub(super) name: &'a str,
    pub(crate) elements: u64,
    formula: TensorFormula,
    change: Terms<Operand>,
    /// What is changed, and the format in which that is at hand. Its norm is relative to this.
    origin: Option<(Terms<Operand>, FloatFormat)>,
    /// What its norm is relative to instead.
    reference: Option<Terms<Operand>>,
    /// Format of the stored result, when its rounding is of interest.
    stored: Option<FloatFormat>,
    /// Whether the stored result has the origin in it.
    is_model: bool,
}

impl<'a> MeasuredChange<'a> {
    /// None for a tensor on which no arithmetic is done.
    pub(crate) fn new(plan: &Plan, name: &'a str) -> Option<Self> {
        let mut measured = Self::of_weights(plan, name)?;
        if let Some(template) = plan.template_of(name) {
            let minus = -Coefficient::one();
            measured.change.add(Operand::Input(template), &minus);
        }
        measured.origin = plan.origin_of(name).and_then(|input| {
            let stored = plan.view(input).checkpoint.tensors().get(name)?.dtype;
            Some((Terms::one(Operand::Input(input)), FloatFormat::of(stored)?))
        });
        measured.is_model = plan.kind() == Kind::Model;
        Some(measured)
    }

    /// The result itself as the change, from nothing.
    pub(super) fn of_weights(plan: &Plan, name: &'a str) -> Option<Self> {
        let tensor: &PlannedTensor = &plan.tensors()[name];
        let format = FloatFormat::of(tensor.dtype)?;
        let formula = tensor.formula();
        Some(Self {
            name,
            elements: tensor.element_count(),
            change: formula.terms.clone(),
            formula,
            origin: None,
            reference: None,
            stored: Some(format).filter(|format| format.size_bytes() < CHANGE.size_bytes()),
            is_model: false,
        })
    }

    /// A tensor that a vector does not have: zero.
    pub(super) fn absent(name: &'a str, elements: u64) -> Self {
        Self {
            name,
            elements,
            formula: TensorFormula::default(),
            change: Terms::default(),
            origin: None,
            reference: None,
            stored: None,
            is_model: false,
        }
    }

    /// As [`MeasuredChange::new`], for a tensor that is computed and whose result is rounded to few bits.
    pub(crate) fn rounded(plan: &Plan, name: &'a str) -> Option<Self> {
        let computed = matches!(plan.tensors()[name].production, Production::Compute(_));
        Self::new(plan, name).filter(|measured| computed && measured.stored.is_some())
    }

    /// The same over other lists of inputs and steps; see [`Terms::moved`].
    pub(super) fn moved(self, place: &dyn Fn(usize) -> usize, steps: usize) -> Self {
        let origin = |(terms, format): (Terms<Operand>, _)| (terms.moved(place, steps), format);
        Self {
            formula: self.formula.moved(place, steps),
            change: self.change.moved(place, steps),
            origin: self.origin.map(origin),
            reference: self.reference.map(|terms| terms.moved(place, steps)),
            ..self
        }
    }

    /// Its norm relative to what these terms stand for. What rounding did is still held against what was changed.
    pub(super) fn relative_to(&mut self, terms: &Terms<Operand>) {
        self.reference = Some(terms.clone());
        if !self.is_model || self.stored.is_none() {
            // Nobody looks at it.
            self.origin = None;
        }
    }

    /// Without a look at what storing the result does.
    pub(super) fn unrounded(self) -> Self {
        Self {
            stored: None,
            ..self
        }
    }

    /// Whether there is something to say of what storing the result does.
    pub(super) fn is_rounded(&self) -> bool {
        self.stored.is_some()
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.formula.steps
    }

    /// The change, its origin and its reference where there are any, and the stored result where its rounding is of
    /// interest.
    pub(crate) fn roots(&self) -> Vec<Root<'_>> {
        let root = |terms, format| Root { terms, format };
        let origin = self.origin.as_ref();
        [root(&self.change, CHANGE)]
            .into_iter()
            .chain(origin.map(|(terms, format)| root(terms, *format)))
            .chain(self.reference.iter().map(|terms| root(terms, CHANGE)))
            .chain(self.stored.map(|format| root(&self.formula.terms, format)))
            .collect()
    }

    /// The change and nothing else.
    pub(super) fn change_alone(&self, plan: &Plan) -> Computation {
        let root = Root {
            terms: &self.change,
            format: CHANGE,
        };
        Computation::new(plan, self.name, self.elements, &self.formula, &[root])
    }

    /// What rounding does to one block of the [`roots`](Self::roots).
    pub(crate) fn rounding(&self, outputs: &[&[u8]]) -> Rounding {
        let mut found = Rounding::default();
        let mut widened = Widened::default();
        for start in starts(outputs) {
            widened.load(self, outputs, start);
            found.add(&self.rounding_of(&widened), 1.0);
        }
        found
    }

    /// Everything about a piece of a block.
    pub(super) fn measure(
        &self,
        outputs: &[&[u8]],
        start: usize,
        widened: &mut Widened,
    ) -> WeightStatistics {
        let change = piece(outputs, start);
        let special = census(change);
        let relative_to = match (&self.reference, &self.origin) {
            (Some(_), origin) => outputs
                .get(1 + usize::from(origin.is_some()))
                .zip(Some(CHANGE)),
            (None, Some((_, format))) => outputs.get(1).zip(Some(*format)),
            (None, None) => None,
        };
        WeightStatistics {
            elements: change.len() as u64,
            zeros: special.zeros,
            nan: special.nan,
            infinite: special.infinite,
            largest: special.largest.into(),
            sum_of_squares: sum_of_stored_squares(CHANGE, change.as_flattened()),
            origin_sum_of_squares: relative_to.map(|(stored, format)| {
                let size = format.size_bytes();
                sum_of_stored_squares(format, &stored[start * size..][..change.len() * size])
            }),
            rounding: self.stored.map(|_| {
                widened.load(self, outputs, start);
                self.rounding_of(widened)
            }),
        }
    }

    fn rounding_of(&self, widened: &Widened) -> Rounding {
        // No origin is one of zeros.
        let origin = (self.is_model && self.origin.is_some()).then_some(widened.origin.as_slice());
        Rounding::of(&widened.change, origin, &widened.stored)
    }
}

/// Where each piece of a block begins.
pub(super) fn starts(outputs: &[&[u8]]) -> impl Iterator<Item = usize> {
    (0..singles(outputs).len()).step_by(WIDENED)
}

/// The change in the piece that begins at `start`, as stored singles.
pub(super) fn piece<'a>(outputs: &[&'a [u8]], start: usize) -> &'a [[u8; 4]] {
    let change = &singles(outputs)[start..];
    &change[..WIDENED.min(change.len())]
}

fn singles<'a>(outputs: &[&'a [u8]]) -> &'a [[u8; 4]] {
    outputs
        .first()
        .map_or(&[], |change| change.as_chunks::<4>().0)
}

/// A piece of a [`MeasuredChange`]'s roots as singles, as a look at the rounding needs them. Without one nothing is
/// allocated, and nothing cleared.
#[derive(Default)]
pub(super) struct Widened {
    change: Vec<f32>,
    /// Of a model only.
    origin: Vec<f32>,
    stored: Vec<f32>,
}

impl Widened {
    fn load(&mut self, of: &MeasuredChange<'_>, outputs: &[&[u8]], start: usize) {
        let count = piece(outputs, start).len();
        let widen = |format: FloatFormat, bytes: Option<&&[u8]>, buffer: &mut Vec<f32>| {
            let size = format.size_bytes();
            buffer.resize(count, 0.0);
            if let Some(bytes) = bytes {
                widen(format, &bytes[start * size..][..count * size], buffer);
            }
        };
        let mut outputs = outputs.iter();
        widen(CHANGE, outputs.next(), &mut self.change);
        if let Some((_, format)) = &of.origin {
            let origin = outputs.next();
            if of.is_model {
                widen(*format, origin, &mut self.origin);
            }
        }
        if of.reference.is_some() {
            outputs.next();
        }
        if let Some(format) = of.stored {
            widen(format, outputs.next(), &mut self.stored);
        }
    }
}
