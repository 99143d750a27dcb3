//! `taskvec.json`: what made an output.
//!
//! It holds nothing that differs between two runs of the same work: no time, no host, no path of the machine
//! but those the user wrote as references.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::{Checkpoint, CheckpointKind};
use crate::content_hash::ContentHash;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::xxh3::Xxh3;

/// Name of the record in an output directory.
pub const PROVENANCE_FILE: &str = "taskvec.json";
/// Version of the record's form. Raised when a reader of the old form would misread the new.
pub const PROVENANCE_SCHEMA: u32 = 1;

/// What made an output: enough to make it again and to notice that a parent is not the one used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// [`PROVENANCE_SCHEMA`] of the version that wrote it.
    pub schema: u32,
    /// Version of this crate that wrote it.
    pub taskvec: String,
    /// What the tensors are.
    pub kind: CheckpointKind,
    /// The expression, printed.
    pub expression: String,
    /// Type that computed tensors were rounded to; absent when each kept its template's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<Dtype>,
    /// The checkpoints the expression read, in its order.
    pub inputs: Vec<InputRecord>,
    /// Names bound to checkpoints that `inputs` lists under another name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, String>,
    /// Options that changed the result or let something pass, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, Value>,
    /// What rounding the result to its type did to the change, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounding: Option<RoundingRecord>,
    /// The other files of the output directory; none where the output is one file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputRecord>,
}

/// How much of a change survived the rounding of the result. Shares are of 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundingRecord {
    /// `‖stored − exact‖ / ‖change‖`.
    pub lost: f64,
    /// How far the stored weights moved along the change.
    pub survived: f64,
    /// The share of the changed elements that were stored as if nothing had been added.
    pub vanished: f64,
    /// The share of the elements from which this was estimated; 1 where it is exact.
    pub sampled: f64,
}

/// A file of an output directory as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// Its name in the directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Of weights, the hash of the JSON header alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_sha256: Option<ContentHash>,
    /// Hash of the whole file; of weights only where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<ContentHash>,
    /// Of weights, the hash of all tensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xxh3: Option<Xxh3>,
}

/// A checkpoint an output was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRecord {
    /// As it stands in the expression.
    pub name: String,
    /// Where it was found.
    pub reference: String,
    /// Commit on the Hub, where it came from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Its weight files.
    pub files: Vec<FileRecord>,
}

impl InputRecord {
    /// The record of a checkpoint that an expression names so.
    pub fn of(name: &str, checkpoint: &Checkpoint) -> Self {
        Self {
            name: name.to_owned(),
            reference: checkpoint.reference().to_string(),
            revision: checkpoint.commit().map(str::to_owned),
            files: checkpoint
                .file_records()
                .into_iter()
                .enumerate()
                .map(|(index, record)| FileRecord {
                    sha256: record.sha256.or_else(|| checkpoint.hub_sha256(index)),
                    ..record
                })
                .collect(),
        }
    }
}

/// A weight file as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its name in the directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Hash of its JSON header alone: names, shapes and offsets. Fine-tunes of one base share it, so it tells
    /// layouts apart, not weights.
    pub header_sha256: ContentHash,
    /// Hash of the whole file, where it was computed, or known from the name that the Hub's cache has for the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<ContentHash>,
    /// What was read of it; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<ReadRecord>,
}

/// The content of tensors as it was when it was read: all of a file, or those that the expression needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadRecord {
    /// How many tensors.
    pub tensors: usize,
    /// Hash of them; of an adapter, of the products of its factors. Rows that `--rows common` adds or leaves out are
    /// hashed as they are read.
    pub xxh3: Xxh3,
}

impl Provenance {
    /// A record by this version, without inputs or flags.
    pub fn new(kind: CheckpointKind, expression: String, dtype: Option<Dtype>) -> Self {
        Provenance {
            schema: PROVENANCE_SCHEMA,
            taskvec: env!("CARGO_PKG_VERSION").to_owned(),
            kind,
            expression,
            dtype,
            inputs: Vec::new(),
            aliases: BTreeMap::new(),
            flags: BTreeMap::new(),
            rounding: None,
            outputs: Vec::new(),
        }
    }

    /// The record as the bytes of `taskvec.json`: indented by two, ending in a newline.
    #[expect(
        clippy::missing_panics_doc,
        reason = "serialising strings, numbers and string-keyed maps to memory cannot fail"
    )]
    pub fn to_json(&self) -> Vec<u8> {
        let text = serde_json::to_string_pretty(self)
            .expect("a provenance record holds nothing that JSON cannot");
        format!("{text}\n").into_bytes()
    }

    /// Reads the bytes of the `taskvec.json` at `file`.
    ///
    /// # Errors
    ///
    /// [`Error::ProvenanceSchema`] when a later version wrote it in another form, [`Error::Json`] when it is no
    /// such record.
    pub fn parse(file: &Path, json: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let invalid = |source| Error::Json {
            file: file.to_path_buf(),
            source,
        };
        // The version first: of a later form nothing else may be readable.
        let Version { schema } = serde_json::from_slice(json).map_err(invalid)?;
        if schema > PROVENANCE_SCHEMA {
            return Err(Error::ProvenanceSchema {
                file: file.to_path_buf(),
                found: schema,
                supported: PROVENANCE_SCHEMA,
            });
        }
        serde_json::from_slice(json).map_err(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Provenance {
        let mut record = Provenance::new(
            CheckpointKind::Vector,
            "grpo - sft".into(),
            Some(Dtype::F32),
        );
        record.inputs.push(InputRecord {
            name: "grpo".into(),
            reference: "out/grpo".into(),
            revision: None,
            files: vec![FileRecord {
                name: "model.safetensors".into(),
                bytes: 12,
                header_sha256: ContentHash::of(b"{}"),
                sha256: None,
                read: None,
            }],
        });
        record
    }

    #[test]
    fn json_returns_the_record_and_is_stable() {
        let json = record().to_json();
        let text = String::from_utf8(json.clone()).unwrap();
        assert!(
            text.starts_with("{\n  \"schema\": 1,\n  \"taskvec\": \""),
            "{text}"
        );
        assert!(text.contains("\"kind\": \"vector\"") && text.contains("\"dtype\": \"F32\""));
        assert!(!text.contains("null"), "{text}");
        assert_eq!(
            Provenance::parse(Path::new("taskvec.json"), &json).unwrap(),
            record()
        );
    }

    #[test]
    fn a_later_schema_is_refused_even_when_nothing_else_is_readable() {
        let error = Provenance::parse(Path::new("taskvec.json"), br#"{"schema": 9, "kind": []}"#)
            .unwrap_err();
        assert!(
            matches!(
                error,
                Error::ProvenanceSchema {
                    found: 9,
                    supported: 1,
                    ..
                }
            ),
            "{error}"
        );
        let error = Provenance::parse(Path::new("taskvec.json"), br#"{"schema": 1}"#).unwrap_err();
        assert!(matches!(error, Error::Json { .. }), "{error}");
    }
}
