//! Checkpoints small enough to write in a test.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use taskvec_core::Dtype;
use taskvec_core::safetensors::{TensorSpec, encode_header};

/// A tensor: name, shape, values.
pub(crate) type Tensor<'a> = (&'a str, &'a [usize], Vec<f32>);

/// Two matrices and a bias, their values counted up from `start` in steps of `step`.
pub(crate) fn tensors(start: f32, step: f32) -> Vec<Tensor<'static>> {
    let values = |count: usize| {
        (0..count)
            .map(|index| start + step * index as f32)
            .collect()
    };
    vec![
        ("model.embed_tokens.weight", &[4, 3], values(12)),
        ("model.layers.0.mlp.up_proj.weight", &[2, 3], values(6)),
        ("model.layers.0.self_attn.q_proj.bias", &[2], values(2)),
    ]
}

/// A Hugging Face directory of these tensors in F32, of an architecture called `architecture`.
pub(crate) fn model(directory: &Path, architecture: &str, tensors: &[Tensor<'_>]) {
    fs::create_dir(directory).unwrap();
    let config = format!("{{\"architectures\": [\"{architecture}\"], \"model_type\": \"tiny\"}}\n");
    fs::write(directory.join("config.json"), config).unwrap();
    file(&directory.join("model.safetensors"), tensors);
}

/// A safetensors file.
pub(crate) fn file(path: &Path, tensors: &[Tensor<'_>]) {
    let specs: Vec<TensorSpec<'_>> = tensors
        .iter()
        .map(|(name, shape, _)| TensorSpec {
            name,
            dtype: Dtype::F32,
            shape,
        })
        .collect();
    let header = encode_header(&specs, &BTreeMap::new()).unwrap();
    let mut file = File::create(path).unwrap();
    file.write_all(header.bytes()).unwrap();
    for (_, _, values) in tensors {
        for value in values {
            file.write_all(&value.to_le_bytes()).unwrap();
        }
    }
}

/// A model of one tensor of `bytes` zeros that takes no room on the disk: enough work to be interrupted.
pub(crate) fn sparse_model(directory: &Path, bytes: u64) {
    fs::create_dir(directory).unwrap();
    fs::write(
        directory.join("config.json"),
        "{\"model_type\": \"tiny\"}\n",
    )
    .unwrap();
    let shape = [usize::try_from(bytes / 4).unwrap()];
    let specs = [TensorSpec {
        name: "weight",
        dtype: Dtype::F32,
        shape: &shape,
    }];
    let header = encode_header(&specs, &BTreeMap::new()).unwrap();
    let mut file = File::create(directory.join("model.safetensors")).unwrap();
    file.write_all(header.bytes()).unwrap();
    file.set_len(header.bytes().len() as u64 + bytes).unwrap();
}
