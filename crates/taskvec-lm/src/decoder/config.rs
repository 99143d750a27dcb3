//! What `config.json` says about a decoder's shape.

/// The shape of a decoder-only transformer of the families of Qwen2, Qwen3 and Llama 3.
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
    /// How the rotary frequencies are stretched beyond the context of pretraining.
    pub rope_scaling: RopeScaling,
    /// Whether the output projection is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether q, k and v have biases (Qwen2) or not (Qwen3, Llama).
    pub attention_bias: bool,
    /// Whether each head's query and key are normalised before they are rotated (Qwen3).
    pub query_key_norm: bool,
}

/// How the rotary frequencies `θ^(−2i/D)` are changed; `rope_type` of `config.json`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    Default,
    /// Every frequency divided by a factor (Chen et al. 2023, arXiv 2306.15595).
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Llama 3.1's: waves longer than the original context divided by a factor, short ones kept, and a
    /// smooth passage between (Grattafiori et al. 2024, arXiv 2407.21783; the formula is that of the published code).
    Llama3 {
        /// The factor for long waves.
        factor: f64,
        /// Waves longer than the original context divided by this are long.
        low_freq_factor: f64,
        /// Waves shorter than the original context divided by this are short.
        high_freq_factor: f64,
        /// The context of pretraining, in positions.
        original_max_position_embeddings: f64,
    },
}

impl RopeScaling {
    /// What is used in place of a frequency whose inverse is `period`, in positions a radian; an inverse too.
    pub(crate) fn apply(self, period: f64) -> f64 {
        match self {
            Self::Default => period,
            Self::Linear { factor } => period * factor,
            Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => {
                // How many waves the original context holds.
                let waves = original_max_position_embeddings / (period * std::f64::consts::TAU);
                let kept = (waves - low_freq_factor) / (high_freq_factor - low_freq_factor);
                let kept = kept.clamp(0.0, 1.0);
                period / (kept + (1.0 - kept) / factor)
            }
        }
    }
}
