//! The config of a model whose layers stand in other places: the number of them, and what it says of each.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::input::Input;
use crate::checkpoint::{Checkpoint, ConfigChange};

/// Tables that settings of a decoder stand in: the config itself, and that of the language model in a larger one.
const TABLES: [Option<&str>; 2] = [None, Some("text_config")];
/// Names of the number of layers.
const DEPTHS: [&str; 4] = ["num_hidden_layers", "n_layer", "n_layers", "num_layers"];
/// Settings that count layers in a way that no other order of them can be given. Those of the second kind mean nothing
/// where `layer_types` says of each layer what it is.
const COUNTS: [(&str, bool); 8] = [
    ("mlp_only_layers", false),
    ("first_k_dense_replace", false),
    ("decoder_sparse_step", false),
    ("num_kv_shared_layers", false),
    ("cross_attention_layers", false),
    ("max_window_layers", true),
    ("sliding_window_pattern", true),
    ("full_attention_interval", true),
];

fn table<'a>(config: &'a Map<String, Value>, name: Option<&str>) -> Option<&'a Map<String, Value>> {
    match name {
        None => Some(config),
        Some(name) => config.get(name)?.as_object(),
    }
}

/// The checkpoint with a config that names so many layers.
pub(super) fn of_depth(checkpoint: &Checkpoint, depth: u32) -> Checkpoint {
    checkpoint.with_config(depth_changes(checkpoint, depth))
}

fn depth_changes(checkpoint: &Checkpoint, depth: u32) -> Vec<ConfigChange> {
    let Some(config) = checkpoint.config() else {
        return Vec::new();
    };
    let mut changes = Vec::new();
    for name in TABLES {
        let settings = table(config, name);
        for key in DEPTHS {
            if settings
                .and_then(|settings| settings.get(key))
                .is_some_and(Value::is_u64)
            {
                changes.push(ConfigChange {
                    table: name,
                    key: key.to_owned(),
                    value: depth.into(),
                });
            }
        }
    }
    changes
}

/// The result's template, with what its config says of each layer said of the layer that stands there, and what the
/// reader should know of the rest. `anchors` are the views that the result's layers come from; the first is the template.
pub(super) fn relayered(views: &[Input], anchors: &[usize]) -> Option<(Checkpoint, Vec<String>)> {
    let template = &views[*anchors.first()?].checkpoint;
    let length = template.layer_map()?.length();
    let config = template.config()?;
    let mut changes = depth_changes(template, length);
    let mut notes = Vec::new();
    if changes.is_empty() {
        notes.push(format!(
            "no config says how many layers there are; the result has {length}"
        ));
    }
    let stored = template.stored().depth() as usize;
    for name in TABLES {
        let Some(settings) = table(config, name) else {
            continue;
        };
        for (key, value) in settings {
            let listed = value.as_array().is_some_and(|list| list.len() == stored);
            if !listed || !(key.contains("layer") || key == "attn_type_list") {
                continue;
            }
            let values: Option<Vec<Value>> = (0..length)
                .map(|place| setting_at(views, anchors, name, key, place))
                .collect();
            match values {
                Some(values) => changes.push(ConfigChange {
                    table: name,
                    key: key.clone(),
                    value: values.into(),
                }),
                None => notes.push(format!(
                    "config `{key}` has a value for each layer, and not all of the models have it: it stays as it is"
                )),
            }
        }
        notes.extend(counted(settings).into_iter().map(|key| {
            format!("config `{key}` counts layers and stays as it is; in the result other layers stand there")
        }));
    }
    Some((template.with_config(changes), notes))
}

/// What the config says of the layer that stands in a place, by the model from which that is.
fn setting_at(
    views: &[Input],
    anchors: &[usize],
    name: Option<&str>,
    key: &str,
    place: u32,
) -> Option<Value> {
    anchors.iter().find_map(|anchor| {
        let checkpoint = &views[*anchor].checkpoint;
        let layer = match checkpoint.layer_map() {
            None => place,
            Some(map) => (*map.places.get(place as usize)?)?,
        };
        let list = table(checkpoint.config()?, name)?.get(key)?.as_array()?;
        list.get(layer as usize).cloned()
    })
}

/// Settings that count layers and matter.
fn counted(settings: &Map<String, Value>) -> BTreeSet<&'static str> {
    let says_each = settings.get("layer_types").is_some_and(Value::is_array);
    let slides = settings.get("use_sliding_window") == Some(&Value::Bool(true));
    let is_said = |key: &str| match settings.get(key) {
        None | Some(Value::Null) => false,
        Some(Value::Array(list)) => !list.is_empty(),
        // The step at which every layer is alike.
        Some(Value::Number(number)) => {
            let alike = u64::from(key == "decoder_sparse_step");
            number.as_u64().is_none_or(|number| number > alike)
        }
        Some(_) => true,
    };
    COUNTS
        .into_iter()
        .filter(|(key, replaced)| is_said(key) && !(*replaced && says_each))
        .filter(|(key, _)| *key != "max_window_layers" || slides)
        .map(|(key, _)| key)
        .collect()
}
