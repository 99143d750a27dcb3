//! `config.json` and `generation_config.json`: what a checkpoint says about its decoder.
//!
//! Everything that would change the arithmetic is read or refused; what is refused is listed at once.
//! Absent fields take the defaults of the architecture's class in transformers, where they are not sizes.

use serde_json::{Map, Value, json};
use taskvec_core::Dtype;

use crate::decoder::{DecoderConfig, RopeScaling};
use crate::{Error, Result};

/// The file that holds the configuration.
pub const CONFIG_FILE: &str = "config.json";
/// The file that holds how the publisher would generate; only its end tokens are read.
pub const GENERATION_CONFIG_FILE: &str = "generation_config.json";

/// Architectures that can be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Architecture {
    /// Qwen2 and Qwen2.5.
    Qwen2,
    /// Qwen3, dense.
    Qwen3,
    /// Llama 2 and 3.
    Llama,
}

impl Architecture {
    const ALL: [Self; 3] = [Self::Qwen2, Self::Qwen3, Self::Llama];

    /// As `architectures` names it.
    fn class(self) -> &'static str {
        match self {
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Llama => "LlamaForCausalLM",
        }
    }

    /// As `model_type` names it.
    fn model_type(self) -> &'static str {
        match self {
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Llama => "llama",
        }
    }

    /// `max_position_embeddings` where the file has none.
    fn default_max_positions(self) -> usize {
        match self {
            Self::Qwen2 | Self::Qwen3 => 32_768,
            Self::Llama => 2048,
        }
    }
}

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
        let architecture = architecture(&file, json)?;
        let mut fields = Fields {
            json,
            problems: Vec::new(),
        };

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
        let mut fields = Fields {
            json,
            problems: Vec::new(),
        };
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

fn architecture(file: &str, json: &Map<String, Value>) -> Result<Architecture> {
    let named = json
        .get("architectures")
        .and_then(Value::as_array)
        .filter(|names| !names.is_empty());
    let found: Vec<&str> = match named {
        Some(names) => names.iter().filter_map(Value::as_str).collect(),
        None => json
            .get("model_type")
            .and_then(Value::as_str)
            .into_iter()
            .collect(),
    };
    let of = |name: &str| {
        Architecture::ALL
            .into_iter()
            .find(|known| name == known.class() || name == known.model_type())
    };
    if let [name] = found[..]
        && let Some(architecture) = of(name)
    {
        return Ok(architecture);
    }
    Err(Error::UnsupportedArchitecture {
        file: file.to_owned(),
        found: if found.is_empty() {
            "none".to_owned()
        } else {
            found.join(", ")
        },
        supported: Architecture::ALL.map(Architecture::class).join(", "),
    })
}

/// Reads fields and collects what is wrong with them.
struct Fields<'a> {
    json: &'a Map<String, Value>,
    problems: Vec<String>,
}

