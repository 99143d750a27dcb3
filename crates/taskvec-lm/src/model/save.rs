//! A model as a Hugging Face directory, in memory or on disk.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use taskvec_core::safetensors::{EncodedHeader, TensorSpec, encode_header};
use taskvec_core::{Dtype, EmbeddedDirectory, OutputDirectory, OutputOptions, Provenance};

use super::tensors::{self, StoredTensor};
use super::{CONFIG_FILE, GENERATION_CONFIG_FILE, Model};
use crate::{Error, Result};

/// The weights' file.
const WEIGHTS_FILE: &str = "model.safetensors";

impl Model {
    /// The directory in memory, weights rounded to `dtype`.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedDtype`] for a type that weights cannot be stored as;
    /// [`Error::ReadTensor`] where the device cannot be read.
    pub fn to_embedded(&self, dtype: Dtype) -> Result<EmbeddedDirectory> {
        let stored = tensors::stored(&self.config.decoder);
        let header = self.header(&stored, dtype)?;
        let mut weights = header.bytes().to_vec();
        for tensor in &stored {
            weights.extend(encode(&tensors::read(&self.decoder, tensor)?, dtype)?);
        }
        let mut files = self.files(dtype);
        files.insert(WEIGHTS_FILE.to_owned(), weights);
        let files = files
            .into_iter()
            .map(|(name, bytes)| (name, Cow::Owned(bytes)))
            .collect();
        Ok(EmbeddedDirectory { files })
    }

    /// Writes the directory, which appears whole or not at all, weights rounded to `dtype`.
    ///
    /// # Errors
    ///
    /// As [`to_embedded`](Self::to_embedded), and whatever keeps the directory from being written.
    pub fn save(
        &self,
        destination: &Path,
        dtype: Dtype,
        options: &OutputOptions,
        provenance: Option<&Provenance>,
    ) -> Result<PathBuf> {
        let stored = tensors::stored(&self.config.decoder);
        let header = self.header(&stored, dtype)?;
        let files = self.files(dtype);
        let side_bytes: u64 = files.values().map(|bytes| bytes.len() as u64).sum();
        let options = OutputOptions {
            expected_bytes: options
                .expected_bytes
                .or(Some(header.file_bytes() + side_bytes)),
            ..*options
        };
        let mut output = OutputDirectory::create(destination, &options)?;
        for (name, bytes) in &files {
            output.put_file(name, bytes)?;
        }
        let shard = output.create_shard(WEIGHTS_FILE, &header)?;
        for (tensor, offset) in stored.iter().zip(header.offsets()) {
            shard.write_at(
                *offset,
                &encode(&tensors::read(&self.decoder, tensor)?, dtype)?,
            )?;
        }
        drop(shard);
        if let Some(provenance) = provenance {
            output.set_provenance(provenance);
        }
        Ok(output.commit()?)
    }

    fn header(&self, stored: &[StoredTensor], dtype: Dtype) -> Result<EncodedHeader> {
        let specs: Vec<TensorSpec<'_>> = stored
            .iter()
            .map(|tensor| TensorSpec {
                name: &tensor.name,
                dtype,
                shape: &tensor.shape,
            })
            .collect();
        // transformers refuses a file that does not say this.
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        encode_header(&specs, &metadata).map_err(|source| Error::StateHeader {
            file: PathBuf::from(WEIGHTS_FILE),
            source,
        })
    }

    /// Everything but the weights.
    fn files(&self, dtype: Dtype) -> BTreeMap<String, Vec<u8>> {
        let pretty = |value: &Value| format!("{value:#}\n").into_bytes();
        let mut files = self.side_files.clone();
        files.extend(self.tokenizer.files().clone());
        files.insert(
            CONFIG_FILE.to_owned(),
            pretty(&Value::Object(self.config.to_json(dtype))),
        );
        files
            .entry(GENERATION_CONFIG_FILE.to_owned())
            .or_insert_with(|| {
                pretty(
                    &self
                        .config
                        .generation_json(self.tokenizer.pad().map(|token| token.id)),
                )
            });
        files
    }
}

/// Little-endian bytes, each value rounded once, to nearest even.
fn encode(values: &[f32], dtype: Dtype) -> Result<Vec<u8>> {
    Ok(match dtype {
        Dtype::F32 => values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
        Dtype::F16 => values
            .iter()
            .flat_map(|value| half::f16::from_f32(*value).to_le_bytes())
            .collect(),
        Dtype::Bf16 => values
            .iter()
            .flat_map(|value| half::bf16::from_f32(*value).to_le_bytes())
            .collect(),
        dtype => return Err(Error::UnsupportedDtype { dtype }),
    })
}
