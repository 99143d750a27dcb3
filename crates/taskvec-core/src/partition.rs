//! A model's tensors in groups by depth and kind of module, each with a pattern of the language that selects it.
//!
//! Coefficients by layer and module are what layer-wise merging learns (AdaMerging, arXiv 2310.02575, has one
//! for each layer); a few bands of layers times a few kinds of module are as many as a search can afford that has to ask a
//! model questions at each point. Not covered: which coefficients are good.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use crate::method::TensorPattern;
use crate::statistics::{Group, LayerName, Module, NetworkPart};

/// Tensors that share a coefficient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorGroup {
    /// What it is, in words: `mlp 0-3`, `embedding`.
    pub name: String,
    /// A pattern that matches these tensors and none of another group.
    pub pattern: String,
    /// Their names.
    pub tensors: BTreeSet<String>,
}

/// What a group is made of, in the order in which groups are listed: as data flows through a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Embedding,
    Band(u32, NetworkPart),
    Head,
    Other,
}

/// Consecutive layers, as equal in number as can be.
#[derive(Debug, Clone, Copy)]
struct Bands {
    layers: u32,
    count: u32,
}

impl Bands {
    fn of(self, layer: u32) -> u32 {
        let band = u64::from(layer) * u64::from(self.count) / u64::from(self.layers.max(1));
        u32::try_from(band).unwrap_or(u32::MAX)
    }

    /// First and last layer of a band.
    fn ends(self, band: u32) -> (u32, u32) {
        let first = |band: u32| {
            (u64::from(band) * u64::from(self.layers)).div_ceil(u64::from(self.count.max(1)))
        };
        let (low, high) = (first(band), first(band.saturating_add(1)));
        let whole = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        (whole(low), whole(high.saturating_sub(1).max(low)))
    }

    /// `0-3`, or `0` where it has one layer.
    fn range(self, band: u32) -> String {
        match self.ends(band) {
            (low, high) if low == high => low.to_string(),
            (low, high) => format!("{low}-{high}"),
        }
    }
}

/// Divides the tensors of `names` into bands of layers times attention, MLP and norms, and what lies outside the layers:
/// embeddings, and the head where it has weights of its own. The last norm belongs to the last band. Groups are in the
/// order in which data flows; none is empty. More bands than layers are as many as layers.
#[must_use]
pub fn partition<'a>(
    names: impl IntoIterator<Item = &'a str>,
    bands: NonZeroU32,
) -> Vec<TensorGroup> {
    let names: BTreeSet<&str> = names.into_iter().collect();
    let layers = names.iter().filter_map(|name| Group::of(name).layer).max();
    let layers = layers.map_or(0, |last| last.saturating_add(1));
    let bands = Bands {
        layers,
        count: bands.get().min(layers.max(1)),
    };
    let mut groups: BTreeMap<Place, BTreeSet<&str>> = BTreeMap::new();
    for name in &names {
        groups.entry(place(name, bands)).or_default().insert(name);
    }
    groups
        .iter()
        .map(|(&place, tensors)| TensorGroup {
            name: title(place, bands),
            pattern: pattern(tensors, &names, bands),
            tensors: tensors.iter().map(|&name| name.to_owned()).collect(),
        })
        .collect()
}

fn place(name: &str, bands: Bands) -> Place {
    let Group { layer, module } = Group::of(name);
    let part = match NetworkPart::of(name) {
        // Those of the model lie outside its layers.
        NetworkPart::Embedding => NetworkPart::Other,
        part => part,
    };
    match (layer, module) {
        (Some(layer), _) => Place::Band(bands.of(layer), part),
        (None, Module::Embedding) => Place::Embedding,
        (None, Module::LmHead) => Place::Head,
        // What normalises the last layer's output is as late as a norm can be.
        (None, Module::Norm) => Place::Band(bands.count - 1, NetworkPart::Norm),
        (None, _) => Place::Other,
    }
}

fn title(place: Place, bands: Bands) -> String {
    match place {
        Place::Embedding => "embedding".to_owned(),
        Place::Head => "lm_head".to_owned(),
        Place::Other => "other".to_owned(),
        Place::Band(band, part) => format!("{} {}", part.name(), bands.range(band)),
    }
}

/// A short pattern that matches all of `wanted` and nothing else of `all`: the fewest alternatives that a greedy cover
/// finds, each as short as it may be.
fn pattern(wanted: &BTreeSet<&str>, all: &BTreeSet<&str>, bands: Bands) -> String {
    let mut candidates: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for name in wanted {
        for text in windows(name, bands) {
            if candidates.contains_key(&text) {
                continue;
            }
            let Ok(parsed) = TensorPattern::parse(&text) else {
                continue;
            };
            let matched: BTreeSet<&str> = (all.iter().copied())
                .filter(|name| parsed.matches(name))
                .collect();
            if matched.is_subset(wanted) {
                candidates.insert(text, matched);
            }
        }
    }
    let mut open = wanted.clone();
    let mut chosen: Vec<String> = Vec::new();
    while !open.is_empty() {
        let gain = |matched: &BTreeSet<&str>| matched.intersection(&open).count();
        let best = candidates.iter().max_by_key(|(text, matched)| {
            let shortness = std::cmp::Reverse((text.split('.').count(), text.len(), text.as_str()));
            (gain(matched), shortness)
        });
        let Some((text, matched)) = best.filter(|(_, matched)| gain(matched) > 0) else {
            // Only names that no pattern can spell, a comma in them for one, are left.
            break;
        };
        open = open.difference(matched).copied().collect();
        chosen.push(text.clone());
    }
    chosen.sort();
    chosen.join(",")
}

