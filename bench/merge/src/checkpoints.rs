//! Three checkpoints of the shape of a Qwen2.5 model, made up from a counter.
//!
//! Each is a common base, N(0, 0.02), plus noise of its own, N(0, 2e-4), rounded to BF16; of Qwen2.5-1.5B 3.09 GB in two
//! shards. The normal distribution is approximated by the sum of four uniform numbers, which costs a few instructions an
//! element. Where only memory is measured the files are holes that read as zeros and take no room.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use taskvec_core::Dtype;
use taskvec_core::checkpoint::encode_index;
use taskvec_core::safetensors::{TensorSpec, encode_header, shard_file_name};

pub(crate) const NAMES: [&str; 3] = ["target", "grpo", "sft"];

const CHUNK_ELEMENTS: u64 = 1 << 18;

/// The numbers that a model's tensors follow from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    layers: usize,
    hidden: usize,
    intermediate: usize,
    heads: usize,
    key_value: usize,
    vocabulary: usize,
    tied: bool,
    shards: usize,
}

impl Shape {
    /// `small` (tens of megabytes, to try a row), `1.5b` and `7b`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "small" => Some(Self {
                layers: 4,
                hidden: 512,
                intermediate: 1536,
                heads: 8,
                key_value: 128,
                vocabulary: 8192,
                tied: true,
                shards: 2,
            }),
            "1.5b" => Some(Self {
                layers: 28,
                hidden: 1536,
                intermediate: 8960,
                heads: 12,
                key_value: 256,
                vocabulary: 151_936,
                tied: true,
                shards: 2,
            }),
            "7b" => Some(Self {
                layers: 28,
                hidden: 3584,
                intermediate: 18_944,
                heads: 28,
                key_value: 512,
                vocabulary: 152_064,
                tied: false,
                shards: 4,
            }),
            _ => None,
        }
    }

    fn config(&self) -> String {
        let Self {
            layers,
            hidden,
            intermediate,
            heads,
            key_value,
            vocabulary,
            tied,
            ..
        } = self;
        let key_value_heads = key_value * heads / hidden;
        format!(
            r#"{{
  "architectures": ["Qwen2ForCausalLM"],
  "model_type": "qwen2",
  "hidden_size": {hidden},
  "intermediate_size": {intermediate},
  "num_hidden_layers": {layers},
  "num_attention_heads": {heads},
  "num_key_value_heads": {key_value_heads},
  "vocab_size": {vocabulary},
  "tie_word_embeddings": {tied},
  "torch_dtype": "bfloat16"
}}
"#
        )
    }

    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (hidden, intermediate, key_value) = (self.hidden, self.intermediate, self.key_value);
        let mut tensors = vec![(
            "model.embed_tokens.weight".to_owned(),
            vec![self.vocabulary, hidden],
        )];
        for layer in 0..self.layers {
            for (name, shape) in [
                ("input_layernorm.weight", vec![hidden]),
                ("mlp.down_proj.weight", vec![hidden, intermediate]),
                ("mlp.gate_proj.weight", vec![intermediate, hidden]),
                ("mlp.up_proj.weight", vec![intermediate, hidden]),
                ("post_attention_layernorm.weight", vec![hidden]),
                ("self_attn.k_proj.bias", vec![key_value]),
                ("self_attn.k_proj.weight", vec![key_value, hidden]),
                ("self_attn.o_proj.weight", vec![hidden, hidden]),
                ("self_attn.q_proj.bias", vec![hidden]),
                ("self_attn.q_proj.weight", vec![hidden, hidden]),
                ("self_attn.v_proj.bias", vec![key_value]),
                ("self_attn.v_proj.weight", vec![key_value, hidden]),
            ] {
                tensors.push((format!("model.layers.{layer}.{name}"), shape));
            }
        }
        tensors.push(("model.norm.weight".to_owned(), vec![hidden]));
        if !self.tied {
            tensors.push(("lm_head.weight".to_owned(), vec![self.vocabulary, hidden]));
        }
        tensors
    }

    /// The tensors in runs of about as many bytes each.
    fn shards(&self) -> Vec<Vec<(String, Vec<usize>)>> {
        let tensors = self.tensors();
        let elements = |shape: &[usize]| shape.iter().product::<usize>();
        let total: usize = tensors.iter().map(|(_, shape)| elements(shape)).sum();
        let mut shards = vec![Vec::new()];
        let mut before = 0;
        for (name, shape) in tensors {
            if before * self.shards >= total * shards.len() {
                shards.push(Vec::new());
            }
            before += elements(&shape);
            if let Some(last) = shards.last_mut() {
                last.push((name, shape));
            }
        }
        shards
    }
}

