//! How much a program may use.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a program may use. Of CPU time it may use the wall time, rounded up to a second, and one second more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// From the moment that the program's text reaches its interpreter to the end of the test, less what the
    /// interpreters spend waiting for a processor while others use it; but never more than ten times this.
    pub wall_time: Duration,
    /// For starting the interpreters, which a busy machine can make slow; not counted in `wall_time`.
    pub start_time: Duration,
    /// Address space of the program's interpreter, and of the judge's; about 20 MiB of it are Python itself.
    pub memory_bytes: u64,
    /// Files in the private `/tmp`, all together.
    pub files_bytes: u64,
    /// Threads besides the first; processes there can be no other.
    pub threads: u64,
    /// One answer of the program to the test, in bytes of JSON. What it prints is not kept at all.
    pub answer_bytes: u64,
}

/// How many times the wall time may pass on a machine that is busy with other things.
pub(super) const PATIENCE: u32 = 10;

impl Limits {
    /// After which there must be an answer.
    pub(super) fn longest(&self) -> Duration {
        self.start_time + self.wall_time * PATIENCE
    }

    /// For HumanEval: the reference's 3 seconds. The reference has no limit on memory; no canonical solution needs a
    /// tenth of this one.
    #[must_use]
    pub const fn humaneval() -> Self {
        Self {
            wall_time: Duration::from_secs(3),
            start_time: Duration::from_secs(20),
            memory_bytes: 1 << 30,
            files_bytes: 32 << 20,
            threads: 16,
            answer_bytes: 16 << 20,
        }
    }

    /// For the short functions of `micro-code`, where a reward is wanted for each of many.
    #[must_use]
    pub const fn micro_code() -> Self {
        Self {
            wall_time: Duration::from_secs(1),
            memory_bytes: 256 << 20,
            files_bytes: 1 << 20,
            threads: 0,
            answer_bytes: 1 << 20,
            ..Self::humaneval()
        }
    }
}
