//! A language model whole: decoder, configuration, tokenizer, and the way from and to a Hugging Face
//! directory.
//!
//! A [`Model`] is loaded from a plan, that is from an expression, without anything being written;
//! it is saved as a directory that `AutoModelForCausalLM` and `AutoTokenizer` load.
//!
//! Not covered: architectures other than Qwen2's, Qwen3's and Llama's; computing in another type than f32.

mod config;
mod save;
mod tensors;

use std::collections::BTreeMap;

use burn::tensor::Device;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde_json::{Map, Value};
use taskvec_core::Plan;
use taskvec_core::expression::Kind;

pub use config::{CONFIG_FILE, GENERATION_CONFIG_FILE, ModelConfig};

use crate::chat::ChatTemplate;
use crate::decoder::{Decoder, DecoderConfig};
use crate::tokenizer::{self, Tokenizer, TokenizerFiles};
use crate::{Error, Result};
use tensors::StoredTensor;

/// Where weights come from: a plan, or a map in tests.
pub trait TensorSource: Sync {
    /// How messages call it.
    fn name(&self) -> String;

    /// The shape of every tensor, outermost dimension first.
    fn shapes(&self) -> BTreeMap<String, Vec<usize>>;

    /// A tensor's values in row-major order.
    ///
    /// # Errors
    ///
    /// Whatever keeps the tensor from being read.
    fn load(&self, name: &str) -> Result<Vec<f32>>;
}

impl TensorSource for Plan {
    fn name(&self) -> String {
        self.expression().to_string()
    }

    fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.tensors()
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.shape.clone()))
            .collect()
    }

    fn load(&self, name: &str) -> Result<Vec<f32>> {
        Ok(Plan::load(self, name)?)
    }
}

/// A decoder with all that is needed to use it.
#[derive(Debug, Clone)]
pub struct Model {
    decoder: Decoder,
    config: ModelConfig,
    tokenizer: Tokenizer,
    /// Files that were beside the weights and are neither configuration nor tokenizer.
    side_files: BTreeMap<String, Vec<u8>>,
    device: Device,
}

impl Model {
    /// A decoder made here, its embedding at least as large as the tokenizer's vocabulary.
    ///
    /// # Errors
    ///
    /// [`Error::VocabularyTooLarge`] where it is not; [`Error::NoEndToken`] where the tokenizer has
    /// no end of sequence.
    pub fn new(
        decoder: Decoder,
        tokenizer: Tokenizer,
        max_positions: usize,
        device: &Device,
    ) -> Result<Self> {
        let eos = tokenizer
            .eos()
            .map(|token| token.id)
            .ok_or_else(|| Error::NoEndToken {
                origin: tokenizer.origin().to_owned(),
            })?;
        check_vocabulary(&tokenizer, &decoder.config)?;
        let config = ModelConfig::new(decoder.config.clone(), max_positions, eos);
        Ok(Self {
            decoder,
            config,
            tokenizer,
            side_files: BTreeMap::new(),
            device: device.clone(),
        })
    }

    /// Loads the model that a plan describes; its config and tokenizer are the template's.
    ///
    /// # Errors
    ///
    /// [`Error::NotAModel`] for a vector; else as [`assemble`](Self::assemble).
    pub fn load(plan: &Plan, device: &Device) -> Result<Self> {
        let template = match (plan.kind(), plan.template()) {
            (Kind::Model, Some(template)) => template,
            _ => {
                return Err(Error::NotAModel {
                    expression: plan.expression().to_string(),
                });
            }
        };
        let mut files = BTreeMap::new();
        for file in template.side_files()? {
            files.insert(file.name().to_owned(), file.read()?);
        }
        Self::assemble(plan, files, device)
    }

    /// Builds a model of weights and the files that go with them, by name.
    ///
    /// Everything is checked before the first weight is read; weights are read on all cores.
    ///
    /// # Errors
    ///
    /// A file that is missing or wrong, an architecture that is not supported, a vocabulary larger
    /// than the embedding; [`Error::TensorMismatch`] with every tensor that is missing, too many or
    /// of another shape than the config asks for; whatever reading a tensor can say.
    pub fn assemble(
        source: &dyn TensorSource,
        files: BTreeMap<String, Vec<u8>>,
        device: &Device,
    ) -> Result<Self> {
        let origin = source.name();
        let json = object(&origin, &files, CONFIG_FILE)?.ok_or_else(|| Error::MissingFile {
            file: tokenizer::path_in(&origin, CONFIG_FILE),
        })?;
        let mut config = ModelConfig::parse(&origin, &json)?;
        if let Some(generation) = object(&origin, &files, GENERATION_CONFIG_FILE)? {
            config = config.with_generation_config(&origin, &generation)?;
        }
        let expected = tensors::compare(&origin, &config.decoder, &source.shapes())?;

        let (tokenizer_files, mut side_files): (TokenizerFiles, BTreeMap<_, _>) = files
            .into_iter()
            .partition(|(name, _)| is_tokenizer_file(name));
        side_files.remove(CONFIG_FILE);
        let tokenizer = Tokenizer::open(&origin, tokenizer_files)?;
        check_vocabulary(&tokenizer, &config.decoder)?;
        if let Some(eos) = tokenizer.eos()
            && !config.eos_token_ids.contains(&eos.id)
        {
            config.eos_token_ids.push(eos.id);
        }
        if config.eos_token_ids.is_empty() {
            return Err(Error::NoEndToken { origin });
        }

        let decoder = read_decoder(source, &config.decoder, expected, device)?;
        Ok(Self {
            decoder,
            config,
            tokenizer,
            side_files,
            device: device.clone(),
        })
    }

