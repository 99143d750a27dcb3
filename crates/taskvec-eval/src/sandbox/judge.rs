//! The sandbox as the judge of benchmarks that run generated programs.

use super::{Limits, Program, Sandbox, SandboxError, Verdict};
use crate::task::{Judge, Judgement};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, OnceLock};

/// A judge that opens its [`Sandbox`] when it is first needed, so that a run without generated programs needs none.
///
/// A program that it has run is not run again: models that are compared often write the same.
#[derive(Debug, Clone)]
pub struct SandboxJudge {
    limits: Limits,
    opened: Arc<OnceLock<Result<Sandbox, Arc<SandboxError>>>>,
    /// By SHA-256 of the program and its test.
    judged: Arc<Mutex<HashMap<[u8; 32], Judgement>>>,
}

impl SandboxJudge {
    /// A judge that gives programs these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            opened: Arc::default(),
            judged: Arc::default(),
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
        let key = key(program);
        let known = |judged: &Mutex<HashMap<_, Judgement>>| judged.lock().ok()?.get(&key).cloned();
        if let Some(judgement) = known(&self.judged) {
            return Ok(judgement);
        }
        let verdict = self.sandbox()?.run(program)?;
        // What a busy machine was too slow for may well pass another time.
        let is_certain = verdict != Verdict::TimedOut;
        let judgement = Judgement {
            passed: verdict.passed(),
            outcome: match verdict {
                Verdict::Passed => "passed".to_owned(),
                Verdict::Failed { message } => format!("failed: {message}"),
                Verdict::TimedOut => "timed out".to_owned(),
                Verdict::OutOfMemory => "failed: out of memory".to_owned(),
                Verdict::Ended { how } => format!("failed: the interpreter {how}"),
            },
        };
        if let (true, Ok(mut judged)) = (is_certain, self.judged.lock()) {
            judged.insert(key, judgement.clone());
        }
        Ok(judgement)
    }
}

fn key(program: &Program<'_>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in [
        program.prelude,
        program.text,
        program.test,
        program.entry_point,
    ] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}
