use indicatif::HumanCount;
use serde::Serialize;
use taskvec_core::statistics::Group;
use taskvec_core::{InspectOptions, Inspection, Kind, PlanOptions, WeightStatistics};

use super::JSON_SCHEMA;
use crate::args::inspect::{By, InspectArgs};
use crate::failure::unless_interrupted;
use crate::interruption::Heeding;
use crate::printer::{Align, Printer, Table, Unit};
use crate::resolution;

pub(crate) fn run(arguments: &InspectArgs, printer: &Printer) -> anyhow::Result<()> {
    let bindings = resolution::bindings(&arguments.bindings)?;
    let plan = resolution::plan(
        &arguments.expression,
        &bindings,
        &PlanOptions {
            output_dtype: arguments.dtype,
            common_rows: arguments.rows.common(),
            ..PlanOptions::default()
        },
        printer,
    )?;
    let heeding = Heeding::begin();
    let bar = printer.progress("inspecting", 0, Unit::Bytes);
    let options = InspectOptions {
        threads: arguments.threads.threads,
        cancelled: Some(heeding.flag()),
    };
    let inspected = taskvec_core::inspect(&plan, &options, &|progress| bar.follow(progress));
    drop(bar);
    let inspection = unless_interrupted(inspected, "nothing was written")?;
    let rows = rows(&inspection, arguments.by);
    if arguments.json {
        return printer.json(&Document::new(&inspection, arguments.by, &rows));
    }
    printer.data(summary(&inspection))?;
    printer.data("")?;
    printer.table(&table(&inspection, arguments.by, &rows))
}

/// One row: its name, its place in the network, what was found.
type Row = (String, Group, WeightStatistics);

fn rows(inspection: &Inspection, by: By) -> Vec<Row> {
    match by {
        By::Group => inspection
            .groups()
            .into_iter()
            .map(|(group, statistics)| (group.to_string(), group, statistics))
            .collect(),
        By::Tensor => inspection
            .tensors
            .iter()
            .map(|(name, statistics)| (name.clone(), Group::of(name), *statistics))
            .collect(),
    }
}

fn summary(inspection: &Inspection) -> String {
    let total = inspection.total();
    let what = format!(
        "{}: a {} of {} tensors, {} elements",
        inspection.expression,
        inspection.kind,
        HumanCount(inspection.tensors.len() as u64),
        HumanCount(total.elements),
    );
    match (&inspection.origin, inspection.kind) {
        (Some(origin), Kind::Model) => format!("{what}; the change is from {origin}"),
        (Some(origin), _) => format!("{what}; relative to {origin}"),
        (None, _) => what,
    }
}

fn table(inspection: &Inspection, by: By, rows: &[Row]) -> Table {
    let total = inspection.total();
    let first = match by {
        By::Group => "group",
        By::Tensor => "tensor",
    };
    let rounded = total.rounding.is_some();
    let not_finite = total.nan + total.infinite > 0;
    let right = |heading| (heading, Align::Right);
    let mut columns = vec![
        (first, Align::Left),
        right("elements"),
        right("norm"),
        right("relative"),
        right("largest"),
        right("zero %"),
    ];
    columns.extend(
        rounded
            .then(|| [right("survives %"), right("lost %"), right("vanished %")])
            .into_iter()
            .flatten(),
    );
    columns.extend(
        not_finite
            .then(|| [right("NaN"), right("infinite")])
            .into_iter()
            .flatten(),
    );
    let mut table = Table::new(columns);
    let cells = |name: &str, found: &WeightStatistics| {
        let mut cells = vec![
            name.to_owned(),
            HumanCount(found.elements).to_string(),
            magnitude(found.norm()),
            found.relative_norm().map_or_else(String::new, magnitude),
            magnitude(found.largest),
            format!("{:.1}", percentage(found.zeros, found.elements)),
        ];
        if rounded {
            let shares = [
                found.survival(),
                found.rounding_error(),
                found
                    .rounding
                    .and_then(|rounding| rounding.vanished_share()),
            ];
            cells.extend(shares.map(|share| {
                share.map_or_else(String::new, |share| format!("{:.1}", 100.0 * share))
            }));
        }
        if not_finite {
            cells.extend([
                HumanCount(found.nan).to_string(),
                HumanCount(found.infinite).to_string(),
            ]);
        }
        cells
    };
    for (name, _, found) in rows {
        table.row(cells(name, found));
    }
    table.row(cells("total", &total));
    table
}

/// Four significant digits, with an exponent only where zeros would hide them.
fn magnitude(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.3e}"),
        size => {
            let decimals = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
            format!("{value:.decimals$}")
        }
    }
}

fn percentage(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    taskvec: &'static str,
    expression: &'a str,
    kind: String,
    /// The model that norms are relative to.
    origin: Option<&'a str>,
    by: &'static str,
    total: Found,
    rows: Vec<NamedFound<'a>>,
}

#[derive(Serialize)]
struct NamedFound<'a> {
    name: &'a str,
    layer: Option<u32>,
    module: &'static str,
    #[serde(flatten)]
    found: Found,
}

/// Numbers that are not finite are null, as JSON has none.
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
}

impl<'a> Document<'a> {
    fn new(inspection: &'a Inspection, by: By, rows: &'a [Row]) -> Self {
        Self {
            schema_version: JSON_SCHEMA,
            taskvec: env!("CARGO_PKG_VERSION"),
            expression: &inspection.expression,
            kind: inspection.kind.to_string(),
            origin: inspection.origin.as_deref(),
            by: match by {
                By::Group => "group",
                By::Tensor => "tensor",
            },
            total: Found::from(&inspection.total()),
            rows: rows
                .iter()
                .map(|(name, group, found)| NamedFound {
                    name,
                    layer: group.layer,
                    module: group.module.name(),
                    found: Found::from(found),
                })
                .collect(),
        }
    }
}

impl From<&WeightStatistics> for Found {
    fn from(found: &WeightStatistics) -> Self {
        Self {
            elements: found.elements,
            norm: found.norm(),
            relative_norm: found.relative_norm(),
            origin_norm: found.origin_sum_of_squares.map(f64::sqrt),
            largest: found.largest,
            zeros: found.zeros,
            nan: found.nan,
            infinite: found.infinite,
            survival: found.survival(),
            rounding_error: found.rounding_error(),
            vanished: found.rounding.map(|rounding| rounding.vanished as u64),
        }
    }
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
}
