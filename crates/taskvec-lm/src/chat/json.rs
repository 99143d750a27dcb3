//! JSON as Python's `json.dumps(…, ensure_ascii=False)` writes it.

use serde_json::Value;

/// `value` with `", "` and `": "` between items, or one item a line where there is an indent.
pub(super) fn dumps(value: &Value, indent: Option<usize>, sort_keys: bool) -> String {
    let mut text = String::new();
    write(value, Style { indent, sort_keys }, 0, &mut text);
    text
}

#[derive(Clone, Copy)]
struct Style {
    indent: Option<usize>,
    sort_keys: bool,
}

fn write(value: &Value, style: Style, depth: usize, text: &mut String) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(index, style, depth + 1, text);
                write(item, style, depth + 1, text);
            }
            close(style, depth, text);
            text.push(']');
        }
        Value::Object(fields) if !fields.is_empty() => {
            let mut fields: Vec<_> = fields.iter().collect();
            if style.sort_keys {
                fields.sort_by_key(|(name, _)| name.as_str());
            }
            text.push('{');
            for (index, (name, field)) in fields.into_iter().enumerate() {
                separate(index, style, depth + 1, text);
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push_str(": ");
                write(field, style, depth + 1, text);
            }
            close(style, depth, text);
            text.push('}');
        }
        scalar_or_empty => text.push_str(&scalar_or_empty.to_string()),
    }
}

fn separate(index: usize, style: Style, depth: usize, text: &mut String) {
    match style.indent {
        Some(indent) => {
            text.push_str(if index > 0 { ",\n" } else { "\n" });
            text.push_str(&" ".repeat(indent * depth));
        }
        None if index > 0 => text.push_str(", "),
        None => {}
    }
}

fn close(style: Style, depth: usize, text: &mut String) {
    if let Some(indent) = style.indent {
        text.push('\n');
        text.push_str(&" ".repeat(indent * depth));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_pythons() {
        // From CPython 3.11: json.dumps(value, ensure_ascii=False[, indent=2][, sort_keys=True]).
        let value =
            json!({ "b": [1, 2.5, null, true], "a": { "é<&'\"\n": "\u{1}" }, "c": [], "d": {} });
        assert_eq!(
            dumps(&value, None, false),
            "{\"b\": [1, 2.5, null, true], \"a\": {\"é<&'\\\"\\n\": \"\\u0001\"}, \"c\": [], \"d\": {}}"
        );
        assert_eq!(
            dumps(&json!({ "b": [1], "a": {} }), Some(2), true),
            "{\n  \"a\": {},\n  \"b\": [\n    1\n  ]\n}"
        );
    }
}
