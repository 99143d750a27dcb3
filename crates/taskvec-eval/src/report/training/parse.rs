//! Lines that a trainer wrote.
//!
//! What is read is a `step` and the numbers that have a name here; other fields are the trainer's own affair. The last line
//! of a run that still goes on may be half written: it is left out, and said to be.

use super::metric;
use crate::error::{Error, Result};
use crate::run::hexadecimal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// No measurement is larger than this, and sums of several stay finite.
const LARGEST: f64 = 1e100;

/// How a run was trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// On rewards.
    Grpo,
    /// On examples.
    Sft,
}

impl Kind {
    /// The command that trains so.
    #[must_use]
    pub fn command(self) -> &'static str {
        match self {
            Self::Grpo => "grpo",
            Self::Sft => "sft",
        }
    }
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    /// Where it was.
    pub path: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// How many whole lines it holds.
    pub lines: usize,
}

/// What was measured at one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Which step, counted from 0.
    pub step: u64,
    /// Whether the run looked as if it were being lost; none where nobody watched.
    pub collapse: Option<bool>,
    /// Measurements by the name of their field.
    pub values: BTreeMap<String, f64>,
}

/// A completion that was sampled at a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// At which step.
    pub step: u64,
    /// The prompt's text; in a run that did not keep it, its number among the prompts.
    pub prompt: String,
    /// What the model wrote.
    pub completion: String,
    /// What that was worth.
    pub reward: f64,
    /// Whether it ended by itself; none where nobody says.
    pub ended: Option<bool>,
}

/// A training run as its files tell it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingRun {
    /// What it is called: its directory.
    pub label: String,
    /// How it was trained.
    pub kind: Kind,
    /// Its measurements, in the order of steps.
    pub steps: Vec<Step>,
    /// Completions, in the order of steps.
    pub samples: Vec<Sample>,
    /// The files.
    pub files: Vec<LogFile>,
    /// What the reader should know of them.
    pub notes: Vec<String>,
}

impl TrainingRun {
    /// Reads measurements from the bytes of `path`, which errors name.
    ///
    /// # Errors
    ///
    /// [`Error::TrainingLine`] for anything but JSON objects with ascending steps and finite numbers, except a last line that
    /// is not whole; [`Error::NoSteps`] without a step.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let mut last = None;
        let log = lines(path, bytes, |line| {
            let step = step(line)?;
            let number = step.step;
            if last.is_some_and(|last| last >= number) {
                return Err(format!(
                    "step {number} after step {}, expected a later one",
                    last.unwrap_or_default()
                ));
            }
            last = Some(number);
            Ok(step)
        })?;
        let has = |field: &str| log.read.iter().any(|step| step.values.contains_key(field));
        let kind = match (has("reward"), has("loss")) {
            (true, _) => Kind::Grpo,
            (false, true) => Kind::Sft,
            (false, false) if log.read.is_empty() => {
                return Err(Error::NoSteps {
                    path: path.to_owned(),
                });
            }
            (false, false) => {
                return Err(Error::TrainingLine {
                    path: path.to_owned(),
                    line: 1,
                    problem: "it has neither `reward` nor `loss`".to_owned(),
                });
            }
        };
        let directory = path.parent().filter(|parent| parent.file_name().is_some());
        Ok(Self {
            label: directory.unwrap_or(path).display().to_string(),
            kind,
            steps: log.read,
            samples: Vec::new(),
            files: vec![log.file],
            notes: log.note.into_iter().collect(),
        })
    }

    /// Adds sampled completions from the bytes of `path`.
    ///
    /// # Errors
    ///
    /// [`Error::TrainingLine`] for anything but JSON objects with ascending steps, a prompt, a completion and a reward, except
    /// a last line that is not whole.
    pub fn with_completions(mut self, path: &Path, bytes: &[u8]) -> Result<Self> {
        let mut last = 0;
        let log = lines(path, bytes, |line| {
            let sample = sample(line)?;
            if sample.step < last {
                return Err(format!(
                    "step {} after step {last}, expected the same or a later one",
                    sample.step
                ));
            }
            last = sample.step;
            Ok(sample)
        })?;
        self.samples = log.read;
        self.files.push(log.file);
        self.notes.extend(log.note);
        Ok(self)
    }
}

