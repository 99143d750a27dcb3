//! Models with random weights, wide enough drawn that what they generate is far from uniform.

use std::collections::BTreeMap;

use burn::tensor::Device;
use serde_json::{Value, json};
use taskvec_eval::random::Random;
use taskvec_lm::Result;
use taskvec_lm::decoder::{DecoderConfig, RopeScaling};
use taskvec_lm::model::{Model, ModelConfig, TensorSource, tensor_shapes};
use taskvec_lm::tokenizer::{Tokenizer, train_bpe};

/// Weights held in memory.
pub(crate) struct Weights(pub(crate) BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl TensorSource for Weights {
    fn name(&self) -> String {
        "random".to_owned()
    }

    fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.0
            .iter()
            .map(|(name, (shape, _))| (name.clone(), shape.clone()))
            .collect()
    }

    fn load(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.0[name].1.clone())
    }
}

impl Weights {
    pub(crate) fn random(config: &DecoderConfig, seed: u64) -> Self {
        let mut random = Random::derive(&[seed]);
        // Uniform on ±√3 has deviation 1.
        let mut draw =
            || ((random.next_u64() >> 40) as f32 / (1u32 << 23) as f32 - 1.0) * 3f32.sqrt();
        let weights = tensor_shapes(config)
            .into_iter()
            .map(|(name, shape)| {
                let count = shape.iter().product();
                let (mean, deviation) = match (name.ends_with("norm.weight"), shape.len()) {
                    (true, _) => (1.0, 0.2),
                    (_, 1) => (0.0, 0.5),
                    _ => (0.0, 1.5 / (shape[shape.len() - 1] as f32).sqrt()),
                };
                let values = (0..count).map(|_| mean + deviation * draw()).collect();
                (name, (shape, values))
            })
            .collect();
        Self(weights)
    }
}

pub(crate) fn tokenizer() -> Tokenizer {
    let corpus = (0..60).map(|index| {
        format!(
            "Anna has {index} apples and buys {} more. Naïve 答え? The quick brown fox jumps over a lazy dog.",
            index * 7
        )
    });
    train_bpe(corpus, 300).unwrap().with_chat_template(
        "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    ).unwrap()
}

pub(crate) fn config() -> DecoderConfig {
    DecoderConfig {
        vocab_size: 304,
        hidden_size: 32,
        intermediate_size: 48,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        tie_word_embeddings: false,
        attention_bias: true,
        query_key_norm: false,
    }
}

/// The files of a model whose sequences end often: at any of `end_tokens`.
pub(crate) fn files(
    config: &DecoderConfig,
    max_positions: usize,
    end_tokens: &[u32],
) -> BTreeMap<String, Vec<u8>> {
    let json = |value: &Value| value.to_string().into_bytes();
    let mut files = tokenizer().files().clone();
    let config =
        ModelConfig::new(config.clone(), max_positions, 0).to_json(taskvec_core::Dtype::F32);
    files.insert("config.json".to_owned(), json(&Value::Object(config)));
    files.insert(
        "generation_config.json".to_owned(),
        json(&json!({ "eos_token_id": end_tokens })),
    );
    files
}

pub(crate) fn model(max_positions: usize, end_tokens: &[u32]) -> Model {
    let config = config();
    let files = files(&config, max_positions, end_tokens);
    Model::assemble(&Weights::random(&config, 1), files, &Device::flex()).unwrap()
}
