//! Vectors written as LoRA adapters.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::factor::{Factors, Matrix, Search, factor};
use super::read::PREFIX;
use super::{CONFIG_FILE, WEIGHTS_FILE};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::execute::{FloatFormat, InputHashes, file_record, provenance};
use crate::expression::Kind;
use crate::output::{OutputDirectory, OutputOptions};
use crate::plan::{Plan, PlannedTensor};
use crate::provenance::OutputRecord;
use crate::safetensors::{TensorSpec, encode_header};
use crate::statistics::{LineageOptions, lineage};

/// Key under which provenance records what made an adapter of a vector.
pub(crate) const LORA_FLAG: &str = "lora";

/// How a vector is written as an adapter.
#[derive(Debug, Clone)]
pub struct LoraOptions<'a> {
    /// Rank of every module's factors.
    pub rank: NonZeroUsize,
    /// Factor embeddings and the output head as well.
    pub embeddings: bool,
    /// Type of the factors' elements.
    pub dtype: Dtype,
    /// Seed of the search for singular vectors.
    pub seed: u64,
    /// What the config names as the base model; without it, the model that the vector was told apart from.
    pub base_model: Option<String>,
    /// Threads; all cores when none is given. Factors do not depend on it.
    pub threads: Option<NonZeroUsize>,
    /// Replace what an earlier run wrote at the destination.
    pub overwrite: bool,
    /// Wait for the disk before the output appears.
    pub sync: bool,
    /// Stops the work as soon as it becomes true; nothing has appeared then.
    pub cancelled: Option<&'a AtomicBool>,
}

impl LoraOptions<'_> {
    /// The options for a rank, everything else as usual: factors in F32, no embeddings.
    pub fn new(rank: NonZeroUsize) -> Self {
        Self {
            rank,
            embeddings: false,
            dtype: Dtype::F32,
            seed: 0,
            base_model: None,
            threads: None,
            overwrite: false,
            sync: true,
            cancelled: None,
        }
    }
}

/// What became of a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraReport {
    /// Where the adapter appeared.
    pub destination: PathBuf,
    /// Weights that were factored, in the order of their names.
    pub modules: Vec<FactoredModule>,
    /// Weights that were not.
    pub left_out: Vec<LeftOut>,
    /// `‖v‖_F²` over all of the vector.
    pub squared_norm: f64,
}

/// A weight that was factored.
#[derive(Debug, Clone, PartialEq)]
pub struct FactoredModule {
    /// The weight's name.
    pub tensor: String,
    /// Its dimensions.
    pub shape: [usize; 2],
    /// `‖W‖_F²` of its change.
    pub squared_norm: f64,
    /// The part of that which the factors keep.
    pub kept: f64,
}

/// A weight that was not factored.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftOut {
    /// The weight's name.
    pub tensor: String,
    /// Why.
    pub reason: LeftOutReason,
    /// `‖W‖_F²` of its change.
    pub squared_norm: f64,
}

/// Why a weight is not in an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeftOutReason {
    /// It is no matrix of a module: a norm, a bias.
    NoMatrix,
    /// It is an embedding or the output head, which were not asked for.
    Embedding,
}

impl FactoredModule {
    /// The share of the change's energy that the factors keep; of no change all.
    pub fn kept_share(&self) -> f64 {
        share(self.kept, self.squared_norm)
    }
}

impl LoraReport {
    /// The share of the whole vector's energy that the adapter keeps.
    pub fn kept_share(&self) -> f64 {
        let kept = self.modules.iter().map(|module| module.kept).sum();
        share(kept, self.squared_norm)
    }

    /// The share of the whole vector's energy in weights that were left out.
    pub fn left_out_share(&self) -> f64 {
        let left_out: f64 = self.left_out.iter().map(|tensor| tensor.squared_norm).sum();
        if self.squared_norm > 0.0 {
            left_out / self.squared_norm
        } else {
            0.0
        }
    }
}

