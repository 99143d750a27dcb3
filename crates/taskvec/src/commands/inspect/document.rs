//! What `inspect` prints for programs.
//!
//! Numbers that are not finite or do not exist are null in JSON and empty in CSV.

use serde::Serialize;
use serde_json::{Map, Value, json};
use taskvec_core::statistics::{Measurement, Spectra, Spectrum};
use taskvec_core::{Inspection, WeightStatistics};

use super::Row;
use super::tables::why;
use crate::commands::JSON_SCHEMA;

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    schema_version: u32,
    taskvec: &'static str,
    expression: &'a str,
    kind: String,
    /// `vector`, `change` of a model, or the `weights` of one.
    measured: &'static str,
    /// The model that norms are relative to.
    origin: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    second: Option<Second<'a>>,
    by: &'static str,
    total: Found,
    rows: Vec<NamedFound<'a>>,
    /// Tensors with elements that are not finite.
    not_finite: Vec<NotFinite<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spectra: Option<FoundSpectra<'a>>,
}

/// The vector that the first was held against.
#[derive(Serialize)]
struct Second<'a> {
    expression: &'a str,
    origin: Option<&'a str>,
}

#[derive(Serialize)]
struct NotFinite<'a> {
    expression: &'a str,
    tensor: &'a str,
    nan: u64,
    infinite: u64,
}

#[derive(Serialize)]
struct NamedFound<'a> {
    name: &'a str,
    layer: Option<u32>,
    module: Option<&'static str>,
    #[serde(flatten)]
    found: Found,
}

#[derive(Serialize)]
struct Found {
    elements: u64,
    norm: f64,
    relative_norm: Option<f64>,
    origin_norm: Option<f64>,
    largest: f64,
    zeros: u64,
    nan: u64,
    infinite: u64,
    survival: Option<f64>,
    rounding_error: Option<f64>,
    /// Elements of the change that are not zero and leave no trace in what is stored.
    vanished: Option<u64>,
    #[serde(flatten)]
    compared: Option<Compared>,
}

/// What there is to say of two.
#[derive(Serialize)]
struct Compared {
    second_norm: f64,
    second_relative_norm: Option<f64>,
    second_origin_norm: Option<f64>,
    second_largest: f64,
    second_zeros: u64,
    second_nan: u64,
    second_infinite: u64,
    cosine: Option<f64>,
    /// Why there is none: `zero` or `not finite`.
    cosine_undefined: Option<&'static str>,
    nonzero_in_both: u64,
    agreeing: u64,
    sign_agreement: Option<f64>,
}

#[derive(Serialize)]
struct FoundSpectra<'a> {
    matrices: Vec<FoundSpectrum<'a>>,
    left_out: Vec<Value>,
}

#[derive(Serialize)]
struct FoundSpectrum<'a> {
    tensor: &'a str,
    shape: [usize; 2],
    norm: f64,
    stable_rank: Option<f64>,
    /// Whether the matrix was decomposed whole; else values are estimates from below.
    exact: bool,
    singular_values: &'a [f64],
    /// Share of the energy in the first, in the first two, and so on.
    kept: Vec<Option<f64>>,
}

impl<'a> Document<'a> {
    pub(super) fn new(
        inspection: &'a Inspection,
        by: &'static str,
        rows: &'a [Row],
        spectra: Option<&'a Spectra>,
    ) -> Self {
        let broken = super::not_finite(inspection).into_iter();
        Self {
            schema_version: JSON_SCHEMA,
            taskvec: env!("CARGO_PKG_VERSION"),
            expression: &inspection.expression,
            kind: inspection.kind.to_string(),
            measured: inspection.measured.name(),
            origin: inspection.origin.as_deref(),
            second: inspection.beside.as_ref().map(|beside| Second {
                expression: &beside.expression,
                origin: beside.origin.as_deref(),
            }),
            by,
            total: Found::from(&inspection.whole()),
            rows: rows.iter().map(NamedFound::from).collect(),
            not_finite: broken
                .flat_map(|(expression, tensors)| {
                    tensors.into_iter().map(move |(tensor, it)| NotFinite {
                        expression,
                        tensor,
                        nan: it.nan,
                        infinite: it.infinite,
                    })
                })
                .collect(),
            spectra: spectra.map(|spectra| FoundSpectra {
                matrices: spectra.matrices.iter().map(FoundSpectrum::from).collect(),
                left_out: spectra
                    .left_out
                    .iter()
                    .map(|(tensor, reason)| json!({"tensor": tensor, "reason": why(*reason)}))
                    .collect(),
            }),
        }
    }
}

