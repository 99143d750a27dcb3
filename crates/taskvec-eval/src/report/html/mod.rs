//! What every page of ours is made of: a document that fetches nothing, text that stays text, numbers that are read from
//! the data that the page carries.
//!
//! A page is a template of its own between `head.html` and `foot.html`, with figures by `macros.html`. What is particular
//! to a kind of page lives with it.

#[cfg(test)]
pub(super) mod reading;

use super::Figure;
use super::figure::palette;
use super::render::{self, p_value, percent, points};
use super::visible::{turns_text, visible};
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, context};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("common.js");

/// A figure as the templates show it.
#[derive(Serialize)]
pub(super) struct FigureView {
    id: String,
    title: String,
    wide: String,
    /// None where the wide one serves phones too.
    narrow: Option<String>,
}

/// The page of a template, with `data` in it: the template sees the data as `data`, and `view` as `view`. `script` runs after
/// what all pages share.
pub(super) fn document(
    template: &str,
    script: &str,
    data: &impl Serialize,
    view: &impl Serialize,
    figures: &[Figure],
) -> String {
    // Plain data with string keys and finite numbers: serialisation has no way to fail, nor has a template whose every
    // name a test has rendered.
    let data = serde_json::to_value(data).unwrap_or_default();
    let style = format!(
        "{STYLE}\n@media screen and (prefers-color-scheme:dark){{{}}}\n",
        palette::dark_rules()
    );
    let script = format!("{SCRIPT}{script}");
    let csv: BTreeMap<&str, &str> = figures
        .iter()
        .map(|figure| (figure.id.as_str(), figure.csv.as_str()))
        .collect();
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        integrity(&style),
        integrity(&script)
    );
    let context = context! {
        data => Value::from_serialize(&data),
        view => Value::from_serialize(view),
        policy,
        style => Value::from_safe_string(style),
        script => Value::from_safe_string(script),
        data_json => Value::from_safe_string(embedded(&data)),
        csv_json => Value::from_safe_string(embedded(&csv)),
    };
    environment(data)
        .and_then(|environment| environment.render_named_str("page.html", template, context))
        .unwrap_or_else(|error| format!("{error:#}"))
}

fn environment(data: serde_json::Value) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(
        |output: &mut Output<'_>, state: &State<'_, '_>, value: &Value| match value.as_str() {
            Some(text) if !value.is_safe() => {
                minijinja::escape_formatter(output, state, &Value::from(visible(text)))
            }
            _ => minijinja::escape_formatter(output, state, value),
        },
    );
    let data = Arc::new(data);
    environment.add_function("number", move |pointer: String, form: String| {
        number(&data, &pointer, &form).map(Value::from_safe_string)
    });
    environment.add_template("head.html", include_str!("head.html"))?;
    environment.add_template("foot.html", include_str!("foot.html"))?;
    environment.add_template("macros.html", include_str!("macros.html"))?;
    Ok(environment)
}

/// A number of the data, and where it stands there.
fn number(data: &serde_json::Value, pointer: &str, form: &str) -> Result<String, Error> {
    let refused =
        |what: &str| Error::new(ErrorKind::InvalidOperation, format!("{what}: {pointer}"));
    let value = data
        .pointer(pointer)
        .ok_or_else(|| refused("no such number"))?;
    let text = match value.as_f64() {
        Some(value) => shown(value, form).ok_or_else(|| refused("no such form of a number"))?,
        None if value.is_null() => "–".to_owned(),
        None => return Err(refused("not a number")),
    };
    Ok(format!(
        "<span class=\"n\" data-from=\"{pointer}\" data-as=\"{form}\">{}</span>",
        text.replace('<', "&lt;")
    ))
}

/// A number as it is shown.
pub(super) fn shown(value: f64, form: &str) -> Option<String> {
    Some(match form {
        "percent" => percent(value),
        "points" => points(value).replace('-', "−"),
        "p" => p_value(value),
        "count" => format!("{value:.0}"),
        "tokens" => format!("{value:.1}"),
        "size" => render::significant(value, 4),
        "value" => render::significant(value, 4).replace('-', "−"),
        _ => return None,
    })
}

/// The figure, each drawing named for who cannot see it.
pub(super) fn figure_view(figure: &Figure) -> FigureView {
    let description = visible(&figure.description)
        .replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;");
    let labelled = |svg: &str, class: &str| {
        let opening = format!("<svg class=\"{class}\" role=\"img\" aria-label=\"{description}\" ");
        svg.replacen("<svg ", &opening, 1)
    };
    let is_one = figure.wide == figure.narrow;
    FigureView {
        id: figure.id.clone(),
        title: figure.title.clone(),
        wide: labelled(&figure.wide, if is_one { "only" } else { "wide" }),
        narrow: (!is_one).then(|| labelled(&figure.narrow, "narrow")),
    }
}

/// JSON that can stand in a script element: no character of it means anything to HTML, ends a line of a script, or turns
/// the direction of the text that a reader of the source sees.
fn embedded(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", character as u32));
            }
            _ if turns_text(character) => {
                text.push_str(&format!("\\u{:04x}", character as u32));
            }
            _ => text.push(character),
        }
    }
    text
}

/// The hash by which a content security policy knows a text.
fn integrity(text: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(text.as_bytes())))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0u32, |group, &byte| group << 8 | u32::from(byte));
        for position in 0..4 {
            if position <= chunk.len() {
                let index = group >> (18 - 6 * position) & 63;
                text.push(char::from(ALPHABET[index as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn embedded_json_reads_back_and_means_nothing_to_html() {
        let hostile = "</script><!-- <img onerror=x> & \u{0}\u{202e}\u{2028}";
        let text = embedded(&hostile);
        assert!(
            !text.contains(['<', '>', '&', '\u{0}', '\u{202e}', '\u{2028}']),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }
}
