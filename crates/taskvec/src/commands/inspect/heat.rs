//! An inspection as a heat map: modules in rows, layers in columns.

use std::collections::BTreeSet;

use taskvec_core::Inspection;
use taskvec_core::statistics::{Group, Measurement, Module, Subject};

use super::tables::magnitude;
use crate::args::inspect::Heat;
use crate::failure::Refusal;
use crate::printer::{Heat as Cell, HeatMap};

/// What is drawn: a word for it, and its value.
struct Drawn {
    what: String,
    value: fn(&Measurement) -> Option<f64>,
}

/// Refuses, before any weight is read, to draw what the inspection will not have.
///
/// # Errors
///
/// [`Refusal::NothingToDraw`], and what an inspection refuses because of names, shapes and kinds.
pub(super) fn require(heat: Heat, subject: Subject<'_>) -> anyhow::Result<()> {
    let foreseen = subject.foresee()?;
    let (what, needs) = match heat {
        Heat::Cosine | Heat::Signs if subject.beside.is_none() => {
            ("cosines and signs", "a second vector: name it as EXPR2")
        }
        Heat::Survival if !foreseen.has_rounding => (
            "shares that survive",
            "a result of few bits: name its type with `--dtype bf16`",
        ),
        Heat::Relative if foreseen.origin.is_none() => {
            ("relative norms", "a model: name one with `--relative-to`")
        }
        _ => return Ok(()),
    };
    Err(Refusal::NothingToDraw { what, needs }.into())
}

/// The map of what was asked for, which the inspection must have.
pub(super) fn map(inspection: &Inspection, heat: Heat) -> HeatMap {
    let Drawn { what, value } = drawn(inspection, heat);
    let cell = |of: &Measurement| value(of).map_or(Cell::Undefined, Cell::Value);
    let groups = inspection.by(Group::of);
    let layers: BTreeSet<u32> = groups.keys().filter_map(|group| group.layer).collect();
    let inside = groups.keys().filter(|group| group.layer.is_some());
    let modules: BTreeSet<Module> = inside.map(|group| group.module).collect();
    let rows = modules.into_iter().map(|module| {
        let cells = layers.iter().map(|layer| {
            let layer = Some(*layer);
            let found = groups.get(&Group { layer, module });
            found.map_or(Cell::Absent, cell)
        });
        (module.name().to_owned(), cells.collect())
    });
    let outside = groups.iter().filter(|(group, _)| group.layer.is_none());
    let total = ("total".to_owned(), cell(&inspection.whole()));
    HeatMap {
        what,
        columns: layers.iter().map(u32::to_string).collect(),
        rows: rows.collect(),
        beside: outside
            .map(|(group, of)| (group.to_string(), cell(of)))
            .chain([total])
            .collect(),
        show: magnitude,
    }
}

fn drawn(inspection: &Inspection, heat: Heat) -> Drawn {
    let origin = inspection.origin.as_deref();
    let drawn = |what: &str, value| Drawn {
        what: what.to_owned(),
        value,
    };
    match heat {
        Heat::Auto if inspection.beside.is_some() => self::drawn(inspection, Heat::Cosine),
        Heat::Auto if origin.is_some() => self::drawn(inspection, Heat::Relative),
        Heat::Auto | Heat::Norm => drawn("norm", |of| Some(of.found.norm())),
        Heat::Relative => Drawn {
            what: format!("norm relative to {}", origin.unwrap_or("nothing")),
            value: |of| of.found.relative_norm(),
        },
        Heat::Zeros => drawn("share of zeros", |of| {
            Some(of.found.zeros as f64 / of.found.elements.max(1) as f64)
        }),
        Heat::Survival => drawn("share of the change that survives", |of| {
            of.found.survival()
        }),
        Heat::Cosine => drawn("cosine", |of| of.cosine()?.ok()),
        Heat::Signs => drawn("share of signs that agree", Measurement::sign_agreement),
    }
}
