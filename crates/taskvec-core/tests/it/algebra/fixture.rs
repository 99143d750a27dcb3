//! Checkpoints in memory, reachable as `mem:name`, with weights from a counter.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use half::{bf16, f16};
use taskvec_core::checkpoint::{KIND_KEY, encode_index};
use taskvec_core::safetensors::{TensorSpec, encode_header, shard_file_name};
use taskvec_core::{
    Bindings, Dtype, EmbeddedDirectory, Error, Expression, Library, Plan, PlanOptions,
};

pub(crate) const CONFIG: &str = r#"{
  "model_type": "qwen2",
  "hidden_size": 8,
  "num_attention_heads": 2,
  "num_hidden_layers": 2,
  "rope_theta": 1e6,
  "torch_dtype": "bfloat16"
}
"#;

/// A tensor to be.
#[derive(Clone)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl Tensor {
    pub(crate) fn new(name: &str, dtype: Dtype, shape: &[usize], values: &[f64]) -> Self {
        let bytes = values
            .iter()
            .flat_map(|&value| encode(dtype, value))
            .collect();
        Self {
            name: name.to_owned(),
            dtype,
            shape: shape.to_vec(),
            bytes,
        }
    }

    /// Filled from a counter: a base that depends on the name alone plus a little that depends on `salt`.
    pub(crate) fn counted(name: &str, dtype: Dtype, shape: &[usize], salt: u64) -> Self {
        let count: usize = shape.iter().product();
        let name_hash = name.bytes().fold(7u64, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(byte.into())
        });
        let values: Vec<f64> = (0..count as u64)
            .map(|index| {
                0.02 * bell(name_hash.wrapping_add(index))
                    + 2e-4 * bell(index ^ name_hash ^ salt << 40)
            })
            .collect();
        Self::new(name, dtype, shape, &values)
    }
}

pub(crate) fn encode(dtype: Dtype, value: f64) -> Vec<u8> {
    match dtype {
        Dtype::Bf16 => bf16::from_f64(value).to_le_bytes().to_vec(),
        Dtype::F16 => f16::from_f64(value).to_le_bytes().to_vec(),
        Dtype::F32 => (value as f32).to_le_bytes().to_vec(),
        Dtype::F64 => value.to_le_bytes().to_vec(),
        Dtype::I64 => (value as i64).to_le_bytes().to_vec(),
        Dtype::U8 | Dtype::F8E4m3 => vec![value as u8],
        other => panic!("no fixture of {other}"),
    }
}

/// A number near the normal distribution from a counter.
fn bell(counter: u64) -> f64 {
    let mut state = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut sum = 0.0;
    for _ in 0..12 {
        state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ counter;
        state ^= state >> 27;
        sum += (state >> 11) as f64 / (1u64 << 53) as f64;
    }
    sum - 6.0
}

/// Directories by name.
#[derive(Default)]
pub(crate) struct World {
    directories: BTreeMap<String, EmbeddedDirectory>,
}

impl World {
    /// Adds a checkpoint whose tensors are spread over `shards` files in order.
    pub(crate) fn with(
        mut self,
        name: &str,
        kind: &str,
        config: Option<&str>,
        shards: &[Vec<Tensor>],
    ) -> Self {
        let mut files: BTreeMap<String, Cow<'static, [u8]>> = BTreeMap::new();
        let mut lists = Vec::new();
        let mut total = 0;
        for (index, shard) in shards.iter().enumerate() {
            let specs: Vec<TensorSpec<'_>> = shard
                .iter()
                .map(|tensor| TensorSpec {
                    name: &tensor.name,
                    dtype: tensor.dtype,
                    shape: &tensor.shape,
                })
                .collect();
            let metadata = BTreeMap::from([
                ("format".to_owned(), "pt".to_owned()),
                (KIND_KEY.to_owned(), kind.to_owned()),
            ]);
            let header = encode_header(&specs, &metadata).unwrap();
            let mut file = header.bytes().to_vec();
            shard.iter().for_each(|tensor| file.extend(&tensor.bytes));
            total += header.data_bytes();
            let file_name = shard_file_name(kind, index, shards.len());
            lists.push((
                file_name.clone(),
                shard
                    .iter()
                    .map(|tensor| tensor.name.clone())
                    .collect::<Vec<_>>(),
            ));
            files.insert(file_name, file.into());
        }
        if shards.len() > 1 {
            let lists = lists
                .iter()
                .map(|(file, names)| (file.as_str(), names.as_slice()));
            files.insert(
                format!("{kind}.safetensors.index.json"),
                encode_index(lists, total).into(),
            );
        }
        if let Some(config) = config {
            files.insert("config.json".to_owned(), config.as_bytes().to_vec().into());
            files.insert(
                "tokenizer.json".to_owned(),
                format!("{{\"of\": \"{name}\"}}").into_bytes().into(),
            );
        }
        self.directories
            .insert(name.to_owned(), EmbeddedDirectory { files });
        self
    }

