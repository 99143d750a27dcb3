//! A directory of its own for each test, and the command run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use regex::Regex;
use tempfile::TempDir;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_taskvec");

/// An empty directory in which commands run; gone when dropped.
pub(crate) struct Workplace {
    directory: TempDir,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// The command with these arguments, which are separated by spaces and quoted by `'`.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(words(arguments))
            .current_dir(self.root())
            .stdin(Stdio::null())
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE");
        command
    }

    pub(crate) fn output(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Exit code, stdout and stderr, without what differs from run to run.
    pub(crate) fn run(&self, arguments: &str) -> String {
        self.rendered(&self.output(arguments))
    }

    pub(crate) fn rendered(&self, output: &Output) -> String {
        let code = output
            .status
            .code()
            .map_or_else(|| "none".to_owned(), |code| code.to_string());
        let mut text = format!("exit code {code}\n");
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            let printed = String::from_utf8_lossy(bytes);
            if !printed.is_empty() {
                text.push_str(&format!("--- {name}\n{printed}"));
            }
        }
        self.filtered(&text)
    }

    fn filtered(&self, text: &str) -> String {
        let root = self.root().display().to_string();
        let canonical = self.root().canonicalize().unwrap().display().to_string();
        let text = text.replace(&canonical, "[DIR]").replace(&root, "[DIR]");
        let version = concat!("\"taskvec\": \"", env!("CARGO_PKG_VERSION"), "\"");
        let text = text.replace(version, "\"taskvec\": \"[VERSION]\"");
        let seconds = Regex::new(r"\b\d+(\.\d+)? s\b").unwrap();
        seconds.replace_all(&text, "[SECONDS]").into_owned()
    }

    /// Names in the directory, hidden ones too, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn words(line: &str) -> Vec<String> {
    let quoted = Regex::new(r"'([^']*)'|(\S+)").unwrap();
    let word = |found: regex::Captures<'_>| {
        found
            .get(1)
            .or_else(|| found.get(2))
            .map_or_else(String::new, |word| word.as_str().to_owned())
    };
    quoted.captures_iter(line).map(word).collect()
}
