//! `config.json` and `generation_config.json`: what a checkpoint says about its decoder.
//!
//! Everything that would change the arithmetic is read or refused; what is refused is listed at once.
//! Absent fields take the defaults of the architecture's class in transformers, where they are not sizes.

mod architecture;
mod fields;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};
use taskvec_core::Dtype;

use crate::decoder::DecoderConfig;
use crate::{Error, Result};
use architecture::Architecture;
use fields::Fields;

/// The file that holds the configuration.
pub const CONFIG_FILE: &str = "config.json";
/// The file that holds how the publisher would generate; only its end tokens are read.
pub const GENERATION_CONFIG_FILE: &str = "generation_config.json";

/// No dimension of a published model comes near; far below what overflows in a product of three.
const MAX_DIMENSION: u64 = 1 << 20;
/// Vocabularies may be wider than layers.
const MAX_VOCABULARY: u64 = 1 << 24;
/// Deepest model accepted: it bounds the work done before tensors are compared with the config.
const MAX_LAYERS: u64 = 1 << 12;
/// Longest context accepted.
const MAX_POSITIONS: u64 = 1 << 28;

/// A decoder's configuration and what of its checkpoint's other fields is needed to use it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The shape of the decoder.
    pub decoder: DecoderConfig,
    /// Longest sequence the model was made for, prompt and answer together.
    pub max_positions: usize,
    /// Tokens that end a sequence.
    pub eos_token_ids: Vec<u32>,
    /// `config.json` as it was read, kept for writing it again.
    json: Map<String, Value>,
}

impl ModelConfig {
    /// The configuration of a Qwen2 decoder that was made here.
    #[must_use]
    pub fn new(decoder: DecoderConfig, max_positions: usize, eos_token_id: u32) -> Self {
        let mut json = json!({
            "architectures": ["Qwen2ForCausalLM"],
            "attention_dropout": 0.0,
            "bos_token_id": eos_token_id,
            "eos_token_id": eos_token_id,
            "hidden_act": "silu",
            "hidden_size": decoder.hidden_size,
            "initializer_range": 0.02,
            "intermediate_size": decoder.intermediate_size,
            "max_position_embeddings": max_positions,
            "max_window_layers": decoder.num_hidden_layers,
            "model_type": "qwen2",
            "num_attention_heads": decoder.num_attention_heads,
            "num_hidden_layers": decoder.num_hidden_layers,
            "num_key_value_heads": decoder.num_key_value_heads,
            "rms_norm_eps": decoder.rms_norm_eps,
            "rope_theta": decoder.rope_theta,
            "sliding_window": max_positions,
            "tie_word_embeddings": decoder.tie_word_embeddings,
            "torch_dtype": "float32",
            "use_cache": true,
            "use_sliding_window": false,
            "vocab_size": decoder.vocab_size,
        });
        if decoder.head_dim * decoder.num_attention_heads != decoder.hidden_size {
            json["head_dim"] = Value::from(decoder.head_dim);
        }
        let json = match json {
            Value::Object(json) => json,
            _ => Map::new(),
        };
        Self {
            decoder,
            max_positions,
            eos_token_ids: vec![eos_token_id],
            json,
        }
    }

