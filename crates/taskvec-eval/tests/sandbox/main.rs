//! The sandbox, from outside. One program is the test and the launcher, so `main` is ours.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "with a `main` of its own clippy does not see that this is a test"
)]

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod forgery;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod humaneval;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod isolation;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod prison;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod verdict;

use libtest_mimic::{Arguments, Trial};
use taskvec_eval::sandbox;

fn main() -> std::process::ExitCode {
    // Before the hand-over is announced, a sandbox must refuse: it would start this program as one that it is not.
    let before = sandbox::Sandbox::new(sandbox::Limits::humaneval()).map(drop);
    sandbox::run_if_launcher();
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    if let Some(code) = isolation::play_role() {
        return code;
    }
    let mut trials = vec![trial("refused_without_a_launcher", move || {
        let error = before.expect_err("must be refused");
        assert!(error.hint().is_some());
        if cfg!(target_os = "linux") {
            assert!(
                matches!(error, sandbox::SandboxError::NoLauncher),
                "{error}"
            );
        } else {
            assert!(
                matches!(error, sandbox::SandboxError::Platform { .. }),
                "{error}"
            );
        }
    })];
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    for module in [
        forgery::trials(),
        humaneval::trials(),
        isolation::trials(),
        prison::trials(),
        verdict::trials(),
    ] {
        trials.extend(module);
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}
