//! Why there is no sandbox, or no verdict.

use std::path::PathBuf;

/// Why generated code could not be run. Never a property of the code: what the code does ends in a
/// [`Verdict`](super::Verdict), and what ends here counts neither as right nor as wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// No sandbox is built for this system.
    #[error("generated code is not run on {system}: the sandbox needs Linux on x86_64 or aarch64")]
    Platform {
        /// Operating system and architecture.
        system: String,
    },
    /// The program that uses this library does not hand its process over to the launcher.
    #[error("this program has no launcher for the sandbox")]
    NoLauncher,
    /// No Python interpreter was found.
    #[error("no Python interpreter found: looked for {}", searched.join(", "))]
    NoPython {
        /// Names and paths that were tried.
        searched: Vec<String>,
    },
    /// The interpreter does not run, or does not say what it needs.
    #[error("cannot use the Python interpreter `{}`: {reason}", path.display())]
    Python {
        /// The interpreter.
        path: PathBuf,
        /// What it did instead.
        reason: String,
    },
    /// The kernel, or what stands above it, forbids every way of building the sandbox.
    #[error(
        "this machine cannot isolate generated code\n  namespaces: {namespaces}\n  Landlock: {landlock}"
    )]
    Forbidden {
        /// Why the first way failed.
        namespaces: String,
        /// Why the second way failed.
        landlock: String,
    },
    /// The sandbox was built, but something that it must prevent is possible, or Python does not work in it.
    #[error("the sandbox fails its own test: {reason}")]
    SelfTest {
        /// What was possible, or did not work.
        reason: String,
    },
    /// A sandbox could be built before, and now not.
    #[error("cannot build the sandbox: {step}: {reason}")]
    Refused {
        /// What was being done.
        step: String,
        /// What the system said.
        reason: String,
    },
    /// The launcher could not be started, or ended without an answer.
    #[error("the launcher of the sandbox {reason}")]
    Launcher {
        /// What it did.
        reason: String,
    },
    /// The benchmark's own code does not run, whatever the program is.
    #[error("the test cannot be run: {reason}")]
    Test {
        /// What is wrong with it.
        reason: String,
    },
}

impl SandboxError {
    /// What the user or an administrator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Platform { .. } => Some(
                "run this benchmark on Linux, or write the completions to a file and `score` them there".to_owned(),
            ),
            Self::NoLauncher => Some(
                "call `taskvec_eval::sandbox::run_if_launcher()` first in `main`, or name a program that does"
                    .to_owned(),
            ),
            Self::NoPython { .. } | Self::Python { .. } => {
                Some("name a Python 3.8 or newer with its standard library".to_owned())
            }
            Self::Forbidden { .. } => Some(
                "one of the two is enough. Namespaces: as an administrator, `sysctl user.max_user_namespaces=10000`, \
                 where they exist `kernel.unprivileged_userns_clone=1` and \
                 `kernel.apparmor_restrict_unprivileged_userns=0`; in a container, a seccomp profile that allows \
                 `unshare` and `mount`. Landlock: Linux 6.2 or newer with `landlock` among the `lsm=` of the boot line"
                    .to_owned(),
            ),
            Self::SelfTest { .. } | Self::Refused { .. } | Self::Launcher { .. } | Self::Test { .. } => None,
        }
    }
}