/// What a file holds.
struct Log<T> {
    read: Vec<T>,
    file: LogFile,
    /// Of a last line that is not whole.
    note: Option<String>,
}

fn lines<T>(
    path: &Path,
    bytes: &[u8],
    mut read: impl FnMut(&Map<String, Value>) -> std::result::Result<T, String>,
) -> Result<Log<T>> {
    let mut log = Log {
        read: Vec::new(),
        file: LogFile {
            path: path.display().to_string(),
            sha256: hexadecimal(bytes),
            lines: 0,
        },
        note: None,
    };
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let refused = |problem: String| Error::TrainingLine {
            path: path.to_owned(),
            line: index + 1,
            problem,
        };
        let object = match serde_json::from_slice(line) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Err(refused("it is no JSON object".to_owned())),
            // Only the last line has no end, and no beginning of an object is an object.
            Err(_) if !line.ends_with(b"\n") => {
                log.note = Some(format!(
                    "the last line of `{}` is not whole and is left out: the run may still be going on",
                    log.file.path
                ));
                break;
            }
            Err(error) => return Err(refused(format!("it is no JSON object: {error}"))),
        };
        log.read.push(read(&object).map_err(refused)?);
        log.file.lines += 1;
    }
    Ok(log)
}

fn step(line: &Map<String, Value>) -> std::result::Result<Step, String> {
    let mut values = BTreeMap::new();
    for field in metric::fields() {
        if let Some(value) = number(line, field)? {
            values.insert(field.to_owned(), value);
        }
    }
    Ok(Step {
        step: step_number(line)?,
        collapse: flag(line, "collapse")?,
        values,
    })
}

fn sample(line: &Map<String, Value>) -> std::result::Result<Sample, String> {
    // Runs that kept the text of the prompt keep its number too.
    let prompt = match line.get("prompt_text").or_else(|| line.get("prompt")) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        other => return Err(unexpected("prompt", other, "a number or text")),
    };
    let completion = match line.get("completion") {
        Some(Value::String(text)) => text.clone(),
        other => return Err(unexpected("completion", other, "text")),
    };
    Ok(Sample {
        step: step_number(line)?,
        prompt,
        completion,
        reward: number(line, "reward")?.ok_or_else(|| unexpected("reward", None, "a number"))?,
        ended: flag(line, "ended")?,
    })
}

fn step_number(line: &Map<String, Value>) -> std::result::Result<u64, String> {
    let step = line.get("step");
    step.and_then(Value::as_u64)
        .ok_or_else(|| unexpected("step", step, "a whole number from 0"))
}

/// A number; none where there is none, or it is `null`, as JSON has no other way to say that it is not a number.
fn number(line: &Map<String, Value>, field: &str) -> std::result::Result<Option<f64>, String> {
    match line.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(number) if number.abs() <= LARGEST => Ok(Some(number)),
            Some(number) => Err(format!(
                "`{field}` is {number:e}, expected at most {LARGEST:e} in size"
            )),
            None => Err(unexpected(field, Some(value), "a number")),
        },
    }
}

fn flag(line: &Map<String, Value>, field: &str) -> std::result::Result<Option<bool>, String> {
    match line.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        other => Err(unexpected(field, other, "true or false")),
    }
}

fn unexpected(field: &str, found: Option<&Value>, expected: &str) -> String {
    let found = match found {
        None => return format!("it has no `{field}`"),
        Some(Value::Null) => "null".to_owned(),
        Some(Value::Bool(value)) => value.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(_)) => "text".to_owned(),
        Some(Value::Array(_)) => "a list".to_owned(),
        Some(Value::Object(_)) => "an object".to_owned(),
    };
    format!("`{field}` is {found}, expected {expected}")
}