fn share(kept: f64, whole: f64) -> f64 {
    // Rounding may take the sum of squares of all singular values beyond the norm.
    if whole > 0.0 {
        (kept / whole).min(1.0)
    } else {
        1.0
    }
}

/// How a weight's change is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Linear,
    Embedding,
}

/// Writes a vector as a LoRA adapter that the PEFT library loads: of each module's weight the nearest matrix of a rank,
/// as factors `B = U·√S` and `A = √S·Vᵀ`, with `r = lora_alpha`, so that the scale is 1.
///
/// Matrices are those named `….weight` with two dimensions; the others are left out, and embeddings and the output head
/// too unless asked for. Modules in which the expression has nothing are no part of the adapter. Memory is that of the
/// largest matrix as singles, and of its factors.
///
/// # Errors
///
/// [`Error::NotAVector`] when the result of the plan is a model, [`Error::NothingToFactor`] when no matrix changes,
/// [`Error::NotFinite`] naming a tensor with an element that is not finite; and what [`write`](crate::write) says of
/// lineage, inputs and destination.
pub fn write_lora(
    plan: &Plan,
    destination: &Path,
    options: &LoraOptions<'_>,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<LoraReport> {
    if plan.kind() != Kind::Vector {
        return Err(Error::NotAVector {
            expression: plan.expression().to_string(),
            purpose: "an adapter is made of a vector",
        });
    }
    let Some(format) = FloatFormat::of(options.dtype) else {
        return Err(Error::OutputDtype {
            dtype: options.dtype,
        });
    };
    if !plan.allows_strangers() {
        let lineage_options = LineageOptions {
            threads: options.threads,
            cancelled: options.cancelled,
        };
        lineage(plan, &lineage_options)?.refuse_strangers()?;
    }
    let (forms, left_out) = sort(plan, options.embeddings);
    if forms.is_empty() {
        return Err(Error::NothingToFactor {
            expression: plan.expression().to_string(),
        });
    }

    let rank = options.rank.get();
    let stored = stored_tensors(plan, &forms, rank);
    let specs: Vec<TensorSpec<'_>> = stored
        .iter()
        .map(|(name, shape)| TensorSpec {
            name,
            dtype: options.dtype,
            shape,
        })
        .collect();
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let header = encode_header(&specs, &metadata).map_err(|source| Error::Header {
        file: destination.to_path_buf(),
        source,
    })?;
    let output_options = OutputOptions {
        overwrite: options.overwrite,
        expected_bytes: Some(header.file_bytes()),
        sync: options.sync,
    };
    let mut directory = OutputDirectory::create(destination, &output_options)?;
    let writer = directory.create_shard(WEIGHTS_FILE, &header)?;

    let total = forms.len() + left_out.len();
    let hashes = InputHashes::default();
    let mut squared_norm = 0.0;
    let mut modules = Vec::with_capacity(forms.len());
    for (index, (name, form)) in forms.iter().enumerate() {
        progress(index, total);
        let (values, norm) = load(plan, name, &hashes, options)?;
        let shape = matrix_shape(&plan.tensors()[*name]);
        let matrix = Matrix {
            values: &values,
            rows: shape[0],
            columns: shape[1],
        };
        let search = Search {
            seed: options.seed,
            tensor: name,
            threads: options.threads,
        };
        let factors = factor(&matrix, rank, search)?;
        let kept = factors.kept.min(norm);
        let offsets = [header.offsets()[2 * index], header.offsets()[2 * index + 1]];
        for (offset, numbers) in offsets.into_iter().zip(factors.stored(*form, rank)) {
            writer.write_at(offset, &narrowed(&numbers, format))?;
        }
        squared_norm += norm;
        modules.push(FactoredModule {
            tensor: (*name).to_owned(),
            shape,
            squared_norm: norm,
            kept,
        });
    }
    let mut others = Vec::with_capacity(left_out.len());
    for (index, (name, reason)) in left_out.into_iter().enumerate() {
        progress(forms.len() + index, total);
        let (_, norm) = load(plan, name, &hashes, options)?;
        squared_norm += norm;
        others.push(LeftOut {
            tensor: name.to_owned(),
            reason,
            squared_norm: norm,
        });
    }
    progress(total, total);
    plan.inputs()
        .try_for_each(|(_, checkpoint)| checkpoint.verify_unchanged())?;

    let config = config(plan, &forms, options);
    directory.put_file(CONFIG_FILE, &config)?;
    let mut record = provenance(plan);
    hashes.record(plan, &mut record);
    record.dtype = Some(options.dtype);
    let flag = json!({"rank": rank, "embeddings": options.embeddings, "seed": options.seed});
    record.flags.insert(LORA_FLAG.to_owned(), flag);
    record.outputs = vec![
        file_record(CONFIG_FILE, &config),
        OutputRecord {
            name: WEIGHTS_FILE.to_owned(),
            bytes: header.file_bytes(),
            header_sha256: Some(crate::content_hash::ContentHash::of(header.json())),
            sha256: Some(writer.content_hash()?),
            xxh3: None,
        },
    ];
    drop(writer);
    directory.set_provenance(&record);
    Ok(LoraReport {
        destination: directory.commit()?,
        modules,
        left_out: others,
        squared_norm,
    })
}

