mod document;
mod heat;
mod tables;

use taskvec_core::statistics::{
    Group, Measurement, NetworkPart, Spectra, SpectrumOptions, Subject, spectra,
};
use taskvec_core::{InspectOptions, Inspection, Plan, PlanOptions, WeightStatistics};

use crate::args::inspect::{By, InspectArgs};
use crate::failure::{Refusal, unless_interrupted};
use crate::interruption::Heeding;
use crate::printer::{Printer, Unit};
use crate::resolution;

/// Tensors that a warning names before it counts the rest.
const NAMED: usize = 8;

pub(crate) fn run(arguments: &InspectArgs, printer: &Printer) -> anyhow::Result<()> {
    if let (Some(_), Some(second)) = (arguments.spectrum, &arguments.beside) {
        let second = second.clone();
        return Err(Refusal::SpectrumOfTwo { second }.into());
    }
    let expressions: Vec<&str> = [&arguments.beside, &arguments.relative_to]
        .into_iter()
        .flatten()
        .chain([&arguments.expression])
        .map(String::as_str)
        .collect();
    let bindings = resolution::bindings(&arguments.bindings, &expressions, printer)?;
    let options = arguments.fit.apply(PlanOptions {
        output_dtype: arguments.dtype,
        ..PlanOptions::default()
    });
    let plan = |expression: &String| resolution::plan(expression, &bindings, &options, printer);
    let model = |expression: &String| {
        let purpose = "measure norms against";
        let options = PlanOptions::default();
        resolution::model_plan_with(expression, &bindings, purpose, &options, printer)
    };
    let first = plan(&arguments.expression)?;
    let second = arguments.beside.as_ref().map(plan).transpose()?;
    let relative_to = arguments.relative_to.as_ref().map(model).transpose()?;
    let subject = Subject {
        plan: &first,
        beside: second.as_ref(),
        relative_to: relative_to.as_ref(),
    };
    if let Some(heat) = arguments.heatmap {
        heat::require(heat, subject)?;
    }

    let heeding = Heeding::begin();
    let bar = printer.progress("inspecting", 0, Unit::Bytes);
    let options = InspectOptions {
        threads: arguments.threads.threads,
        cancelled: Some(heeding.flag()),
    };
    let inspected = taskvec_core::inspect(subject, &options, &|progress| bar.follow(progress));
    drop(bar);
    let inspection = unless_interrupted(inspected, "nothing was written")?;
    warn_of_not_finite(&inspection, printer);
    let spectra = spectra_of(&first, arguments, &heeding, printer)?;

    if let Some(heat) = arguments.heatmap {
        let map = heat::map(&inspection, heat);
        printer.data(tables::summary(&inspection))?;
        printer.data("")?;
        return printer.heat_map(&map);
    }
    let rows = rows(&inspection, arguments.by);
    if arguments.json {
        let by = arguments.by.name();
        let document = document::Document::new(&inspection, by, &rows, spectra.as_ref());
        return printer.json(&document);
    }
    if arguments.csv {
        return printer.csv(&match &spectra {
            None => document::records(&rows)?,
            Some(spectra) => document::spectrum_records(spectra, &inspection),
        });
    }
    printer.data(tables::summary(&inspection))?;
    printer.data("")?;
    printer.table(&tables::table(&inspection, arguments.by, &rows))?;
    say_what_has_no_cosine(&rows, printer);
    if let Some(spectra) = &spectra {
        printer.data("")?;
        printer.table(&tables::spectra(spectra))?;
        tables::left_out(spectra)
            .iter()
            .for_each(|sentence| printer.note(sentence));
    }
    Ok(())
}

/// One row: its name, its place in the network, what was found.
struct Row {
    name: String,
    layer: Option<u32>,
    module: Option<&'static str>,
    of: Measurement,
}

