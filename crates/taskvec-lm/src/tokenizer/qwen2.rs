//! The files of a Qwen2 tokenizer, as the Qwen2.5 checkpoints lay them out.
//!
//! `AutoTokenizer` builds a `Qwen2Tokenizer` for every checkpoint of `model_type: qwen2`, whatever
//! `tokenizer.json` says: NFC, this split pattern and the byte-level alphabet are not a choice.

use serde_json::{Map, Value, json};

/// Qwen2's split pattern: words with their leading space, single digits, punctuation, line ends.
const SPLIT_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// End of a text; also the padding.
pub(super) const END_OF_TEXT: &str = "<|endoftext|>";

/// The special tokens, in the order of their ids, which follow the vocabulary's.
pub(super) const SPECIAL_TOKENS: [&str; 3] = [END_OF_TEXT, "<|im_start|>", "<|im_end|>"];

/// Longest text `tokenizer_config.json` speaks of; the model's own limit is in its `config.json`.
const MODEL_MAX_LENGTH: usize = 131_072;

/// `tokenizer.json` of a vocabulary in id order and its merges in rank order.
pub(super) fn tokenizer_json(vocabulary: &[String], merges: &[(String, String)]) -> Value {
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false,
    });
    let added: Vec<Value> = SPECIAL_TOKENS
        .iter()
        .enumerate()
        .map(|(index, content)| {
            json!({
                "id": vocabulary.len() + index,
                "content": content,
                "single_word": false,
                "lstrip": false,
                "rstrip": false,
                "normalized": false,
                "special": true,
            })
        })
        .collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": { "type": "NFC" },
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": { "Regex": SPLIT_PATTERN },
                    "behavior": "Isolated",
                    "invert": false,
                },
                byte_level,
            ],
        },
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": false,
            "byte_fallback": false,
            "vocab": vocab_json(vocabulary),
            "merges": merges.iter().map(|(left, right)| format!("{left} {right}")).collect::<Vec<_>>(),
        },
    })
}

/// `vocab.json`: every token's id, in id order.
pub(super) fn vocab_json(vocabulary: &[String]) -> Value {
    let entries = vocabulary
        .iter()
        .enumerate()
        .map(|(id, token)| (token.clone(), Value::from(id)));
    Value::Object(entries.collect())
}

/// `merges.txt`, in rank order.
pub(super) fn merges_txt(merges: &[(String, String)]) -> String {
    let mut text = "#version: 0.2\n".to_owned();
    for (left, right) in merges {
        text.push_str(&format!("{left} {right}\n"));
    }
    text
}

/// `tokenizer_config.json`, without a chat template; the text ends with [`END_OF_TEXT`].
pub(super) fn tokenizer_config(vocabulary_len: usize) -> Map<String, Value> {
    let decoder: Map<String, Value> = SPECIAL_TOKENS
        .iter()
        .enumerate()
        .map(|(index, content)| {
            let token = json!({
                "content": content,
                "lstrip": false,
                "normalized": false,
                "rstrip": false,
                "single_word": false,
                "special": true,
            });
            ((vocabulary_len + index).to_string(), token)
        })
        .collect();
    let config = json!({
        "add_bos_token": false,
        "add_prefix_space": false,
        "added_tokens_decoder": decoder,
        "additional_special_tokens": SPECIAL_TOKENS[1..],
        "bos_token": null,
        "clean_up_tokenization_spaces": false,
        "eos_token": END_OF_TEXT,
        "errors": "replace",
        "model_max_length": MODEL_MAX_LENGTH,
        "pad_token": END_OF_TEXT,
        "split_special_tokens": false,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": null,
    });
    match config {
        Value::Object(config) => config,
        _ => Map::new(),
    }
}

/// `special_tokens_map.json` for a text that ends with `eos_token`.
pub(super) fn special_tokens_map(eos_token: &str) -> Value {
    let token = |content: &str| {
        json!({
            "content": content,
            "lstrip": false,
            "normalized": false,
            "rstrip": false,
            "single_word": false,
        })
    };
    json!({
        "additional_special_tokens": SPECIAL_TOKENS[1..],
        "eos_token": token(eos_token),
        "pad_token": token(END_OF_TEXT),
    })
}