impl<'a> Fields<'a> {
    fn given(&self, name: &str) -> Option<&'a Value> {
        self.json.get(name).filter(|value| !value.is_null())
    }

    /// A size from 1 to `limit`; 0 with a problem noted where it is not.
    fn size(&mut self, name: &str, limit: u64) -> usize {
        let problem = match self.given(name) {
            None => "missing".to_owned(),
            Some(value) => match value.as_u64() {
                Some(size) if (1..=limit).contains(&size) => return size as usize,
                _ => value.to_string(),
            },
        };
        self.problems.push(format!(
            "`{name}` is {problem}, expected a number from 1 to {limit}"
        ));
        0
    }

    fn size_or(&mut self, name: &str, limit: u64, default: usize) -> usize {
        if self.given(name).is_some() {
            self.size(name, limit)
        } else {
            default
        }
    }

    fn positive(&mut self, name: &str, default: f64) -> f64 {
        let Some(value) = self.given(name) else {
            return default;
        };
        match value.as_f64() {
            Some(number) if number.is_finite() && number > 0.0 => number,
            _ => {
                let problem = format!("`{name}` is {value}, expected a positive number");
                self.problems.push(problem);
                default
            }
        }
    }

    fn truth(&mut self, name: &str, default: bool) -> bool {
        let Some(value) = self.given(name) else {
            return default;
        };
        match value.as_bool() {
            Some(truth) => truth,
            None => {
                let problem = format!("`{name}` is {value}, expected true or false");
                self.problems.push(problem);
                default
            }
        }
    }

    /// θ and scaling of rotary positions, from `rope_parameters` as newer files have it, or from `rope_theta` and
    /// `rope_scaling`; kinds of scaling that are not implemented are refused.
    fn rope(&mut self) -> (f64, RopeScaling) {
        let named = ["rope_parameters", "rope_scaling"]
            .into_iter()
            .find_map(|name| Some((name, self.given(name)?.as_object()?)));
        let Some((name, json)) = named else {
            return (self.positive("rope_theta", 10_000.0), RopeScaling::Default);
        };
        let mut rope = Fields {
            json,
            problems: Vec::new(),
        };
        let theta = if json.contains_key("rope_theta") {
            rope.positive("rope_theta", 10_000.0)
        } else {
            self.positive("rope_theta", 10_000.0)
        };
        let scaling = rope.rope_scaling();
        self.problems.extend(
            rope.problems
                .into_iter()
                .map(|problem| format!("in `{name}`: {problem}")),
        );
        (theta, scaling)
    }

    fn rope_scaling(&mut self) -> RopeScaling {
        let kind = self.given("rope_type").or_else(|| self.given("type"));
        match kind.map_or(Some("default"), Value::as_str) {
            Some("default") => RopeScaling::Default,
            Some("linear") => RopeScaling::Linear {
                factor: self.required_positive("factor"),
            },
            Some("llama3") => {
                let low_freq_factor = self.required_positive("low_freq_factor");
                let high_freq_factor = self.required_positive("high_freq_factor");
                if self.problems.is_empty() && low_freq_factor >= high_freq_factor {
                    self.problems.push(format!(
                        "`low_freq_factor` is {low_freq_factor}, expected less than `high_freq_factor`, {high_freq_factor}"
                    ));
                }
                RopeScaling::Llama3 {
                    factor: self.required_positive("factor"),
                    low_freq_factor,
                    high_freq_factor,
                    original_max_position_embeddings: self
                        .required_positive("original_max_position_embeddings"),
                }
            }
            _ => {
                let kind = kind.unwrap_or(&Value::Null);
                self.problems.push(format!(
                    "`rope_type` is {kind}, expected \"default\", \"linear\" or \"llama3\""
                ));
                RopeScaling::Default
            }
        }
    }

    /// A positive number that has no default; 1 with a problem noted where it is not there.
    fn required_positive(&mut self, name: &str) -> f64 {
        if self.given(name).is_none() {
            self.problems
                .push(format!("`{name}` is missing, expected a positive number"));
        }
        self.positive(name, 1.0)
    }

    fn refuse_what_is_not_implemented(&mut self, layers: usize) {
        if let Some(activation) = self
            .given("hidden_act")
            .filter(|name| name.as_str() != Some("silu"))
        {
            let problem = format!("`hidden_act` is {activation}, expected \"silu\"");
            self.problems.push(problem);
        }
        if let Some(quantization) = self.given("quantization_config") {
            let method = quantization.get("quant_method").unwrap_or(quantization);
            let problem = format!("`quantization_config` is {method}, expected none");
            self.problems.push(problem);
        }
        // No published Qwen3 or Llama 3 has them; Qwen2's files do not speak of them.
        for name in ["attention_bias", "mlp_bias"] {
            if self.truth(name, false) {
                self.problems
                    .push(format!("`{name}` is true, expected false"));
            }
        }
        // Layers from `max_window_layers` on would attend to a window only.
        let windowed = self.truth("use_sliding_window", false)
            && self.given("sliding_window").is_some()
            && self.size_or("max_window_layers", u64::MAX, 28) < layers;
        let kinds = self.given("layer_types").and_then(Value::as_array);
        let other_kind = kinds.is_some_and(|kinds| {
            kinds
                .iter()
                .any(|kind| kind.as_str() != Some("full_attention"))
        });
        if windowed || other_kind {
            self.problems
                .push("sliding window attention is asked for, expected full attention".to_owned());
        }
    }

    /// One token id, a list of them, or none.
    fn token_ids(&mut self, name: &str) -> Vec<u32> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let Some(value) = self.given(name) else {
            return Vec::new();
        };
        let ids: Option<Vec<u32>> = match value {
            Value::Array(values) => values.iter().map(id).collect(),
            value => id(value).map(|id| vec![id]),
        };
        match ids {
            Some(ids) => ids,
            None => {
                let problem = format!("`{name}` is {value}, expected a token id or a list of them");
                self.problems.push(problem);
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qwen() -> Map<String, Value> {
        let text = r#"{"architectures":["Qwen2ForCausalLM"],"attention_dropout":0.0,"bos_token_id":151643,
            "eos_token_id":151645,"hidden_act":"silu","hidden_size":1536,"initializer_range":0.02,
            "intermediate_size":8960,"max_position_embeddings":32768,"max_window_layers":21,"model_type":"qwen2",
            "num_attention_heads":12,"num_hidden_layers":28,"num_key_value_heads":2,"rms_norm_eps":1e-06,
            "rope_theta":1000000.0,"sliding_window":32768,"tie_word_embeddings":true,"torch_dtype":"bfloat16",
            "transformers_version":"4.43.1","use_cache":true,"use_sliding_window":false,"vocab_size":151936}"#;
        serde_json::from_str(text).unwrap()
    }

    fn edited(edits: &[(&str, Value)]) -> Result<ModelConfig> {
        let mut json = qwen();
        for (name, value) in edits {
            json.insert((*name).to_owned(), value.clone());
        }
        ModelConfig::parse("model", &json)
    }

    #[test]
    fn a_published_file_is_read() {
        let config = ModelConfig::parse("model", &qwen()).unwrap();
        assert_eq!(config.decoder.head_dim, 128);
        assert_eq!(config.decoder.rope_theta, 1e6);
        assert!(config.decoder.tie_word_embeddings);
        assert_eq!(config.max_positions, 32_768);
        assert_eq!(config.eos_token_ids, [151_645]);
        let generation = json!({ "eos_token_id": [151_645, 151_643] });
        let config = config
            .with_generation_config("model", generation.as_object().unwrap())
            .unwrap();
        assert_eq!(config.eos_token_ids, [151_645, 151_643]);
        assert_eq!(config.to_json(Dtype::F32)["torch_dtype"], "float32");
        assert_eq!(config.to_json(Dtype::Bf16), qwen());
    }

    #[test]
    fn a_config_made_here_reads_back() {
        let read = ModelConfig::parse("model", &qwen()).unwrap();
        let made = ModelConfig::new(read.decoder.clone(), read.max_positions, 151_645);
        let again = ModelConfig::parse("model", &made.to_json(Dtype::F32)).unwrap();
        assert_eq!(
            (again.decoder, again.max_positions, again.eos_token_ids),
            (read.decoder, read.max_positions, vec![151_645])
        );
    }

    #[test]
    fn theta_may_stand_inside_rope_parameters() {
        let edits = [(
            "rope_parameters",
            json!({ "rope_theta": 5e5, "rope_type": "default" }),
        )];
        assert_eq!(edited(&edits).unwrap().decoder.rope_theta, 5e5);
        let edits = [(
            "rope_parameters",
            json!({ "rope_theta": -1, "rope_type": "yarn" }),
        )];
        let text = edited(&edits).unwrap_err().to_string();
        assert!(
            text.contains("in `rope_parameters`: `rope_type` is \"yarn\"")
                && text.contains("in `rope_parameters`: `rope_theta` is -1"),
            "{text}"
        );
    }

    #[test]
    fn scaled_positions_are_read() {
        let llama = [
            ("architectures", json!(["LlamaForCausalLM"])),
            (
                "rope_scaling",
                json!({ "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 8192, "rope_type": "llama3" }),
            ),
        ];
        let decoder = edited(&llama).unwrap().decoder;
        assert!(!decoder.attention_bias && !decoder.query_key_norm);
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192.0,
        };
        assert_eq!(decoder.rope_scaling, scaling);
        // 2048 and 8192 positions a wave are where keeping ends and dividing by the factor begins.
        let wave = |positions: f64| positions / std::f64::consts::TAU;
        assert_eq!(scaling.apply(wave(2000.0)), wave(2000.0));
        assert_eq!(scaling.apply(wave(8192.0)), 8.0 * wave(8192.0));
        let between = scaling.apply(wave(4096.0)) / wave(4096.0);
        assert!((between - 24.0 / 10.0).abs() < 1e-12, "{between}");
        let bare = [("rope_scaling", json!({ "rope_type": "llama3" }))];
        let text = edited(&bare).unwrap_err().to_string();
        for field in [
            "factor",
            "low_freq_factor",
            "original_max_position_embeddings",
        ] {
            let problem = format!("in `rope_scaling`: `{field}` is missing");
            assert!(text.contains(&problem), "{text}");
        }
    }

    #[test]
    fn qwen3_normalises_its_heads() {
        let edits = [
            ("architectures", json!(["Qwen3ForCausalLM"])),
            ("attention_bias", json!(false)),
        ];
        let decoder = edited(&edits).unwrap().decoder;
        assert!(decoder.query_key_norm && !decoder.attention_bias);
        assert_eq!(decoder.head_dim, 128);
        assert!(
            edited(&[
                ("architectures", json!(["Qwen3ForCausalLM"])),
                ("attention_bias", json!(true))
            ])
            .is_err()
        );
    }

    #[test]
    fn every_problem_is_listed_at_once() {
        let edits = [
            ("hidden_size", json!(1e30)),
            ("num_attention_heads", json!(7)),
            ("num_hidden_layers", json!(u64::MAX)),
            ("vocab_size", json!(-1)),
            ("intermediate_size", Value::Null),
            ("rms_norm_eps", json!("small")),
            ("tie_word_embeddings", json!(1)),
            ("hidden_act", json!("gelu")),
            ("eos_token_id", json!([1.5])),
            ("layer_types", json!(["sliding_attention"])),
            ("quantization_config", json!({ "quant_method": "awq" })),
            ("rope_scaling", json!({ "type": "linear" })),
            ("mlp_bias", json!(true)),
        ];
        let Err(Error::InvalidConfig { file, problems }) = edited(&edits) else {
            panic!()
        };
        assert_eq!(file, "model/config.json");
        let text = problems.join("\n");
        for name in edits.iter().map(|(name, _)| *name) {
            let name = if name == "layer_types" {
                "sliding window"
            } else {
                name
            };
            assert!(text.contains(name), "{name} is not in\n{text}");
        }
        assert!(text.contains("`intermediate_size` is missing"), "{text}");
    }

    #[test]
    fn a_window_no_layer_uses_is_none() {
        let edits = [
            ("use_sliding_window", json!(true)),
            ("max_window_layers", json!(28)),
        ];
        assert!(edited(&edits).is_ok());
        assert!(edited(&[("layer_types", json!(["full_attention"]))]).is_ok());
        assert!(edited(&[("layer_types", json!(["sliding_attention"]))]).is_err());
    }

    #[test]
    fn odd_heads_are_refused() {
        for edits in [
            [("head_dim", json!(3))],
            [("num_key_value_heads", json!(5))],
            [("num_attention_heads", json!(0))],
        ] {
            assert!(
                matches!(edited(&edits), Err(Error::InvalidConfig { .. })),
                "{edits:?}"
            );
        }
    }

    #[test]
    fn other_architectures_are_refused_by_name() {
        let text = edited(&[("architectures", json!(["MistralForCausalLM"]))])
            .unwrap_err()
            .to_string();
        assert_eq!(
            text,
            "`model/config.json` describes MistralForCausalLM, expected one of: Qwen2ForCausalLM, \
             Qwen3ForCausalLM, LlamaForCausalLM"
        );
        assert!(edited(&[("architectures", json!([])), ("model_type", json!("qwen2"))]).is_ok());
        assert!(
            edited(&[
                ("architectures", Value::Null),
                ("model_type", json!("gpt2"))
            ])
            .is_err()
        );
        assert!(ModelConfig::parse("model", &Map::new()).is_err());
    }
}
