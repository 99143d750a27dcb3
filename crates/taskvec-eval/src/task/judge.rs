//! The seam between benchmarks of generated code and whatever runs it.

use super::Document;
use crate::error::{Error, Result};
use crate::sandbox::Program;
use std::sync::Arc;

/// What became of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it came to its end without any exception.
    pub passed: bool,
    /// The same in words: `passed`, `timed out`, `failed: …`.
    pub outcome: String,
}

/// Runs programs that a model wrote, which are hostile until shown otherwise.
pub trait Judge: Send + Sync {
    /// Whether programs can be run, before the first is asked for.
    ///
    /// # Errors
    ///
    /// What is missing.
    fn ready(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        Ok(())
    }

    /// Runs `program` against its test.
    ///
    /// # Errors
    ///
    /// What kept the program from being run. A program that fails is no error, and an error is never
    /// counted as a failed program.
    fn judge(
        &self,
        program: &Program<'_>,
    ) -> Result<Judgement, Box<dyn std::error::Error + Send + Sync + 'static>>;
}

/// Whether there is a judge, and one that can run programs, for `task`.
pub(super) fn ready(judge: Option<&Arc<dyn Judge>>, task: &str) -> Result<()> {
    let judge = required(judge, task)?;
    judge.ready().map_err(|source| Error::JudgeNotReady {
        task: task.to_owned(),
        source,
    })
}

/// What the judge says of an answer of `task`.
pub(super) fn judged(
    judge: Option<&Arc<dyn Judge>>,
    task: &str,
    document: &Document,
    program: &Program<'_>,
) -> Result<Judgement> {
    let judge = required(judge, task)?;
    judge.judge(program).map_err(|source| Error::Judge {
        task: task.to_owned(),
        document: document.id.clone(),
        source,
    })
}

/// The judge there is, or why `task` cannot be scored.
fn required<'a>(judge: Option<&'a Arc<dyn Judge>>, task: &str) -> Result<&'a dyn Judge> {
    judge.map(|judge| &**judge).ok_or_else(|| Error::NoJudge {
        task: task.to_owned(),
    })
}
