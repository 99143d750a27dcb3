//! Ctrl-C, and the polite request to terminate.
//!
//! Work that leaves something behind *heeds* the signal: it is told by a flag, stops at a place from which
//! nothing half-finished remains, and says what it kept. Where nothing heeds, the process ends at once; so it
//! does at the second signal.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

use crate::failure::Status;

// Signals belong to the process, and so does this state.
static REQUESTED: AtomicBool = AtomicBool::new(false);
static HEEDING: AtomicUsize = AtomicUsize::new(0);

/// Starts listening.
///
/// # Errors
///
/// When the system refuses a signal handler.
pub(crate) fn listen() -> anyhow::Result<()> {
    ctrlc::set_handler(on_signal).context("cannot listen for Ctrl-C")
}

/// Runs on a thread of its own, so it may do what signal handlers may not.
#[expect(
    clippy::exit,
    reason = "the second signal, or one nobody heeds, must end the process"
)]
fn on_signal() {
    if HEEDING.load(Ordering::SeqCst) == 0 || REQUESTED.swap(true, Ordering::SeqCst) {
        let farewell = FAREWELL.lock().unwrap_or_else(PoisonError::into_inner);
        alarm(farewell.as_deref().unwrap_or("interrupted"));
        std::process::exit(i32::from(Status::Interrupted.code()));
    }
    alarm("stopping; press Ctrl-C again to stop at once");
}

/// Says it on a line of its own, below what the terminal echoes for Ctrl-C and any bar that is drawn.
fn alarm(text: &str) {
    let start = if std::io::stderr().is_terminal() {
        "\n"
    } else {
        ""
    };
    crate::printer::alarm(&format!("{start}{text}"));
}

/// For as long as it lives, a signal sets the flag instead of ending the process.
#[derive(Debug)]
pub(crate) struct Heeding(());

impl Heeding {
    /// Begins to heed.
    pub(crate) fn begin() -> Self {
        HEEDING.fetch_add(1, Ordering::SeqCst);
        Self(())
    }

    /// Set once the user wants the work to stop.
    pub(crate) fn flag(&self) -> &'static AtomicBool {
        &REQUESTED
    }

    /// Whether the user wants the work to stop.
    pub(crate) fn requested(&self) -> bool {
        REQUESTED.load(Ordering::SeqCst)
    }
}

impl Drop for Heeding {
    fn drop(&mut self) {
        HEEDING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// For as long as it lives, a signal that ends the process at once says this instead of a bare word: for work
/// whose every finished piece is safe already.
#[derive(Debug)]
pub(crate) struct Farewell(());

static FAREWELL: Mutex<Option<String>> = Mutex::new(None);

impl Farewell {
    /// Sets what is said.
    pub(crate) fn set(text: String) -> Self {
        Self::replace(Some(text));
        Self(())
    }

    fn replace(text: Option<String>) {
        // A text is replaced whole; a panic elsewhere leaves it so.
        *FAREWELL.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        Self::replace(None);
    }
}
