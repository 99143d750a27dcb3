//! The architectures that can be loaded, and which of them a file asks for.

use serde_json::{Map, Value};

use crate::{Error, Result};

/// Architectures that can be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Architecture {
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
    pub(super) fn default_max_positions(self) -> usize {
        match self {
            Self::Qwen2 | Self::Qwen3 => 32_768,
            Self::Llama => 2048,
        }
    }

    /// The one that the file at `file` names.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedArchitecture`].
    pub(super) fn named_in(file: &str, json: &Map<String, Value>) -> Result<Self> {
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
            Self::ALL
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
            supported: Self::ALL.map(Self::class).join(", "),
        })
    }
}
