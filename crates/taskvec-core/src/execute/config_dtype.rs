//! The one field of a config that an output dtype makes wrong.
//!
//! Loaders cast weights to the type that `config.json` names, so a config that says `bfloat16` beside weights of another
//! type would silently round or widen them. The field is replaced in the text: every other byte stays as it was.

use serde_json::Value;

use crate::checkpoint::{ConfigChange, with_value};
use crate::dtype::Dtype;

/// The config with its dtype replaced, or `None` when it names none at its top level or already the right one.
pub(crate) fn with_dtype(config: &[u8], dtype: Dtype) -> Option<Vec<u8>> {
    let wanted = match dtype {
        Dtype::Bf16 => "bfloat16",
        Dtype::F16 => "float16",
        Dtype::F32 => "float32",
        Dtype::F64 => "float64",
        _ => return None,
    };
    let text = std::str::from_utf8(config).ok()?;
    let parsed: Value = serde_json::from_str(text).ok()?;
    // `torch_dtype` until version 4 of transformers, `dtype` since.
    let key = ["torch_dtype", "dtype"]
        .into_iter()
        .find(|key| parsed.get(key).is_some_and(Value::is_string))?;
    let change = ConfigChange {
        table: None,
        key: key.to_owned(),
        value: wanted.into(),
    };
    let replaced = with_value(text, &change);
    (replaced != text).then(|| replaced.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(config: &str, dtype: Dtype) -> Option<String> {
        with_dtype(config.as_bytes(), dtype).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn replaces_the_value_and_nothing_else() {
        assert_eq!(
            patched(
                "{\n  \"a\": 1e6,\n  \"torch_dtype\" : \"bfloat16\"\n}\n",
                Dtype::F32
            )
            .unwrap(),
            "{\n  \"a\": 1e6,\n  \"torch_dtype\" : \"float32\"\n}\n"
        );
        assert_eq!(
            patched(
                r#"{"text_config":{"dtype":"bfloat16"},"dtype":"bfloat16"}"#,
                Dtype::F16
            )
            .unwrap(),
            r#"{"text_config":{"dtype":"bfloat16"},"dtype":"float16"}"#
        );
    }

    #[test]
    fn leaves_what_is_right_or_silent() {
        assert_eq!(patched(r#"{"torch_dtype":"float32"}"#, Dtype::F32), None);
        assert_eq!(patched(r#"{"note":"torch_dtype"}"#, Dtype::F32), None);
        assert_eq!(patched("not json", Dtype::F32), None);
    }
}
