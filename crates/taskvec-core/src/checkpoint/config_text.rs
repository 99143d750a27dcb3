//! Single values of a `config.json`, replaced in its text: every other byte stays as it was.

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::{Checkpoint, SideFile};
use crate::error::Result;

/// Places of a key that are tried. A config has one or two.
const TRIED: usize = 64;
const CONFIG_FILE: &str = "config.json";

/// A value that a config is to have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConfigChange {
    /// The table that the key stands in; the config itself where none is given.
    pub(crate) table: Option<&'static str>,
    pub(crate) key: String,
    pub(crate) value: Value,
}

/// The config with a value that it has replaced; as it was where it does not have it.
pub(crate) fn with_value(text: &str, change: &ConfigChange) -> String {
    let Ok(parsed) = serde_json::from_str::<Value>(text) else {
        return text.to_owned();
    };
    let mut expected = parsed.clone();
    let place = match change.table {
        None => expected.get_mut(&change.key),
        Some(table) => expected
            .get_mut(table)
            .and_then(|table| table.get_mut(&change.key)),
    };
    match place {
        Some(place) if *place != change.value => *place = change.value.clone(),
        _ => return text.to_owned(),
    }
    let quoted = format!("\"{}\"", change.key);
    for (at, _) in text.match_indices(&quoted).take(TRIED) {
        let after = &text[at + quoted.len()..];
        let Some(value) = after.trim_start().strip_prefix(':').map(str::trim_start) else {
            continue;
        };
        let mut values = serde_json::Deserializer::from_str(value).into_iter::<IgnoredAny>();
        if !matches!(values.next(), Some(Ok(_))) {
            continue;
        }
        let begin = text.len() - value.len();
        let end = begin + values.byte_offset();
        let candidate = format!("{}{}{}", &text[..begin], change.value, &text[end..]);
        // A nested table may have the key too: right is the place that changes this value and nothing else.
        if serde_json::from_str::<Value>(&candidate).is_ok_and(|found| found == expected) {
            return candidate;
        }
    }
    format!("{expected:#}\n")
}

impl Checkpoint {
    /// This checkpoint with other values in its config.
    pub(crate) fn with_config(&self, changes: Vec<ConfigChange>) -> Checkpoint {
        let Some(mut config) = self.opened.config.clone() else {
            return self.clone();
        };
        for change in &changes {
            let table: Option<&mut Map<String, Value>> = match change.table {
                None => Some(&mut config),
                Some(table) => config.get_mut(table).and_then(Value::as_object_mut),
            };
            if let Some(value) = table.and_then(|table| table.get_mut(&change.key)) {
                *value = change.value.clone();
            }
        }
        Checkpoint {
            config: Some(std::sync::Arc::new(Configured { config, changes })),
            ..self.clone()
        }
    }

    /// Gives a side file the content that it has here.
    pub(super) fn configured(&self, file: SideFile) -> Result<SideFile> {
        match &self.config {
            Some(configured) if file.name() == CONFIG_FILE => {
                let bytes = file.read()?;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let text = configured
                    .changes
                    .iter()
                    .fold(text, |text, change| with_value(&text, change));
                Ok(file.with_content(text.into_bytes()))
            }
            _ => Ok(file),
        }
    }
}

/// A config with other values than are stored.
pub(super) struct Configured {
    pub(super) config: Map<String, Value>,
    changes: Vec<ConfigChange>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changed(text: &str, table: Option<&'static str>, key: &str, value: Value) -> String {
        let key = key.to_owned();
        with_value(text, &ConfigChange { table, key, value })
    }

    #[test]
    fn replaces_the_value_and_nothing_else() {
        let text = "{\n  \"eps\": 1e-06,\n  \"layers\" : [\"a\",\n \"b\"], \"text_config\": {\"layers\": 2, \"of\": \"layers\"}\n}\n";
        assert_eq!(
            changed(text, None, "layers", json!(["b"])),
            "{\n  \"eps\": 1e-06,\n  \"layers\" : [\"b\"], \"text_config\": {\"layers\": 2, \"of\": \"layers\"}\n}\n"
        );
        assert_eq!(
            changed(text, Some("text_config"), "layers", json!(31)),
            text.replace("\"layers\": 2", "\"layers\": 31")
        );
        for (table, key) in [(None, "absent"), (Some("absent"), "layers")] {
            assert_eq!(changed(text, table, key, json!(1)), text);
        }
        assert_eq!(changed("not json", None, "layers", json!(1)), "not json");
    }

    #[test]
    fn a_key_that_is_written_otherwise_is_found_too() {
        let text = r#"{"l\u0061yers": 1, "other": "\"layers\": 1"}"#;
        let found: Value = serde_json::from_str(&changed(text, None, "layers", json!(2))).unwrap();
        assert_eq!(found, json!({"layers": 2, "other": "\"layers\": 1"}));
    }
}
