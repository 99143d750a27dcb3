//! Which part of a transformer a tensor belongs to, told by its name.

use std::fmt;

/// A kind of module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Module {
    /// Token or position embeddings.
    Embedding,
    /// Query projection of attention.
    AttentionQuery,
    /// Key projection of attention.
    AttentionKey,
    /// Value projection of attention.
    AttentionValue,
    /// Output projection of attention.
    AttentionOutput,
    /// Any other tensor of attention, fused projections among them.
    Attention,
    /// The feed-forward network.
    Mlp,
    /// A normalisation.
    Norm,
    /// The projection to the vocabulary.
    LmHead,
    /// Anything else.
    Other,
}

impl Module {
    /// A short name for tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::AttentionQuery => "attention.q",
            Self::AttentionKey => "attention.k",
            Self::AttentionValue => "attention.v",
            Self::AttentionOutput => "attention.o",
            Self::Attention => "attention",
            Self::Mlp => "mlp",
            Self::Norm => "norm",
            Self::LmHead => "lm_head",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Module {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// The tensors of one module in one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// Which layer, counted from 0; none outside the layers.
    pub layer: Option<u32>,
    /// Which module.
    pub module: Module,
}

/// A tensor's name around the number of its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LayerName<'a> {
    /// What stands before the number, its dot included.
    pub(crate) before: &'a str,
    pub(crate) layer: u32,
    /// What stands behind the number, its dot included.
    pub(crate) after: &'a str,
}

impl<'a> LayerName<'a> {
    /// None for a tensor of no layer.
    pub(crate) fn of(tensor: &'a str) -> Option<Self> {
        let is_list = |part: &str| matches!(part, "layers" | "layer" | "h" | "blocks" | "block");
        let mut from = 0;
        for part in tensor.split('.') {
            let begin = from + part.len() + 1;
            let rest = tensor.get(begin..)?;
            if is_list(part) {
                let number = rest.split('.').next()?;
                return Some(Self {
                    before: &tensor[..begin],
                    layer: number.parse().ok()?,
                    after: &rest[number.len()..],
                });
            }
            from = begin;
        }
        None
    }

    /// The same tensor of another layer.
    pub(crate) fn at(&self, layer: u32) -> String {
        format!("{}{layer}{}", self.before, self.after)
    }
}

impl Group {
    /// The group of the tensor of that name.
    pub fn of(tensor: &str) -> Self {
        let parts: Vec<&str> = tensor.split('.').collect();
        let layer = LayerName::of(tensor).map(|name| name.layer);
        let any = |wanted: &[&str]| {
            parts
                .iter()
                .any(|part| wanted.iter().any(|wanted| part == wanted))
        };
        let within = |wanted: &[&str]| {
            parts
                .iter()
                .any(|part| wanted.iter().any(|wanted| part.contains(wanted)))
        };
        let module = if within(&["norm", "ln_"]) {
            Module::Norm
        } else if any(&["lm_head", "embed_out"]) {
            Module::LmHead
        } else if within(&["embed", "wte", "wpe"]) {
            Module::Embedding
        } else if any(&["q_proj"]) {
            Module::AttentionQuery
        } else if any(&["k_proj"]) {
            Module::AttentionKey
        } else if any(&["v_proj"]) {
            Module::AttentionValue
        } else if any(&["o_proj"]) {
            Module::AttentionOutput
        } else if within(&["attn", "attention"]) {
            Module::Attention
        } else if within(&["mlp", "feed_forward", "ffn", "experts"]) {
            Module::Mlp
        } else {
            Module::Other
        };
        Self { layer, module }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Some(layer) => formatter.pad(&format!("layer {layer} {}", self.module)),
            None => formatter.pad(self.module.name()),
        }
    }
}

/// A part of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NetworkPart {
    /// Embeddings and the projection to the vocabulary.
    Embedding,
    /// Projections of attention.
    Attention,
    /// Feed-forward networks.
    Mlp,
    /// Normalisations.
    Norm,
    /// Anything else.
    Other,
}

impl NetworkPart {
    /// A short name for tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Attention => "attention",
            Self::Mlp => "mlp",
            Self::Norm => "norm",
            Self::Other => "other",
        }
    }

    /// The part that the tensor of that name belongs to.
    pub fn of(tensor: &str) -> Self {
        match Group::of(tensor).module {
            Module::Embedding | Module::LmHead => Self::Embedding,
            Module::AttentionQuery
            | Module::AttentionKey
            | Module::AttentionValue
            | Module::AttentionOutput
            | Module::Attention => Self::Attention,
            Module::Mlp => Self::Mlp,
            Module::Norm => Self::Norm,
            Module::Other => Self::Other,
        }
    }
}

impl fmt::Display for NetworkPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_common_architectures() {
        for (name, layer, module) in [
            ("model.embed_tokens.weight", None, Module::Embedding),
            (
                "model.layers.12.self_attn.q_proj.bias",
                Some(12),
                Module::AttentionQuery,
            ),
            (
                "model.layers.0.self_attn.q_norm.weight",
                Some(0),
                Module::Norm,
            ),
            (
                "model.layers.0.post_attention_layernorm.weight",
                Some(0),
                Module::Norm,
            ),
            (
                "model.layers.3.mlp.experts.7.up_proj.weight",
                Some(3),
                Module::Mlp,
            ),
            (
                "transformer.h.5.attn.c_attn.weight",
                Some(5),
                Module::Attention,
            ),
            ("model.norm.weight", None, Module::Norm),
            ("lm_head.weight", None, Module::LmHead),
            ("score.weight", None, Module::Other),
        ] {
            assert_eq!(Group::of(name), Group { layer, module }, "{name}");
        }
    }

    #[test]
    fn names_come_apart_at_the_number_of_the_layer() {
        let name = LayerName::of("model.layers.12.mlp.experts.7.up_proj.weight").unwrap();
        assert_eq!((name.before, name.layer), ("model.layers.", 12));
        assert_eq!(name.at(3), "model.layers.3.mlp.experts.7.up_proj.weight");
        for name in [
            "model.norm.weight",
            "layers",
            "layers.",
            "layers.x.w",
            "",
            "h.99999999999",
        ] {
            assert_eq!(LayerName::of(name), None, "{name}");
        }
        assert_eq!(LayerName::of("h.0").unwrap().at(1), "h.1");
    }
}
