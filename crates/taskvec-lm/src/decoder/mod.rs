//! The decoder: the architecture of Qwen2, Qwen3 and Llama 3 on burn, for training and inference alike.
//!
//! Shapes: B = batch, T = positions in this call, S = positions in the cache and this call,
//! C = hidden size, F = feed-forward width, H = query heads, G = key and value heads, D = width
//! of a head, V = vocabulary.

mod cache;
mod config;
mod fused;
mod rotary;

pub(crate) use fused::exponential;

pub use cache::KeyValueCache;
pub use config::{DecoderConfig, RopeScaling};
pub use rotary::RotaryTable;

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, module};
use fused::{Heads, Span};

/// A matrix with an optional bias: `y = x W + b`.
#[derive(Module, Debug)]
pub struct Projection {
    /// `[inputs, outputs]`: the transpose of what Hugging Face stores.
    pub weight: Param<Tensor<2>>,
    /// `[outputs]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Projection {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let bias = self.bias.as_ref().map(Param::val);
        let [b, t, inputs] = x.dims();
        // One product for the whole batch: for sequences of some lengths burn would make one for each, and prepare the
        // weights for every one of them anew.
        let rows = module::linear(x.reshape([b * t, inputs]), self.weight.val(), bias);
        let outputs = rows.dims()[1];
        rows.reshape([b, t, outputs])
    }
}

/// One layer: attention, then a gated feed-forward network, each on a normalised residual stream.
#[derive(Module, Debug)]
pub struct Layer {
    /// Weight of the norm before attention, `[C]`.
    pub input_norm: Param<Tensor<1>>,
    /// `[C, H·D]`.
    pub query: Projection,
    /// `[C, G·D]`.
    pub key: Projection,
    /// `[C, G·D]`.
    pub value: Projection,
    /// Weight of the norm of every head's query, `[D]`; Qwen3 has it.
    pub query_norm: Option<Param<Tensor<1>>>,
    /// Weight of the norm of every head's key, `[D]`; Qwen3 has it.
    pub key_norm: Option<Param<Tensor<1>>>,
    /// `[H·D, C]`.
    pub output: Projection,
    /// Weight of the norm before the feed-forward network, `[C]`.
    pub post_attention_norm: Param<Tensor<1>>,
    /// `[C, F]`.
    pub gate: Projection,
    /// `[C, F]`.
    pub up: Projection,
    /// `[F, C]`.
    pub down: Projection,
}

/// A decoder-only transformer.
#[derive(Module, Debug)]
pub struct Decoder {
    /// `[V, C]`.
    pub embedding: Param<Tensor<2>>,
    /// In order from the input.
    pub layers: Vec<Layer>,
    /// Weight of the norm after the last layer, `[C]`.
    pub norm: Param<Tensor<1>>,
    /// `[C, V]`; absent where the embedding serves as output projection too.
    pub head: Option<Projection>,
    /// The shape of the model.
    #[module(skip)]
    pub config: DecoderConfig,
}

impl Decoder {
    /// Hidden states `[B, T, C]` of tokens `[B, T]` whose rows all begin at position 0.
    ///
    /// Padding belongs on the right, where the causal mask keeps it from every real token.
    pub fn hidden(&self, tokens: Tensor<2, Int>, rotary: &RotaryTable) -> Tensor<3> {
        let span = Span {
            starts: vec![0; tokens.dims()[0]],
            past: 0,
        };
        self.run(tokens, rotary, span, Positions::All, |_, key, value| {
            (key, value)
        })
    }

    /// Hidden states `[B, T, C]` of tokens `[B, T]` that follow what is in `cache`.
    ///
    /// Padding belongs on the left: `starts` holds the index of each row's first real token. The
    /// hidden states of padding have no meaning.
    ///
    /// # Panics
    ///
    /// Panics if the cache has no room for T more positions or another batch size.
    pub fn hidden_cached(
        &self,
        tokens: Tensor<2, Int>,
        starts: &[usize],
        rotary: &RotaryTable,
        cache: &mut KeyValueCache,
    ) -> Tensor<3> {
        self.run_cached(tokens, starts, rotary, Positions::All, cache)
    }

