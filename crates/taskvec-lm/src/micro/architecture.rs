//! The shape of the micro models.

use crate::decoder::{DecoderConfig, RopeScaling};

/// Longest sequence, prompt and answer together.
pub const MAX_POSITIONS: usize = 256;

/// Qwen2's architecture, small: 4 layers of width 128.
#[must_use]
pub fn config(vocab_size: usize) -> DecoderConfig {
    DecoderConfig {
        vocab_size,
        hidden_size: 128,
        intermediate_size: 320,
        num_hidden_layers: 4,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 32,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        tie_word_embeddings: true,
        attention_bias: true,
        query_key_norm: false,
    }
}
