//! The Python interpreter: which one, and what it needs of the file system.

use super::SandboxError;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const OLDEST: [u32; 3] = [3, 8, 0];
const PROBE: &str = include_str!("python/probe.py");

/// An interpreter, and all that the sandbox shows of the file system for its sake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// The executable itself, behind links and virtual environments.
    pub executable: PathBuf,
    /// Major, minor, patch.
    pub version: [u32; 3],
    /// The standard library.
    pub(super) directories: Vec<PathBuf>,
    /// Shared libraries of the executable and of the extension modules.
    pub(super) libraries: Vec<PathBuf>,
    /// Links by which the loader finds them, with their targets.
    pub(super) links: Vec<(PathBuf, PathBuf)>,
    /// Directories inside the standard library that stay empty: installed packages.
    pub(super) masked: Vec<PathBuf>,
}

impl Interpreter {
    /// The interpreter at `path`, or the first of `python3` and `python` in `PATH` that works.
    ///
    /// # Errors
    ///
    /// [`SandboxError::NoPython`] and [`SandboxError::Python`].
    pub fn find(path: Option<&Path>) -> Result<Self, SandboxError> {
        if let Some(path) = path {
            return Self::probe(path);
        }
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let mut first_failure = None;
        for name in ["python3", "python"] {
            for folder in std::env::split_paths(&folders) {
                let candidate = folder.join(name);
                if !candidate.is_file() {
                    continue;
                }
                match Self::probe(&candidate) {
                    Ok(interpreter) => return Ok(interpreter),
                    Err(error) => first_failure = first_failure.or(Some(error)),
                }
            }
        }
        Err(first_failure.unwrap_or_else(|| SandboxError::NoPython {
            searched: vec!["`python3`".to_owned(), "`python` in `PATH`".to_owned()],
        }))
    }

    fn probe(path: &Path) -> Result<Self, SandboxError> {
        let refuse = |reason: String| SandboxError::Python {
            path: path.to_owned(),
            reason,
        };
        // Isolated: what `PYTHONPATH` or the working directory hold must not decide what the sandbox shows.
        let output = Command::new(path)
            .args(["-I", "-S", "-c", PROBE].map(OsStr::new))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| refuse(error.to_string()))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let last = text.lines().last().unwrap_or_default();
            return Err(refuse(format!("it ended with {}: {last}", output.status)));
        }
        let interpreter: Self = serde_json::from_slice(&output.stdout)
            .map_err(|error| refuse(format!("its answer cannot be read: {error}")))?;
        if interpreter.version < OLDEST {
            let [major, minor, _] = interpreter.version;
            return Err(refuse(format!(
                "it is Python {major}.{minor}, expected 3.8 or newer"
            )));
        }
        Ok(interpreter)
    }

    /// Everything that is read-only and visible.
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    pub(super) fn visible(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.executable)
            .chain(&self.directories)
            .chain(&self.libraries)
            .map(PathBuf::as_path)
    }
}
