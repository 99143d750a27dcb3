//! What `config.json` says about a decoder's shape.

/// The shape of a decoder-only transformer of the Qwen2 family.
///
/// Names are those of Hugging Face's `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Rows of the embedding, padding rows included.
    pub vocab_size: usize,
    /// Width of the residual stream, C.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Query heads, H.
    pub num_attention_heads: usize,
    /// Key and value heads, G; H is a multiple of G.
    pub num_key_value_heads: usize,
    /// Width of a head, D.
    pub head_dim: usize,
    /// ε of RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Whether the output projection is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether q, k and v have biases (Qwen2) or not (Qwen3, Llama).
    pub attention_bias: bool,
}
