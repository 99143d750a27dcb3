//! `docs/cli.md`, generated from the command line itself.

use std::fmt::Write;
use std::path::PathBuf;

use super::command;

const PREAMBLE: &str = "\
<!-- Generated from the command line: `cargo test -p taskvec regenerate_cli_reference -- --ignored`. -->

# taskvec on the command line

What each command prints for `--help`. stdout is data, stderr is talk; `--json`, where a command has it, prints
one object with a `schema_version`. Colours heed `--color`, `NO_COLOR` and `CLICOLOR_FORCE`.

| exit code | meaning |
|---|---|
| 0 | done; also when the reader of stdout has gone |
| 1 | an input or a result was refused |
| 2 | usage: flags, or an expression that does not parse, bind or type-check |
| 3 | a bug in taskvec |
| 130 | interrupted by Ctrl-C or asked to terminate; what was kept is said |
";

fn reference() -> String {
    let mut text = PREAMBLE.to_owned();
    // One width for every machine.
    let mut root = command().term_width(100).bin_name("taskvec");
    root.build();
    describe(&root, "taskvec", &mut text);
    text
}

fn describe(command: &clap::Command, path: &str, text: &mut String) {
    let help = command.clone().term_width(100).render_help().to_string();
    let help: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    let _ = write!(text, "\n## `{path}`\n\n```text\n{}\n```\n", help.join("\n"));
    for subcommand in command.get_subcommands() {
        describe(
            subcommand,
            &format!("{path} {}", subcommand.get_name()),
            text,
        );
    }
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md")
}

#[test]
fn command_line_is_sound() {
    command().debug_assert();
}

#[test]
fn cli_reference_matches_committed() {
    let committed = std::fs::read_to_string(file())
        .unwrap_or_default()
        .replace("\r\n", "\n");
    assert!(
        committed == reference(),
        "docs/cli.md is not what the command line says; run \
         `cargo test -p taskvec regenerate_cli_reference -- --ignored`"
    );
}

#[test]
#[ignore = "writes docs/cli.md"]
fn regenerate_cli_reference() {
    std::fs::write(file(), reference()).unwrap();
}

#[test]
fn every_help_opens_with_an_example() {
    fn check(command: &clap::Command) {
        let help = command.clone().render_help().to_string();
        let example = help.find("Example").unwrap_or(usize::MAX);
        let usage = help.find("Usage:").unwrap_or(0);
        assert!(example < usage, "{}", command.get_name());
        command.get_subcommands().for_each(check);
    }
    check(&command());
}