/// Makes what is missing of the three checkpoints under `directory`; `hollow` ones have no content.
pub(crate) fn prepare(directory: &Path, shape: &Shape, hollow: bool) -> io::Result<()> {
    if NAMES
        .iter()
        .all(|name| directory.join(name).join("config.json").exists())
    {
        return Ok(());
    }
    let shards = shape.shards();
    let mut lists = Vec::new();
    let mut counter = 0u64;
    for (index, shard) in shards.iter().enumerate() {
        let file_name = shard_file_name("model", index, shards.len());
        let specs: Vec<TensorSpec<'_>> = shard
            .iter()
            .map(|(name, shape)| TensorSpec {
                name,
                dtype: Dtype::Bf16,
                shape,
            })
            .collect();
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let header = encode_header(&specs, &metadata).map_err(io::Error::other)?;
        let mut files = Vec::new();
        for name in NAMES {
            fs::create_dir_all(directory.join(name))?;
            let mut file = File::create(directory.join(name).join(&file_name))?;
            file.write_all(header.bytes())?;
            file.set_len(header.file_bytes())?;
            files.push(file);
        }
        let elements = header.data_bytes() / 2;
        if !hollow {
            fill(&files, header.bytes().len() as u64, counter, elements)?;
        }
        counter += elements;
        let names: Vec<String> = shard.iter().map(|(name, _)| name.clone()).collect();
        lists.push((file_name, names));
    }
    for name in NAMES {
        let directory = directory.join(name);
        let lists = lists
            .iter()
            .map(|(file, names)| (file.as_str(), names.as_slice()));
        fs::write(
            directory.join("model.safetensors.index.json"),
            encode_index(lists, counter * 2),
        )?;
        // Last: its presence says that the checkpoint is whole.
        fs::write(directory.join("config.json"), shape.config())?;
    }
    Ok(())
}

/// Writes elements `counter..counter + elements` of each checkpoint after `header_bytes`.
fn fill(files: &[File], header_bytes: u64, counter: u64, elements: u64) -> io::Result<()> {
    let next = AtomicU64::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| -> io::Result<()> {
                    let mut bytes = Vec::new();
                    loop {
                        let start = next.fetch_add(CHUNK_ELEMENTS, Ordering::Relaxed);
                        if start >= elements {
                            return Ok(());
                        }
                        let count = CHUNK_ELEMENTS.min(elements - start);
                        for (salt, file) in files.iter().enumerate() {
                            bytes.clear();
                            bytes.extend((counter + start..counter + start + count).flat_map(
                                |index| {
                                    let value = 0.02 * bell(index)
                                        + 2e-4 * bell(index ^ (salt as u64 + 1) << 48);
                                    let bits = value.to_bits();
                                    // Nearest even.
                                    ((bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16)
                                        .to_le_bytes()
                                },
                            ));
                            file.write_all_at(&bytes, header_bytes + start * 2)?;
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .map_err(|_| io::Error::other("a thread panicked"))?
        })
    })
}

/// Nearly a standard normal number.
fn bell(counter: u64) -> f32 {
    let mut state = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state ^= state >> 27;
    let part = |shift: u32| (state >> shift & 0xffff) as i32;
    let sum = part(0) + part(16) + part(32) + part(48) - 2 * 0xffff;
    // Four uniform numbers on 0..65536 have a variance of 65536²/3 together.
    sum as f32 * (1.732_050_8 / 65_536.0)
}
