//! Text to tokens and back: byte-level BPE as the Qwen2 family uses it.
//!
//! A [`Tokenizer`] is opened from the bytes of a checkpoint's files or trained with [`train_bpe`].
//! Both encode through the `tokenizers` library; decoding is done here, on bytes, because text that
//! is still being generated may end inside a character.
//!
//! Not covered: tokenizers that are not byte-level BPE (SentencePiece, WordPiece); they are refused
//! by name.

mod byte_alphabet;
mod comparison;
mod detokenizer;
mod layout;
mod qwen2;
mod train;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

pub use comparison::{TokenizerComparison, compare};
pub use detokenizer::Detokenizer;
pub use train::{MIN_VOCABULARY, train_bpe};

use crate::{Error, Result};

/// The tokenizer itself.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// Its special tokens and chat template.
pub const CONFIG_FILE: &str = "tokenizer_config.json";
/// The chat template where it is a file of its own; it wins over the one in [`CONFIG_FILE`].
pub const TEMPLATE_FILE: &str = "chat_template.jinja";

/// The files a tokenizer is made of, by name, as a checkpoint's directory holds them.
pub type TokenizerFiles = BTreeMap<String, Vec<u8>>;

/// A byte-level BPE tokenizer with its special tokens and chat template. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    origin: Arc<str>,
    inner: Arc<tokenizers::Tokenizer>,
    files: Arc<TokenizerFiles>,
    special: Arc<BTreeSet<u32>>,
    largest_id: u32,
    eos: Option<SpecialToken>,
    pad: Option<SpecialToken>,
    bos: Option<SpecialToken>,
    chat_template: Option<Arc<str>>,
}

/// A special token's text and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialToken {
    /// What stands in text, such as `<|im_end|>`.
    pub content: String,
    /// Its id.
    pub id: u32,
}

