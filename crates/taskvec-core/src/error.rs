//! The one error type of this crate.

use std::io;
use std::path::{Path, PathBuf};

use crate::adapter::AdapterError;
use crate::checkpoint::{IndexError, WeightFormat};
use crate::dtype::Dtype;
use crate::expression::ExpressionError;
use crate::hub::HubError;
use crate::mergekit::{self, ConfigError};
use crate::plan::Incompatible;
use crate::safetensors::HeaderError;
use crate::spelling::alternatives;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong between a reference and an output on disk.
///
/// Messages are one lowercase sentence; causes are in [`source`](std::error::Error::source), advice is in
/// [`Error::hint`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was attempted, as a verb: `read`, `create`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it was refused.
        #[source]
        source: io::Error,
    },

    // References.
    /// Nothing lies at a path.
    #[error("`{}` does not exist", path.display())]
    NotFound {
        /// The path as given.
        path: PathBuf,
        /// Names beside it that the writer may have meant.
        near: Vec<String>,
    },
    /// Text that is no reference to a checkpoint.
    #[error("`{reference}` is not a reference to a checkpoint: {reason}")]
    InvalidReference {
        /// The text.
        reference: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A checkpoint that could not be had from the Hugging Face Hub.
    #[error("cannot fetch `{reference}`")]
    Hub {
        /// The reference.
        reference: String,
        /// Why.
        #[source]
        source: HubError,
    },
    /// A reference to the Hugging Face Hub, where none was given to fetch from.
    #[error("nothing is fetched here: `{repository}` must be on this machine")]
    HubReference {
        /// `organisation/name`.
        repository: String,
        /// Branch, tag or commit.
        revision: Option<String>,
    },
    /// `scheme:name` with a scheme nobody registered.
    #[error("`{scheme}:{name}` names no embedded checkpoint: there is no collection `{scheme}`")]
    UnknownScheme {
        /// The part before the colon.
        scheme: String,
        /// The part after it.
        name: String,
        /// The schemes there are.
        known: Vec<String>,
    },
    /// `scheme:name` with a name the collection does not hold.
    #[error("the collection `{scheme}` holds no checkpoint `{name}`")]
    UnknownEmbedded {
        /// The collection.
        scheme: String,
        /// What was asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },

    // Checkpoints.
    /// A directory without weights.
    #[error("`{}` holds no safetensors weights", path.display())]
    NoWeights {
        /// The directory.
        path: PathBuf,
        /// Files in it, the first few by name.
        found: Vec<String>,
    },
    /// A directory that holds both a model and a vector.
    #[error("`{}` holds both `model.safetensors` and `vector.safetensors` weights", path.display())]
    AmbiguousWeights {
        /// The directory.
        path: PathBuf,
    },
    /// Weights in a format that is not safetensors.
    #[error("`{}` is {format}, not safetensors", path.display())]
    UnsupportedFormat {
        /// The file.
        path: PathBuf,
        /// What it is, by its name.
        format: WeightFormat,
    },
    /// A PEFT adapter that is no vector, or a wrong one.
    #[error("`{}` cannot be read as an adapter", file.display())]
    Adapter {
        /// The file at fault, or the directory.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: AdapterError,
    },
    /// Numbered shards without the index that says which tensor lies where.
    #[error("`{}` holds shards such as `{shard}` but no `{index}`", path.display())]
    MissingIndex {
        /// The directory.
        path: PathBuf,
        /// One of the shards.
        shard: String,
        /// Name of the missing file.
        index: String,
    },
    /// A file whose name does not say that it is safetensors, or no regular file at all.
    #[error("`{}` is neither a checkpoint directory nor a `.safetensors` file", path.display())]
    NotACheckpoint {
        /// The file.
        path: PathBuf,
    },
    /// A model's directory without `config.json`.
    #[error("`{}` holds weights but no `config.json`", path.display())]
    MissingConfig {
        /// The directory.
        path: PathBuf,
    },
    /// A wrong safetensors header.
    #[error("`{}` is not a valid safetensors file", file.display())]
    Header {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: HeaderError,
    },
    /// A wrong shard index.
    #[error("`{}` is not a valid index of the shards beside it", file.display())]
    Index {
        /// The index.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: IndexError,
    },
    /// A matrix of which only some elements are stored, and not those that it says.
    #[error("the sparse tensor `{tensor}` in `{}` is not valid: {reason}", file.display())]
    Sparse {
        /// The file, or the checkpoint.
        file: PathBuf,
        /// The matrix.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// A JSON file that cannot be parsed as what it must be.
    #[error("`{}` is not valid JSON of the expected form", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A small file that is not small.
    #[error("`{}` has {bytes} bytes; at most {limit} are read of such a file", file.display())]
    FileTooLarge {
        /// The file.
        file: PathBuf,
        /// Its length.
        bytes: u64,
        /// The most that is read.
        limit: u64,
    },
    /// `taskvec.json` of a version from the future.
    #[error("`{}` has provenance schema {found}; this version reads up to {supported}", file.display())]
    ProvenanceSchema {
        /// The file.
        file: PathBuf,
        /// Version it states.
        found: u32,
        /// Latest version known here.
        supported: u32,
    },
    /// An output without a record of what made it.
    #[error("`{}` carries no record of what made it", path.display())]
    NoProvenance {
        /// The directory or file.
        path: PathBuf,
    },
    /// A file is no longer what it was when it was opened.
    #[error("`{}` changed while it was read: {change}", file.display())]
    FileChanged {
        /// The file.
        file: PathBuf,
        /// What changed, old value first.
        change: String,
    },
    /// A tensor the checkpoint does not hold.
    #[error("`{checkpoint}` holds no tensor `{tensor}`")]
    UnknownTensor {
        /// The checkpoint, as in [`Checkpoint::name`](crate::Checkpoint::name).
        checkpoint: String,
        /// Name of the tensor.
        tensor: String,
    },
    /// Bytes of a tensor that it does not have.
    #[error(
        "bytes {offset} to {} of tensor `{tensor}` in `{}` were asked for; it has {bytes}",
        offset.saturating_add(*length), file.display()
    )]
    ReadOutOfRange {
        /// The file.
        file: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// First byte asked for.
        offset: u64,
        /// How many were asked for.
        length: u64,
        /// Bytes of the tensor.
        bytes: u64,
    },

    // Expressions and plans.
    /// A fault in an expression.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// A fault in a mergekit file.
    #[error(transparent)]
    Mergekit(Box<ConfigError>),
    /// Checkpoints that do not fit together.
    #[error("{0}")]
    Incompatible(Box<Incompatible>),
    /// Models between which arithmetic means nothing.
    #[error("{}", strangers(pairs))]
    Strangers {
        /// Names of both, and `‖a − b‖ / ‖b‖` over their matrices.
        pairs: Vec<(String, String, f64)>,
    },
    /// An output dtype in which results cannot be stored.
    #[error("results cannot be stored as {dtype}")]
    OutputDtype {
        /// The dtype that was asked for.
        dtype: Dtype,
    },
    /// A tensor that was to be loaded as floating-point numbers and holds none.
    #[error("tensor `{tensor}` is {dtype}, not floating point")]
    NotFloat {
        /// Name of the tensor.
        tensor: String,
        /// Its dtype.
        dtype: Dtype,
    },
    /// A model where a vector is needed.
    #[error("`{expression}` is a model; {purpose}")]
    NotAVector {
        /// The expression, printed.
        expression: String,
        /// What vectors are for: `an adapter is made of a vector`.
        purpose: &'static str,
    },
    /// Nothing that could be measured.
    #[error("`{expression}` has no tensor of floating-point numbers")]
    NothingToMeasure {
        /// The expression, printed.
        expression: String,
    },
    /// A result in which there is nothing.
    #[error("`{expression}` has no tensors")]
    NoTensors {
        /// The expression, printed.
        expression: String,
    },
    /// A vector without a matrix that changes.
    #[error("`{expression}` changes no weight that is the matrix of a module")]
    NothingToFactor {
        /// The expression, printed.
        expression: String,
    },
    /// Numbers of which nothing can be computed.
    #[error("tensor `{tensor}` has elements that are not finite")]
    NotFinite {
        /// Name of the tensor.
        tensor: String,
    },
    /// The caller stopped the work.
    #[error("the work was cancelled")]
    Cancelled,

    // Output.
    /// Something that must not be lost lies at the destination.
    #[error("`{}` already exists{}", path.display(), if *is_directory { " and is not empty" } else { "" })]
    DestinationExists {
        /// The destination.
        path: PathBuf,
        /// Whether it is a directory.
        is_directory: bool,
    },
    /// Overwriting was asked for, but what lies there was not written by this tool.
    #[error("`{}` was not written by taskvec and is not replaced", path.display())]
    DestinationForeign {
        /// The destination.
        path: PathBuf,
    },
    /// Another process writes to the same destination.
    #[error("another process is writing to `{}`", path.display())]
    DestinationBusy {
        /// The destination.
        path: PathBuf,
    },
    /// The directory in which the destination should appear does not exist.
    #[error("cannot create `{}`: its parent directory does not exist", path.display())]
    DestinationParent {
        /// The destination.
        path: PathBuf,
    },
    /// A destination without a name of its own, such as `..` or `/`.
    #[error("`{}` cannot be a destination: it has no name of its own", path.display())]
    DestinationUnnamed {
        /// The destination.
        path: PathBuf,
    },
    /// The disk is full, or would be.
    #[error(
        "no space left to write `{}`: {needed} bytes needed{}", path.display(),
        available.map_or_else(String::new, |bytes| format!(", {bytes} available"))
    )]
    NoSpace {
        /// The destination or the file in it.
        path: PathBuf,
        /// Bytes that had to be written there.
        needed: u64,
        /// Bytes the filesystem says are free, where it says so.
        available: Option<u64>,
    },
    /// A file name that would leave the output directory or clash with its bookkeeping.
    #[error("`{name}` cannot be the name of an output file")]
    OutputFileName {
        /// The name.
        name: String,
    },
    /// Bytes outside a shard were to be written: a fault of the caller.
    #[error("bytes {offset} to {} were to be written to `{}`, which has {bytes}",
        offset.saturating_add(*length), file.display())]
    WriteOutOfRange {
        /// The shard.
        file: PathBuf,
        /// First byte.
        offset: u64,
        /// How many.
        length: u64,
        /// Length of the shard.
        bytes: u64,
    },
    /// A shard was to be committed before all of it was written: a fault of the caller.
    #[error("`{}` is incomplete: {written} of {expected} bytes were written", file.display())]
    IncompleteShard {
        /// The shard.
        file: PathBuf,
        /// Bytes written.
        written: u64,
        /// Bytes that make it whole.
        expected: u64,
    },
}

