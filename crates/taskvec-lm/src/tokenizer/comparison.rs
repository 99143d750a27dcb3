//! Two `tokenizer.json` side by side: does a row of the embeddings stand for the same token in both?
//!
//! Looks at vocabularies, added tokens and merges alone, whatever kind of tokenizer it is. Not covered: normalisers and
//! pre-tokenizers, of which only that the files differ is known.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Result};

/// How two tokenizers differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenizerComparison {
    /// Tokens that both have under one id, added tokens included.
    pub shared: usize,
    /// Tokens that only the left has under that id, by id.
    pub only_left: BTreeMap<u64, String>,
    /// Tokens that only the right has under that id, by id.
    pub only_right: BTreeMap<u64, String>,
    /// Contents of added tokens that only the left has.
    pub added_left: BTreeSet<String>,
    /// Contents of added tokens that only the right has.
    pub added_right: BTreeSet<String>,
    /// Whether text is cut by the same merges.
    pub same_merges: bool,
    /// Whether the files are one byte for byte.
    pub same_bytes: bool,
}

impl TokenizerComparison {
    /// Whether every id stands for the same token in both.
    pub fn same_vocabulary(&self) -> bool {
        self.only_left.is_empty() && self.only_right.is_empty()
    }
}

#[derive(Deserialize)]
struct Contents {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    model: Value,
}

#[derive(Deserialize)]
struct Added {
    id: u64,
    content: String,
}

impl Contents {
    fn parse(file: &str, json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).map_err(|source| Error::Json {
            file: file.to_owned(),
            source,
        })
    }

    /// Every id with its token. A vocabulary is a map from token to id, or of some kinds a list of pairs.
    fn tokens(&self) -> BTreeMap<u64, String> {
        let mut tokens = BTreeMap::new();
        match self.model.get("vocab") {
            Some(Value::Object(entries)) => tokens.extend(
                entries
                    .iter()
                    .filter_map(|(token, id)| Some((id.as_u64()?, token.clone()))),
            ),
            Some(Value::Array(entries)) => tokens.extend(
                (0..)
                    .zip(entries)
                    .filter_map(|(id, entry)| Some((id, entry.get(0)?.as_str()?.to_owned()))),
            ),
            _ => {}
        }
        let added = self.added_tokens.iter();
        tokens.extend(added.map(|added| (added.id, added.content.clone())));
        tokens
    }

    fn added(&self) -> BTreeSet<&str> {
        let added = self.added_tokens.iter();
        added.map(|added| added.content.as_str()).collect()
    }
}

/// Compares the bytes of two `tokenizer.json`, each with its name for messages.
///
/// # Errors
///
/// [`Error::Json`] naming the file that is no such JSON.
pub fn compare(left: (&str, &[u8]), right: (&str, &[u8])) -> Result<TokenizerComparison> {
    let same_bytes = left.1 == right.1;
    let (left, right) = (
        Contents::parse(left.0, left.1)?,
        Contents::parse(right.0, right.1)?,
    );
    let (ours, theirs) = (left.tokens(), right.tokens());
    let without = |some: &BTreeMap<u64, String>, others: &BTreeMap<u64, String>| {
        some.iter()
            .filter(|(id, token)| others.get(id) != Some(token))
            .map(|(id, token)| (*id, token.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    let only = |some: &Contents, others: &Contents| {
        let difference = &some.added() - &others.added();
        difference.into_iter().map(str::to_owned).collect()
    };
    let only_left = without(&ours, &theirs);
    Ok(TokenizerComparison {
        shared: ours.len() - only_left.len(),
        only_right: without(&theirs, &ours),
        only_left,
        added_left: only(&left, &right),
        added_right: only(&right, &left),
        same_merges: left.model.get("merges") == right.model.get("merges"),
        same_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(tokens: &[&str], added: &[(u64, &str)]) -> Vec<u8> {
        let vocab: serde_json::Map<String, Value> = tokens
            .iter()
            .zip(0u64..)
            .map(|(token, id)| ((*token).to_owned(), id.into()))
            .collect();
        let added: Vec<Value> = added
            .iter()
            .map(|(id, content)| serde_json::json!({"id": id, "content": content}))
            .collect();
        serde_json::json!({"added_tokens": added, "model": {"vocab": vocab, "merges": []}})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn the_same_an_added_token_and_a_moved_one() {
        let plain = json(&["a", "b"], &[(2, "<end>")]);
        let same = compare(("l", &plain), ("r", &plain)).unwrap();
        assert!(same.same_vocabulary() && same.same_bytes && same.same_merges);
        assert_eq!(same.shared, 3);

        let more = json(&["a", "b"], &[(2, "<end>"), (3, "<think>")]);
        let found = compare(("l", &plain), ("r", &more)).unwrap();
        assert!(!found.same_vocabulary() && found.only_left.is_empty());
        assert_eq!(found.added_right, BTreeSet::from(["<think>".to_owned()]));
        assert_eq!(found.shared, 3);

        let moved = json(&["b", "a"], &[(2, "<end>")]);
        let found = compare(("l", &plain), ("r", &moved)).unwrap();
        assert_eq!((found.shared, found.only_left.len()), (1, 2));
        assert!(found.added_left.is_empty());
    }

    #[test]
    fn what_is_no_json_names_its_file() {
        let error = compare(("left.json", b"{}"), ("right.json", b"<html>")).unwrap_err();
        assert!(error.to_string().contains("right.json"), "{error}");
    }
}
