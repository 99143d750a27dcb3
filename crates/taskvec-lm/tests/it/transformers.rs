//! A saved directory in the hands of the real `AutoModelForCausalLM` and `AutoTokenizer`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde_json::{Value, json};
use taskvec_core::{Bindings, Dtype, Library, OutputOptions, Plan, PlanOptions};
use taskvec_eval::generator::{GenerateRequest, Message, Prompt, Sampling};
use taskvec_lm::decoder::RotaryTable;
use taskvec_lm::generate::LocalGenerator;
use taskvec_lm::micro;
use taskvec_lm::model::Model;

use crate::random_model;

/// Runs `tests/python/load_checkpoint.py`, or says that it is skipped and gives `None`.
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
fn load_in_python(directories: &[PathBuf], request: &Value) -> Option<Vec<Value>> {
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
        .args(directories)
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
    let rotary = RotaryTable::new(tokens.len(), config);
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

/// What the Python side is asked of every checkpoint.
const TEXTS: [&str; 4] = [
    "Q: Anna has 1234 apples. How many apples does Anna have?\nA:",
    "  it's   naïve\n\n答え: e\u{301}?\t",
    "<|im_start|>user\nHi<|im_end|>\n",
    "don't we'LL 🍎🍏 a<|endoftext|>b",
];
const QUESTION: &str = "How many apples?";
const MAX_NEW_TOKENS: usize = 12;

fn request() -> Value {
    json!({
        "texts": TEXTS,
        "messages": [{ "role": "user", "content": QUESTION }],
        "max_new_tokens": MAX_NEW_TOKENS,
    })
}

/// Compares a model with what transformers says of its directory.
fn compare(name: &str, model: Model, answer: &Value) {
    assert_eq!(answer["model_class"], "Qwen2ForCausalLM", "{name}");
    assert_eq!(answer["tokenizer_class"], "Qwen2Tokenizer", "{name}");
    assert_eq!(answer["problems"], json!([]), "{name}");
    let tokenizer = model.tokenizer();
    assert_eq!(answer["vocabulary"], tokenizer.vocab_size(), "{name}");
    assert_eq!(answer["eos"], tokenizer.eos().unwrap().id, "{name}");
    assert_eq!(answer["pad"], tokenizer.pad().unwrap().id, "{name}");
    for (index, text) in TEXTS.iter().enumerate() {
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(answer["ids"][index], json!(ids), "{name}: {text:?}");
        assert_eq!(
            answer["decoded"][index],
            tokenizer.decode(&ids, false),
            "{name}"
        );
        let ours = logits(&model, &ids);
        let rows = answer["logits"][index].as_array().unwrap().iter();
        let theirs: Vec<f64> = rows
            .flat_map(|row| row.as_array().unwrap())
            .map(|value| value.as_f64().unwrap())
            .collect();
        assert_eq!(ours.len(), theirs.len(), "{name}");
        let worst = ours
            .iter()
            .zip(&theirs)
            .map(|(a, b)| (f64::from(*a) - b).abs())
            .fold(0.0, f64::max);
        assert!(worst < 1e-4, "{name}, {text:?}: logits off by {worst}");
    }
    let messages = vec![Message::user(QUESTION)];
    let prompt = if tokenizer.chat_template().is_some() {
        let chat = model.chat_template().unwrap().prompt(&messages).unwrap();
        assert_eq!(answer["chat"], chat, "{name}");
        Prompt::Chat(messages)
    } else {
        Prompt::Text(TEXTS[0].to_owned())
    };
    let request = GenerateRequest {
        prompt,
        max_new_tokens: MAX_NEW_TOKENS,
        stop: Vec::new(),
        sampling: Sampling::greedy(),
    };
    let generator = LocalGenerator::new(model).unwrap();
    let completion = generator
        .complete(&[request], &mut |_, _| {})
        .unwrap()
        .remove(0);
    assert_eq!(answer["generated"], completion.text, "{name}");
}

#[test]
fn saved_and_embedded_models_are_the_same_models_in_transformers() {
    let parent = tempfile::tempdir().unwrap();
    let mut directories = Vec::new();
    let mut models = Vec::new();

    let ends =
        ["<|endoftext|>", "<|im_end|>"].map(|token| random_model::tokenizer().id(token).unwrap());
    let model = random_model::model(64, &ends);
    directories.push(parent.path().join("random"));
    model
        .save(&directories[0], Dtype::F32, &OutputOptions::default(), None)
        .unwrap();
    models.push(("random".to_owned(), model));

    let library = Library::new().with("micro", micro::embedded, &micro::NAMES);
    for name in micro::NAMES {
        let directory = parent.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        for (file, bytes) in micro::embedded(name).unwrap().files {
            std::fs::write(directory.join(file), bytes).unwrap();
        }
        directories.push(directory);
        let expression = format!("micro:{name}").parse().unwrap();
        let plan = Plan::build(
            &expression,
            &Bindings::default(),
            &library,
            &PlanOptions::default(),
        )
        .unwrap();
        models.push((
            expression.to_string(),
            Model::load(&plan, &Device::flex()).unwrap(),
        ));
    }
    let Some(answers) = load_in_python(&directories, &request()) else {
        return;
    };
    assert_eq!(answers.len(), models.len());
    for ((name, model), answer) in models.into_iter().zip(&answers) {
        compare(&name, model, answer);
    }
}
