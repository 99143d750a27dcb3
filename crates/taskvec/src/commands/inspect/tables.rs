//! What `inspect` prints for people.

use std::collections::BTreeMap;

use indicatif::HumanCount;
use taskvec_core::Inspection;
use taskvec_core::statistics::{Measured, Measurement, NoSpectrum, Spectra};

use super::Row;
use crate::args::inspect::By;
use crate::printer::{Align, Table};

pub(super) fn summary(inspection: &Inspection) -> String {
    let total = inspection.total();
    let what = format!(
        "{}: a {} of {} tensors, {} elements",
        inspection.expression,
        inspection.kind,
        HumanCount(inspection.tensors.len() as u64),
        HumanCount(total.elements),
    );
    let relative = |origin: &Option<String>| {
        let origin = origin.as_ref();
        origin.map_or_else(String::new, |origin| format!("; relative to {origin}"))
    };
    match (&inspection.beside, inspection.measured) {
        (Some(beside), _) => {
            let second = format!("beside {}{}", beside.expression, relative(&beside.origin));
            format!("{what}{}\n{second}", relative(&inspection.origin))
        }
        (None, Measured::Weights) => {
            format!("{what}; its weights{}", relative(&inspection.origin))
        }
        (None, Measured::Change) => match &inspection.origin {
            Some(origin) => format!("{what}; the change is from {origin}"),
            None => what,
        },
        (None, _) => format!("{what}{}", relative(&inspection.origin)),
    }
}

pub(super) fn table(inspection: &Inspection, by: By, rows: &[Row]) -> Table {
    let whole = inspection.whole();
    let cells = match inspection.beside {
        None => alone,
        Some(_) => beside_another,
    };
    let headings: Vec<&str> = cells(&whole, &whole)
        .into_iter()
        .map(|cell| cell.0)
        .collect();
    let right = headings.into_iter().map(|heading| (heading, Align::Right));
    let mut table = Table::new([(by.name(), Align::Left)].into_iter().chain(right));
    let mut add = |name: &str, of: &Measurement| {
        let cells = cells(of, &whole).into_iter().map(|cell| cell.1);
        table.row([name.to_owned()].into_iter().chain(cells));
    };
    for row in rows {
        add(&row.name, &row.of);
    }
    add("total", &whole);
    table
}

