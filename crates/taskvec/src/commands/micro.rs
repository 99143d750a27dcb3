use std::ops::ControlFlow;

use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use taskvec_core::{Bindings, Checkpoint, Reference, TensorInfo};
use taskvec_lm::micro::{self, Lengths, Measured, MicroObserver};
use taskvec_lm::train::metrics::Warning;

use super::JSON_SCHEMA;
use super::training::Watch;
use super::write::write;
use crate::args::micro::{MicroCommand, MicroExportArgs, MicroListArgs, MicroTrainArgs};
use crate::args::weights::{DestinationArgs, FitArgs, ThreadArgs};
use crate::failure::Refusal;
use crate::printer::{Align, Printer, Table};
use crate::resolution;

pub(crate) fn run(command: &MicroCommand, printer: &Printer) -> anyhow::Result<()> {
    match command {
        MicroCommand::List(arguments) => list(arguments, printer),
        MicroCommand::Train(arguments) => train(arguments, printer),
        MicroCommand::Export(arguments) => export(arguments, printer),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    schema_version: u32,
    models: Vec<Embedded>,
}

#[derive(Serialize)]
struct Embedded {
    name: String,
    parameters: u64,
    bytes: u64,
    about: &'static str,
}

fn list(arguments: &MicroListArgs, printer: &Printer) -> anyhow::Result<()> {
    let library = resolution::library(printer);
    let models = micro::NAMES
        .iter()
        .map(|&name| {
            let reference = Reference::Embedded {
                scheme: "micro".to_owned(),
                name: name.to_owned(),
            };
            let checkpoint = Checkpoint::open(&reference, &library)?;
            Ok(Embedded {
                name: reference.to_string(),
                parameters: checkpoint
                    .tensors()
                    .values()
                    .map(TensorInfo::element_count)
                    .sum(),
                bytes: checkpoint
                    .file_records()
                    .iter()
                    .map(|record| record.bytes)
                    .sum(),
                about: about(name),
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    if arguments.json {
        return printer.json(&Document {
            schema_version: JSON_SCHEMA,
            models,
        });
    }
    let mut table = Table::new([
        ("model", Align::Left),
        ("parameters", Align::Right),
        ("size", Align::Right),
        ("what it is", Align::Left),
    ]);
    for model in models {
        table.row([
            model.name,
            HumanCount(model.parameters).to_string(),
            HumanBytes(model.bytes).to_string(),
            model.about.to_owned(),
        ]);
    }
    printer.table(&table)
}

fn about(name: &str) -> &'static str {
    match name {
        "base" => "trained from nothing on plain text of every task",
        "sft" => "base, then supervised fine-tuning on word problems",
        "grpo" => "base, then reinforcement learning on the same word problems",
        "target" => "base, then supervised fine-tuning on conversations",
        _ => "",
    }
}

fn export(arguments: &MicroExportArgs, printer: &Printer) -> anyhow::Result<()> {
    let known: Vec<String> = micro::NAMES.iter().map(|&name| name.to_owned()).collect();
    let names = if arguments.names.is_empty() {
        &known
    } else {
        &arguments.names
    };
    for name in names {
        if !known.contains(name) {
            return Err(Refusal::UnknownName {
                what: "micro model",
                name: name.clone(),
                known,
            }
            .into());
        }
    }
    super::make_directory(&arguments.out)?;
    for name in names {
        let destination = DestinationArgs {
            output: arguments.out.join(name),
            overwrite: arguments.overwrite,
            dtype: None,
            allow_strangers: false,
            fit: FitArgs::default(),
            results: None,
            hash: false,
        };
        let threads = ThreadArgs { threads: None };
        write(
            &format!("micro:{name}"),
            &Bindings::default(),
            &destination,
            threads,
            printer,
        )?;
    }
    Ok(())
}

fn train(arguments: &MicroTrainArgs, printer: &Printer) -> anyhow::Result<()> {
    super::make_directory(&arguments.out)?;
    let mut stages = Stages {
        printer,
        current: None,
    };
    let finished = micro::train(
        &arguments.out,
        arguments.seed,
        &Lengths::default(),
        &mut stages,
    )?;
    drop(stages);
    let directory = arguments.out.display();
    if !finished {
        let kept =
            format!("finished steps are kept in `{directory}`; run the same command to go on");
        return Err(Refusal::Interrupted { kept }.into());
    }
    printer.data(directory)
}

/// Follows the making of the four models.
struct Stages<'a> {
    printer: &'a Printer,
    current: Option<Watch<'a>>,
}

impl MicroObserver for Stages<'_> {
    fn stage(&mut self, name: &str, found: bool) {
        // Cleared before the next begins, so that two bars are never drawn at once.
        self.current = None;
        if found {
            self.printer.note(format_args!("{name} is there already"));
        } else {
            self.current = Some(Watch::new(name, self.printer));
        }
    }

    fn step(&mut self, _name: &str, measured: &Measured, total: u64) -> ControlFlow<()> {
        match (&self.current, measured) {
            (Some(watch), Measured::Supervised(metrics)) => watch.supervised(metrics, total),
            (Some(watch), Measured::Reinforced(metrics)) => watch.reinforced(metrics, total),
            (None, _) => ControlFlow::Continue(()),
        }
    }

    fn warn(&mut self, _name: &str, warning: &Warning) {
        if let Some(watch) = &self.current {
            watch.say(warning);
        }
    }
}
