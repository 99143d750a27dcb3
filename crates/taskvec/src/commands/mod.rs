//! One file per command: arguments in, library calls, printing.

mod apply;
mod best;
mod check;
mod compare;
mod demo;
mod destination;
mod directory;
mod engine;
mod eval;
mod extract;
mod generate;
mod grpo;
mod inspect;
mod lora;
mod micro;
mod model;
mod points;
mod report;
mod score;
mod search;
mod sft;
mod study;
mod sweep;
mod tasks;
mod tokenizers;
mod training;
mod verify;
mod write;

use std::path::{Path, PathBuf};

use anyhow::Context;
use taskvec_eval::run::{Record, read_records};
use taskvec_eval::sweep::RECORDS;

use crate::args::Command;
use crate::printer::Printer;

/// Version of the form of every object that `--json` prints. Raised when a reader of the old form would
/// misread the new.
const JSON_SCHEMA: u32 = 1;

/// Carries out a command.
///
/// # Errors
///
/// Whatever kept it from being done.
pub(crate) fn run(command: &Command, printer: &Printer) -> anyhow::Result<()> {
    match command {
        Command::Demo(arguments) => demo::run(arguments, printer),
        Command::Check(arguments) => check::run(arguments, printer),
        Command::Write(arguments) => write::run(arguments, printer),
        Command::Extract(arguments) => extract::run(arguments, printer),
        Command::Apply(arguments) => apply::run(arguments, printer),
        Command::Lora(arguments) => lora::run(arguments, printer),
        Command::Verify(arguments) => verify::run(arguments, printer),
        Command::Inspect(arguments) => inspect::run(arguments, printer),
        Command::Generate(arguments) => generate::run(arguments, printer),
        Command::Eval(arguments) => eval::run(arguments, printer),
        Command::Compare(arguments) => compare::run(arguments, printer),
        Command::Score(arguments) => score::run(arguments, printer),
        Command::Tasks(arguments) => tasks::run(arguments, printer),
        Command::Study(arguments) => study::run(arguments, printer),
        Command::Sweep(arguments) => sweep::run(arguments, printer),
        Command::Best(arguments) => best::run(arguments, printer),
        Command::Search(arguments) => search::run(arguments, printer),
        Command::Report(arguments) => report::run(arguments, printer),
        Command::Sft(arguments) => sft::run(arguments, printer),
        Command::Grpo(arguments) => grpo::run(arguments, printer),
        Command::Micro(arguments) => micro::run(&arguments.command, printer),
    }
}

/// The record file that an argument means: itself, or the one in the directory that it names.
fn record_file(path: &Path) -> PathBuf {
    match path.is_dir() {
        true => path.join(RECORDS),
        false => path.to_owned(),
    }
}

/// Makes a directory and those above it, where they are not there already.
fn make_directory(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path)
        .with_context(|| format!("cannot create the directory `{}`", path.display()))
}

/// The records in a file, or in the directory that has one; says where a last line was left out.
///
/// # Errors
///
/// Those of [`read_records`].
fn records(path: &Path, printer: &Printer) -> anyhow::Result<Vec<Record>> {
    let file = read_records(&record_file(path))?;
    file.torn.iter().for_each(|note| printer.warn(note));
    Ok(file.records)
}