    /// The same model with the weights of another decoder of its shape, such as itself after
    /// training.
    ///
    /// # Errors
    ///
    /// [`Error::OtherShape`] where the shapes differ.
    pub fn with_decoder(&self, decoder: Decoder) -> Result<Self> {
        if decoder.config != self.config.decoder {
            return Err(Error::OtherShape {
                expected: Box::new(self.config.decoder.clone()),
                got: Box::new(decoder.config),
            });
        }
        Ok(Self {
            decoder,
            ..self.clone()
        })
    }

    /// The same model with other tokens that end a sequence; `generation_config.json` will name them.
    #[must_use]
    pub fn with_end_tokens(mut self, ids: Vec<u32>) -> Self {
        self.config.eos_token_ids = ids;
        // One that was read may name others; what is written in its place names these.
        self.side_files.remove(GENERATION_CONFIG_FILE);
        self
    }

    /// The decoder.
    #[must_use]
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Its tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Where its weights are.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Its chat template.
    ///
    /// # Errors
    ///
    /// As [`ChatTemplate::of`].
    pub fn chat_template(&self) -> Result<ChatTemplate> {
        ChatTemplate::of(&self.tokenizer)
    }
}

/// The shape of every tensor of a checkpoint with this configuration, by its stored name.
#[must_use]
pub fn tensor_shapes(config: &DecoderConfig) -> BTreeMap<String, Vec<usize>> {
    tensors::stored(config)
        .into_iter()
        .map(|tensor| (tensor.name, tensor.shape))
        .collect()
}

/// Loads a decoder alone, without tokenizer; weights are read on all cores.
///
/// # Errors
///
/// [`Error::TensorMismatch`] before the first weight is read, with every tensor that is missing, too
/// many or of another shape than `config` asks for; whatever reading a tensor can say.
pub fn load_decoder(
    source: &dyn TensorSource,
    config: &DecoderConfig,
    device: &Device,
) -> Result<Decoder> {
    let expected = tensors::compare(&source.name(), config, &source.shapes())?;
    read_decoder(source, config, expected, device)
}

fn read_decoder(
    source: &dyn TensorSource,
    config: &DecoderConfig,
    expected: Vec<StoredTensor>,
    device: &Device,
) -> Result<Decoder> {
    let values: BTreeMap<String, Vec<f32>> = expected
        .par_iter()
        .map(|tensor| {
            let values = source.load(&tensor.name)?;
            if values.len() != tensor.shape.iter().product::<usize>() {
                return Err(Error::ReadTensor {
                    tensor: tensor.name.clone(),
                    reason: format!("{} values for the shape {:?}", values.len(), tensor.shape),
                });
            }
            let values = match tensor.shape[..] {
                [rows, columns] if tensor.transposed => tensors::transpose(&values, rows, columns),
                _ => values,
            };
            Ok((tensor.name.clone(), values))
        })
        .collect::<Result<_>>()?;
    tensors::assemble(&source.name(), config, values, device)
}

/// Whether a file of this name makes up the tokenizer.
fn is_tokenizer_file(name: &str) -> bool {
    matches!(
        name,
        tokenizer::TOKENIZER_FILE
            | tokenizer::CONFIG_FILE
            | tokenizer::TEMPLATE_FILE
            | "chat_template.json"
            | "vocab.json"
            | "merges.txt"
            | "special_tokens_map.json"
            | "added_tokens.json"
    )
}

fn object(
    origin: &str,
    files: &BTreeMap<String, Vec<u8>>,
    name: &str,
) -> Result<Option<Map<String, Value>>> {
    files
        .get(name)
        .map(|bytes| {
            serde_json::from_slice(bytes).map_err(|source| Error::Json {
                file: tokenizer::path_in(origin, name),
                source,
            })
        })
        .transpose()
}

fn check_vocabulary(tokenizer: &Tokenizer, config: &DecoderConfig) -> Result<()> {
    if tokenizer.vocab_size() > config.vocab_size {
        return Err(Error::VocabularyTooLarge {
            file: tokenizer::path_in(tokenizer.origin(), tokenizer::TOKENIZER_FILE),
            tokens: tokenizer.vocab_size(),
            rows: config.vocab_size,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
