//! `adapter_config.json`: what the factors mean.

use regex::Regex;
use serde_json::{Map, Value};

use super::AdapterError;

/// The settings on which the change of weights depends.
#[derive(Debug)]
pub(super) struct AdapterConfig {
    rank: usize,
    alpha: f64,
    ranks: Vec<(Regex, usize)>,
    alphas: Vec<(Regex, f64)>,
    rank_stabilised: bool,
    /// Weights of the modules are stored `[in, out]`, as in GPT-2.
    pub(super) fan_in_fan_out: bool,
}

/// Settings under which the adapter is not the sum of weights and `scale · B·A`, unless they are null, false or empty.
const OTHERWISE: [(&str, &str); 15] = [
    (
        "use_dora",
        "DoRA scales the sum of weights and change, which depends on the weights",
    ),
    (
        "modules_to_save",
        "these modules are stored whole, not as a change",
    ),
    (
        "trainable_token_indices",
        "these rows are stored whole, not as a change",
    ),
    (
        "lora_bias",
        "biases of the factors change the module's bias",
    ),
    (
        "layer_replication",
        "the adapter belongs to a model with repeated layers",
    ),
    (
        "target_parameters",
        "factors of parameters that are no module's weight are not read",
    ),
    (
        "alora_invocation_tokens",
        "an activated LoRA changes the model for some tokens only",
    ),
    ("use_qalora", "QALoRA pools the module's input"),
    ("use_bdlora", "factors in blocks are not read"),
    ("arrow_config", "the change is chosen for each token"),
    ("monteclora_config", "the factors are drawn at random"),
    ("kasa_config", "KaSA changes the base weights as well"),
    ("loftq_config", "LoftQ replaces the base weights"),
    ("target_modules_to_tie", "tied factors are not read"),
    (
        "megatron_config",
        "factors of parallel modules are not read",
    ),
];

/// Initialisations that take something out of the base weights, so that `B·A` is no change of the original ones.
const CHANGES_BASE: [&str; 5] = ["pissa", "olora", "corda", "lora_ga", "loftq"];

impl AdapterConfig {
    /// Understands the config, or says what in it is not understood.
    pub(super) fn parse(config: &Map<String, Value>) -> Result<Self, AdapterError> {
        let method = config.get("peft_type").unwrap_or(&Value::Null);
        if method.as_str() != Some("LORA") {
            return Err(AdapterError::Method {
                found: method.to_string(),
            });
        }
        for (key, meaning) in OTHERWISE {
            if let Some(value) = config.get(key).filter(|value| is_set(value)) {
                return Err(AdapterError::Setting {
                    key,
                    found: value.to_string(),
                    meaning,
                });
            }
        }
        match config.get("bias") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text == "none" => {}
            Some(value) => {
                return Err(AdapterError::Setting {
                    key: "bias",
                    found: value.to_string(),
                    meaning: "biases are stored whole, not as a change",
                });
            }
        }
        if let Some(Value::String(text)) = config.get("init_lora_weights") {
            let text = text.to_ascii_lowercase();
            if CHANGES_BASE.iter().any(|start| text.starts_with(start)) {
                return Err(AdapterError::Setting {
                    key: "init_lora_weights",
                    found: format!("\"{text}\""),
                    meaning: "the factors began as a part of the base weights, so their product is not the change",
                });
            }
        }
        Ok(Self {
            rank: rank("r", config.get("r"))?,
            alpha: alpha("lora_alpha", config.get("lora_alpha"))?,
            ranks: patterns(config, "rank_pattern", rank)?,
            alphas: patterns(config, "alpha_pattern", alpha)?,
            rank_stabilised: flag(config, "use_rslora")?,
            fan_in_fan_out: flag(config, "fan_in_fan_out")?,
        })
    }

    /// The rank of a module's factors.
    pub(super) fn rank(&self, module: &str) -> usize {
        of_module(&self.ranks, module).unwrap_or(self.rank)
    }

    /// What the product of a module's factors is multiplied by: `α/r`, or `α/√r` in rsLoRA (arXiv 2312.03732).
    pub(super) fn scale(&self, module: &str) -> f64 {
        let alpha = of_module(&self.alphas, module).unwrap_or(self.alpha);
        let rank = self.rank(module) as f64;
        if self.rank_stabilised {
            alpha / rank.sqrt()
        } else {
            alpha / rank
        }
    }
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(items) => !items.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// The first pattern that matches decides, as in PEFT.
fn of_module<T: Copy>(patterns: &[(Regex, T)], module: &str) -> Option<T> {
    patterns
        .iter()
        .find(|(pattern, _)| pattern.is_match(module))
        .map(|(_, value)| *value)
}

