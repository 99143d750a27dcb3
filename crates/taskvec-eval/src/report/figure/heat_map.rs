//! A vector by layer and module.

use super::canvas::{Canvas, Lean, clipped, draw};
use super::palette::{FAINT, GRID, HEAT, HOT, ON_COOL, ON_HOT, TEXT};
use super::{Figure, NARROW, csv_line, slug};
use crate::report::inspection::{Group, Inspection};
use crate::report::render::significant;

const TOP: f64 = 30.0;
const LEFT: f64 = 74.0;
const ROW: f64 = 24.0;
const KEY: f64 = 40.0;

/// What is shown of each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Length of the vector.
    Norm,
    /// Length relative to the model it is told apart from.
    RelativeNorm,
    /// How much of the change is left once it is stored.
    Survival,
}

impl Measure {
    pub(crate) const ALL: [Self; 3] = [Self::Norm, Self::RelativeNorm, Self::Survival];

    fn name(self) -> &'static str {
        match self {
            Self::Norm => "norm",
            Self::RelativeNorm => "relative norm, %",
            Self::Survival => "survival, %",
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Norm => "norm",
            Self::RelativeNorm => "relative_norm",
            Self::Survival => "survival",
        }
    }

    fn of(self, group: &Group) -> Option<f64> {
        match self {
            Self::Norm => Some(group.norm),
            Self::RelativeNorm => group.relative_norm,
            Self::Survival => group.survival,
        }
    }

    fn label(self, value: f64) -> String {
        match self {
            Self::Norm => significant(value, 3),
            Self::RelativeNorm | Self::Survival => significant(100.0 * value, 3),
        }
    }
}

/// The figure of one measure; `None` where no group has it.
pub(crate) fn heat_map(inspection: &Inspection, measure: Measure) -> Option<Figure> {
    let values: Vec<f64> = inspection
        .rows
        .iter()
        .filter_map(|row| measure.of(row))
        .collect();
    if values.is_empty() {
        return None;
    }
    let largest = values.iter().copied().fold(0.0, f64::max);
    let mut modules: Vec<&str> = Vec::new();
    let mut layers: Vec<Option<u32>> = Vec::new();
    for row in &inspection.rows {
        if row.layer.is_some() && !modules.contains(&row.module.as_str()) {
            modules.push(&row.module);
        }
        if row.layer.is_some() && !layers.contains(&row.layer) {
            layers.push(row.layer);
        }
    }
    layers.sort_unstable();
    let outside: Vec<&Group> = inspection
        .rows
        .iter()
        .filter(|row| row.layer.is_none())
        .collect();
    let svg = sheet(inspection, measure, &modules, &layers, &outside, largest);
    Some(Figure {
        id: format!(
            "heat-{}-{}",
            measure.column().replace('_', "-"),
            slug(&inspection.expression)
        ),
        title: format!("{} of each module in each layer", measure.name()),
        description: format!(
            "Heat map of the {} of {} by layer and module; the largest is {}",
            measure.name(),
            inspection.expression,
            measure.label(largest)
        ),
        wide: svg.clone(),
        narrow: svg,
        csv: csv(inspection, measure),
    })
}

fn csv(inspection: &Inspection, measure: Measure) -> String {
    let mut text = csv_line(&["layer", "module", measure.column()].map(str::to_owned));
    for row in &inspection.rows {
        text.push_str(&csv_line(&[
            row.layer
                .map_or_else(String::new, |layer| layer.to_string()),
            row.module.clone(),
            measure
                .of(row)
                .map_or_else(String::new, |value| value.to_string()),
        ]));
    }
    text
}

fn sheet(
    inspection: &Inspection,
    measure: Measure,
    modules: &[&str],
    layers: &[Option<u32>],
    outside: &[&Group],
    largest: f64,
) -> String {
    let height = TOP + ROW * (layers.len() + outside.len()) as f64 + 8.0 + KEY;
    draw(NARROW, height, |canvas| {
        let right = NARROW - 4.0;
        let column = (right - LEFT) / modules.len().max(1) as f64;
        for (index, module) in modules.iter().enumerate() {
            let middle = LEFT + column * (index as f64 + 0.5);
            let short = module.replace("attention.", "");
            canvas.text(
                &clipped(&short, 7),
                (middle, TOP - 12.0),
                11.0,
                FAINT,
                Lean::Middle,
            );
        }
        for (index, &layer) in layers.iter().enumerate() {
            let top = TOP + ROW * index as f64;
            let name = layer.map_or_else(String::new, |layer| format!("layer {layer}"));
            canvas.text(&name, (LEFT - 8.0, top + ROW / 2.0), 11.0, FAINT, Lean::End);
            for (position, module) in modules.iter().enumerate() {
                let group = inspection
                    .rows
                    .iter()
                    .find(|row| row.layer == layer && row.module == *module);
                let left = LEFT + column * position as f64;
                let value = group.and_then(|group| measure.of(group));
                cell(
                    canvas,
                    (left, top),
                    (left + column, top + ROW),
                    value,
                    measure,
                    largest,
                );
            }
        }
        let below = TOP + ROW * layers.len() as f64 + 6.0;
        for (index, group) in outside.iter().enumerate() {
            let top = below + ROW * index as f64;
            let name = clipped(&group.module, 11);
            canvas.text(&name, (LEFT - 8.0, top + ROW / 2.0), 11.0, FAINT, Lean::End);
            cell(
                canvas,
                (LEFT, top),
                (right, top + ROW),
                measure.of(group),
                measure,
                largest,
            );
        }
        key(canvas, height - KEY + 14.0, measure, largest);
    })
}

fn step(value: f64, largest: f64) -> usize {
    let share = if largest > 0.0 { value / largest } else { 0.0 };
    ((share * HEAT.len() as f64) as usize).min(HEAT.len() - 1)
}

fn cell(
    canvas: &Canvas<'_>,
    from: (f64, f64),
    to: (f64, f64),
    value: Option<f64>,
    measure: Measure,
    largest: f64,
) {
    let inner = ((from.0 + 1.0, from.1 + 1.0), (to.0 - 1.0, to.1 - 1.0));
    let middle = (f64::midpoint(from.0, to.0), f64::midpoint(from.1, to.1));
    match value {
        Some(value) => {
            let step = step(value, largest);
            canvas.rectangle(inner.0, inner.1, HEAT[step], 1.0);
            let ink = if step < HOT { ON_COOL } else { ON_HOT };
            canvas.text(&measure.label(value), middle, 10.5, ink, Lean::Middle);
        }
        None => {
            let y = middle.1;
            canvas.line(&[(middle.0 - 4.0, y), (middle.0 + 4.0, y)], GRID, 1.0);
        }
    }
}

fn key(canvas: &Canvas<'_>, top: f64, measure: Measure, largest: f64) {
    let width = 18.0;
    canvas.text("0", (LEFT - 8.0, top + 5.0), 11.0, FAINT, Lean::End);
    for (index, ink) in HEAT.into_iter().enumerate() {
        let left = LEFT + width * index as f64;
        canvas.rectangle((left, top), (left + width, top + 10.0), ink, 1.0);
    }
    let end = LEFT + width * HEAT.len() as f64 + 8.0;
    let label = format!("{}  {}", measure.label(largest), measure.name());
    canvas.text(&label, (end, top + 5.0), 11.0, TEXT, Lean::Start);
}
