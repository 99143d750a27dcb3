//! Reading the fields of a configuration: every problem is noted, none ends the reading.

use serde_json::{Map, Value};

use crate::decoder::RopeScaling;

/// Reads fields and collects what is wrong with them.
pub(super) struct Fields<'a> {
    json: &'a Map<String, Value>,
    /// What is wrong, each in words that name the field.
    pub(super) problems: Vec<String>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(json: &'a Map<String, Value>) -> Self {
        Self {
            json,
            problems: Vec::new(),
        }
    }

    pub(super) fn given(&self, name: &str) -> Option<&'a Value> {
        self.json.get(name).filter(|value| !value.is_null())
    }

    /// A size from 1 to `limit`; 0 with a problem noted where it is not.
    pub(super) fn size(&mut self, name: &str, limit: u64) -> usize {
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

    pub(super) fn size_or(&mut self, name: &str, limit: u64, default: usize) -> usize {
        if self.given(name).is_some() {
            self.size(name, limit)
        } else {
            default
        }
    }

    pub(super) fn positive(&mut self, name: &str, default: f64) -> f64 {
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

    pub(super) fn truth(&mut self, name: &str, default: bool) -> bool {
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
    pub(super) fn rope(&mut self) -> (f64, RopeScaling) {
        let named = ["rope_parameters", "rope_scaling"]
            .into_iter()
            .find_map(|name| Some((name, self.given(name)?.as_object()?)));
        let Some((name, json)) = named else {
            return (self.positive("rope_theta", 10_000.0), RopeScaling::Default);
        };
        let mut rope = Fields::of(json);
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

    pub(super) fn refuse_what_is_not_implemented(&mut self, layers: usize) {
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
    pub(super) fn token_ids(&mut self, name: &str) -> Vec<u32> {
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
