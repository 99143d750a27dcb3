//! YAML to a tree in which every scalar still is the text that was written, with its place.
//!
//! A number must keep its digits, for coefficients are exact, and errors must name lines; so the parser's events are
//! taken as they come. Aliases are followed; the tree has bounds on its size and depth, for the file may be hostile.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::error::{ConfigProblem, Position};

/// Bytes that a file may have.
const MAXIMUM_BYTES: usize = 1 << 20;
/// Nodes that a tree may have, aliases followed.
const MAXIMUM_NODES: usize = 100_000;
/// Collections in one another.
const MAXIMUM_DEPTH: usize = 32;

pub(super) type Fault = (Position, ConfigProblem);

/// A piece of YAML.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) at: Position,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Text, and whether it stood without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    Sequence(Vec<Node>),
    /// In the order of the file; no key stands twice.
    Mapping(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) at: Position,
}

impl Node {
    /// Whether nothing was given: `key:`, `key: ~`, `key: null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// How errors name it.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            _ if self.is_null() => "nothing".to_owned(),
            Value::Scalar { text, .. } => {
                let shown: String = text.chars().take(60).collect();
                let cut = if shown.len() < text.len() { "…" } else { "" };
                format!("`{}{cut}`", shown.escape_debug())
            }
            Value::Sequence(items) if items.is_empty() => "an empty list".to_owned(),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        }
    }

    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Scalar { .. } => 0,
            Value::Sequence(items) => items.iter().map(Self::size).sum(),
            Value::Mapping(entries) => entries.iter().map(|(_, node)| 1 + node.size()).sum(),
        }
    }
}

fn position(marker: &Marker) -> Position {
    Position {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

/// A collection that is not closed yet.
struct Open {
    anchor: usize,
    at: Position,
    items: Vec<Node>,
    is_mapping: bool,
}

/// Parses the one document of `text`; none when there is nothing in it.
pub(super) fn parse(text: &str) -> Result<Option<Node>, Fault> {
    let start = Position { line: 1, column: 1 };
    let too_large = |limit, what| ConfigProblem::TooLarge { limit, what };
    if text.len() > MAXIMUM_BYTES {
        return Err((start, too_large(MAXIMUM_BYTES, "bytes")));
    }
    let mut anchors: BTreeMap<usize, (Node, usize)> = BTreeMap::new();
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    let mut nodes = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let reason = error.info().to_owned();
            (position(error.marker()), ConfigProblem::Yaml { reason })
        })?;
        let at = position(&span.start);
        let unsupported = |what: &str| {
            let problem = ConfigProblem::Unsupported {
                what: what.to_owned(),
                reason: "mergekit files have no use for it",
                instead: None,
            };
            (at, problem)
        };
        let (node, anchor) = match event {
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => return Err(unsupported("a YAML tag")),
            Event::Scalar(text, style, anchor, None) => {
                let value = Value::Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain,
                };
                nodes += 1;
                (Node { value, at }, anchor)
            }
            Event::SequenceStart(anchor, None) | Event::MappingStart(anchor, None) => {
                if open.len() >= MAXIMUM_DEPTH {
                    return Err((at, too_large(MAXIMUM_DEPTH, "levels")));
                }
                open.push(Open {
                    anchor,
                    at,
                    items: Vec::new(),
                    is_mapping: matches!(event, Event::MappingStart(..)),
                });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(closed) = open.pop() else {
                    continue;
                };
                let value = if closed.is_mapping {
                    Value::Mapping(entries(closed.items)?)
                } else {
                    Value::Sequence(closed.items)
                };
                nodes += 1;
                (
                    Node {
                        value,
                        at: closed.at,
                    },
                    closed.anchor,
                )
            }
            Event::Alias(anchor) => {
                // An anchor that is still open would hold itself.
                let Some((node, size)) = anchors.get(&anchor) else {
                    return Err(unsupported("an alias to what it stands in"));
                };
                nodes += size;
                if nodes > MAXIMUM_NODES {
                    return Err((at, too_large(MAXIMUM_NODES, "values")));
                }
                (node.clone(), 0)
            }
            Event::DocumentStart(_) if root.is_some() => {
                return Err(unsupported("a second document in one file"));
            }
            _ => continue,
        };
        if nodes > MAXIMUM_NODES {
            return Err((at, too_large(MAXIMUM_NODES, "values")));
        }
        if anchor > 0 {
            anchors.insert(anchor, (node.clone(), node.size()));
        }
        match open.last_mut() {
            Some(parent) => parent.items.push(node),
            None => root = Some(node),
        }
    }
    Ok(root)
}

/// Keys and values in turn, as pairs.
fn entries(items: Vec<Node>) -> Result<Vec<(Key, Node)>, Fault> {
    let mut entries: Vec<(Key, Node)> = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        let at = key.at;
        let Value::Scalar { text, .. } = key.value else {
            let problem = ConfigProblem::Expected {
                what: "a key".to_owned(),
                expected: "a text",
                found: key.describe(),
            };
            return Err((at, problem));
        };
        if entries.iter().any(|(known, _)| known.text == text) {
            return Err((at, ConfigProblem::RepeatedKey { key: text }));
        }
        entries.push((Key { text, at }, value));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_places_are_kept() {
        let root = parse("a: 0.70\nb: [1, \"2\"]\n").unwrap().unwrap();
        let Value::Mapping(entries) = &root.value else {
            panic!("{root:?}");
        };
        assert_eq!(
            entries[0].1.value,
            Value::Scalar {
                text: "0.70".into(),
                plain: true
            }
        );
        assert_eq!(entries[1].0.at, Position { line: 2, column: 1 });
        let Value::Sequence(items) = &entries[1].1.value else {
            panic!("{root:?}");
        };
        assert_eq!(
            items[1].value,
            Value::Scalar {
                text: "2".into(),
                plain: false
            }
        );
        assert_eq!(items[1].at, Position { line: 2, column: 8 });
        assert_eq!(parse("# nothing\n").unwrap(), None);
    }

    #[test]
    fn aliases_are_followed() {
        let root = parse("a: &x {filter: mlp, value: 1}\nb: [*x, *x]")
            .unwrap()
            .unwrap();
        let Value::Mapping(entries) = &root.value else {
            panic!("{root:?}");
        };
        assert_eq!(
            entries[1].1.value,
            Value::Sequence(vec![entries[0].1.clone(), entries[0].1.clone()])
        );
    }

    #[test]
    fn hostile_files_are_refused() {
        let bomb = (1..12).fold("a0: &a0 [x, x]\n".to_owned(), |text, level| {
            let items = vec![format!("*a{}", level - 1); 9].join(", ");
            format!("{text}a{level}: &a{level} [{items}]\n")
        });
        for text in [
            bomb.as_str(),
            &"[".repeat(1000),
            &format!("{}{}", "[".repeat(40), "]".repeat(40)),
            "a: 1\na: 2",
            "a: !!python/object x",
            "a: 1\n---\nb: 2",
            "[1, 2]: 3",
            "a: &x [*x]",
            "a: *x",
            "a: 'open",
            &" ".repeat(MAXIMUM_BYTES + 1),
        ] {
            assert!(parse(text).is_err(), "{}", &text[..text.len().min(50)]);
        }
    }
}
