//! Exact resume: everything a run needs to go on, in one safetensors file that is replaced atomically.
//!
//! Weights and both moments are tensors under their own names; the step, the settings and whatever else the
//! run keeps are JSON in the header. One file, one rename: it is never half old and half new. Random
//! generators have no state to save, for every draw is derived from the seed and the step.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use taskvec_core::safetensors::{TensorSpec, encode_header};
use taskvec_core::{Checkpoint, Dtype, Library, Reference};

use super::learner::Learner;
use crate::{Error, Result};

/// File of the state in a run's directory.
pub const STATE_FILE: &str = "training-state.safetensors";
/// File of the metrics in a run's directory.
pub const METRICS_FILE: &str = "metrics.jsonl";
const METADATA: &str = "taskvec_training";

/// Where a run keeps its state and its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDirectory {
    path: PathBuf,
    resume: bool,
}

impl RunDirectory {
    /// Makes `path` if need be. With `resume` a run goes on from the state found there, if any; without, a
    /// state found there is refused.
    ///
    /// # Errors
    ///
    /// [`Error::RunExists`] as said; [`Error::File`] where the directory cannot be made.
    pub fn open(path: &Path, resume: bool) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|source| Error::File {
            file: path.to_owned(),
            source,
        })?;
        let directory = Self {
            path: path.to_owned(),
            resume,
        };
        if !resume && directory.file(STATE_FILE).exists() {
            return Err(Error::RunExists {
                directory: path.to_owned(),
            });
        }
        Ok(directory)
    }

    /// A file of the run.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// What a run is: a state is only resumed by the run that saved it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// `sft` or `grpo`.
    pub method: String,
    /// The settings that change what is learned.
    pub settings: BTreeMap<String, Value>,
    /// Fingerprint of the data.
    pub data: String,
    /// Fingerprint of the weights the run began with.
    pub initial_weights: String,
}

impl Identity {
    /// The identity of a run with `config`, of which `incidental` fields change nothing that is learned, that
    /// begins with `learner` as it is.
    pub(super) fn new(
        method: &str,
        config: &impl Serialize,
        incidental: &[&str],
        data: Fingerprint,
        learner: &Learner,
    ) -> Self {
        let mut weights = Fingerprint::new();
        weights.add(learner.weights.iter().map(|weight| weight.to_bits()));
        let settings = match serde_json::to_value(config) {
            Ok(Value::Object(fields)) => fields
                .into_iter()
                .filter(|(name, _)| !incidental.contains(&name.as_str()))
                .collect(),
            _ => BTreeMap::new(),
        };
        Self {
            method: method.to_owned(),
            settings,
            data: data.to_string(),
            initial_weights: weights.to_string(),
        }
    }

    /// Every difference, `field: saved, now`.
    fn differences(&self, saved: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |name: &str, saved: &str, now: &str| {
            if saved != now {
                differences.push(format!("`{name}` was {saved}, is {now}"));
            }
        };
        compare("method", &saved.method, &self.method);
        compare("data", &saved.data, &self.data);
        compare(
            "initial weights",
            &saved.initial_weights,
            &self.initial_weights,
        );
        let names: std::collections::BTreeSet<&String> =
            saved.settings.keys().chain(self.settings.keys()).collect();
        let print = |value: Option<&Value>| value.map_or("absent".to_owned(), Value::to_string);
        for name in names {
            let (saved, now) = (saved.settings.get(name), self.settings.get(name));
            compare(name, &print(saved), &print(now));
        }
        differences
    }
}

