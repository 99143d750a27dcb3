//! The checkpoints that ship with the crate: real Hugging Face directories, held in the binary.

use std::borrow::Cow;
use std::collections::BTreeMap;

use taskvec_core::EmbeddedDirectory;

macro_rules! directory {
    ($name:literal: $($file:literal),+) => {
        [$((
            $file,
            include_bytes!(concat!("../../assets/micro/", $name, "/", $file)).as_slice(),
        )),+]
    };
}

macro_rules! checkpoint {
    ($name:literal) => {
        directory!($name: "config.json", "generation_config.json", "merges.txt", "model.safetensors",
            "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.json")
    };
}

/// The directory of `micro:NAME`, for one of [`super::NAMES`].
#[must_use]
pub fn embedded(name: &str) -> Option<EmbeddedDirectory> {
    let files: BTreeMap<_, _> = match name {
        "base" => checkpoint!("base"),
        "sft" => checkpoint!("sft"),
        "grpo" => checkpoint!("grpo"),
        "target" => checkpoint!("target"),
        _ => return None,
    }
    .into_iter()
    .map(|(file, bytes)| (file.to_owned(), Cow::Borrowed(bytes)))
    .collect();
    Some(EmbeddedDirectory { files })
}
