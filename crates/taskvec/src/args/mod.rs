//! The command line, described: one file per command, no side effects.
//!
//! Every command's help opens with an example that works as pasted on a fresh machine: it names embedded
//! checkpoints only. `docs/cli.md` is generated from what stands here.

pub(crate) mod apply;
pub(crate) mod best;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod demo;
pub(crate) mod engine;
pub(crate) mod eval;
pub(crate) mod extract;
pub(crate) mod generate;
pub(crate) mod grpo;
pub(crate) mod inspect;
pub(crate) mod lora;
pub(crate) mod micro;
mod number;
pub(crate) mod output;
pub(crate) mod over;
pub(crate) mod questions;
#[cfg(test)]
mod reference;
pub(crate) mod report;
pub(crate) mod sampling;
pub(crate) mod score;
pub(crate) mod search;
pub(crate) mod sft;
pub(crate) mod study;
pub(crate) mod sweep;
pub(crate) mod tasks;
pub(crate) mod verify;
pub(crate) mod weights;
pub(crate) mod write;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// Extract, apply, measure and explain reasoning vectors: arithmetic on language model weights.
#[derive(Debug, Parser)]
#[command(
    name = "taskvec",
    version,
    propagate_version = false,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    before_help = "Example: the whole study on four embedded models, offline, in two minutes\n  \
                   taskvec demo",
    after_help = "Exit codes: 0 done, 1 refused, 2 usage, 3 a bug in taskvec, 130 interrupted."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) output: output::OutputArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::DemoArgs),
    Check(check::CheckArgs),
    Write(write::WriteArgs),
    Extract(extract::ExtractArgs),
    Apply(apply::ApplyArgs),
    Lora(lora::LoraArgs),
    Verify(verify::VerifyArgs),
    Inspect(inspect::InspectArgs),
    Generate(generate::GenerateArgs),
    Eval(eval::EvalArgs),
    Compare(compare::CompareArgs),
    Score(score::ScoreArgs),
    Tasks(tasks::TasksArgs),
    Study(study::StudyArgs),
    Sweep(sweep::SweepArgs),
    Best(best::BestArgs),
    Search(search::SearchArgs),
    Report(report::ReportArgs),
    Sft(sft::SftArgs),
    Grpo(grpo::GrpoArgs),
    Micro(micro::MicroArgs),
}

/// Summary, example, usage, flags: who reads help wants to paste something.
const HELP: &str =
    "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// The whole command line.
pub(crate) fn command() -> clap::Command {
    with_help(Arguments::command())
}

fn with_help(command: clap::Command) -> clap::Command {
    command.help_template(HELP).mut_subcommands(with_help)
}

/// Reads a command line.
///
/// # Errors
///
/// clap's own, among them requests for help and version.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Arguments, clap::Error> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    // A command of its own would stand in every list of commands.
    if arguments.get(1).is_some_and(|first| first == "help") {
        arguments.remove(1);
        arguments.push("--help".into());
    }
    let mut command = command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}