fn rows(inspection: &Inspection, by: By) -> Vec<Row> {
    let row = |name: String, layer, module, of| Row {
        name,
        layer,
        module,
        of,
    };
    let in_group = |name: String, group: Group, of| {
        let module = Some(group.module.name());
        row(name, group.layer, module, of)
    };
    match by {
        By::Group => (inspection.by(Group::of).into_iter())
            .map(|(group, of)| in_group(group.to_string(), group, of))
            .collect(),
        By::Tensor => (inspection.tensors.keys())
            .map(|name| in_group(name.clone(), Group::of(name), inspection.measurement(name)))
            .collect(),
        By::Layer => (inspection.by(|name| Group::of(name).layer).into_iter())
            .map(|(layer, of)| {
                let name = layer.map_or("outside layers".to_owned(), |it| format!("layer {it}"));
                row(name, layer, None, of)
            })
            .collect(),
        By::Module => (inspection.by(|name| Group::of(name).module).into_iter())
            .map(|(module, of)| row(module.to_string(), None, Some(module.name()), of))
            .collect(),
        By::Part => (inspection.by(NetworkPart::of).into_iter())
            .map(|(part, of)| row(part.to_string(), None, Some(part.name()), of))
            .collect(),
    }
}

fn spectra_of(
    plan: &Plan,
    arguments: &InspectArgs,
    heeding: &Heeding,
    printer: &Printer,
) -> anyhow::Result<Option<Spectra>> {
    let Some(count) = arguments.spectrum else {
        return Ok(None);
    };
    let bar = printer.progress("decomposing", 0, Unit::Count("tensors"));
    let options = SpectrumOptions {
        count,
        embeddings: arguments.embeddings,
        threads: arguments.threads.threads,
        cancelled: Some(heeding.flag()),
    };
    let found = spectra(plan, &options, &|done, total| {
        bar.set_total(total as u64);
        bar.set(done as u64);
    });
    drop(bar);
    unless_interrupted(found, "nothing was written").map(Some)
}

/// Tensors with elements that are not finite, by expression.
fn not_finite(inspection: &Inspection) -> Vec<(&str, Vec<(&str, WeightStatistics)>)> {
    let is_broken = |it: &WeightStatistics| it.nan + it.infinite > 0;
    let first = inspection.tensors.iter();
    let first = first.map(|(name, it)| (name.as_str(), *it));
    let mut found = vec![(
        inspection.expression.as_str(),
        first.filter(|(_, it)| is_broken(it)).collect::<Vec<_>>(),
    )];
    if let Some(beside) = &inspection.beside {
        let second = beside.tensors.iter();
        let second = second.map(|(name, (it, _))| (name.as_str(), *it));
        let second = second.filter(|(_, it)| is_broken(it)).collect();
        found.push((&beside.expression, second));
    }
    found.retain(|(_, tensors)| !tensors.is_empty());
    found
}

fn warn_of_not_finite(inspection: &Inspection, printer: &Printer) {
    for (expression, tensors) in not_finite(inspection) {
        let named = tensors
            .iter()
            .take(NAMED)
            .map(|(name, it)| format!("\n  `{name}`: {} NaN, {} infinite", it.nan, it.infinite));
        let rest = match tensors.len().saturating_sub(NAMED) {
            0 => String::new(),
            rest => format!("\n  and {rest} more; `--by tensor` counts in each"),
        };
        printer.warn(format_args!(
            "`{expression}` has elements that are not finite in {} of {} tensors{}{rest}",
            tensors.len(),
            inspection.tensors.len(),
            named.collect::<String>(),
        ));
    }
}

fn say_what_has_no_cosine(rows: &[Row], printer: &Printer) {
    let without = |row: &&Row| matches!(row.of.cosine(), Some(Err(_)));
    let count = rows.iter().filter(without).count();
    if count > 0 {
        printer.note(format_args!(
            "no cosine in {count} of {} rows: one side is zero there, or not finite",
            rows.len()
        ));
    }
}
