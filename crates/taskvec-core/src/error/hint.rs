//! What the user can do about an error.

use std::path::Path;

use super::Error;
use crate::mergekit;
use crate::safetensors::HeaderError;
use crate::spelling::alternatives;

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
