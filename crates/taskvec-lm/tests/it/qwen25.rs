//! The published Qwen2.5 tokenizer and chat templates, to the id and to the byte.

use std::io::Read;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;
use taskvec_lm::chat::ChatTemplate;
use taskvec_lm::tokenizer::{Tokenizer, TokenizerFiles};

fn data(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/qwen2.5")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn records(name: &str) -> Vec<Value> {
    let text = String::from_utf8(data(name)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn open(config: &str) -> Tokenizer {
    static UNPACKED: OnceLock<Vec<u8>> = OnceLock::new();
    let json = UNPACKED.get_or_init(|| {
        let mut json = Vec::new();
        flate2::read::GzDecoder::new(data("tokenizer.json.gz").as_slice())
            .read_to_end(&mut json)
            .unwrap();
        json
    });
    let files = [
        ("tokenizer.json", json.clone()),
        ("tokenizer_config.json", data(config)),
    ];
    let files: TokenizerFiles = files.map(|(name, bytes)| (name.to_owned(), bytes)).into();
    Tokenizer::open("qwen2.5", files).unwrap()
}

fn ids(record: &Value) -> Vec<u32> {
    record["ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap() as u32)
        .collect()
}

#[test]
fn every_golden_text_has_its_ids_and_comes_back() {
    let tokenizer = open("tokenizer_config.instruct.json");
    assert_eq!(tokenizer.vocab_size(), 151_665);
    assert_eq!(tokenizer.eos().unwrap().id, 151_645);
    assert_eq!(tokenizer.pad().unwrap().id, 151_643);
    assert_eq!(tokenizer.bos(), None);
    let records = records("golden_encodings.jsonl");
    assert_eq!(records.len(), 81);
    for record in records {
        let text = record["text"].as_str().unwrap();
        let expected = ids(&record);
        assert_eq!(tokenizer.encode(text).unwrap(), expected, "{text:?}");
        assert_eq!(
            tokenizer.decode(&expected, false),
            record["decoded"].as_str().unwrap(),
            "{text:?}"
        );
    }
}

#[test]
fn every_golden_chat_is_rendered_to_the_byte() {
    let tokenizers =
        ["base", "instruct"].map(|kind| (kind, open(&format!("tokenizer_config.{kind}.json"))));
    let records = records("golden_chat.jsonl");
    assert_eq!(records.len(), 36);
    for record in records {
        let kind = record["template"].as_str().unwrap();
        let (_, tokenizer) = tokenizers.iter().find(|(name, _)| *name == kind).unwrap();
        let template = ChatTemplate::of(tokenizer).unwrap();
        let tools = Some(&record["tools"]).filter(|tools| !tools.is_null());
        let add_generation_prompt = record["add_generation_prompt"].as_bool().unwrap();
        let text = template
            .render(&record["messages"], tools, add_generation_prompt)
            .unwrap();
        assert_eq!(text, record["text"].as_str().unwrap());
        assert_eq!(tokenizer.encode(&text).unwrap(), ids(&record));
    }
}