    /// Reads `config.json`; `origin` names the checkpoint in messages.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedArchitecture`] for another architecture; [`Error::InvalidConfig`] with
    /// every field that is missing, out of range or asks for what is not implemented.
    pub fn parse(origin: &str, json: &Map<String, Value>) -> Result<Self> {
        let file = crate::tokenizer::path_in(origin, CONFIG_FILE);
        let architecture = Architecture::named_in(&file, json)?;
        let mut fields = Fields::of(json);

        let hidden_size = fields.size("hidden_size", MAX_DIMENSION);
        let num_attention_heads = fields.size("num_attention_heads", MAX_DIMENSION);
        let num_key_value_heads =
            fields.size_or("num_key_value_heads", MAX_DIMENSION, num_attention_heads);
        let head_dim = match fields.given("head_dim") {
            Some(_) => fields.size("head_dim", MAX_DIMENSION),
            None if architecture == Architecture::Qwen3 => 128,
            None => {
                if num_attention_heads > 0 && !hidden_size.is_multiple_of(num_attention_heads) {
                    fields.problems.push(format!(
                        "`hidden_size` is {hidden_size}, no multiple of `num_attention_heads`, {num_attention_heads}"
                    ));
                }
                hidden_size.checked_div(num_attention_heads).unwrap_or(0)
            }
        };
        if head_dim % 2 != 0 {
            fields.problems.push(format!(
                "the width of a head is {head_dim}, expected an even number"
            ));
        }
        if num_key_value_heads > 0 && !num_attention_heads.is_multiple_of(num_key_value_heads) {
            fields.problems.push(format!(
                "`num_attention_heads` is {num_attention_heads}, no multiple of `num_key_value_heads`, {num_key_value_heads}"
            ));
        }
        let (rope_theta, rope_scaling) = fields.rope();
        let decoder = DecoderConfig {
            vocab_size: fields.size("vocab_size", MAX_VOCABULARY),
            hidden_size,
            intermediate_size: fields.size("intermediate_size", MAX_DIMENSION),
            num_hidden_layers: fields.size("num_hidden_layers", MAX_LAYERS),
            num_attention_heads,
            num_key_value_heads,
            head_dim,
            rms_norm_eps: fields.positive("rms_norm_eps", 1e-6),
            rope_theta,
            rope_scaling,
            tie_word_embeddings: fields.truth("tie_word_embeddings", false),
            attention_bias: architecture == Architecture::Qwen2,
            query_key_norm: architecture == Architecture::Qwen3,
        };
        let max_positions = fields.size_or(
            "max_position_embeddings",
            MAX_POSITIONS,
            architecture.default_max_positions(),
        );
        fields.refuse_what_is_not_implemented(decoder.num_hidden_layers);
        let eos_token_ids = fields.token_ids("eos_token_id");
        if fields.problems.is_empty() {
            Ok(Self {
                decoder,
                max_positions,
                eos_token_ids,
                json: json.clone(),
            })
        } else {
            Err(Error::InvalidConfig {
                file,
                problems: fields.problems,
            })
        }
    }

    /// Takes the end tokens of `generation_config.json`, which win over those of `config.json`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] where they are no token ids.
    pub fn with_generation_config(
        mut self,
        origin: &str,
        json: &Map<String, Value>,
    ) -> Result<Self> {
        let mut fields = Fields::of(json);
        let eos_token_ids = fields.token_ids("eos_token_id");
        if !fields.problems.is_empty() {
            let file = crate::tokenizer::path_in(origin, GENERATION_CONFIG_FILE);
            return Err(Error::InvalidConfig {
                file,
                problems: fields.problems,
            });
        }
        if !eos_token_ids.is_empty() {
            self.eos_token_ids = eos_token_ids;
        }
        Ok(self)
    }

    /// `config.json` for weights stored as `dtype`.
    #[must_use]
    pub fn to_json(&self, dtype: Dtype) -> Map<String, Value> {
        let name = match dtype {
            Dtype::Bf16 => "bfloat16",
            Dtype::F16 => "float16",
            _ => "float32",
        };
        let mut json = self.json.clone();
        // Newer files call it `dtype`; never leave two that disagree.
        let key = if json.contains_key("dtype") {
            "dtype"
        } else {
            "torch_dtype"
        };
        json.insert(key.to_owned(), Value::from(name));
        json
    }

    /// `generation_config.json` for a model that has none.
    pub(super) fn generation_json(&self, pad_token_id: Option<u32>) -> Value {
        let eos = match self.eos_token_ids.as_slice() {
            [only] => Value::from(*only),
            several => Value::from(several),
        };
        json!({
            "do_sample": false,
            "eos_token_id": eos,
            "pad_token_id": pad_token_id.or_else(|| self.eos_token_ids.first().copied()),
        })
    }
}
