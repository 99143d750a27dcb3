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
