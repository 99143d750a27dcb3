use serde::Serialize;
use taskvec_core::verification::{Finding, Recomputation};
use taskvec_core::{Verification, VerifyOptions};

use super::JSON_SCHEMA;
use crate::args::verify::VerifyArgs;
use crate::failure::{Refusal, unless_interrupted};
use crate::interruption::Heeding;
use crate::printer::{Align, Printer, Table, Unit};
use crate::resolution;

pub(crate) fn run(arguments: &VerifyArgs, printer: &Printer) -> anyhow::Result<()> {
    let bindings = resolution::bindings(&arguments.bindings, &[], printer)?;
    let heeding = Heeding::begin();
    let path = arguments.path.display().to_string();
    let bar = printer.progress(format!("verifying {path}"), 0, Unit::Bytes);
    let options = VerifyOptions {
        seed: arguments.seed,
        all: arguments.all,
        threads: arguments.threads.threads,
        cancelled: Some(heeding.flag()),
    };
    let library = resolution::library(printer);
    let verified = taskvec_core::verify(
        &arguments.path,
        &bindings,
        &library,
        &options,
        &|progress| bar.follow(progress),
    );
    drop(bar);
    let verification = unless_interrupted(verified, "nothing was changed")?;
    if arguments.json {
        printer.json(&Document::new(&verification))?;
    } else {
        show(&verification, printer)?;
    }
    if verification.is_sound() {
        return Ok(());
    }
    Err(Refusal::NotAsRecorded {
        path,
        differences: differences(&verification),
    }
    .into())
}

fn show(verification: &Verification, printer: &Printer) -> anyhow::Result<()> {
    let record = &verification.provenance;
    printer.data(format_args!(
        "{}: a {} written by taskvec {}",
        record.expression, record.kind, record.taskvec
    ))?;
    printer.data("")?;
    let mut table = Table::new([
        ("file", Align::Left),
        ("of", Align::Left),
        ("found", Align::Left),
    ]);
    for file in &verification.files {
        table.row([
            file.name.clone(),
            file.parent.clone().unwrap_or_else(|| "output".to_owned()),
            found(&file.finding),
        ]);
    }
    printer.table(&table)?;
    printer.data("")?;
    printer.data(match &verification.recomputation {
        Some(recomputation) => summary(recomputation),
        None => "not computed again: a training run made the weights".to_owned(),
    })
}

fn found(finding: &Finding) -> String {
    match finding {
        Finding::SameContent => "same content".to_owned(),
        Finding::SameTensors { read, of } => {
            format!("same content in the {read} of {of} tensors that were read")
        }
        Finding::SameHeader => "same length and header; no hash of the content is known".to_owned(),
        Finding::Changed { what } => format!("changed: {what}"),
        Finding::Missing => "missing".to_owned(),
        _ => "not understood".to_owned(),
    }
}

fn summary(recomputation: &Recomputation) -> String {
    let Recomputation {
        elements,
        compared,
        different,
        ..
    } = recomputation;
    let share = 100.0 * *compared as f64 / (*elements).max(1) as f64;
    if *different == 0 {
        format!(
            "computed again: {compared} of {elements} elements ({share:.1} %), all the same bit for bit"
        )
    } else {
        format!(
            "computed again: {compared} of {elements} elements ({share:.1} %), {different} of them differ"
        )
    }
}

/// Everything that is not as recorded, one sentence each.
fn differences(verification: &Verification) -> Vec<String> {
    let mut differences: Vec<String> = verification
        .files
        .iter()
        .filter(|file| !file.finding.is_sound())
        .map(|file| {
            let of = file
                .parent
                .as_ref()
                .map_or_else(String::new, |parent| format!(" of `{parent}`"));
            format!("`{}`{of}: {}", file.name, found(&file.finding))
        })
        .collect();
    if let Some(recomputation) = &verification.recomputation {
        differences.extend(recomputation.structure.iter().cloned());
        differences.extend(recomputation.first.as_ref().map(|first| {
            format!(
                "{} of {} compared elements differ, element {} of `{}` the first: the record leads to {}, stored is {}",
                recomputation.different,
                recomputation.compared,
                first.element,
                first.tensor,
                first.computed,
                first.found
            )
        }));
    }
    differences
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    taskvec: &'static str,
    expression: &'a str,
    kind: &'static str,
    written_by: &'a str,
    sound: bool,
    files: Vec<File<'a>>,
    /// Absent where a training run made the weights.
    recomputation: Option<Recomputed<'a>>,
    differences: Vec<String>,
}

#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    /// The parent whose file it is; null for the output's own.
    parent: Option<&'a str>,
    sound: bool,
    /// Whether every byte is known to be the same, by a hash.
    whole: bool,
    found: String,
}

#[derive(Serialize)]
struct Recomputed<'a> {
    elements: u64,
    compared: u64,
    different: u64,
    structure: &'a [String],
}

impl<'a> Document<'a> {
    fn new(verification: &'a Verification) -> Self {
        let record = &verification.provenance;
        Self {
            schema_version: JSON_SCHEMA,
            taskvec: env!("CARGO_PKG_VERSION"),
            expression: &record.expression,
            kind: record.kind.name(),
            written_by: &record.taskvec,
            sound: verification.is_sound(),
            files: verification
                .files
                .iter()
                .map(|file| File {
                    name: &file.name,
                    parent: file.parent.as_deref(),
                    sound: file.finding.is_sound(),
                    whole: file.finding == Finding::SameContent,
                    found: found(&file.finding),
                })
                .collect(),
            recomputation: verification.recomputation.as_ref().map(|found| Recomputed {
                elements: found.elements,
                compared: found.compared,
                different: found.different,
                structure: &found.structure,
            }),
            differences: differences(verification),
        }
    }
}
