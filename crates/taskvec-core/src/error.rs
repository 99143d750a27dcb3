//! The one error type of this crate.

mod hint;

use std::io;
use std::path::{Path, PathBuf};

use crate::adapter::AdapterError;
use crate::checkpoint::{IndexError, WeightFormat};
use crate::dtype::Dtype;
use crate::expression::ExpressionError;
use crate::hub::HubError;
use crate::mergekit::ConfigError;
use crate::plan::Incompatible;
use crate::safetensors::HeaderError;

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
