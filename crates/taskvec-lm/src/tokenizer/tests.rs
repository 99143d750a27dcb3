use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn corpus() -> Vec<String> {
    let names = ["Anna", "Ben", "Chloé", "Dave"];
    let things = ["apples", "red marbles", "books", "coins"];
    (0..200)
        .map(|index: usize| {
            let (name, thing) = (names[index % 4], things[index / 4 % 4]);
            format!("{name} has {index} {thing}. {name} buys {} more. How many {thing} does {name} have?", index + 3)
        })
        .collect()
}

fn trained() -> Tokenizer {
    static TRAINED: std::sync::OnceLock<Tokenizer> = std::sync::OnceLock::new();
    TRAINED
        .get_or_init(|| train_bpe(corpus().into_iter(), 300).unwrap())
        .clone()
}

#[test]
fn training_depends_on_words_and_counts_alone() {
    let tokenizer = trained();
    let again = train_bpe(corpus().into_iter(), 300).unwrap();
    assert_eq!(tokenizer.files(), again.files());
    let mut reversed = corpus();
    reversed.reverse();
    assert_eq!(
        tokenizer.files(),
        train_bpe(reversed.into_iter(), 300).unwrap().files()
    );
    assert_eq!(tokenizer.vocab_size(), 300);
    assert_eq!(tokenizer.id("<|endoftext|>"), Some(297));
    assert_eq!(tokenizer.id("<|im_end|>"), Some(299));
    assert_eq!(tokenizer.eos().unwrap().id, 297);
}

#[test]
fn the_first_merges_are_the_most_frequent_pairs() {
    // "ab" 3 times, "abc" twice: a+b occurs 5 times, then ab+c twice; the single "x y" teaches nothing.
    let texts = ["ab", "ab", "ab", "abc", "abc", "xy"].map(str::to_owned);
    let tokenizer = train_bpe(texts.into_iter(), 1000).unwrap();
    assert_eq!(tokenizer.vocab_size(), 256 + 2 + 3);
    assert_eq!(tokenizer.encode("abcab").unwrap(), [257, 256]);
    assert_eq!(
        tokenizer.files()["merges.txt"],
        b"#version: 0.2\na b\nab c\n"
    );
}

#[test]
fn digits_are_single_and_special_tokens_are_never_learned() {
    let texts = std::iter::repeat_n("<|im_start|>user 1234<|im_end|>".to_owned(), 9);
    let tokenizer = train_bpe(texts, 400).unwrap();
    let ids = tokenizer.encode("1234").unwrap();
    assert_eq!(ids.len(), 4);
    assert_eq!(tokenizer.id("im"), None);
    let ids = tokenizer.encode("<|im_start|>user").unwrap();
    assert_eq!(ids[0], tokenizer.id("<|im_start|>").unwrap());
    assert_eq!(tokenizer.decode(&ids, true), "user");
    assert_eq!(tokenizer.decode(&ids, false), "<|im_start|>user");
}