/// FNV-1a over 32-bit words, to tell one data set or model from another; not for anything hostile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    pub(super) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn add(&mut self, values: impl IntoIterator<Item = u32>) {
        for value in values {
            self.0 = (self.0 ^ u64::from(value)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

#[derive(Serialize, Deserialize)]
struct Saved<E> {
    identity: Identity,
    step: u64,
    extra: E,
}

/// Writes the state of a run after `step` optimiser steps.
pub(super) fn save<E: Serialize>(
    directory: &RunDirectory,
    identity: &Identity,
    learner: &Learner,
    step: u64,
    extra: &E,
) -> Result<()> {
    let path = directory.file(STATE_FILE);
    let failed = |source| Error::File {
        file: path.clone(),
        source,
    };
    let saved = serde_json::to_string(&Saved {
        identity: identity.clone(),
        step,
        extra,
    })
    .map_err(|error| failed(error.into()))?;
    let metadata = BTreeMap::from([(METADATA.to_owned(), saved)]);
    let optimizer = &learner.optimizer;
    let groups = [
        ("weights", &learner.weights),
        ("first_moment", &optimizer.first),
        ("second_moment", &optimizer.second),
    ];
    let entries = learner.parameters().entries();
    let names: Vec<String> = groups
        .iter()
        .flat_map(|(group, _)| {
            entries
                .iter()
                .map(move |entry| format!("{group}.{}", entry.name))
        })
        .collect();
    let shapes = entries.iter().map(|entry| entry.shape.as_slice()).cycle();
    let specs: Vec<TensorSpec<'_>> = names
        .iter()
        .zip(shapes)
        .map(|(name, shape)| TensorSpec {
            name,
            dtype: Dtype::F32,
            shape,
        })
        .collect();
    let header = encode_header(&specs, &metadata).map_err(|source| Error::StateHeader {
        file: path.clone(),
        source,
    })?;
    let partial = directory.file(&format!(".{STATE_FILE}.partial"));
    let file = File::create(&partial).map_err(failed)?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    writer.write_all(header.bytes()).map_err(failed)?;
    for (_, values) in groups {
        for value in values {
            writer.write_all(&value.to_le_bytes()).map_err(failed)?;
        }
    }
    let file = writer
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&partial, &path).map_err(failed)?;
    // The rename itself must survive a power cut, or an old state would come back with new metrics.
    let parent = File::open(&directory.path).map_err(failed)?;
    parent.sync_all().map_err(failed)
}

/// Puts the saved state, if there is one, into `learner`; returns the steps made and the extra record.
pub(super) fn load<E: DeserializeOwned>(
    directory: &RunDirectory,
    identity: &Identity,
    learner: &mut Learner,
) -> Result<Option<(u64, E)>> {
    let path = directory.file(STATE_FILE);
    if !directory.resume || !path.exists() {
        return Ok(None);
    }
    let checkpoint = Checkpoint::open(&Reference::Path(path.clone()), &Library::new())?;
    let text = checkpoint
        .metadata()
        .get(METADATA)
        .map_or("", String::as_str);
    let unreadable = |source| Error::Json {
        file: path.display().to_string(),
        source,
    };
    // The record is taken apart in two steps: another method's extra must not hide that it is another method.
    let saved: Saved<Value> = serde_json::from_str(text).map_err(unreadable)?;
    let differences = identity.differences(&saved.identity);
    if !differences.is_empty() {
        return Err(Error::OtherRun {
            file: path,
            differences,
        });
    }
    let extra = serde_json::from_value(saved.extra).map_err(unreadable)?;
    let group = |name: &str| -> Result<Vec<f32>> {
        let parameters = learner.parameters();
        let mut values = vec![0f32; parameters.count()];
        for entry in parameters.entries() {
            let tensor = format!("{name}.{}", entry.name);
            let found = checkpoint.tensors().get(&tensor);
            let fits = |info: &&taskvec_core::TensorInfo| {
                info.dtype == Dtype::F32 && info.shape == entry.shape
            };
            if found.filter(fits).is_none() {
                return Err(Error::StateTensor {
                    file: path.clone(),
                    tensor,
                    expected: entry.shape.clone(),
                    got: found.map(|info| info.shape.clone()),
                });
            }
            let bytes = checkpoint.read(&tensor)?;
            let target = &mut values[entry.range.clone()];
            for (value, bytes) in target.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        Ok(values)
    };
    let (weights, first, second) = (
        group("weights")?,
        group("first_moment")?,
        group("second_moment")?,
    );
    learner.optimizer.first = first;
    learner.optimizer.second = second;
    learner.optimizer.steps = saved.step;
    learner.set_weights(weights);
    Ok(Some((saved.step, extra)))
}