    /// Adds a model with the common config.
    pub(crate) fn model(self, name: &str, shards: &[Vec<Tensor>]) -> Self {
        self.with(name, "model", Some(CONFIG), shards)
    }

    pub(crate) fn vector(self, name: &str, tensors: Vec<Tensor>) -> Self {
        self.with(name, "vector", None, &[tensors])
    }

    pub(crate) fn library(&self) -> Library {
        let directories = Arc::new(self.directories.clone());
        let names: Vec<&str> = self.directories.keys().map(String::as_str).collect();
        let shared = Arc::clone(&directories);
        Library::new().with("mem", move |name| shared.get(name).cloned(), &names)
    }

    /// Plans an expression in which every name is a checkpoint of this world.
    pub(crate) fn plan_with(&self, expression: &str, options: &PlanOptions) -> Result<Plan, Error> {
        let names = self.directories.keys();
        let bindings = names.fold(Bindings::default(), |bindings, name| {
            bindings.with(name, format!("mem:{name}").parse().unwrap())
        });
        Plan::build(&expression.parse()?, &bindings, &self.library(), options)
    }

    /// Plans of the expression with `a` replaced by each value.
    pub(crate) fn plans_over(&self, expression: &str, values: &[&str]) -> Vec<Plan> {
        let names = self.directories.keys();
        let bindings = names.fold(Bindings::default(), |bindings, name| {
            bindings.with(name, format!("mem:{name}").parse().unwrap())
        });
        let expression: Expression = expression.parse().unwrap();
        let expressions: Vec<Expression> = values
            .iter()
            .map(|value| {
                expression
                    .with_scalar("a", &value.parse().unwrap())
                    .unwrap()
            })
            .collect();
        let options = PlanOptions::default();
        Plan::build_all(&expressions, &bindings, &self.library(), &options).unwrap()
    }

    pub(crate) fn plan(&self, expression: &str) -> Plan {
        self.plan_with(expression, &PlanOptions::default())
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    pub(crate) fn refused(&self, expression: &str) -> Error {
        match self.plan_with(expression, &PlanOptions::default()) {
            Ok(plan) => panic!("`{expression}` became a {}", plan.kind()),
            Err(error) => error,
        }
    }
}

/// The tensors of a small decoder in one dtype, in two shards; one tensor is longer than a block of any kind.
pub(crate) fn decoder(dtype: Dtype, salt: u64) -> Vec<Vec<Tensor>> {
    let counted = |name: &str, shape: &[usize]| Tensor::counted(name, dtype, shape, salt);
    vec![
        vec![
            counted("model.embed_tokens.weight", &[9001, 8]),
            counted("model.layers.0.self_attn.q_proj.weight", &[8, 8]),
            counted("model.layers.0.mlp.up_proj.weight", &[37, 8]),
        ],
        vec![
            counted("model.layers.1.self_attn.q_proj.weight", &[8, 8]),
            counted("model.layers.1.mlp.up_proj.weight", &[37, 8]),
            counted("model.norm.weight", &[8]),
        ],
    ]
}

/// `target`, `grpo`, `sft`: three fine-tunes of one decoder.
pub(crate) fn family(dtype: Dtype) -> World {
    World::default()
        .model("target", &decoder(dtype, 1))
        .model("grpo", &decoder(dtype, 2))
        .model("sft", &decoder(dtype, 3))
}
