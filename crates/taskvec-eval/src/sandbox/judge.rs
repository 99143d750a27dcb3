//! The sandbox as the judge of benchmarks that run generated programs.

use super::{Limits, Program, Sandbox, SandboxError, Verdict};
use crate::task::{Judge, Judgement};
use std::error::Error;
use std::sync::{Arc, OnceLock};

/// A judge that opens its [`Sandbox`] when it is first needed, so that a run without generated programs needs none.
#[derive(Debug, Clone)]
pub struct SandboxJudge {
    limits: Limits,
    opened: Arc<OnceLock<Result<Sandbox, Arc<SandboxError>>>>,
}

impl SandboxJudge {
    /// A judge that gives programs these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            opened: Arc::default(),
        }
    }

    /// The sandbox, built and tested by the first call.
    ///
    /// # Errors
    ///
    /// Those of [`Sandbox::new`], the same at every call.
    pub fn sandbox(&self) -> Result<&Sandbox, Arc<SandboxError>> {
        let opened = self
            .opened
            .get_or_init(|| Sandbox::new(self.limits).map_err(Arc::new));
        opened.as_ref().map_err(Arc::clone)
    }
}

impl Judge for SandboxJudge {
    fn ready(&self) -> Result<(), Box<dyn Error + Send + Sync + 'static>> {
        self.sandbox()?;
        Ok(())
    }

    fn judge(
        &self,
        program: &Program<'_>,
    ) -> Result<Judgement, Box<dyn Error + Send + Sync + 'static>> {
        let verdict = self.sandbox()?.run(program)?;
        Ok(Judgement {
            passed: verdict.passed(),
            outcome: match verdict {
                Verdict::Passed => "passed".to_owned(),
                Verdict::Failed { message } => format!("failed: {message}"),
                Verdict::TimedOut => "timed out".to_owned(),
                Verdict::OutOfMemory => "failed: out of memory".to_owned(),
                Verdict::Ended { how } => format!("failed: the interpreter {how}"),
            },
        })
    }
}
