//! What the proofs of training share: small decoders and small batches.

use burn::tensor::Device;
use taskvec_eval::random::Random;
use taskvec_lm::decoder::{Decoder, DecoderConfig, RopeScaling};
use taskvec_lm::train::batch::Example;
use taskvec_lm::train::initialization;
use taskvec_lm::train::parameters::Parameters;

pub(crate) fn config(tied: bool) -> DecoderConfig {
    DecoderConfig {
        vocab_size: 24,
        hidden_size: 16,
        intermediate_size: 20,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 4,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        tie_word_embeddings: tied,
        attention_bias: true,
        query_key_norm: false,
    }
}

/// A decoder whose weights, biases and norms are all well away from where a fresh one begins, biases
/// and norms above all: what a path carries wrongly that carries next to nothing would not be seen.
pub(crate) fn decoder(tied: bool) -> Decoder {
    let fresh = initialization::decoder(&config(tied), 5, &Device::flex());
    let parameters = Parameters::of(&fresh);
    let mut weights = parameters.read(&fresh).unwrap();
    let mut random = Random::derive(&[11]);
    for parameter in parameters.entries() {
        for weight in &mut weights[parameter.range.clone()] {
            match parameter.decays() {
                true => *weight *= 1.2,
                false => *weight += 0.4 * (random.next_u64() as f32 / u64::MAX as f32 - 0.5),
            }
        }
    }
    parameters.install(&fresh, &weights, &Device::flex())
}

/// Sequences of different lengths in which each token follows from the one before, with prompts.
pub(crate) fn examples(count: usize) -> Vec<Example> {
    let mut random = Random::derive(&[2]);
    (0..count)
        .map(|_| {
            let length = 5 + random.below(9);
            let first = random.below(24) as u32;
            let stride = [1, 5, 7][random.below(3)];
            let tokens: Vec<u32> = (0..length as u32)
                .map(|index| (first + stride * index) % 24)
                .collect();
            Example::completion(&tokens[..3], &tokens[3..])
        })
        .collect()
}

pub(crate) fn weights(decoder: &Decoder) -> Vec<f32> {
    Parameters::of(decoder).read(decoder).unwrap()
}

pub(crate) fn bits(decoder: &Decoder) -> Vec<u32> {
    weights(decoder).into_iter().map(f32::to_bits).collect()
}
