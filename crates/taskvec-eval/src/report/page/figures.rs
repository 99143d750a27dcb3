//! Which figures a page has.

use super::data::{Curve, PageData};
use crate::report::figure::{Measure, Series, bars, curve, heat_map, importance};
use crate::report::{Figure, Row, render};

pub(super) fn all(data: &PageData) -> Vec<Figure> {
    let mut figures = curves(data);
    figures.extend(data.searches.iter().filter_map(importance));
    for (task, condition) in data.report.cells() {
        let title = render::title(task, condition);
        let rows: Vec<&Row> = data
            .report
            .rows
            .iter()
            .filter(|row| row.task == task && row.condition == condition)
            .collect();
        figures.push(bars(&title, data.report.baseline.as_deref(), &rows));
    }
    for vector in &data.vectors {
        figures.extend(
            Measure::ALL
                .into_iter()
                .filter_map(|measure| heat_map(vector, measure)),
        );
    }
    // Two runs may well have figures of one name.
    let mut seen = std::collections::BTreeMap::new();
    for figure in &mut figures {
        let count: &mut u32 = seen.entry(figure.id.clone()).or_default();
        *count += 1;
        if *count > 1 {
            figure.id = format!("{}-{count}", figure.id);
        }
    }
    figures
}

/// One figure for each sweep and condition with its tasks in it; where several variables were swept, one for each task.
fn curves(data: &PageData) -> Vec<Figure> {
    let mut groups: Vec<(String, Vec<&Curve>)> = Vec::new();
    for curve in &data.curves {
        let title = if curve.held.is_empty() {
            curve.condition.name().to_owned()
        } else {
            render::title(&curve.task, curve.condition)
        };
        let same = groups.iter_mut().find(|(known, curves)| {
            *known == title
                && curves
                    .iter()
                    .all(|other| other.expression == curve.expression)
        });
        match same {
            Some((_, curves)) => curves.push(curve),
            None => groups.push((title, vec![curve])),
        }
    }
    groups
        .into_iter()
        .map(|(title, curves)| {
            let series: Vec<Series<'_>> = curves
                .iter()
                .map(|curve| Series {
                    name: match curve.held.as_str() {
                        "" => curve.task.clone(),
                        held => held.to_owned(),
                    },
                    points: curve
                        .points
                        .iter()
                        .map(|point| (point.x, &data.report.rows[point.row]))
                        .collect(),
                })
                .collect();
            curve(&title, &curves[0].variable, &series)
        })
        .collect()
}
