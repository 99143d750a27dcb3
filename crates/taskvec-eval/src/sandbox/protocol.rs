//! What the library and its launcher say to one another: one request, one response, each JSON to the end of a pipe.

use super::{Interpreter, Isolation, Limits, Verdict};
use serde::{Deserialize, Serialize};

/// The first argument of a process that is to be a launcher. Not one that a user would type.
pub(super) const ARGUMENT: &str = "--taskvec-sandbox-launcher";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) isolation: Isolation,
    pub(super) interpreter: Interpreter,
    pub(super) limits: Limits,
    pub(super) job: Job,
}

/// What the judge reads.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) prelude: String,
    pub(super) program: String,
    pub(super) test: String,
    pub(super) entry_point: String,
    pub(super) answer_bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Response {
    /// The program was judged.
    Verdict(Verdict),
    /// The sandbox could not be built.
    Refused { step: String, reason: String },
    /// The benchmark's own code does not run.
    Defect(String),
}
