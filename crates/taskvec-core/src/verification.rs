//! Whether an output still is what its provenance record says: its files, its parents, and its weights computed again.
//!
//! Three things are looked at, each as far as the record goes:
//!
//! 1. Files of the output: lengths, headers, and the hashes that were recorded.
//! 2. Weight files of the parents, in the same way. Of a parent that was read in part, that part.
//! 3. A sample of the elements, computed again from the parents. Computing is exact, so a single different bit is a
//!    difference. Where no hashes of weights were recorded, this is what notices that weights have changed.
//!
//! Not covered: what no record speaks of. A record that was edited together with what it describes is consistent.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::adapter::LORA_FLAG;
use crate::checkpoint::{Checkpoint, Library, is_plain_file_name, read_file_exact_at};
use crate::content_hash::{ContentHash, hash_by_position};
use crate::error::{Error, Result};
pub use crate::execute::{Difference, Recomputation};
use crate::execute::{Progress, hash_tensor, recompute, side_by_side};
use crate::expression::{Expression, ExpressionError, Problem};
use crate::plan::{Bindings, Plan, PlanOptions};
use crate::provenance::{FileRecord, OutputRecord, PROVENANCE_FILE, Provenance, ReadRecord};
use crate::reference::Reference;
use crate::xxh3::Xxh3;

/// The longest record that is read.
const MAX_RECORD_BYTES: u64 = 16 << 20;

/// How an output is verified.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerifyOptions<'a> {
    /// Which elements are computed again.
    pub seed: u64,
    /// Compute all elements again, not a sample.
    pub all: bool,
    /// Threads; all cores when none is given.
    pub threads: Option<NonZeroUsize>,
    /// Stops as soon as it becomes true.
    pub cancelled: Option<&'a AtomicBool>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// The record.
    pub provenance: Provenance,
    /// Every file that the record names: the output's, then the parents'.
    pub files: Vec<FileCheck>,
    /// What computing again showed; none where a training run made the weights, or a decomposition made them factors.
    pub recomputation: Option<Recomputation>,
}

/// A file beside what was recorded of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCheck {
    /// The parent whose file it is, as the expression names it; none for the output's own.
    pub parent: Option<String>,
    /// The file's name.
    pub name: String,
    /// What was found.
    pub finding: Finding,
}

/// What was found of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// Every byte is as recorded.
    SameContent,
    /// Length, header and every byte of the tensors that were read are as recorded.
    SameTensors {
        /// How many were read.
        read: usize,
        /// How many the file has.
        of: usize,
    },
    /// Length and header are as recorded; no hash was, or nothing was read of it.
    SameHeader,
    /// Something is not as recorded.
    Changed {
        /// What, recorded value first.
        what: String,
    },
    /// It is not there.
    Missing,
}

impl Finding {
    /// Whether it is as recorded, as far as the record goes.
    pub fn is_sound(&self) -> bool {
        matches!(
            self,
            Self::SameContent | Self::SameTensors { .. } | Self::SameHeader
        )
    }
}

impl Verification {
    /// Whether nothing differs from the record.
    pub fn is_sound(&self) -> bool {
        let recomputed = self.recomputation.as_ref();
        self.files.iter().all(|file| file.finding.is_sound())
            && recomputed.is_none_or(Recomputation::is_sound)
    }
}

