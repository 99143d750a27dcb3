//! Plans to memory.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;

use super::block::widen;
use super::computation::Computation;
use super::family::job;
use super::float::FloatFormat;
use super::input_hashes::InputHashes;
use super::job::{Chunk, Consumer, Job, Part, RunOptions};
use super::run::run;
use crate::error::{Error, Result};
use crate::plan::Plan;

impl Plan {
    /// One tensor, each element exactly as [`write`](super::write) would store it, widened to `f32`.
    ///
    /// Elements that would be stored as F64 are rounded to the nearest `f32`.
    ///
    /// # Errors
    ///
    /// When the result has no such tensor, when the tensor is not of floating-point numbers, or when reading fails.
    pub fn load(&self, name: &str) -> Result<Vec<f32>> {
        let mut tensors = self.load_named(&[name], None)?;
        Ok(tensors.pop().unwrap_or_default())
    }

    /// As [`Plan::load`], and hashes what is read for it.
    pub(crate) fn load_hashed(&self, name: &str, hashes: &InputHashes) -> Result<Vec<f32>> {
        let mut tensors = self.load_named(&[name], Some(hashes))?;
        Ok(tensors.pop().unwrap_or_default())
    }

    /// Every tensor of floating-point numbers, as [`Plan::load`] gives it.
    ///
    /// # Errors
    ///
    /// When reading fails.
    pub fn load_all(&self) -> Result<BTreeMap<String, Vec<f32>>> {
        let names: Vec<&str> = self
            .tensors_in_file_order()
            .into_iter()
            .filter(|name| FloatFormat::of(self.tensors()[*name].dtype).is_some())
            .collect();
        let loaded = self.load_named(&names, None)?;
        Ok(names.into_iter().map(str::to_owned).zip(loaded).collect())
    }

    fn load_named(&self, names: &[&str], hashes: Option<&InputHashes>) -> Result<Vec<Vec<f32>>> {
        let mut tensors = Vec::with_capacity(names.len());
        for &name in names {
            let tensor = self
                .tensors()
                .get(name)
                .ok_or_else(|| Error::UnknownTensor {
                    checkpoint: self.expression().to_string(),
                    tensor: name.to_owned(),
                })?;
            let format = FloatFormat::of(tensor.dtype).ok_or_else(|| Error::NotFloat {
                tensor: name.to_owned(),
                dtype: tensor.dtype,
            })?;
            tensors.push(Loaded::new(tensor.element_count(), format));
        }
        let job = |index: usize| job(names[index], &[(self, None)]);
        fill(tensors, &job, None, hashes)
    }
}

/// The first value of a computation that is wanted in `format`, widened to `f32`.
pub(crate) fn load_computed(
    computation: impl Fn() -> Computation + Sync,
    elements: u64,
    format: FloatFormat,
    threads: Option<NonZeroUsize>,
) -> Result<Vec<f32>> {
    let tensor = Loaded::new(elements, format);
    let job = |_| Job::Compute {
        computation: computation(),
        surveys: Vec::new(),
    };
    let mut loaded = fill(vec![tensor], &job, threads, None)?;
    Ok(loaded.pop().unwrap_or_default())
}

fn fill(
    tensors: Vec<Loaded>,
    job: &(dyn Fn(usize) -> Job + Sync),
    threads: Option<NonZeroUsize>,
    hashes: Option<&InputHashes>,
) -> Result<Vec<Vec<f32>>> {
    let options = RunOptions {
        threads,
        chunk: Chunk::Automatic,
        cancelled: None,
        progress: &|_| {},
        bytes_total: 0,
        hashes,
    };
    run(
        std::slice::from_ref(&(0..tensors.len())),
        job,
        &Memory(&tensors),
        &options,
    )?;
    Ok(tensors
        .into_iter()
        .map(|tensor| tensor.values.into_inner().unwrap_or_default())
        .collect())
}

struct Loaded {
    format: FloatFormat,
    values: Mutex<Vec<f32>>,
}

impl Loaded {
    fn new(elements: u64, format: FloatFormat) -> Self {
        let elements = usize::try_from(elements).unwrap_or(usize::MAX);
        Self {
            format,
            values: Mutex::new(vec![0.0; elements]),
        }
    }
}

struct Memory<'a>(&'a [Loaded]);

impl Consumer for Memory<'_> {
    fn consume(&self, tensor: usize, part: Part<'_>) -> Result<()> {
        let Loaded { format, values } = &self.0[tensor];
        let start = usize::try_from(part.byte_offset).unwrap_or(usize::MAX) / format.size_bytes();
        for bytes in part.outputs {
            let count = bytes.len() / format.size_bytes();
            if let Ok(mut values) = values.lock()
                && let Some(range) = values.get_mut(start..start + count)
            {
                widen(*format, bytes, range);
            }
        }
        Ok(())
    }
}
