//! Whether what one seed shows holds for others.

use crate::report::render::{points, title};
use crate::report::{Report, Table};

/// For each model, task and condition the mean over seeds of the difference to the baseline, in points, and in parentheses
/// the least and the greatest. `None` for fewer than two reports.
#[must_use]
pub fn across_seeds(reports: &[&Report]) -> Option<Table> {
    let [first, _, ..] = reports else { return None };
    let cells = first.cells();
    let mut header = vec!["model".to_owned()];
    header.extend(
        cells
            .iter()
            .map(|&(task, condition)| title(task, condition)),
    );
    let value = |model: &str, (task, condition)| {
        let differences: Vec<f64> = reports
            .iter()
            .filter_map(|report| report.row(model, task, condition)?.difference.as_ref())
            .map(|difference| difference.value)
            .collect();
        if differences.is_empty() {
            return String::new();
        }
        let mean = differences.iter().sum::<f64>() / differences.len() as f64;
        let least = differences.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = differences
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        format!(
            "{} ({} to {})",
            points(mean),
            points(least),
            points(greatest)
        )
    };
    let rows = first
        .models()
        .into_iter()
        .filter(|model| Some(*model) != first.baseline.as_deref())
        .map(|model| {
            let values = cells.iter().map(|&cell| value(model, cell));
            std::iter::once(model.to_owned()).chain(values).collect()
        })
        .collect();
    Some(Table { header, rows })
}