/// Compares the output at `path`, a directory or a single file, with its record.
///
/// `bindings` says where parents are now that have moved since, by the names that the recorded expression gives them.
///
/// # Errors
///
/// [`Error::NoProvenance`] when the output carries no record; whatever opening it or a parent can say; what planning the
/// recorded expression can say.
pub fn verify(
    path: &Path,
    bindings: &Bindings,
    library: &Library,
    options: &VerifyOptions<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Verification> {
    let output = Checkpoint::open(&Reference::Path(path.to_path_buf()), library)?;
    let provenance = read_record(path, &output)?;
    let expression: Expression = provenance.expression.parse()?;
    let bindings = recorded_bindings(&provenance, &expression, bindings)?;
    let plan_options = PlanOptions {
        output_dtype: provenance.dtype,
        missing_as_zero: provenance.flags.get("missing_as_zero") == Some(&Value::Bool(true)),
        common_rows: provenance.flags.get("rows") == Some(&Value::from("common")),
        // That it was written at all is not the question here.
        allow_strangers: true,
    };
    // Branches move on; what was read lies at a commit.
    let mut commits = BTreeMap::new();
    for input in &provenance.inputs {
        if let Some(commit) = &input.revision {
            commits.insert(input.reference.parse()?, commit.clone());
        }
    }
    let library = &library.clone().at_commits(commits);
    // The factors of a decomposition are near to the vector, not equal to it.
    let approximate = output.covers_part() && provenance.flags.contains_key(LORA_FLAG);
    let plan = match Plan::build(&expression, &bindings, library, &plan_options) {
        Ok(plan) => Some(plan),
        Err(Error::Expression(error)) if is_training(&error) => None,
        Err(error) => return Err(error),
    };
    let parents: Vec<Checkpoint> = match &plan {
        Some(plan) => plan.inputs().map(|(_, parent)| parent.clone()).collect(),
        None => provenance
            .inputs
            .iter()
            .map(|input| {
                let reference = match bindings.names.get(&input.name) {
                    Some(reference) => reference.clone(),
                    None => input.reference.parse()?,
                };
                Checkpoint::open(&reference, library)
            })
            .collect::<Result<_>>()?,
    };
    let files = check_files(path, &provenance, &output, &parents, plan.as_ref(), options)?;
    let recomputation = match &plan {
        Some(plan) if !approximate => Some(recompute(plan, &output, options, progress)?),
        _ => None,
    };
    parents.iter().try_for_each(Checkpoint::verify_unchanged)?;
    Ok(Verification {
        provenance,
        files,
        recomputation,
    })
}

/// The record of a directory, or of a single file in its header.
fn read_record(path: &Path, output: &Checkpoint) -> Result<Provenance> {
    let absent = || Error::NoProvenance {
        path: path.to_path_buf(),
    };
    if !path.is_dir() {
        let text = output.metadata().get(PROVENANCE_FILE).ok_or_else(absent)?;
        return Provenance::parse(path, text.as_bytes());
    }
    let file = path.join(PROVENANCE_FILE);
    let metadata = fs::metadata(&file).map_err(|_| absent())?;
    if metadata.len() > MAX_RECORD_BYTES {
        return Err(Error::FileTooLarge {
            file,
            bytes: metadata.len(),
            limit: MAX_RECORD_BYTES,
        });
    }
    let bytes = fs::read(&file).map_err(Error::io("read", &file))?;
    Provenance::parse(&file, &bytes)
}

/// Where the names of the recorded expression point: to what was recorded, unless the caller knows better.
fn recorded_bindings(
    provenance: &Provenance,
    expression: &Expression,
    given: &Bindings,
) -> Result<Bindings> {
    let inputs = provenance
        .inputs
        .iter()
        .map(|input| (&input.name, &input.reference));
    let names = expression.names();
    let mut bindings = Bindings::default();
    for (name, reference) in inputs.chain(&provenance.aliases) {
        if names.contains(name.as_str()) {
            bindings.names.insert(name.clone(), reference.parse()?);
        }
    }
    bindings.names.extend(given.names.clone());
    Ok(bindings)
}

/// Whether the expression is that of a training run, which no arithmetic makes again.
fn is_training(error: &ExpressionError) -> bool {
    matches!(error.problem(), Problem::UnknownFunction { function, .. } if function == "sft" || function == "grpo")
}

/// One file to be looked at.
struct Subject<'a> {
    parent: Option<&'a str>,
    name: &'a str,
    bytes: u64,
    header: Option<ContentHash>,
    content: Option<ContentHash>,
    tensors: Option<Tensors<'a>>,
    /// A checkpoint and the file's number in it; none for files beside the weights.
    weights: Option<(&'a Checkpoint, usize)>,
}

/// Tensors of a file whose content was recorded.
struct Tensors<'a> {
    recorded: ReadRecord,
    /// By name on disk: where each is read, and under which name.
    read: BTreeMap<&'a str, (&'a Checkpoint, &'a str)>,
    /// Whether they are read as they are stored.
    as_stored: bool,
}