impl Tokenizer {
    /// Opens a tokenizer from its files; `origin` names the checkpoint in messages.
    ///
    /// Needs [`TOKENIZER_FILE`]; reads [`CONFIG_FILE`] and [`TEMPLATE_FILE`] where they are; keeps
    /// the others for [`files`](Self::files).
    ///
    /// # Errors
    ///
    /// Names the file and what is wrong with it: missing, no JSON, another kind of tokenizer, a
    /// merge, id or special token that its vocabulary does not have.
    pub fn open(origin: &str, files: TokenizerFiles) -> Result<Self> {
        let path = |name: &str| path_in(origin, name);
        let file = path(TOKENIZER_FILE);
        let bytes = files
            .get(TOKENIZER_FILE)
            .ok_or_else(|| Error::MissingFile { file: file.clone() })?;
        let checked = layout::check(&file, bytes)?;
        let mut inner =
            tokenizers::Tokenizer::from_bytes(bytes).map_err(|source| Error::Tokenizer {
                file: file.clone(),
                source,
            })?;
        // Batches are cut and padded by the caller, never inside the tokenizer.
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|source| Error::Tokenizer {
                file: file.clone(),
                source,
            })?;
        for (id, content) in &checked.added {
            if inner.token_to_id(content) != Some(*id) {
                return Err(Error::InvalidTokenizer {
                    file,
                    problem: format!("added token {content:?} does not keep its id {id}"),
                });
            }
        }
        let special = inner
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| token.special)
            .map(|(id, _)| id)
            .collect();

        let config_file = path(CONFIG_FILE);
        let config: Map<String, Value> = match files.get(CONFIG_FILE) {
            Some(bytes) => serde_json::from_slice(bytes).map_err(|source| Error::Json {
                file: config_file.clone(),
                source,
            })?,
            None => Map::new(),
        };
        let find = |name: &'static str| special_token(&inner, &config_file, &config, name);
        let (eos, pad, bos) = (find("eos_token")?, find("pad_token")?, find("bos_token")?);
        let chat_template = match files.get(TEMPLATE_FILE) {
            Some(bytes) => {
                Some(
                    String::from_utf8(bytes.clone()).map_err(|source| Error::NotUtf8 {
                        file: path(TEMPLATE_FILE),
                        source: source.utf8_error(),
                    })?,
                )
            }
            None => template_of(&config),
        };
        Ok(Self {
            origin: Arc::from(origin),
            inner: Arc::new(inner),
            files: Arc::new(files),
            special: Arc::new(special),
            largest_id: checked.largest_id,
            eos,
            pad,
            bos,
            chat_template: chat_template.map(Arc::from),
        })
    }

    /// A Qwen2 tokenizer of this vocabulary (in id order) and these merges (in rank order).
    fn from_vocabulary(vocabulary: &[String], merges: &[(String, String)]) -> Result<Self> {
        let config = Value::Object(qwen2::tokenizer_config(vocabulary.len()));
        let files = [
            (
                TOKENIZER_FILE,
                pretty(&qwen2::tokenizer_json(vocabulary, merges)),
            ),
            (CONFIG_FILE, pretty(&config)),
            ("vocab.json", pretty(&qwen2::vocab_json(vocabulary))),
            ("merges.txt", qwen2::merges_txt(merges).into_bytes()),
            (
                "special_tokens_map.json",
                pretty(&qwen2::special_tokens_map(qwen2::END_OF_TEXT)),
            ),
        ];
        Self::open(
            "",
            files
                .into_iter()
                .map(|(name, bytes)| (name.to_owned(), bytes))
                .collect(),
        )
    }

    /// The same tokenizer with another end-of-sequence token, such as `<|im_end|>` for chat models.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSpecialToken`] where the vocabulary does not have it.
    pub fn with_eos_token(&self, content: &str) -> Result<Self> {
        let mut files = self.reconfigured("eos_token", content)?;
        if files.contains_key("special_tokens_map.json") {
            let map = pretty(&qwen2::special_tokens_map(content));
            files.insert("special_tokens_map.json".to_owned(), map);
        }
        Self::open(&self.origin, files)
    }

    /// The same tokenizer with another chat template, written into [`CONFIG_FILE`].
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn with_chat_template(&self, template: &str) -> Result<Self> {
        let mut files = self.reconfigured("chat_template", template)?;
        files.remove(TEMPLATE_FILE);
        Self::open(&self.origin, files)
    }

    fn reconfigured(&self, key: &str, value: &str) -> Result<TokenizerFiles> {
        let mut files = (*self.files).clone();
        let mut config: Map<String, Value> = match files.get(CONFIG_FILE) {
            Some(bytes) => serde_json::from_slice(bytes).map_err(|source| Error::Json {
                file: CONFIG_FILE.to_owned(),
                source,
            })?,
            None => Map::new(),
        };
        config.insert(key.to_owned(), Value::from(value));
        files.insert(CONFIG_FILE.to_owned(), pretty(&Value::Object(config)));
        Ok(files)
    }

    /// The checkpoint it came from, as [`open`](Self::open) was told; empty for a trained one.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The files it is made of, as `AutoTokenizer` reads them; for an opened tokenizer, the bytes
    /// it was opened from.
    #[must_use]
    pub fn files(&self) -> &TokenizerFiles {
        &self.files
    }

    /// The ids of `text`, special tokens written in it recognised, none added around it.
    ///
    /// # Errors
    ///
    /// [`Error::Encode`] where the tokenizer's own rules cannot split the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|source| Error::Encode { source })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of `ids`, with or without special tokens. Ids outside the vocabulary add nothing;
    /// bytes that are no UTF-8 become U+FFFD.
    #[must_use]
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let mut bytes = Vec::new();
        for id in ids {
            if !(skip_special && self.is_special(*id)) {
                self.push_token_bytes(*id, &mut bytes);
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Appends the bytes of one token; nothing for an id outside the vocabulary.
    pub fn push_token_bytes(&self, id: u32, bytes: &mut Vec<u8>) {
        if let Some(token) = self.inner.id_to_token(id) {
            byte_alphabet::push_bytes(&token, bytes);
        }
    }

    /// Whether `id` is a special token, which has no text of its own.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }

    /// The id of a token by its text.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Tokens in all, added ones included: one more than the largest id.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.largest_id as usize + 1
    }

    /// The token that ends a sequence, where the files name one.
    #[must_use]
    pub fn eos(&self) -> Option<&SpecialToken> {
        self.eos.as_ref()
    }

    /// The token that pads a batch, where the files name one.
    #[must_use]
    pub fn pad(&self) -> Option<&SpecialToken> {
        self.pad.as_ref()
    }

    /// The token that begins a sequence, where the files name one; Qwen2 has none.
    #[must_use]
    pub fn bos(&self) -> Option<&SpecialToken> {
        self.bos.as_ref()
    }

    /// The chat template's source, where the files have one.
    #[must_use]
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }
}

/// A file's name with that of its checkpoint before it.
pub(crate) fn path_in(origin: &str, name: &str) -> String {
    if origin.is_empty() {
        name.to_owned()
    } else {
        format!("{origin}/{name}")
    }
}

/// A special token that `tokenizer_config.json` names: a string, or an object with `content`.
fn special_token(
    inner: &tokenizers::Tokenizer,
    file: &str,
    config: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<SpecialToken>> {
    let content = match config.get(name) {
        Some(Value::String(content)) => content,
        Some(Value::Object(token)) => match token.get("content").and_then(Value::as_str) {
            Some(content) => content,
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    match inner.token_to_id(content) {
        Some(id) => Ok(Some(SpecialToken {
            content: content.to_owned(),
            id,
        })),
        None => Err(Error::UnknownSpecialToken {
            file: file.to_owned(),
            field: name,
            token: content.to_owned(),
        }),
    }
}

/// `chat_template` of `tokenizer_config.json`: a string, or a list of named ones with a `default`.
fn template_of(config: &Map<String, Value>) -> Option<String> {
    match config.get("chat_template")? {
        Value::String(template) => Some(template.clone()),
        Value::Array(templates) => templates
            .iter()
            .find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"))
            .and_then(|entry| entry.get("template"))
            .and_then(Value::as_str)
            .map(str::to_owned),
        _ => None,
    }
}

/// JSON as the Python libraries indent it.
fn pretty(value: &Value) -> Vec<u8> {
    let mut text = format!("{value:#}").into_bytes();
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests;