/// Stretches of a name's parts, the layer's number as its band's range: `layers.0-3.mlp.up_proj`. None begins or ends
/// with that range, since a number alone tells a reader nothing.
fn windows(name: &str, bands: Bands) -> Vec<String> {
    let mut parts: Vec<String> = name.split('.').map(str::to_owned).collect();
    let mut number = None;
    if let Some(of) = LayerName::of(name) {
        let at = of.before.matches('.').count();
        parts[at] = bands.range(bands.of(of.layer));
        number = Some(at);
    }
    let mut windows = vec![name.to_owned()];
    for from in 0..parts.len() {
        for to in from + 1..=parts.len() {
            if Some(from) != number && Some(to - 1) != number {
                windows.push(parts[from..to].join("."));
            }
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qwen(layers: u32, inside: &[&str], outside: &[&str]) -> Vec<String> {
        let mut names: Vec<String> = outside.iter().map(|name| (*name).to_owned()).collect();
        for layer in 0..layers {
            names.extend(
                inside
                    .iter()
                    .map(|name| format!("model.layers.{layer}.{name}")),
            );
        }
        names
    }

    const QWEN2: [&str; 9] = [
        "self_attn.q_proj.weight",
        "self_attn.q_proj.bias",
        "self_attn.k_proj.weight",
        "self_attn.o_proj.weight",
        "mlp.up_proj.weight",
        "mlp.gate_proj.weight",
        "mlp.down_proj.weight",
        "input_layernorm.weight",
        "post_attention_layernorm.weight",
    ];

    fn groups(names: &[String], bands: u32) -> Vec<(String, String)> {
        let bands = NonZeroU32::new(bands).unwrap();
        let groups = partition(names.iter().map(String::as_str), bands);
        assert_sound(names, &groups);
        groups
            .into_iter()
            .map(|group| (group.name, group.pattern))
            .collect()
    }

    /// Every tensor is in one group, whose pattern matches it, and no other group's does.
    fn assert_sound(names: &[String], groups: &[TensorGroup]) {
        for name in names {
            for group in groups {
                let pattern = TensorPattern::parse(&group.pattern).unwrap();
                assert_eq!(
                    pattern.matches(name),
                    group.tensors.contains(name),
                    "{name} in {group:?}"
                );
            }
            let holders = groups.iter().filter(|group| group.tensors.contains(name));
            assert_eq!(holders.count(), 1, "{name}");
        }
    }

    #[test]
    fn depth_bands_times_modules_and_what_lies_outside() {
        let names = qwen(
            5,
            &QWEN2,
            &[
                "model.embed_tokens.weight",
                "model.norm.weight",
                "lm_head.weight",
            ],
        );
        let pair = |name: &str, pattern: &str| (name.to_owned(), pattern.to_owned());
        assert_eq!(
            groups(&names, 2),
            [
                pair("embedding", "embed_tokens"),
                pair("attention 0-2", "layers.0-2.self_attn"),
                pair("mlp 0-2", "layers.0-2.mlp"),
                pair(
                    "norm 0-2",
                    "layers.0-2.input_layernorm,layers.0-2.post_attention_layernorm"
                ),
                pair("attention 3-4", "layers.3-4.self_attn"),
                pair("mlp 3-4", "layers.3-4.mlp"),
                pair(
                    "norm 3-4",
                    "layers.3-4.input_layernorm,layers.3-4.post_attention_layernorm,norm"
                ),
                pair("lm_head", "lm_head"),
            ]
        );
    }

    #[test]
    fn norms_within_attention_are_no_attention() {
        let inside = [&QWEN2[..], &["self_attn.q_norm.weight"]].concat();
        let names = qwen(2, &inside, &[]);
        let found = groups(&names, 1);
        assert_eq!(
            found.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            ["attention 0-1", "mlp 0-1", "norm 0-1"]
        );
        assert_eq!(found[0].1, "k_proj,o_proj,q_proj");
    }

    #[test]
    fn more_bands_than_layers_and_names_of_no_kind() {
        let names = qwen(2, &QWEN2, &["score.weight", "2.weight"]);
        let found = groups(&names, 99);
        assert_eq!(found.len(), 7);
        assert_eq!(found[0].0, "attention 0");
        assert_eq!(found[6].0, "other");
        assert!(groups(&[], 3).is_empty());
        let strange = [
            "a".to_owned(),
            "h.4294967295.w".to_owned(),
            "h.3.h.3.mlp".to_owned(),
        ];
        groups(&strange, 2);
    }
}