fn check_files(
    path: &Path,
    provenance: &Provenance,
    output: &Checkpoint,
    parents: &[Checkpoint],
    plan: Option<&Plan>,
    options: &VerifyOptions<'_>,
) -> Result<Vec<FileCheck>> {
    let number = |checkpoint: &Checkpoint| -> BTreeMap<String, usize> {
        let records = checkpoint.file_records().into_iter();
        records.map(|record| record.name).zip(0..).collect()
    };
    let of_output = number(output);
    let shards = output.shards();
    let reads = plan.map_or_else(Vec::new, Plan::reads);
    let mut subjects = Vec::new();
    for record in &provenance.outputs {
        let OutputRecord {
            name,
            bytes,
            header_sha256,
            sha256,
            xxh3,
        } = record;
        let weights = of_output.get(name).map(|number| (output, *number));
        // A record may have been written by anybody: no name leads out of the directory.
        if !is_plain_file_name(name) {
            return Err(Error::OutputFileName { name: name.clone() });
        }
        subjects.push(Subject {
            parent: None,
            name,
            bytes: *bytes,
            header: *header_sha256,
            content: *sha256,
            tensors: xxh3.zip(weights).map(|(xxh3, (_, number))| {
                let names = shards[number].tensors.iter().map(String::as_str);
                let read: BTreeMap<_, _> = names.map(|name| (name, (output, name))).collect();
                Tensors {
                    recorded: ReadRecord {
                        tensors: read.len(),
                        xxh3,
                    },
                    read,
                    as_stored: true,
                }
            }),
            weights,
        });
    }
    for (index, (input, parent)) in provenance.inputs.iter().zip(parents).enumerate() {
        let of_parent = number(parent);
        for record in &input.files {
            let FileRecord {
                name,
                bytes,
                header_sha256,
                sha256,
                read,
            } = record;
            let weights = of_parent.get(name).map(|number| (parent, *number));
            let tensors = plan.zip(*read).zip(weights);
            subjects.push(Subject {
                parent: Some(&input.name),
                name,
                bytes: *bytes,
                header: Some(*header_sha256),
                content: *sha256,
                tensors: tensors.map(|((plan, recorded), (_, number))| Tensors {
                    recorded,
                    read: reads[index]
                        .get(&number)
                        .into_iter()
                        .flatten()
                        .map(|(stored, read)| {
                            let checkpoint = &plan.view(read.view).checkpoint;
                            (stored.as_str(), (checkpoint, read.name.as_str()))
                        })
                        .collect(),
                    as_stored: !plan.combines_common_rows(),
                }),
                weights,
            });
        }
    }
    let proceed = || {
        let is_cancelled = options
            .cancelled
            .is_some_and(|flag| flag.load(Ordering::Relaxed));
        if is_cancelled {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    };
    side_by_side(subjects.len(), options.threads, &|index| {
        proceed()?;
        let subject = &subjects[index];
        let finding = match (subject.weights, subject.parent) {
            (Some((checkpoint, number)), _) => {
                subject.look_at_weights(checkpoint, number, &proceed)?
            }
            (None, Some(_)) => Finding::Missing,
            (None, None) => subject.look_at_file(&path.join(subject.name))?,
        };
        Ok(FileCheck {
            parent: subject.parent.map(str::to_owned),
            name: subject.name.to_owned(),
            finding,
        })
    })
}

impl Subject<'_> {
    fn look_at_weights(
        &self,
        checkpoint: &Checkpoint,
        number: usize,
        proceed: &dyn Fn() -> Result<()>,
    ) -> Result<Finding> {
        let records = checkpoint.file_records();
        let Some(found) = records.get(number) else {
            return Ok(Finding::Missing);
        };
        if found.bytes != self.bytes {
            return Ok(changed("bytes", self.bytes, found.bytes));
        }
        if let Some(header) = self.header.filter(|header| *header != found.header_sha256) {
            return Ok(changed("header SHA-256", header, found.header_sha256));
        }
        match (self.content, &self.tensors) {
            (Some(content), _) => Ok(compare(content, checkpoint.hash_file(number, &mut |_| {})?)),
            (None, Some(tensors)) => tensors.compare(checkpoint.tensors_in(number), proceed),
            (None, None) => Ok(Finding::SameHeader),
        }
    }

    fn look_at_file(&self, path: &Path) -> Result<Finding> {
        let Ok(file) = File::open(path) else {
            return Ok(Finding::Missing);
        };
        let bytes = file.metadata().map_err(Error::io("read", path))?.len();
        if bytes != self.bytes {
            return Ok(changed("bytes", self.bytes, bytes));
        }
        let Some(content) = self.content else {
            return Ok(Finding::SameHeader);
        };
        let found = hash_by_position(bytes, |piece, offset| {
            read_file_exact_at(&file, piece, offset).map_err(Error::io("read", path))
        })?;
        Ok(compare(content, found))
    }
}

impl Tensors<'_> {
    /// Reads them again; `of` is how many the file has.
    fn compare(&self, of: usize, proceed: &dyn Fn() -> Result<()>) -> Result<Finding> {
        let ReadRecord { tensors, xxh3 } = self.recorded;
        if tensors != self.read.len() {
            // Another version took the same expression for other reads.
            return Ok(Finding::SameHeader);
        }
        let mut hashes = BTreeMap::new();
        for (stored, (checkpoint, name)) in &self.read {
            hashes.insert(*stored, hash_tensor(checkpoint, name, proceed)?);
        }
        let found = Xxh3::of_tensors(&hashes);
        Ok(if found != xxh3 {
            changed("XXH3 of the content", xxh3, found)
        } else if tensors == of && self.as_stored {
            Finding::SameContent
        } else {
            Finding::SameTensors { read: tensors, of }
        })
    }
}

fn compare(recorded: ContentHash, found: ContentHash) -> Finding {
    if recorded == found {
        Finding::SameContent
    } else {
        changed("SHA-256", recorded, found)
    }
}

fn changed(what: &str, recorded: impl std::fmt::Display, found: impl std::fmt::Display) -> Finding {
    Finding::Changed {
        what: format!("{what} {recorded} recorded, {found} found"),
    }
}
