//! The launcher: a process of its own, with one thread and nothing in memory, that builds the sandbox around itself,
//! starts two interpreters in it, and waits for the judge's verdict.
//!
//! It is the calling program, executed again. A fork of the caller would do with fewer means, but between fork and exec
//! a program with threads may do nothing that allocates or locks, and the copy would hold the caller's memory (a model's
//! weights, a token) next to hostile code.

mod cell;
mod root;
mod system_calls;
mod watch;

use super::protocol::{Request, Response};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use std::fmt::Display;
use std::io::{Read, Write};

/// A step of building that failed.
#[derive(Debug)]
pub(super) struct Refusal {
    step: String,
    reason: String,
}

/// Says which step failed.
trait Step<T> {
    fn step(self, step: &'static str) -> Result<T, Refusal>;
}

impl<T, E: Display> Step<T> for Result<T, E> {
    fn step(self, step: &'static str) -> Result<T, Refusal> {
        self.map_err(|error| Refusal {
            step: step.to_owned(),
            reason: error.to_string(),
        })
    }
}

/// Reads the request, judges, writes the response.
pub(super) fn serve() -> std::io::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let request: Request = serde_json::from_str(&text)?;
    let response = judge(&request).unwrap_or_else(|refusal| Response::Refused {
        step: refusal.step,
        reason: refusal.reason,
    });
    let mut stdout = std::io::stdout();
    stdout.write_all(&serde_json::to_vec(&response)?)?;
    stdout.flush()
}

fn judge(request: &Request) -> Result<Response, Refusal> {
    // Whatever the caller's parents left open is no business of anything that starts here.
    // SAFETY: this process owns no descriptor but the standard three yet.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
    nix::errno::Errno::result(closed).step("closing inherited files")?;
    // If the caller dies, so does this, and with it what it started.
    prctl::set_pdeathsig(Signal::SIGKILL).step("asking to end with the caller")?;
    let scheduler = watch::Scheduler::open();
    let root = root::build(request)?;
    let cells = cell::Cells::start(request, &root)?;
    watch::until_verdict(cells, request, &scheduler)
}