impl Error {
    /// What the user can do about it, where that is known: one lowercase sentence without a final period.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::NotFound { path, near } => Some(not_found_hint(path, near)?),
            Error::Hub { source, .. } => source.hint(),
            Error::HubReference {
                repository,
                revision,
            } => {
                let name = repository.rsplit('/').next().unwrap_or(repository);
                let revision = revision
                    .as_ref()
                    .map_or_else(String::new, |revision| format!(" --revision {revision}"));
                Some(format!(
                    "download it with `hf download {repository}{revision} --local-dir {name}` and pass `{name}`"
                ))
            }
            Error::UnknownScheme { known, .. } if known.is_empty() => {
                Some("to name a path that has a colon, write `./` before it".to_owned())
            }
            Error::UnknownScheme { known, .. } => Some(format!(
                "the collections are {}; to name a path that has a colon, write `./` before it",
                alternatives(known).replace(" or ", " and ")
            )),
            Error::UnknownEmbedded {
                scheme, known, ..
            } => {
                let names: Vec<String> = known.iter().map(|name| format!("{scheme}:{name}")).collect();
                Some(format!("there are {}", alternatives(&names).replace(" or ", " and ")))
            }
            Error::NoWeights { found, .. } => Some(if found.is_empty() {
                "the directory is empty; was the download interrupted?".to_owned()
            } else {
                format!(
                    "`model.safetensors` or `model.safetensors.index.json` is looked for; it holds {}",
                    alternatives(found).replace(" or ", " and ")
                )
            }),
            Error::AmbiguousWeights { .. } => {
                Some("pass the `.safetensors` file that is meant instead of the directory".to_owned())
            }
            Error::UnsupportedFormat { path, format } => Some(format.conversion(path).to_owned()),
            Error::Adapter { source, .. } => source.hint(),
            Error::MissingIndex { index, .. } => {
                Some(format!("download `{index}` from where the shards came from"))
            }
            Error::NotACheckpoint { path } if path.to_string_lossy().ends_with(".index.json") => {
                Some("pass the directory that holds the index".to_owned())
            }
            Error::MissingConfig { .. } => Some(
                "copy `config.json` from where the weights came from, or pass the `.safetensors` file itself"
                    .to_owned(),
            ),
            Error::Header { source, .. } => match source {
                HeaderError::FileTooShort { .. }
                | HeaderError::BeyondFile { .. }
                | HeaderError::OffsetsBeyondFile { .. } => {
                    Some("the file is probably cut short; fetch it again".to_owned())
                }
                HeaderError::TooLarge { .. } | HeaderError::NotUtf8(_) | HeaderError::Json(_) => Some(
                    "the file may be something else under this name, such as a Git LFS pointer or a web page"
                        .to_owned(),
                ),
                _ => None,
            },
            Error::Index { source, .. } => source.hint(),
            Error::FileChanged { .. } => {
                Some("wait until whatever writes the file has finished, then run again".to_owned())
            }
            Error::Expression(error) => error.hint(),
            Error::Mergekit(error) => error.hint(),
            Error::Incompatible(error) => error.hint(),
            Error::NoProvenance { .. } => Some(
                "`taskvec.json` in a directory, or the header of a single file, holds it; what other tools wrote has none"
                    .to_owned(),
            ),
            Error::Strangers { .. } => Some(
                "weights move only between models fine-tuned from one; to write the result all the same, pass `--allow-strangers`"
                    .to_owned(),
            ),
            Error::NotAVector { .. } => {
                Some("subtract the base model from it".to_owned())
            }
            Error::NoTensors { .. } => Some(
                "a vector has the tensors of floating-point numbers that its checkpoints have, and here that is none"
                    .to_owned(),
            ),
            Error::NothingToFactor { .. } => Some(
                "embeddings and the output head are factored with `--embeddings`; norms and biases never are"
                    .to_owned(),
            ),
            Error::NotFinite { tensor } => Some(format!(
                "`inspect` counts what is not finite; leave the tensor out with `except(…, \"{tensor}\")`"
            )),
            Error::OutputDtype { .. } => Some("the output dtype is BF16, F16, F32 or F64".to_owned()),
            Error::DestinationExists { .. } => {
                Some("choose another destination, or pass `--overwrite` to replace it".to_owned())
            }
            Error::DestinationForeign { .. } => Some(
                "only a directory with a `taskvec.json` or a `.safetensors` file is replaced; remove it yourself if it may go"
                    .to_owned(),
            ),
            Error::DestinationParent { path } => {
                let parent = path.parent().unwrap_or(path);
                Some(format!("create it with `mkdir -p {}`", parent.display()))
            }
            Error::NoSpace { .. } => {
                Some("free some space or choose a destination on another filesystem".to_owned())
            }
            _ => None,
        }
    }

    /// An [`Error::Io`] made in `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::Io {
            action,
            path,
            source,
        }
    }
}

fn strangers(pairs: &[(String, String, f64)]) -> String {
    let mut text = "the models do not descend from one initialisation".to_owned();
    for (left, right, distance) in pairs {
        text.push_str(&format!(
            "\n  `{left}` and `{right}`: relative distance {distance:.2} (fine-tunes lie far below 1, strangers near 1.41)"
        ));
    }
    text
}

fn not_found_hint(path: &Path, near: &[String]) -> Option<String> {
    if !near.is_empty() {
        return Some(format!("did you mean {}?", alternatives(near)));
    }
    // `org/name` is how the Hub is spoken of everywhere else.
    let text = path.to_str()?;
    let (organisation, name) = text.split_once('/')?;
    let plain = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && !part.contains('/') && !part.contains('\\')
    };
    (plain(organisation) && plain(name) && !mergekit::is_file(text)).then(|| {
        format!(
            "if it is on the Hugging Face Hub, write `hf:{text}`, in an expression `\"hf:{text}\"`"
        )
    })
}