#[test]
fn a_vocabulary_below_the_bytes_is_refused() {
    let error = train_bpe(std::iter::empty(), 258).unwrap_err();
    assert!(
        matches!(
            error,
            Error::VocabularyTooSmall {
                expected: 259,
                got: 258
            }
        ),
        "{error}"
    );
    assert_eq!(
        train_bpe(std::iter::empty(), 259)
            .unwrap()
            .encode("é")
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn the_end_token_and_the_template_are_written_to_the_files() {
    let tokenizer = trained()
        .with_eos_token("<|im_end|>")
        .and_then(|tokenizer| tokenizer.with_chat_template("{{ messages }}"))
        .unwrap();
    let again = Tokenizer::open("again", tokenizer.files().clone()).unwrap();
    assert_eq!(again.eos().unwrap().content, "<|im_end|>");
    assert_eq!(again.pad().unwrap().content, "<|endoftext|>");
    assert_eq!(again.chat_template(), Some("{{ messages }}"));
    let error = trained().with_eos_token("<|stop|>").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`tokenizer_config.json` names \"<|stop|>\" as `eos_token`, which the vocabulary lacks"
    );
}

#[test]
fn a_template_file_wins_over_the_configs() {
    let mut files = trained().with_chat_template("old").unwrap().files().clone();
    files.insert(TEMPLATE_FILE.to_owned(), b"new".to_vec());
    assert_eq!(
        Tokenizer::open("", files.clone()).unwrap().chat_template(),
        Some("new")
    );
    files.insert(TEMPLATE_FILE.to_owned(), vec![0xff]);
    assert!(matches!(
        Tokenizer::open("", files),
        Err(Error::NotUtf8 { .. })
    ));
}

#[test]
fn a_named_default_template_is_found() {
    let mut files = trained().files().clone();
    let config = json!({ "chat_template": [
        { "name": "tool_use", "template": "tools" }, { "name": "default", "template": "plain" },
    ] });
    files.insert(CONFIG_FILE.to_owned(), pretty(&config));
    assert_eq!(
        Tokenizer::open("", files).unwrap().chat_template(),
        Some("plain")
    );
}

/// `tokenizer.json` after `edit`, opened.
fn opened(edit: impl FnOnce(&mut Value)) -> Result<Tokenizer> {
    let mut files = trained().files().clone();
    let mut json: Value = serde_json::from_slice(&files[TOKENIZER_FILE]).unwrap();
    edit(&mut json);
    files.insert(TOKENIZER_FILE.to_owned(), pretty(&json));
    Tokenizer::open("model", files)
}

#[test]
fn each_way_to_be_wrong_is_named() {
    let message = |edit: fn(&mut Value)| opened(edit).unwrap_err().to_string();
    type Damage = fn(&mut Value);
    let cases: [(Damage, &str); 14] = [
        (
            |json| json["model"]["type"] = json!("WordPiece"),
            "model is WordPiece, expected BPE",
        ),
        (
            |json| json["decoder"] = json!({ "type": "Metaspace" }),
            "decoder is \"Metaspace\"",
        ),
        (|json| json["decoder"] = Value::Null, "decoder is none"),
        (
            |json| json["model"]["dropout"] = json!(0.5),
            "dropout is Some(0.5)",
        ),
        (
            |json| json["model"]["byte_fallback"] = json!(true),
            "byte_fallback is true",
        ),
        (
            |json| json["model"]["end_of_word_suffix"] = json!("</w>"),
            "end_of_word_suffix is \"</w>\"",
        ),
        (
            |json| json["model"]["vocab"] = json!([]),
            "`model.vocab` is not an object",
        ),
        (|json| json["model"]["vocab"] = json!({}), "names"),
        (
            |json| json["model"]["vocab"]["!"] = json!(4_294_967_295_u32),
            "gives \"!\" the id 4294967295",
        ),
        (|json| json["model"]["vocab"]["!"] = json!(1), "the id 1"),
        (
            |json| json["model"]["merges"][0] = json!("zz zzzzzzzzzzzzzzzzzzzzzzz"),
            "merge 0 names",
        ),
        (
            |json| json["model"]["merges"][0] = json!("a b c"),
            "merge 0 is not two tokens",
        ),
        (
            |json| json["added_tokens"][1]["id"] = json!(7),
            "has the id 7, expected 298",
        ),
        (
            |json| json["added_tokens"][0]["content"] = json!(""),
            "added token 297 is empty",
        ),
    ];
    for (edit, expected) in cases {
        let text = message(edit);
        assert!(
            text.contains(expected) && text.contains("model/tokenizer.json"),
            "{text}"
        );
    }
}

#[test]
fn a_cut_file_and_a_missing_file_are_named() {
    let mut files = trained().files().clone();
    let whole = files[TOKENIZER_FILE].clone();
    for length in [0, 1, whole.len() / 2, whole.len() - 3] {
        files.insert(TOKENIZER_FILE.to_owned(), whole[..length].to_vec());
        let error = Tokenizer::open("model", files.clone()).unwrap_err();
        assert!(matches!(error, Error::Json { ref file, .. } if file == "model/tokenizer.json"));
    }
    files.remove(TOKENIZER_FILE);
    let error = Tokenizer::open("model", files).unwrap_err();
    assert_eq!(error.to_string(), "`model/tokenizer.json` is missing");
}

#[test]
fn padding_and_truncation_of_the_file_are_ignored() {
    let tokenizer = opened(|json| {
        json["truncation"] = json!({ "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0 });
        json["padding"] = json!({ "strategy": { "Fixed": 9 }, "direction": "Left", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "!" });
    })
    .unwrap();
    assert_eq!(tokenizer.encode("1234").unwrap().len(), 4);
}

#[test]
fn stop_strings_are_cut_wherever_tokens_end() {
    let tokenizer = trained();
    let ids = tokenizer.encode("naïve 答え: 42\n\nQ: next").unwrap();
    let mut text = Detokenizer::new(&["Q:", "\n\n"]);
    let stopped = ids.iter().position(|id| text.push(&tokenizer, *id));
    assert_eq!(text.text(), "naïve 答え: 42");
    assert!(stopped.unwrap() < ids.len() - 2);

    // A multi-byte stop string, one byte per token.
    let mut text = Detokenizer::new(&["え"]);
    let stops: Vec<bool> = ids.iter().map(|id| text.push(&tokenizer, *id)).collect();
    assert!(stops.iter().any(|stop| *stop));
    assert!(text.text().starts_with("naïve 答"), "{}", text.text());
}

#[test]
fn a_character_cut_in_the_middle_is_shown_as_replacement_only_at_the_end() {
    let tokenizer = trained();
    let ids = tokenizer.encode("é").unwrap();
    let (first, rest) = tokenizer
        .encode("答")
        .unwrap()
        .split_first()
        .map(|(id, ids)| (*id, ids.to_vec()))
        .unwrap();
    let mut text = Detokenizer::new::<&str>(&[]);
    for id in ids {
        text.push(&tokenizer, id);
    }
    assert_eq!(text.text(), "é");
    text.push(&tokenizer, first);
    assert_eq!(text.text(), "é\u{fffd}");
    for id in rest {
        text.push(&tokenizer, id);
    }
    assert_eq!(text.text(), "é答");
    assert!(!text.push(&tokenizer, tokenizer.id("<|im_end|>").unwrap()));
    assert!(!text.push(&tokenizer, u32::MAX));
    assert_eq!(text.text(), "é答");
}

proptest! {
    #[test]
    fn text_comes_back_up_to_its_normal_form(text in "\\PC{0,40}") {
        let tokenizer = trained();
        let once = tokenizer.decode(&tokenizer.encode(&text).unwrap(), false);
        prop_assert_eq!(tokenizer.decode(&tokenizer.encode(&once).unwrap(), false), once.clone());
        if text.is_ascii() {
            prop_assert_eq!(once, text);
        }
    }
}
