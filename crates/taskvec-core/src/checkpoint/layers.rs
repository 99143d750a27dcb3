//! Checkpoints whose layers stand in other places: moved, repeated, or left out.
//!
//! A view has the tensors of a checkpoint under other names, and reads them from where they are stored. Whoever holds
//! one beside other checkpoints sees names that fit together, and need not know that a name on disk is another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Checkpoint;
use crate::safetensors::TensorInfo;
use crate::statistics::{Group, LayerName, Module};

/// Whether a tensor of no layer stands before the layers: embeddings do, norm, head and anything else behind them.
pub(crate) fn stands_before_layers(name: &str) -> bool {
    Group::of(name).module == Module::Embedding
}

/// Which layers stand where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayerMap {
    /// For each place the layer that stands there; none where the place is another's.
    pub(crate) places: Vec<Option<u32>>,
    /// How many layers there are to choose from.
    pub(crate) depth: u32,
    /// Whether what stands before the layers is part of it: embeddings.
    pub(crate) before: bool,
    /// Whether what stands behind the layers is part of it: the last norm, the head, anything else.
    pub(crate) after: bool,
}

impl LayerMap {
    /// Every layer in its place.
    pub(crate) fn identity(depth: u32) -> Self {
        Self {
            places: (0..depth).map(Some).collect(),
            depth,
            before: true,
            after: true,
        }
    }

    /// How many layers the result has, this map's or another's.
    pub(crate) fn length(&self) -> u32 {
        self.places.len() as u32
    }

    /// The same places, filled by what `inner` does with a place's layer.
    pub(crate) fn through(&self, depth: u32, inner: impl Fn(u32) -> Option<u32>) -> Self {
        Self {
            places: self
                .places
                .iter()
                .map(|layer| layer.and_then(&inner))
                .collect(),
            depth,
            ..*self
        }
    }

    /// Whether the tensor of that name has its place in this map, whoever has such a tensor.
    pub(crate) fn covers(&self, name: &str) -> bool {
        match LayerName::of(name) {
            Some(name) => self.layer_at(name.layer).is_some(),
            None => self.has_outside(name),
        }
    }

    /// The name of what stands under `name`; none where that is another's.
    pub(crate) fn own_name(&self, name: &str) -> Option<String> {
        match LayerName::of(name) {
            Some(parts) => self.layer_at(parts.layer).map(|layer| parts.at(layer)),
            None => self.has_outside(name).then(|| name.to_owned()),
        }
    }

    fn layer_at(&self, place: u32) -> Option<u32> {
        self.places.get(place as usize).copied().flatten()
    }

    fn has_outside(&self, name: &str) -> bool {
        if stands_before_layers(name) {
            self.before
        } else {
            self.after
        }
    }

    /// Places by layer.
    fn places_of_layers(&self) -> BTreeMap<u32, Vec<u32>> {
        let mut found: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (place, layer) in (0..).zip(&self.places) {
            if let Some(layer) = layer {
                found.entry(*layer).or_default().push(place);
            }
        }
        found
    }
}

/// The tensors of a checkpoint under other names.
pub(super) struct Layered {
    pub(super) map: LayerMap,
    pub(super) tensors: BTreeMap<String, TensorInfo>,
    /// Of each weight file, in the order of its data.
    pub(super) orders: Vec<Vec<String>>,
}

impl Checkpoint {
    /// This checkpoint with its layers in other places.
    pub(crate) fn with_layers(&self, map: &LayerMap) -> Checkpoint {
        let stored = self.stored();
        let places = map.places_of_layers();
        let names = |own: &String| -> Vec<String> {
            match LayerName::of(own) {
                None if map.has_outside(own) => vec![own.clone()],
                None => Vec::new(),
                Some(parts) => places
                    .get(&parts.layer)
                    .into_iter()
                    .flatten()
                    .map(|place| parts.at(*place))
                    .collect(),
            }
        };
        let mut tensors = BTreeMap::new();
        for (own, info) in stored.tensors() {
            tensors.extend(names(own).into_iter().map(|name| (name, info.clone())));
        }
        let orders = stored
            .opened
            .files
            .iter()
            .map(|file| file.order.iter().flat_map(names).collect())
            .collect();
        Checkpoint {
            layered: Some(Arc::new(Layered {
                map: map.clone(),
                tensors,
                orders,
            })),
            ..stored
        }
    }

    /// The checkpoint with every tensor under the name that it has on disk.
    pub(crate) fn stored(&self) -> Checkpoint {
        Checkpoint {
            layered: None,
            ..self.clone()
        }
    }

    /// Which layers stand where, if they do not stand where they are stored.
    pub(crate) fn layer_map(&self) -> Option<&LayerMap> {
        self.layered.as_deref().map(|layered| &layered.map)
    }

    /// Whether a tensor of that name has its place here, whether or not there is such a tensor.
    pub(crate) fn covers(&self, name: &str) -> bool {
        self.layer_map().is_none_or(|map| map.covers(name))
    }

    /// Layers that its tensors' names count.
    pub(crate) fn depth(&self) -> u32 {
        self.tensors()
            .keys()
            .filter_map(|name| LayerName::of(name))
            .map(|name| name.layer.saturating_add(1))
            .max()
            .unwrap_or(0)
    }

    /// Its lists of layers, as the names of their first layers begin: one in a language model, one more for what sees,
    /// hears or encodes.
    pub(crate) fn layer_lists(&self) -> Vec<String> {
        let names = self.tensors().keys();
        let lists: BTreeSet<&str> = names
            .filter_map(|name| LayerName::of(name))
            .map(|name| name.before)
            .collect();
        lists.into_iter().map(|list| format!("{list}0")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_the_name_of_the_layer_that_stands_there() {
        let map = LayerMap {
            places: vec![Some(0), Some(2), None, Some(2)],
            depth: 3,
            before: true,
            after: false,
        };
        for (name, own) in [
            (
                "model.layers.0.mlp.up_proj.weight",
                Some("model.layers.0.mlp.up_proj.weight"),
            ),
            (
                "model.layers.3.mlp.up_proj.weight",
                Some("model.layers.2.mlp.up_proj.weight"),
            ),
            ("model.layers.2.mlp.up_proj.weight", None),
            ("model.layers.4.mlp.up_proj.weight", None),
            (
                "model.embed_tokens.weight",
                Some("model.embed_tokens.weight"),
            ),
            ("model.norm.weight", None),
        ] {
            assert_eq!(map.own_name(name).as_deref(), own, "{name}");
            assert_eq!(map.covers(name), own.is_some(), "{name}");
        }
        assert_eq!(map.places_of_layers()[&2], [1, 3]);
        let inner = map.through(9, |layer| (layer > 0).then_some(layer + 5));
        assert_eq!(inner.places, [None, Some(7), None, Some(7)]);
    }
}
