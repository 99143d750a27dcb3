//! What a run says while it runs: records as JSON lines, and callbacks for whoever shows progress.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{Error, Result};

/// Something a run noticed that a person should know.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "warning", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Warning {
    /// Examples were left out because no token of theirs carries loss within the maximum length.
    NothingToLearn {
        /// How many.
        examples: usize,
    },
    /// Examples were cut to the maximum length.
    Truncated {
        /// How many.
        examples: usize,
        /// To how many tokens.
        max_length: usize,
    },
    /// A model is being lost: it is surer of being wrong than one that knows nothing.
    Diverging {
        /// The optimiser step, counted from 0.
        step: u64,
        /// Its loss, in nats a token.
        loss: f64,
        /// The loss of a model that holds all tokens for equally likely.
        guessing: f64,
    },
    /// A policy is being lost.
    Collapse {
        /// The optimiser step, counted from 0.
        step: u64,
        /// What fell.
        sign: CollapseSign,
        /// To what.
        value: f64,
        /// From what.
        best: f64,
    },
}

/// By what a collapsing policy is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CollapseSign {
    /// The mean reward fell far below the best it had been.
    Reward,
    /// Completions became very short, without the reward to show for it.
    Length,
    /// The policy became all but deterministic, without the reward to show for it.
    Entropy,
}

/// Follows a run. `M` is what is measured at each step.
pub trait Observer<M> {
    /// Called after each optimiser step; `Break` ends the run after it, resumable.
    fn step(&mut self, metrics: &M, total_steps: u64) -> ControlFlow<()>;

    /// Called when something is noticed.
    fn warn(&mut self, warning: &Warning) {
        let _ = warning;
    }
}

/// An observer that shows nothing and never stops a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl<M> Observer<M> for Silent {
    fn step(&mut self, _: &M, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Any closure over metrics and total steps observes.
impl<M, F: FnMut(&M, u64) -> ControlFlow<()>> Observer<M> for F {
    fn step(&mut self, metrics: &M, total_steps: u64) -> ControlFlow<()> {
        self(metrics, total_steps)
    }
}

/// A file of JSON lines, each with the `step` it belongs to.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: File,
}

impl JsonLines {
    /// Opens `path` to go on at `step`: keeps the lines of earlier steps, drops later ones, which belong to a
    /// run that was cut off after its last checkpoint, and drops a line cut off in the middle.
    ///
    /// # Errors
    ///
    /// [`Error::File`] where the file cannot be read or written.
    pub fn open(path: &Path, step: u64) -> Result<Self> {
        let failed = |source| Error::File {
            file: path.to_owned(),
            source,
        };
        let mut kept = 0u64;
        match File::open(path) {
            Ok(file) => {
                let mut reader = BufReader::new(file);
                let mut line = String::new();
                while reader.read_line(&mut line).map_err(failed)? > 0 {
                    let record = serde_json::from_str::<serde_json::Value>(&line).ok();
                    let recorded = record.and_then(|record| record.get("step")?.as_u64());
                    let whole = line.ends_with('\n');
                    if !whole || recorded.is_none_or(|recorded| recorded >= step) {
                        break;
                    }
                    kept += line.len() as u64;
                    line.clear();
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        file.set_len(kept).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Appends one record.
    ///
    /// # Errors
    ///
    /// [`Error::File`] where it cannot be written.
    pub fn write(&mut self, record: &impl Serialize) -> Result<()> {
        let failed = |source| Error::File {
            file: self.path.clone(),
            source,
        };
        let mut line = serde_json::to_vec(record).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        // One call for the whole line, so that a reader never sees a half of it.
        self.file.write_all(&line).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_after_the_checkpoint_are_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.jsonl");
        let mut lines = JsonLines::open(&path, 0).unwrap();
        for step in 0..5 {
            lines.write(&json!({"step": step})).unwrap();
        }
        drop(lines);
        let mut lines = JsonLines::open(&path, 3).unwrap();
        lines.write(&json!({"step": 3, "again": true})).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = "{\"step\":0}\n{\"step\":1}\n{\"step\":2}\n{\"step\":3,\"again\":true}\n";
        assert_eq!(text, expected);
        std::fs::write(&path, "{\"step\":0}\n{\"step\":1").unwrap();
        drop(JsonLines::open(&path, 9).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"step\":0}\n");
    }
}
