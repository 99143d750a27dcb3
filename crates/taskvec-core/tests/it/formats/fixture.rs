//! Small checkpoints written to disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use taskvec_core::checkpoint::encode_index;
use taskvec_core::safetensors::{TensorSpec, encode_header};
use taskvec_core::{Checkpoint, Dtype, Error, Library, Reference, Result};

/// A safetensors file of `F32` vectors with these names and values.
pub(crate) fn safetensors(tensors: &[(&str, &[f32])], metadata: &[(&str, &str)]) -> Vec<u8> {
    let shapes: Vec<[usize; 1]> = tensors.iter().map(|(_, values)| [values.len()]).collect();
    let specs: Vec<TensorSpec<'_>> = tensors
        .iter()
        .zip(&shapes)
        .map(|(&(name, _), shape)| TensorSpec {
            name,
            dtype: Dtype::F32,
            shape,
        })
        .collect();
    let metadata: BTreeMap<String, String> = metadata
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let mut file = encode_header(&specs, &metadata).unwrap().bytes().to_vec();
    for (_, values) in tensors {
        file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    file
}

/// A directory with a model in one file.
pub(crate) fn model(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    let weights = safetensors(
        &[("embed", &[1.0, 2.0]), ("layer", &[3.0, 4.0, 5.0])],
        &[("format", "pt")],
    );
    fs::write(directory.join("model.safetensors"), weights).unwrap();
    fs::write(directory.join("config.json"), CONFIG).unwrap();
}

pub(crate) const CONFIG: &str =
    r#"{"model_type": "qwen2", "tie_word_embeddings": true, "hidden_size": 2}"#;

pub(crate) const FIRST: &str = "model-00001-of-00002.safetensors";
pub(crate) const SECOND: &str = "model-00002-of-00002.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// A directory with a model in two shards, the first with `embed`, the second with `layer` and `norm`.
pub(crate) fn sharded_model(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    let first = safetensors(&[("embed", &[1.0, 2.0])], &[("format", "pt")]);
    let second = safetensors(
        &[("layer", &[3.0, 4.0, 5.0]), ("norm", &[6.0])],
        &[("format", "pt")],
    );
    fs::write(directory.join(FIRST), first).unwrap();
    fs::write(directory.join(SECOND), second).unwrap();
    let index = encode_index(
        [
            (FIRST, &["embed".to_owned()][..]),
            (SECOND, &["layer".to_owned(), "norm".to_owned()][..]),
        ],
        24,
    );
    fs::write(directory.join(INDEX), index).unwrap();
    fs::write(directory.join("config.json"), CONFIG).unwrap();
}

pub(crate) fn open(path: &Path) -> Result<Checkpoint> {
    Checkpoint::open(&Reference::Path(path.to_path_buf()), &Library::new())
}

/// The error of opening `path`.
pub(crate) fn refusal(path: &Path) -> Error {
    match open(path) {
        Ok(checkpoint) => panic!("{checkpoint:?} was opened"),
        Err(error) => error,
    }
}

/// The `f32` values of a tensor.
pub(crate) fn values(checkpoint: &Checkpoint, tensor: &str) -> Vec<f32> {
    checkpoint
        .read(tensor)
        .unwrap()
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect()
}

/// Names in a directory, sorted.
pub(crate) fn listing(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
