//! Figures: SVG to look at, CSV to compute with.
//!
//! Every figure is drawn at two widths, of a page and of a phone, because a drawing that is scaled down takes its text
//! with it. Not covered: what is interactive.

mod bars;
mod canvas;
mod curve;
mod heat_map;
mod importance;
pub(crate) mod palette;
mod traces;

pub(crate) use bars::bars;
pub(crate) use curve::{Series, curve};
pub(crate) use heat_map::{Measure, heat_map};
pub(crate) use importance::importance;
pub(crate) use traces::{Measured, Sheet, Trace, traces};

/// Width of a figure on a page, in CSS pixels.
const WIDE: f64 = 720.0;
/// Width of a figure on a phone.
const NARROW: f64 = 320.0;
/// Size of text in a figure.
const TEXT_SIZE: f64 = 12.0;

/// One figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// A name for files and anchors: letters, digits and hyphens.
    pub id: String,
    /// What it shows, in a few words.
    pub title: String,
    /// What it shows, for who cannot see it.
    pub description: String,
    /// The SVG document for a page.
    pub wide: String,
    /// The SVG document for a phone; the same where one serves both.
    pub narrow: String,
    /// The numbers in it, with a heading.
    pub csv: String,
}

/// A line of a CSV file (RFC 4180): fields with a comma, a quote or a line break are quoted.
fn csv_line(fields: &[String]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|field| {
            if field.contains([',', '"', '\n', '\r']) {
                format!("\"{}\"", field.replace('"', "\"\""))
            } else {
                field.clone()
            }
        })
        .collect();
    format!("{}\r\n", fields.join(","))
}

/// A name for files and anchors made from any text.
pub(crate) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must() {
        let fields = ["a", "b,c", "say \"x\""].map(str::to_owned);
        assert_eq!(csv_line(&fields), "a,\"b,c\",\"say \"\"x\"\"\"\r\n");
    }

    #[test]
    fn slugs() {
        assert_eq!(slug("micro-gsm: a = −0.5 <b>"), "micro-gsm-a-0-5-b");
        assert_eq!(slug("…"), "");
    }
}
