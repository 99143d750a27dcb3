//! A saved directory in the hands of the real `AutoModelForCausalLM` and `AutoTokenizer`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::{Value, json};
use taskvec_core::{Dtype, OutputOptions};
use taskvec_eval::generator::{GenerateRequest, Message, Prompt, Sampling};
use taskvec_lm::decoder::RotaryTable;
use taskvec_lm::generate::LocalGenerator;
use taskvec_lm::model::Model;

use crate::random_model;

/// Runs `tests/python/load_checkpoint.py`, or says that it is skipped and gives `None`.
fn load_in_python(directory: &Path, request: &Value) -> Option<Value> {
    let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("TASKVEC_OFFLINE").is_some_and(|value| value == "1") {
        println!("skipped: TASKVEC_OFFLINE=1, and the comparison needs packages from a registry");
        return None;
    }
    let script = crate_directory.join("../../scripts/python-env.sh");
    let made = Command::new("sh")
        .arg(&script)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "no Python environment to compare with; TASKVEC_OFFLINE=1 skips this test\n{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let python = String::from_utf8(made.stdout).unwrap();
    let mut child = Command::new(python.trim())
        .arg(crate_directory.join("tests/python/load_checkpoint.py"))
        .arg(directory)
        .env("HF_HUB_OFFLINE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(request.to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn logits(model: &Model, tokens: &[u32]) -> Vec<f32> {
    let config = &model.decoder().config;
    let values: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
    let tensor: Tensor<2, Int> =
        Tensor::from_data(TensorData::new(values, [1, tokens.len()]), &Device::flex());
    let rotary = RotaryTable::new(tokens.len(), config.head_dim, config.rope_theta);
    let hidden = model
        .decoder()
        .hidden(tensor, &rotary)
        .reshape([tokens.len(), config.hidden_size]);
    model
        .decoder()
        .logits(hidden)
        .into_data()
        .try_into_vec::<f32>()
        .unwrap()
}

#[test]
fn a_saved_model_is_the_same_model_in_transformers() {
    let ends =
        ["<|endoftext|>", "<|im_end|>"].map(|token| random_model::tokenizer().id(token).unwrap());
    let model = random_model::model(64, &ends);
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("model");
    model
        .save(&directory, Dtype::F32, &OutputOptions::default(), None)
        .unwrap();
    let texts = [
        "Anna has 1234 apples.",
        "  it's   naïve\n\n答え: e\u{301}?\t",
        "<|im_start|>user\nHi<|im_end|>\n",
        "don't we'LL 🍎🍏 a<|endoftext|>b",
    ];
    let request = json!({
        "texts": texts,
        "messages": [{ "role": "user", "content": "How many apples?" }],
        "max_new_tokens": 12,
    });
    let Some(answer) = load_in_python(&directory, &request) else {
        return;
    };

    assert_eq!(answer["model_class"], "Qwen2ForCausalLM");
    assert_eq!(answer["tokenizer_class"], "Qwen2Tokenizer");
    assert_eq!(answer["problems"], json!([]));
    let tokenizer = model.tokenizer();
    assert_eq!(answer["vocabulary"], tokenizer.vocab_size());
    assert_eq!(answer["eos"], tokenizer.eos().unwrap().id);
    assert_eq!(answer["pad"], tokenizer.pad().unwrap().id);
    for (index, text) in texts.iter().enumerate() {
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(answer["ids"][index], json!(ids), "{text:?}");
        assert_eq!(answer["decoded"][index], tokenizer.decode(&ids, false));
        let ours = logits(&model, &ids);
        let theirs = answer["logits"][index]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|row| row.as_array().unwrap());
        let theirs: Vec<f64> = theirs.map(|value| value.as_f64().unwrap()).collect();
        assert_eq!(ours.len(), theirs.len());
        let worst = ours
            .iter()
            .zip(&theirs)
            .map(|(a, b)| (f64::from(*a) - b).abs())
            .fold(0.0, f64::max);
        assert!(worst < 1e-4, "{text:?}: logits off by {worst}");
    }
    let messages = vec![Message::user("How many apples?")];
    let chat = model.chat_template().unwrap().prompt(&messages).unwrap();
    assert_eq!(answer["chat"], chat);
    let request = GenerateRequest {
        prompt: Prompt::Chat(messages),
        max_new_tokens: 12,
        stop: Vec::new(),
        sampling: Sampling::greedy(),
    };
    let generator = LocalGenerator::new(model).unwrap();
    let completion = generator
        .complete(&[request], &mut |_, _| {})
        .unwrap()
        .remove(0);
    assert_eq!(answer["generated"], completion.text);
}
