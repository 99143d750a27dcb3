//! What can be wrong with a mergekit file, and where.

use std::fmt;

use thiserror::Error;

use crate::spelling::alternatives;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

/// A fault in a mergekit file, with the place where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as it was given.
    pub file: String,
    /// Where in it.
    pub position: Position,
    /// What is wrong.
    pub problem: ConfigProblem,
}

/// The ways in which a mergekit file can be wrong, or beyond what is supported.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// Not YAML.
    #[error("this is not valid YAML: {reason}")]
    Yaml {
        /// What the parser says.
        reason: String,
    },
    /// YAML that could exhaust memory.
    #[error("the file has more than {limit} {what}")]
    TooLarge {
        /// How many are allowed.
        limit: usize,
        /// Of what.
        what: &'static str,
    },
    /// Something else should stand here.
    #[error("`{what}` must be {expected}, not {found}")]
    Expected {
        /// What has the value.
        what: String,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A key that mergekit does not have.
    #[error("{place} has no key `{key}`")]
    UnknownKey {
        /// Where.
        place: String,
        /// The key.
        key: String,
        /// Keys that are near, or else all.
        known: Vec<String>,
    },
    /// A key given twice.
    #[error("`{key}` is given twice")]
    RepeatedKey {
        /// The key.
        key: String,
    },
    /// A key that must be given.
    #[error("{place} needs `{key}`")]
    MissingKey {
        /// Where.
        place: String,
        /// The key.
        key: &'static str,
    },
    /// A merge method that mergekit does not have.
    #[error("mergekit has no merge method `{name}`")]
    UnknownMethod {
        /// The name.
        name: String,
        /// Methods that are near, or else all.
        known: Vec<String>,
    },
    /// Something of mergekit that is not supported.
    #[error("{what} is not supported: {reason}")]
    Unsupported {
        /// What.
        what: String,
        /// Why not.
        reason: &'static str,
        /// What to do instead.
        instead: Option<&'static str>,
    },
    /// A range of no layers, or one that goes down.
    #[error("`layer_range` {range:?} has no layer in it", range = [range.0, range.1])]
    NoLayers {
        /// The range: its first layer and the one after its last.
        range: (u32, u32),
    },
    /// A range that goes beyond the layers of its model.
    #[error("`layer_range` {range:?} goes beyond the last layer of `{model}`, which has {depth} layers, 0 to {last}",
        range = [range.0, range.1], last = depth.saturating_sub(1))]
    NoSuchLayers {
        /// The range: its first layer and the one after its last.
        range: (u32, u32),
        /// The model.
        model: String,
        /// Its layers.
        depth: u32,
    },
    /// A range of layers in a model that counts layers in several lists.
    #[error("`layer_range` could mean layers of {count} lists of `{model}`, such as `{list}`",
        count = lists.len(), list = lists.join("` and `"))]
    SeveralLists {
        /// The model.
        model: String,
        /// How the names of their tensors begin.
        lists: Vec<String>,
    },
    /// Ranges of one slice that are not equally long.
    #[error("a slice of {one} layers of `{first}` and {two} of `{second}`: {left:?} and {right:?}",
        one = left.1.1 - left.1.0, first = left.0, two = right.1.1 - right.1.0, second = right.0,
        left = [left.1.0, left.1.1], right = [right.1.0, right.1.1])]
    UnequalRanges {
        /// The slice's first model, and its range.
        left: (String, (u32, u32)),
        /// The model whose range is another, and that.
        right: (String, (u32, u32)),
    },
    /// Something that mergekit refuses as well.
    #[error("{reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
}

impl ConfigError {
    /// What to write instead, where that is known.
    pub fn hint(&self) -> Option<String> {
        match &self.problem {
            ConfigProblem::UnknownKey { known, .. }
            | ConfigProblem::UnknownMethod { known, .. }
                if !known.is_empty() =>
            {
                Some(format!(
                    "there is {}",
                    alternatives(known).replace(" or ", " and ")
                ))
            }
            ConfigProblem::UnknownKey { .. } => {
                Some("mergekit passes over keys it does not know; remove it".to_owned())
            }
            ConfigProblem::NoLayers { .. } => Some(
                "the first number is the first layer, counted from 0, and the second the one after the last: `[0, 8]` are the first eight"
                    .to_owned(),
            ),
            ConfigProblem::NoSuchLayers { depth, .. } => Some(format!(
                "the second number is the one after the last layer, here {depth} at most"
            )),
            ConfigProblem::SeveralLists { .. } => Some(
                "layers are moved in models that have one list of them; whole models are merged under `models`, and a `filter` tells their parts apart"
                    .to_owned(),
            ),
            ConfigProblem::UnequalRanges { .. } => Some(
                "layers are merged one by one, so every source of a slice must give equally many".to_owned(),
            ),
            ConfigProblem::Unsupported { instead, .. } => instead.map(str::to_owned),
            _ => None,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "`{}`, line {}, column {}: {}",
            self.file, self.position.line, self.position.column, self.problem
        )
    }
}

impl std::error::Error for ConfigError {}
