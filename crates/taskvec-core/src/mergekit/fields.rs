//! Mappings whose keys are taken one by one, and what is said of a value that is none.

use super::error::{ConfigProblem, Position};
use super::yaml::{Fault, Key, Node, Value};
use crate::spelling::near_names;

/// A mapping whose keys are taken one by one; what is left is unknown.
pub(super) struct Fields<'a> {
    pub(super) place: String,
    pub(super) at: Position,
    entries: Vec<(&'a Key, &'a Node)>,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(place: impl Into<String>, node: &'a Node) -> Result<Self, Fault> {
        let place = place.into();
        match &node.value {
            Value::Mapping(entries) => Ok(Self {
                place,
                at: node.at,
                entries: entries.iter().map(|(key, value)| (key, value)).collect(),
                asked: Vec::new(),
            }),
            _ => Err(expected(place, "a mapping", node)),
        }
    }

    /// The value of a key; none where it is absent or null.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        let index = self
            .entries
            .iter()
            .position(|(known, _)| known.text == key)?;
        Some(self.entries.remove(index).1).filter(|node| !node.is_null())
    }

    pub(super) fn require(&mut self, key: &'static str) -> Result<&'a Node, Fault> {
        self.take(key).ok_or_else(|| {
            let place = self.place.clone();
            (self.at, ConfigProblem::MissingKey { place, key })
        })
    }

    pub(super) fn refuse(
        &mut self,
        key: &'static str,
        reason: &'static str,
        instead: Option<&'static str>,
    ) -> Result<(), Fault> {
        match self.take(key) {
            Some(node) => Err(unsupported(node.at, format!("`{key}`"), reason, instead)),
            None => Ok(()),
        }
    }

    pub(super) fn finish(self) -> Result<(), Fault> {
        match self.entries.first() {
            None => Ok(()),
            Some((key, _)) => {
                let problem = ConfigProblem::UnknownKey {
                    place: self.place,
                    key: key.text.clone(),
                    known: near_names(&key.text, self.asked),
                };
                Err((key.at, problem))
            }
        }
    }
}

pub(super) fn expected(what: impl Into<String>, expected: &'static str, node: &Node) -> Fault {
    let (what, found) = (what.into(), node.describe());
    let problem = ConfigProblem::Expected {
        what,
        expected,
        found,
    };
    (node.at, problem)
}

pub(super) fn unsupported(
    at: Position,
    what: impl Into<String>,
    reason: &'static str,
    instead: Option<&'static str>,
) -> Fault {
    let problem = ConfigProblem::Unsupported {
        what: what.into(),
        reason,
        instead,
    };
    (at, problem)
}

pub(super) fn invalid(at: Position, reason: impl Into<String>) -> Fault {
    let reason = reason.into();
    (at, ConfigProblem::Invalid { reason })
}

pub(super) fn items<'a>(what: &str, node: &'a Node) -> Result<&'a [Node], Fault> {
    match &node.value {
        Value::Sequence(items) if !items.is_empty() => Ok(items),
        _ => Err(expected(what, "a list with something in it", node)),
    }
}

pub(super) fn text<'a>(what: &str, node: &'a Node) -> Result<&'a str, Fault> {
    match &node.value {
        Value::Scalar { text, .. } if !text.is_empty() => Ok(text),
        _ => Err(expected(what, "a text", node)),
    }
}
