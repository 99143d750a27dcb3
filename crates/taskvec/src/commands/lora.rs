use serde::Serialize;
use taskvec_core::{LeftOutReason, LoraOptions, LoraReport, PlanOptions, write_lora};

use super::JSON_SCHEMA;
use crate::args::lora::LoraArgs;
use crate::failure::unless_interrupted;
use crate::interruption::Heeding;
use crate::printer::{Align, Printer, Table, Unit};
use crate::resolution;

pub(crate) fn run(arguments: &LoraArgs, printer: &Printer) -> anyhow::Result<()> {
    let bindings = resolution::bindings(&arguments.bindings, &[&arguments.expression], printer)?;
    let options = arguments.fit.apply(PlanOptions {
        allow_strangers: arguments.allow_strangers,
        ..PlanOptions::default()
    });
    let plan = resolution::plan(&arguments.expression, &bindings, &options, printer)?;
    let path = arguments.output.display().to_string();

    let heeding = Heeding::begin();
    let bar = printer.progress(format!("factoring into {path}"), 0, Unit::Count("modules"));
    let written = write_lora(
        &plan,
        &arguments.output,
        &LoraOptions {
            embeddings: arguments.embeddings,
            dtype: arguments.dtype,
            seed: arguments.seed,
            base_model: arguments.base_model.clone(),
            threads: arguments.threads.threads,
            overwrite: arguments.overwrite,
            cancelled: Some(heeding.flag()),
            ..LoraOptions::new(arguments.rank)
        },
        &|done, total| {
            bar.set_total(total as u64);
            bar.set(done as u64);
        },
    );
    drop(bar);
    let report = unless_interrupted(written, format!("nothing was written to `{path}`"))?;
    let expression = plan.expression().to_string();
    if arguments.json {
        return printer.json(&Document::new(&expression, arguments, &report));
    }
    show(&report, printer)?;
    printer.note(format_args!(
        "wrote an adapter of rank {} with {} modules: {expression}",
        arguments.rank,
        report.modules.len(),
    ));
    printer.data(report.destination.display())
}

fn show(report: &LoraReport, printer: &Printer) -> anyhow::Result<()> {
    let mut table = Table::new([
        ("weight", Align::Left),
        ("shape", Align::Right),
        ("norm", Align::Right),
        ("energy kept %", Align::Right),
    ]);
    for module in &report.modules {
        let [rows, columns] = module.shape;
        table.row([
            module.tensor.clone(),
            format!("{rows} × {columns}"),
            format!("{:.4}", module.squared_norm.sqrt()),
            format!("{:.1}", 100.0 * module.kept_share()),
        ]);
    }
    printer.table(&table)?;
    printer.data("")?;
    printer.data(format_args!(
        "of the whole vector: {:.1} % of the energy kept, {:.1} % in {} weights that were left out",
        100.0 * report.kept_share(),
        100.0 * report.left_out_share(),
        report.left_out.len(),
    ))?;
    let embeddings = report
        .left_out
        .iter()
        .filter(|tensor| tensor.reason == LeftOutReason::Embedding);
    let energy: f64 = embeddings.map(|tensor| tensor.squared_norm).sum();
    if energy > 0.0 {
        printer.note(format_args!(
            "embeddings and the output head hold {:.1} % of it; `--embeddings` factors them too",
            100.0 * energy / report.squared_norm
        ));
    }
    Ok(())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    taskvec: &'static str,
    expression: &'a str,
    output: String,
    rank: usize,
    /// `‖v‖_F` of the whole vector.
    norm: f64,
    kept_share: f64,
    left_out_share: f64,
    modules: Vec<Module<'a>>,
    left_out: Vec<LeftOut<'a>>,
}

#[derive(Serialize)]
struct Module<'a> {
    tensor: &'a str,
    shape: [usize; 2],
    norm: f64,
    kept_share: f64,
}

#[derive(Serialize)]
struct LeftOut<'a> {
    tensor: &'a str,
    norm: f64,
    reason: &'static str,
}

impl<'a> Document<'a> {
    fn new(expression: &'a str, arguments: &LoraArgs, report: &'a LoraReport) -> Self {
        Self {
            schema_version: JSON_SCHEMA,
            taskvec: env!("CARGO_PKG_VERSION"),
            expression,
            output: report.destination.display().to_string(),
            rank: arguments.rank.get(),
            norm: report.squared_norm.sqrt(),
            kept_share: report.kept_share(),
            left_out_share: report.left_out_share(),
            modules: report
                .modules
                .iter()
                .map(|module| Module {
                    tensor: &module.tensor,
                    shape: module.shape,
                    norm: module.squared_norm.sqrt(),
                    kept_share: module.kept_share(),
                })
                .collect(),
            left_out: report
                .left_out
                .iter()
                .map(|tensor| LeftOut {
                    tensor: &tensor.tensor,
                    norm: tensor.squared_norm.sqrt(),
                    reason: match tensor.reason {
                        LeftOutReason::NoMatrix => "no matrix",
                        LeftOutReason::Embedding => "embedding",
                        _ => "other",
                    },
                })
                .collect(),
        }
    }
}
