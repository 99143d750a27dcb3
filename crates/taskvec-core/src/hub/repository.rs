//! A repository's names: on the Hub's pages, in its API, in the cache.

use std::fmt;

/// What a repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Model,
    DataSet,
}

/// A repository on the Hub.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Repository {
    pub(super) kind: Kind,
    /// `organisation/name`.
    pub(super) name: String,
}

impl Repository {
    pub(super) fn model(name: &str) -> Self {
        Self {
            kind: Kind::Model,
            name: name.to_owned(),
        }
    }

    pub(super) fn data_set(name: &str) -> Self {
        Self {
            kind: Kind::DataSet,
            name: name.to_owned(),
        }
    }

    /// Its path on the Hub; those of models stand at the root.
    pub(super) fn page(&self) -> String {
        match self.kind {
            Kind::Model => self.name.clone(),
            Kind::DataSet => format!("datasets/{}", self.name),
        }
    }

    /// Its path in the Hub's API.
    pub(super) fn api(&self) -> String {
        match self.kind {
            Kind::Model => format!("models/{}", self.name),
            Kind::DataSet => self.page(),
        }
    }

    /// Its directory in the cache.
    pub(super) fn folder(&self) -> String {
        self.api().replace('/', "--")
    }
}

/// As a reference names it.
impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf:{}", self.page())
    }
}
