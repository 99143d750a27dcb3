//! The files beside the weights without which a model does not load.

use std::sync::Arc;

use super::storage::Folder;
use crate::error::Result;

/// Larger than any tokenizer in use; a guard against reading weights under a wrong name into memory.
const MAX_SIDE_FILE_BYTES: u64 = 512 << 20;

/// A file beside the weights, such as `config.json` or `tokenizer.json`.
#[derive(Clone, Debug)]
pub struct SideFile {
    name: String,
    bytes: u64,
    folder: Folder,
    /// What it holds, where that is not what is stored.
    content: Option<Arc<[u8]>>,
}

impl SideFile {
    /// Its name in the directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same file with another content.
    pub(super) fn with_content(self, content: Vec<u8>) -> Self {
        Self {
            bytes: content.len() as u64,
            content: Some(content.into()),
            ..self
        }
    }

    /// Its length when it was listed.
    pub fn byte_len(&self) -> u64 {
        self.bytes
    }

    /// Its content; verbatim, unless it is the config of a model with other layers than are stored.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is larger than any such file may be.
    pub fn read(&self) -> Result<Vec<u8>> {
        if let Some(content) = &self.content {
            return Ok(content.to_vec());
        }
        self.folder.read(&self.name, MAX_SIDE_FILE_BYTES)
    }
}

/// The side files among those of `folder`, sorted by name.
pub(super) fn side_files(folder: &Folder) -> Result<Vec<SideFile>> {
    folder
        .file_names()?
        .into_iter()
        .filter(|name| is_side_file(name))
        .map(|name| {
            let bytes = folder.open(&name)?.bytes;
            Ok(SideFile {
                name,
                bytes,
                folder: folder.clone(),
                content: None,
            })
        })
        .collect()
}

/// Whether a file of this name belongs to a model and stays true when the weights change.
///
/// The model card does not: it describes the model the weights were. Code does: `config.json` may refer to
/// it, and it is copied, never run.
pub(super) fn is_side_file(name: &str) -> bool {
    const EXACT: [&str; 14] = [
        "config.json",
        "generation_config.json",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
        "special_tokens_map.json",
        "added_tokens.json",
        "spiece.model",
        "sentencepiece.bpe.model",
        "preprocessor_config.json",
        "processor_config.json",
        "video_preprocessor_config.json",
        "chat_template.json",
        "chat_template.jinja",
    ];
    const PREFIXES: [&str; 3] = ["LICENSE", "NOTICE", "USE_POLICY"];
    let tokenizer = name.starts_with("tokenizer")
        && [".json", ".model", ".txt"]
            .iter()
            .any(|end| name.ends_with(end));
    let code = ["configuration_", "modeling_", "tokenization_"]
        .iter()
        .any(|start| name.starts_with(start))
        && name.ends_with(".py");
    EXACT.contains(&name)
        || tokenizer
        || code
        || name.ends_with(".tiktoken")
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::is_side_file;

    #[test]
    fn what_belongs_to_a_model_whatever_its_weights() {
        for name in [
            "config.json",
            "generation_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "tokenizer.model",
            "vocab.json",
            "merges.txt",
            "chat_template.jinja",
            "qwen.tiktoken",
            "LICENSE",
            "LICENSE.txt",
            "modeling_x.py",
        ] {
            assert!(is_side_file(name), "{name}");
        }
        for name in [
            "README.md",
            "model.safetensors",
            "model.safetensors.index.json",
            "taskvec.json",
            "pytorch_model.bin",
            "trainer_state.json",
            "setup.py",
            ".gitattributes",
        ] {
            assert!(!is_side_file(name), "{name}");
        }
    }
}