impl<'a> From<&'a Row> for NamedFound<'a> {
    fn from(row: &'a Row) -> Self {
        Self {
            name: &row.name,
            layer: row.layer,
            module: row.module,
            found: Found::from(&row.of),
        }
    }
}

impl From<&Measurement> for Found {
    fn from(of: &Measurement) -> Self {
        let found = &of.found;
        Self {
            elements: found.elements,
            norm: found.norm(),
            relative_norm: found.relative_norm(),
            origin_norm: origin_norm(found),
            largest: found.largest,
            zeros: found.zeros,
            nan: found.nan,
            infinite: found.infinite,
            survival: found.survival(),
            rounding_error: found.rounding_error(),
            vanished: found.rounding.map(|rounding| rounding.vanished as u64),
            compared: of.beside.map(|(second, overlap)| Compared {
                second_norm: second.norm(),
                second_relative_norm: second.relative_norm(),
                second_origin_norm: origin_norm(&second),
                second_largest: second.largest,
                second_zeros: second.zeros,
                second_nan: second.nan,
                second_infinite: second.infinite,
                cosine: of.cosine().and_then(Result::ok),
                cosine_undefined: of
                    .cosine()
                    .and_then(Result::err)
                    .map(|undefined| undefined.name()),
                nonzero_in_both: overlap.nonzero_in_both,
                agreeing: overlap.agreeing,
                sign_agreement: of.sign_agreement(),
            }),
        }
    }
}

fn origin_norm(found: &WeightStatistics) -> Option<f64> {
    found.origin_sum_of_squares.map(f64::sqrt)
}

impl<'a> From<&'a Spectrum> for FoundSpectrum<'a> {
    fn from(spectrum: &'a Spectrum) -> Self {
        let ranks = 1..=spectrum.singular_values.len();
        Self {
            tensor: &spectrum.tensor,
            shape: spectrum.shape,
            norm: spectrum.squared_norm.sqrt(),
            stable_rank: spectrum.stable_rank(),
            exact: spectrum.exact,
            singular_values: &spectrum.singular_values,
            kept: ranks.map(|rank| spectrum.kept_share(rank)).collect(),
        }
    }
}

/// Rows as `--csv` prints them.
pub(super) fn records(rows: &[Row]) -> anyhow::Result<Vec<Map<String, Value>>> {
    let mut records = Vec::with_capacity(rows.len());
    for row in rows {
        if let Value::Object(record) = serde_json::to_value(NamedFound::from(row))? {
            records.push(record);
        }
    }
    Ok(records)
}

/// Spectra as `--csv` prints them.
pub(super) fn spectrum_records(
    spectra: &Spectra,
    inspection: &Inspection,
) -> Vec<Map<String, Value>> {
    let longest = spectra.matrices.iter().map(|it| it.singular_values.len());
    let longest = longest.max().unwrap_or(0);
    let record = |spectrum: &Spectrum| {
        let relative = inspection
            .measurement(&spectrum.tensor)
            .found
            .relative_norm();
        let mut record = Map::new();
        let mut set = |key: &str, value: Value| record.insert(key.to_owned(), value);
        set("name", json!(spectrum.tensor));
        set("rows", json!(spectrum.shape[0]));
        set("columns", json!(spectrum.shape[1]));
        set("norm", json!(spectrum.squared_norm.sqrt()));
        set("relative_norm", json!(relative));
        set("stable_rank", json!(spectrum.stable_rank()));
        set("exact", json!(spectrum.exact));
        for index in 0..longest {
            let value = spectrum.singular_values.get(index);
            set(&format!("singular_value_{}", index + 1), json!(value));
        }
        record
    };
    spectra.matrices.iter().map(record).collect()
}