fn patterns<T>(
    config: &Map<String, Value>,
    key: &'static str,
    parse: fn(&str, Option<&Value>) -> Result<T, AdapterError>,
) -> Result<Vec<(Regex, T)>, AdapterError> {
    let entries = match config.get(key) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(entries)) => entries,
        Some(other) => return Err(unfit(key, "an object of patterns", other)),
    };
    entries
        .iter()
        .map(|(pattern, value)| {
            // PEFT matches so: the pattern is the end of the module's name, from a dot on.
            let regex = Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$")).map_err(|source| {
                AdapterError::Pattern {
                    key,
                    pattern: pattern.clone(),
                    source: Box::new(source),
                }
            })?;
            Ok((regex, parse(&format!("{key}.{pattern}"), Some(value))?))
        })
        .collect()
}

fn rank(key: &str, value: Option<&Value>) -> Result<usize, AdapterError> {
    const EXPECTED: &str = "a number from 1 to 65536";
    let value = value.unwrap_or(&Value::Null);
    value
        .as_u64()
        .filter(|rank| (1..=65_536).contains(rank))
        .and_then(|rank| usize::try_from(rank).ok())
        .ok_or_else(|| unfit(key, EXPECTED, value))
}

fn alpha(key: &str, value: Option<&Value>) -> Result<f64, AdapterError> {
    let value = value.unwrap_or(&Value::Null);
    value
        .as_f64()
        .filter(|alpha| alpha.is_finite())
        .ok_or_else(|| unfit(key, "a number", value))
}

fn flag(config: &Map<String, Value>, key: &str) -> Result<bool, AdapterError> {
    match config.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(other) => Err(unfit(key, "true or false", other)),
    }
}

fn unfit(key: &str, expected: &'static str, found: &Value) -> AdapterError {
    AdapterError::Value {
        key: key.to_owned(),
        expected,
        found: found.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(changes: &Value) -> Result<AdapterConfig, AdapterError> {
        let mut config = json!({"peft_type": "LORA", "r": 8, "lora_alpha": 16});
        for (key, value) in changes.as_object().unwrap() {
            config[key] = value.clone();
        }
        AdapterConfig::parse(config.as_object().unwrap())
    }

    #[test]
    fn the_scale_follows_the_first_pattern_that_ends_the_name() {
        let config = parse(&json!({
            "rank_pattern": {"q_proj": 4, r"layers\.1\.self_attn.q_proj": 2},
            "alpha_pattern": {"^model.layers.0.mlp.up_proj": 3.0},
        }))
        .unwrap();
        assert_eq!(config.rank("model.layers.1.self_attn.q_proj"), 4);
        assert_eq!(config.scale("model.layers.1.self_attn.q_proj"), 4.0);
        assert_eq!(config.rank("model.layers.1.self_attn.eq_proj"), 8);
        assert_eq!(config.scale("model.layers.0.mlp.up_proj"), 0.375);
        let config = parse(&json!({"use_rslora": true, "r": 4})).unwrap();
        assert_eq!(config.scale("x"), 8.0);
    }

    #[test]
    fn what_is_no_sum_is_refused_by_name() {
        for (change, message) in [
            (json!({"use_dora": true}), "`use_dora` is true: DoRA"),
            (
                json!({"modules_to_save": ["lm_head"]}),
                "`modules_to_save` is [\"lm_head\"]",
            ),
            (json!({"bias": "all"}), "`bias` is \"all\""),
            (
                json!({"init_lora_weights": "pissa_niter_4"}),
                "`init_lora_weights` is \"pissa_niter_4\"",
            ),
            (json!({"peft_type": "IA3"}), "`peft_type` is \"IA3\""),
            (json!({"peft_type": null}), "`peft_type` is null"),
            (
                json!({"layer_replication": [[0, 2]]}),
                "`layer_replication` is [[0,2]]",
            ),
        ] {
            let error = parse(&change).unwrap_err();
            assert!(error.to_string().starts_with(message), "{error}");
            assert!(error.hint().is_some(), "{error}");
        }
        for change in [
            json!({"use_dora": false, "modules_to_save": null, "bias": "none"}),
            json!({"modules_to_save": [], "loftq_config": {}, "init_lora_weights": true}),
            json!({"init_lora_weights": "gaussian"}),
        ] {
            parse(&change).unwrap();
        }
    }

    #[test]
    fn values_of_another_type_are_refused_with_key_and_value() {
        for (change, message) in [
            (
                json!({"r": 0}),
                "`r` is 0, expected a number from 1 to 65536",
            ),
            (json!({"r": 1e9}), "`r` is 1000000000.0"),
            (json!({"r": "8"}), "`r` is \"8\""),
            (
                json!({"lora_alpha": null}),
                "`lora_alpha` is null, expected a number",
            ),
            (
                json!({"use_rslora": 1}),
                "`use_rslora` is 1, expected true or false",
            ),
            (json!({"rank_pattern": [1]}), "`rank_pattern` is [1]"),
            (json!({"rank_pattern": {"q": -1}}), "`rank_pattern.q` is -1"),
            (
                json!({"alpha_pattern": {"(": 1}}),
                "`alpha_pattern`: the pattern `(`",
            ),
        ] {
            let error = parse(&change).unwrap_err();
            assert!(error.to_string().starts_with(message), "{error}");
        }
    }
}
