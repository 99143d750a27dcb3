//! An inspection as a heat map: modules in rows, layers in columns.

use std::collections::BTreeSet;

use taskvec_core::Inspection;
use taskvec_core::statistics::{Group, Measurement, Module};

use super::tables::magnitude;
use crate::args::inspect::Heat;
use crate::failure::Refusal;
use crate::printer::{Heat as Cell, HeatMap};

/// What is drawn: a word for it, and its value.
struct Drawn {
    what: String,
    value: fn(&Measurement) -> Option<f64>,
}

/// Refuses before anything is read what takes a second vector where there is none.
///
/// # Errors
///
/// [`Refusal::NothingToDraw`].
pub(super) fn require(heat: Heat, has_second: bool) -> Result<(), Refusal> {
    match heat {
        Heat::Cosine | Heat::Signs if !has_second => Err(Refusal::NothingToDraw {
            what: "cosines and signs",
            needs: "a second vector: name it as EXPR2",
        }),
        _ => Ok(()),
    }
}

/// The map of what was asked for.
///
/// # Errors
///
/// [`Refusal::NothingToDraw`] where the inspection does not have it.
pub(super) fn map(inspection: &Inspection, heat: Heat) -> anyhow::Result<HeatMap> {
    let Drawn { what, value } = drawn(inspection, heat)?;
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
    Ok(HeatMap {
        what,
        columns: layers.iter().map(u32::to_string).collect(),
        rows: rows.collect(),
        beside: outside
            .map(|(group, of)| (group.to_string(), cell(of)))
            .chain([total])
            .collect(),
        show: magnitude,
    })
}

fn drawn(inspection: &Inspection, heat: Heat) -> Result<Drawn, Refusal> {
    let whole = inspection.whole();
    let refuse = |what, needs| Err(Refusal::NothingToDraw { what, needs });
    let origin = inspection.origin.as_deref();
    let drawn = |what: &str, value| {
        Ok(Drawn {
            what: what.to_owned(),
            value,
        })
    };
    match heat {
        Heat::Auto if whole.beside.is_some() => self::drawn(inspection, Heat::Cosine),
        Heat::Auto if origin.is_some() => self::drawn(inspection, Heat::Relative),
        Heat::Auto | Heat::Norm => drawn("norm", |of| Some(of.found.norm())),
        Heat::Relative => match origin {
            Some(origin) => Ok(Drawn {
                what: format!("norm relative to {origin}"),
                value: |of| of.found.relative_norm(),
            }),
            None => refuse("relative norms", "a model: name one with `--relative-to`"),
        },
        Heat::Zeros => drawn("share of zeros", |of| {
            Some(of.found.zeros as f64 / of.found.elements.max(1) as f64)
        }),
        Heat::Survival if whole.found.rounding.is_none() => refuse(
            "shares that survive",
            "a result of few bits: name its type with `--dtype bf16`",
        ),
        Heat::Survival => drawn("share of the change that survives", |of| {
            of.found.survival()
        }),
        Heat::Cosine => drawn("cosine", |of| of.cosine()?.ok()),
        Heat::Signs => drawn("share of signs that agree", Measurement::sign_agreement),
    }
}