/// A heading and what stands under it.
type Cell = (&'static str, String);

fn alone(of: &Measurement, whole: &Measurement) -> Vec<Cell> {
    let found = &of.found;
    let mut cells = vec![
        ("elements", HumanCount(found.elements).to_string()),
        ("norm", magnitude(found.norm())),
        ("relative", optional(found.relative_norm(), magnitude)),
        ("largest", magnitude(found.largest)),
        ("zero %", percentage(found.zeros, found.elements)),
    ];
    if whole.found.rounding.is_some() {
        let rounding = found.rounding;
        let vanished = rounding.and_then(|rounding| rounding.vanished_share());
        cells.extend([
            ("survives %", optional(found.survival(), percent)),
            ("lost %", optional(found.rounding_error(), percent)),
            ("vanished %", optional(vanished, percent)),
        ]);
    }
    cells.extend(not_finite(of, whole));
    cells
}

fn beside_another(of: &Measurement, whole: &Measurement) -> Vec<Cell> {
    let first = &of.found;
    let (second, overlap) = of.beside.unwrap_or_default();
    let cosine = match of.cosine() {
        Some(Ok(cosine)) => format!("{cosine:.4}"),
        _ => "none".to_owned(),
    };
    let mut cells = vec![
        ("elements", HumanCount(first.elements).to_string()),
        ("norm 1", magnitude(first.norm())),
        ("norm 2", magnitude(second.norm())),
        ("relative 1", optional(first.relative_norm(), magnitude)),
        ("relative 2", optional(second.relative_norm(), magnitude)),
        ("cosine", cosine),
        (
            "both %",
            percentage(overlap.nonzero_in_both, first.elements),
        ),
        ("signs agree %", optional(of.sign_agreement(), percent)),
    ];
    cells.extend(not_finite(of, whole));
    cells
}

/// Columns that are there where they are needed.
fn not_finite(of: &Measurement, whole: &Measurement) -> Vec<Cell> {
    let counts = |of: &Measurement| {
        let second = of.beside.unwrap_or_default().0;
        [
            of.found.nan + second.nan,
            of.found.infinite + second.infinite,
        ]
    };
    if counts(whole) == [0, 0] {
        return Vec::new();
    }
    let [nan, infinite] = counts(of).map(|count| HumanCount(count).to_string());
    vec![("NaN", nan), ("infinite", infinite)]
}

pub(super) fn spectra(spectra: &Spectra) -> Table {
    let longest = spectra.matrices.iter().map(|it| it.singular_values.len());
    let ranks = ranks(longest.max().unwrap_or(0));
    let kept: Vec<String> = ranks.iter().map(|rank| format!("rank {rank} %")).collect();
    let right = |heading| (heading, Align::Right);
    let columns = [("matrix", Align::Left)]
        .into_iter()
        .chain(["shape", "norm", "largest σ", "stable rank"].map(right))
        .chain(kept.iter().map(|heading| right(heading.as_str())));
    let mut table = Table::new(columns);
    for spectrum in &spectra.matrices {
        let [rows, columns] = spectrum.shape;
        let first = spectrum.singular_values.first().copied();
        let cells = [
            spectrum.tensor.clone(),
            format!("{rows}×{columns}"),
            magnitude(spectrum.squared_norm.sqrt()),
            optional(first, magnitude),
            optional(spectrum.stable_rank(), |rank| format!("{rank:.2}")),
        ];
        let known = spectrum.singular_values.len();
        let kept = ranks.iter().map(|rank| {
            let share = spectrum.kept_share(*rank).filter(|_| *rank <= known);
            optional(share, percent)
        });
        table.row(cells.into_iter().chain(kept));
    }
    table
}

/// Powers of two and the end.
fn ranks(longest: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1usize), |rank| rank.checked_mul(2));
    let mut ranks: Vec<usize> = powers.take_while(|rank| *rank < longest).collect();
    ranks.extend((longest > 0).then_some(longest));
    ranks
}

/// What has no spectrum, a sentence for each reason.
pub(super) fn left_out(spectra: &Spectra) -> Vec<String> {
    let mut counts: BTreeMap<NoSpectrum, usize> = BTreeMap::new();
    for (_, reason) in &spectra.left_out {
        *counts.entry(*reason).or_default() += 1;
    }
    let sentence = |reason, count| match reason {
        NoSpectrum::Embedding => {
            format!("left out: {count} embeddings and output heads; `--embeddings` takes them in")
        }
        reason => format!("left out: {count} tensors that are {}", why(reason)),
    };
    counts
        .into_iter()
        .map(|(reason, count)| sentence(reason, count))
        .collect()
}

/// Why a tensor has no spectrum, in a word or two.
pub(super) fn why(reason: NoSpectrum) -> &'static str {
    match reason {
        NoSpectrum::NoMatrix => "no matrix",
        NoSpectrum::Embedding => "embedding",
        NoSpectrum::Zero => "zero",
        NoSpectrum::NotFinite => "not finite",
        _ => "left out",
    }
}

fn optional(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or_else(String::new, show)
}

/// Four significant digits, with an exponent only where zeros would hide them.
pub(super) fn magnitude(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.3e}"),
        size => {
            let decimals = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
            format!("{value:.decimals$}")
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

fn percentage(part: u64, whole: u64) -> String {
    percent(part as f64 / whole.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magnitudes_keep_four_digits() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1.000"),
            (12.345, "12.35"),
            (0.012345, "0.01235"),
            (99_999.4, "99999"),
            (1e-5, "1.000e-5"),
            (123_456.0, "1.235e5"),
        ] {
            assert_eq!(magnitude(value), text);
        }
    }

    #[test]
    fn ranks_end_where_values_do() {
        assert_eq!(ranks(0), [0; 0]);
        assert_eq!(ranks(1), [1]);
        assert_eq!(ranks(6), [1, 2, 4, 6]);
        assert_eq!(ranks(16), [1, 2, 4, 8, 16]);
    }
}