/// What is factored, and what is left out; what the expression leaves unchanged is neither.
#[expect(clippy::type_complexity, reason = "two lists, each read once")]
fn sort(plan: &Plan, embeddings: bool) -> (Vec<(&str, Form)>, Vec<(&str, LeftOutReason)>) {
    let (mut forms, mut left_out) = (Vec::new(), Vec::new());
    for (name, tensor) in plan.tensors() {
        if FloatFormat::of(tensor.dtype).is_none() || tensor.is_zero() {
            continue;
        }
        let module = name
            .strip_suffix(".weight")
            .filter(|module| !module.is_empty() && tensor.shape.len() == 2);
        match module.map(|module| module.rsplit('.').next().unwrap_or(module)) {
            None => left_out.push((name.as_str(), LeftOutReason::NoMatrix)),
            Some(_) if tensor.element_count() == 0 => {}
            Some(last) if !embeddings && (is_embedding(last) || is_head(last)) => {
                left_out.push((name.as_str(), LeftOutReason::Embedding));
            }
            Some(last) if is_embedding(last) => forms.push((name.as_str(), Form::Embedding)),
            Some(_) => forms.push((name.as_str(), Form::Linear)),
        }
    }
    (forms, left_out)
}

/// Modules that look rows up: the weight is `[vocabulary, dimensions]`, and PEFT keeps its factors under other names.
fn is_embedding(last: &str) -> bool {
    last.contains("embed") && !is_head(last) || matches!(last, "wte" | "wpe")
}

fn is_head(last: &str) -> bool {
    matches!(last, "lm_head" | "embed_out")
}

fn matrix_shape(tensor: &PlannedTensor) -> [usize; 2] {
    match tensor.shape[..] {
        [rows, columns] => [rows, columns],
        _ => [0, 0],
    }
}

/// Names and shapes of the factors, two for each module, in the order of [`Factors::stored`].
fn stored_tensors(plan: &Plan, forms: &[(&str, Form)], rank: usize) -> Vec<(String, Vec<usize>)> {
    let mut stored = Vec::with_capacity(2 * forms.len());
    for (name, form) in forms {
        let module = name.strip_suffix(".weight").unwrap_or(name);
        let [rows, columns] = matrix_shape(&plan.tensors()[*name]);
        let (first, second) = match form {
            Form::Linear => (
                ("lora_A.weight", [rank, columns]),
                ("lora_B.weight", [rows, rank]),
            ),
            Form::Embedding => (
                ("lora_embedding_A", [rank, rows]),
                ("lora_embedding_B", [columns, rank]),
            ),
        };
        for (factor, shape) in [first, second] {
            stored.push((format!("{PREFIX}{module}.{factor}"), shape.to_vec()));
        }
    }
    stored
}

