//! What `taskvec inspect --json` found of a vector, as far as a report shows it.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The form of the document that is understood.
const SCHEMA: u32 = 1;

/// A vector, or a model's change, by layer and module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// What was inspected.
    pub expression: String,
    /// `vector` or `model`.
    pub kind: String,
    /// The model that norms are relative to.
    pub origin: Option<String>,
    /// All of it.
    pub total: Found,
    /// One for each module of each layer.
    pub rows: Vec<Group>,
}

/// All tensors of one module in one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Which layer, counted from 0; none outside the layers.
    pub layer: Option<u32>,
    /// Which module: `mlp`, `attention.q`.
    pub module: String,
    /// Euclidean length.
    pub norm: f64,
    /// Length over that of the origin's tensors.
    pub relative_norm: Option<f64>,
    /// How much of the change is left once it is stored, from 0 to 1.
    pub survival: Option<f64>,
}

/// The same numbers of all tensors together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// How many weights.
    pub elements: u64,
    /// Euclidean length.
    pub norm: f64,
    /// Length over that of the origin's tensors.
    pub relative_norm: Option<f64>,
    /// How much of the change is left once it is stored, from 0 to 1.
    pub survival: Option<f64>,
}

impl Inspection {
    /// Reads the document from the bytes of `path`, which errors name.
    ///
    /// # Errors
    ///
    /// [`Error::Inspection`] for anything but a document that `taskvec inspect --json` printed by group, numbers that are
    /// not finite among it.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Heading {
            schema_version: u32,
            by: String,
        }
        let refused = |problem: String| Error::Inspection {
            path: path.to_owned(),
            problem,
        };
        let heading: Heading =
            serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
        if heading.schema_version != SCHEMA {
            return Err(refused(format!(
                "its schema version is {}, expected {SCHEMA}",
                heading.schema_version
            )));
        }
        if heading.by != "group" {
            return Err(refused(format!(
                "its rows are one for each {}, expected one for each group",
                heading.by
            )));
        }
        serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))
    }
}
