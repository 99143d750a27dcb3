//! `tokenizer.json` checked before the `tokenizers` library sees it.
//!
//! That library indexes past the end of a buffer when a merge makes a string longer than any
//! vocabulary entry, overflows on ids near 2³², and renumbers added tokens without a word. Each of
//! these is refused here, so that a hostile file is an error and never a panic or a wrong id.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Result};

/// More entries than any published vocabulary has (the largest are near 2¹⁸).
const MAX_ENTRIES: usize = 1 << 22;

#[derive(Deserialize)]
struct Layout {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    decoder: Option<Value>,
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    vocab: Value,
    #[serde(default)]
    merges: Vec<Merge>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Line(String),
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

/// What of a checked `tokenizer.json` the wrapper needs: the largest id, added tokens included.
pub(super) struct Checked {
    pub(super) largest_id: u32,
    pub(super) added: BTreeMap<u32, String>,
}

/// Refuses what is not a sound byte-level BPE.
///
/// # Errors
///
/// [`Error::Json`] for text that is not such JSON, [`Error::UnsupportedTokenizer`] for another kind
/// of tokenizer, [`Error::InvalidTokenizer`] for one that contradicts itself.
pub(super) fn check(file: &str, bytes: &[u8]) -> Result<Checked> {
    let invalid = |problem: String| Error::InvalidTokenizer {
        file: file.to_owned(),
        problem,
    };
    let unsupported =
        |part: &'static str, found: String, supported: &'static str| Error::UnsupportedTokenizer {
            file: file.to_owned(),
            part,
            found,
            supported,
        };
    let layout: Layout = serde_json::from_slice(bytes).map_err(|source| Error::Json {
        file: file.to_owned(),
        source,
    })?;
    let model = layout.model;

    let kind = model.kind.as_deref().unwrap_or("BPE");
    if kind != "BPE" {
        return Err(unsupported("model", kind.to_owned(), "BPE"));
    }
    if !is_byte_level(layout.decoder.as_ref()) {
        let found = layout
            .decoder
            .as_ref()
            .and_then(|decoder| decoder.get("type"));
        let found = found.map_or_else(|| "none".to_owned(), Value::to_string);
        return Err(unsupported("decoder", found, "ByteLevel"));
    }
    for (part, text) in [
        (
            "continuing_subword_prefix",
            &model.continuing_subword_prefix,
        ),
        ("end_of_word_suffix", &model.end_of_word_suffix),
    ] {
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            return Err(unsupported(part, format!("{text:?}"), "an empty one"));
        }
    }
    if model.dropout.is_some_and(|dropout| dropout != 0.0) {
        return Err(unsupported(
            "dropout",
            format!("{:?}", model.dropout),
            "none",
        ));
    }
    if model.byte_fallback {
        return Err(unsupported("byte_fallback", "true".to_owned(), "false"));
    }

    let Value::Object(vocabulary) = model.vocab else {
        return Err(invalid("`model.vocab` is not an object".to_owned()));
    };
    if vocabulary.len() > MAX_ENTRIES {
        return Err(invalid(format!(
            "`model.vocab` has {} entries, more than {MAX_ENTRIES}",
            vocabulary.len()
        )));
    }
    let mut taken = vec![false; vocabulary.len()];
    for (token, id) in &vocabulary {
        let slot = id
            .as_u64()
            .and_then(|id| usize::try_from(id).ok())
            .and_then(|id| taken.get_mut(id));
        match slot {
            Some(taken) if !*taken => *taken = true,
            _ => {
                return Err(invalid(format!(
                    "`model.vocab` gives {token:?} the id {id}: expected each id from 0 to {} once",
                    vocabulary.len() - 1
                )));
            }
        }
    }
    for (rank, merge) in model.merges.iter().enumerate() {
        let pair = match merge {
            Merge::Pair(left, right) => Some((left.as_str(), right.as_str())),
            Merge::Line(line) if line.starts_with("#version") => continue,
            Merge::Line(line) => line
                .split_once(' ')
                .filter(|(_, right)| !right.contains(' ')),
        };
        let Some((left, right)) = pair else {
            return Err(invalid(format!("merge {rank} is not two tokens")));
        };
        let joined = format!("{left}{right}");
        for token in [left, right, &joined] {
            if !vocabulary.contains_key(token) {
                return Err(invalid(format!(
                    "merge {rank} names {token:?}, which `model.vocab` lacks"
                )));
            }
        }
    }

    // The library gives an added token the id of its vocabulary entry, or else the next free one;
    // the file's own numbers must agree with that, or every text with such a token would be wrong.
    let mut added = BTreeMap::new();
    let mut next = vocabulary.len();
    let mut numbered = BTreeMap::new();
    for token in &layout.added_tokens {
        if token.content.is_empty() {
            return Err(invalid(format!("added token {} is empty", token.id)));
        }
        let expected = match (vocabulary.get(&token.content), numbered.get(&token.content)) {
            (Some(id), _) => id.as_u64().and_then(|id| usize::try_from(id).ok()),
            (None, Some(id)) => Some(*id),
            (None, None) => {
                next += 1;
                Some(next - 1)
            }
        };
        if expected != usize::try_from(token.id).ok() {
            return Err(invalid(format!(
                "added token {:?} has the id {}, expected {}",
                token.content,
                token.id,
                expected.map_or_else(|| "none".to_owned(), |id| id.to_string()),
            )));
        }
        numbered.insert(token.content.clone(), token.id as usize);
        added.insert(token.id, token.content.clone());
    }
    let largest_id = u32::try_from(next.saturating_sub(1))
        .map_err(|_| invalid(format!("{next} tokens are too many")))?;
    if next == 0 {
        return Err(invalid("the vocabulary is empty".to_owned()));
    }
    Ok(Checked { largest_id, added })
}

fn is_byte_level(decoder: Option<&Value>) -> bool {
    let Some(decoder) = decoder else { return false };
    match decoder.get("type").and_then(Value::as_str) {
        Some("ByteLevel") => true,
        Some("Sequence") => match decoder
            .get("decoders")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
        {
            Some([only]) => only.get("type").and_then(Value::as_str) == Some("ByteLevel"),
            _ => false,
        },
        _ => false,
    }
}
