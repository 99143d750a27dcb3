//! Weights to begin with when there is no checkpoint to begin from.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use taskvec_eval::random::Random;

use crate::decoder::{Decoder, DecoderConfig, Layer, Projection};

/// A decoder to train from nothing: matrices drawn from N(0, 1/hidden_size), biases 0, norms 1.
///
/// transformers begins every Qwen2 with a deviation of 0.02, which suits widths of a thousand and more. At a width of
/// 128 attention then begins almost uniform, and a model looks back into its text thousands of steps later (see
/// `docs/log.md`).
///
/// Every matrix has a stream of its own, derived from `seed` and its position.
#[must_use]
pub fn decoder(config: &DecoderConfig, seed: u64, device: &Device) -> Decoder {
    let mut draws = Draws {
        seed,
        deviation: (config.hidden_size as f64).sqrt().recip(),
        drawn: 0,
        device,
    };
    let c = config.hidden_size;
    let (h, g) = (
        config.num_attention_heads * config.head_dim,
        config.num_key_value_heads * config.head_dim,
    );
    let f = config.intermediate_size;
    let bias = config.attention_bias;
    let norm = config.query_key_norm;
    let embedding = draws.matrix(config.vocab_size, c);
    let layers = (0..config.num_hidden_layers)
        .map(|_| Layer {
            input_norm: draws.constant(c, 1.0),
            query: draws.projection(c, h, bias),
            key: draws.projection(c, g, bias),
            value: draws.projection(c, g, bias),
            query_norm: norm.then(|| draws.constant(config.head_dim, 1.0)),
            key_norm: norm.then(|| draws.constant(config.head_dim, 1.0)),
            output: draws.projection(h, c, false),
            post_attention_norm: draws.constant(c, 1.0),
            gate: draws.projection(c, f, false),
            up: draws.projection(c, f, false),
            down: draws.projection(f, c, false),
        })
        .collect();
    let untied = !config.tie_word_embeddings;
    Decoder {
        embedding,
        layers,
        norm: draws.constant(c, 1.0),
        head: untied.then(|| draws.projection(c, config.vocab_size, false)),
        config: config.clone(),
    }
}

struct Draws<'a> {
    seed: u64,
    deviation: f64,
    drawn: u64,
    device: &'a Device,
}

impl Draws<'_> {
    fn matrix(&mut self, rows: usize, columns: usize) -> Param<Tensor<2>> {
        self.drawn += 1;
        let mut random = Random::derive(&[self.seed, self.drawn]);
        let values: Vec<f32> = (0..rows * columns)
            .map(|_| (self.deviation * normal(&mut random)) as f32)
            .collect();
        let data = TensorData::new(values, [rows, columns]);
        Param::from_tensor(Tensor::from_data(data, self.device))
    }

    fn constant(&self, width: usize, value: f32) -> Param<Tensor<1>> {
        let data = TensorData::new(vec![value; width], [width]);
        Param::from_tensor(Tensor::from_data(data, self.device))
    }

    fn projection(&mut self, inputs: usize, outputs: usize, bias: bool) -> Projection {
        Projection {
            weight: self.matrix(inputs, outputs),
            bias: bias.then(|| self.constant(outputs, 0.0)),
        }
    }
}

/// One draw from N(0, 1) (Box and Muller 1958).
pub(super) fn normal(random: &mut Random) -> f64 {
    let mut uniform = || ((random.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let (radius, angle) = (uniform(), uniform());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}