    /// Hidden states `[B, C]` of the last of tokens `[B, T]`; otherwise [`Self::hidden_cached`].
    ///
    /// Of the others, the last layer computes keys and values alone.
    ///
    /// # Panics
    ///
    /// Panics as [`Self::hidden_cached`] does.
    pub fn last_hidden_cached(
        &self,
        tokens: Tensor<2, Int>,
        starts: &[usize],
        rotary: &RotaryTable,
        cache: &mut KeyValueCache,
    ) -> Tensor<2> {
        let hidden = self.run_cached(tokens, starts, rotary, Positions::Last, cache);
        let [batch, _, width] = hidden.dims();
        hidden.reshape([batch, width])
    }

    fn run_cached(
        &self,
        tokens: Tensor<2, Int>,
        starts: &[usize],
        rotary: &RotaryTable,
        wanted: Positions,
        cache: &mut KeyValueCache,
    ) -> Tensor<3> {
        let positions = tokens.dims()[1];
        let span = Span {
            starts: starts.to_vec(),
            past: cache.len(),
        };
        let hidden = self.run(tokens, rotary, span, wanted, |layer, key, value| {
            cache.append(layer, key, value)
        });
        cache.advance(positions);
        hidden
    }

    /// The layers; `remember` turns a layer's new keys and values into those to attend to.
    fn run(
        &self,
        tokens: Tensor<2, Int>,
        rotary: &RotaryTable,
        mut span: Span,
        wanted: Positions,
        mut remember: impl FnMut(usize, Tensor<3>, Tensor<3>) -> (Tensor<3>, Tensor<3>),
    ) -> Tensor<3> {
        let eps = self.config.rms_norm_eps;
        let heads = Heads {
            query: self.config.num_attention_heads,
            key_value: self.config.num_key_value_heads,
            width: self.config.head_dim,
        };
        let mut x = module::embedding(self.embedding.val(), tokens);
        for (index, layer) in self.layers.iter().enumerate() {
            let mut h = fused::rms_norm(x.clone(), layer.input_norm.val(), eps);
            let key = normalize_heads(layer.key.forward(h.clone()), &layer.key_norm, eps);
            let key = fused::rotate(key, rotary, &span);
            let (key, value) = remember(index, key, layer.value.forward(h.clone()));
            if wanted == Positions::Last && index + 1 == self.layers.len() {
                let others = h.dims()[1] - 1;
                h = h.narrow(1, others, 1);
                x = x.narrow(1, others, 1);
                span.past += others;
            }
            let query = normalize_heads(layer.query.forward(h), &layer.query_norm, eps);
            let query = fused::rotate(query, rotary, &span);
            let attended = fused::attend(query, key, value, heads, &span);
            x = x + layer.output.forward(attended);
            let h = fused::rms_norm(x.clone(), layer.post_attention_norm.val(), eps);
            let gated = fused::swiglu(layer.gate.forward(h.clone()), layer.up.forward(h));
            x = x + layer.down.forward(gated);
        }
        fused::rms_norm(x, self.norm.val(), eps)
    }

    /// Logits `[N, V]` of hidden states `[N, C]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        match &self.head {
            Some(head) => module::linear(
                hidden,
                head.weight.val(),
                head.bias.as_ref().map(Param::val),
            ),
            None => hidden.matmul(self.embedding.val().transpose()),
        }
    }
}

/// Of which positions of a call the hidden states are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Positions {
    All,
    Last,
}

/// RMSNorm of every head of `[B, T, N·D]`, with one weight `[D]` for all heads; nothing without a weight.
fn normalize_heads(x: Tensor<3>, weight: &Option<Param<Tensor<1>>>, eps: f64) -> Tensor<3> {
    let Some(weight) = weight else {
        return x;
    };
    let weight = weight.val();
    let [b, t, width] = x.dims();
    let d = weight.dims()[0];
    let heads = x.reshape([b, t * (width / d), d]);
    fused::rms_norm(heads, weight, eps).reshape([b, t, width])
}