impl Factors {
    /// `A` and `B` as they are stored. The weight of an embedding is `(B·A)ᵀ`.
    fn stored(self, form: Form, rank: usize) -> [Vec<f64>; 2] {
        match form {
            Form::Linear => [self.right, self.left],
            Form::Embedding => [turned(&self.left, rank), {
                let columns = self.right.len() / rank;
                turned(&self.right, columns)
            }],
        }
    }
}

/// The transpose of numbers that are stored in rows of `width`.
fn turned(numbers: &[f64], width: usize) -> Vec<f64> {
    (0..width)
        .flat_map(|column| numbers.iter().skip(column).step_by(width).copied())
        .collect()
}

fn narrowed(numbers: &[f64], format: FloatFormat) -> Vec<u8> {
    let mut bytes = vec![0; numbers.len() * format.size_bytes()];
    for (index, number) in numbers.iter().enumerate() {
        format.store(&mut bytes, index, format.round_f64(*number));
    }
    bytes
}

/// A tensor's change, and the sum of its squares.
fn load(
    plan: &Plan,
    name: &str,
    hashes: &InputHashes,
    options: &LoraOptions<'_>,
) -> Result<(Vec<f32>, f64)> {
    if options
        .cancelled
        .is_some_and(|flag| flag.load(Ordering::Relaxed))
    {
        return Err(Error::Cancelled);
    }
    let values = plan.load_hashed(name, hashes)?;
    let norm: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
    if norm.is_finite() {
        Ok((values, norm))
    } else {
        Err(Error::NotFinite {
            tensor: name.to_owned(),
        })
    }
}

/// `adapter_config.json`; what it does not say is as PEFT has it by default.
fn config(plan: &Plan, forms: &[(&str, Form)], options: &LoraOptions<'_>) -> Vec<u8> {
    let base = options
        .base_model
        .clone()
        .or_else(|| plan.origin().map(|origin| origin.reference().to_string()));
    let config = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": true,
        "r": options.rank,
        "lora_alpha": options.rank,
        "lora_dropout": 0.0,
        "target_modules": target_modules(plan, forms),
        "bias": "none",
        "fan_in_fan_out": false,
        "use_rslora": false,
        "use_dora": false,
        "modules_to_save": null,
    });
    format!("{config:#}\n").into_bytes()
}

/// The modules by the last part of their names, as people write them, where that means no others; else by whole names.
fn target_modules(plan: &Plan, forms: &[(&str, Form)]) -> BTreeSet<String> {
    let factored: BTreeSet<&str> = forms.iter().map(|(name, _)| *name).collect();
    // An adapter does not know what else the model has.
    let whole = plan
        .inputs()
        .any(|(_, checkpoint)| !checkpoint.covers_part());
    let mut targets = BTreeSet::new();
    for name in &factored {
        let module = name.strip_suffix(".weight").unwrap_or(name);
        let last = module.rsplit('.').next().unwrap_or(module);
        let end = format!(".{last}.weight");
        let alone = plan
            .tensors()
            .keys()
            .filter(|other| other.ends_with(&end) || **other == end[1..])
            .all(|other| factored.contains(other.as_str()));
        let target = if whole && alone { last } else { module };
        targets.insert(target.to_owned());
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transpose_turns_rows_into_columns() {
        assert_eq!(
            turned(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3),
            [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]
        );
    }

    #[test]
    fn embeddings_and_heads_by_their_names() {
        assert!(
            is_embedding("embed_tokens") && is_embedding("wte") && is_embedding("word_embeddings")
        );
        assert!(is_head("lm_head") && is_head("embed_out") && !is_embedding("embed_out"));
        assert!(!is_embedding("q_proj") && !is_head("q_proj"));
    }
}
