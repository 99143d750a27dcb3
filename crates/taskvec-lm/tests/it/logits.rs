//! Logits against transformers in float32; the goldens' script is `tests/goldens/decoder_logits.py`.

use std::path::PathBuf;

use burn::tensor::{Device, Int, Tensor, TensorData};
use taskvec_core::{Bindings, Checkpoint, Library, Plan, PlanOptions, Reference};
use taskvec_lm::decoder::{KeyValueCache, RotaryTable};
use taskvec_lm::model::{ModelConfig, load_decoder};

/// Of logits up to 7; the sums differ in order only.
const TOLERANCE: f32 = 1e-4;

fn directory(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/goldens")
        .join(name)
}

fn open(path: &std::path::Path) -> Checkpoint {
    let reference: Reference = path.to_str().unwrap().parse().unwrap();
    Checkpoint::open(&reference, &Library::new()).unwrap()
}

fn check(name: &str) {
    let golden = open(&directory(name).join("golden.safetensors"));
    let tokens: Vec<i32> = golden
        .read("tokens")
        .unwrap()
        .chunks_exact(8)
        .map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()) as i32)
        .collect();
    let expected: Vec<f32> = golden
        .read("logits")
        .unwrap()
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    let [batch, positions]: [usize; 2] =
        golden.tensors()["tokens"].shape.clone().try_into().unwrap();

    let expression = format!("\"{}\"", directory(name).display())
        .parse()
        .unwrap();
    let plan = Plan::build(
        &expression,
        &Bindings::default(),
        &Library::new(),
        &PlanOptions::default(),
    )
    .unwrap();
    let device = Device::flex();
    let config = ModelConfig::parse(name, plan.template().unwrap().config().unwrap()).unwrap();
    let decoder = load_decoder(&plan, &config.decoder, &device).unwrap();
    let shape = &decoder.config;
    let rotary = RotaryTable::new(positions, shape);
    let tensor = || {
        Tensor::<2, Int>::from_data(TensorData::new(tokens.clone(), [batch, positions]), &device)
    };
    let compare = |what: &str, hidden: Tensor<3>| {
        let logits = decoder.logits(hidden.reshape([batch * positions, shape.hidden_size]));
        let logits = logits.into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(logits.len(), expected.len());
        let worst = logits
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst < TOLERANCE, "{name}, {what}: off by {worst}");
    };
    compare("in one pass", decoder.hidden(tensor(), &rotary));

    let mut cache = KeyValueCache::new(shape, batch, positions, &device);
    let starts = vec![0; batch];
    let steps: Vec<Tensor<3>> = (0..positions)
        .map(|position| {
            let tokens = tensor().narrow(1, position, 1);
            decoder.hidden_cached(tokens, &starts, &rotary, &mut cache)
        })
        .collect();
    compare("through the cache", Tensor::cat(steps, 1));
}

#[test]
fn qwen2_tied_with_as_many_key_heads() {
    check("qwen2/tied-heads-4-4");
}

#[test]
fn qwen2_untied_with_half_the_key_heads_and_another_theta() {
    check("qwen2/untied-heads-4-2");
}

#[test]
fn qwen2_tied_with_one_key_head_and_wider_heads() {
    check("qwen2/tied-heads-4-1-wide");
}

#[test]
fn qwen2_untied_and_deeper() {
    check("qwen2/untied-heads-2-1-deep");
}

#[test]
fn qwen3_tied_with_heads_wider_than_the_stream() {
    check("qwen3/tied-wide-heads");
}

#[test]
fn qwen3_untied() {
    check("qwen3/untied");
}

#[test]
fn llama_untied() {
    check("llama/untied");
}

#[test]
fn llama_with_the_positions_of_3_1() {
    check("llama/tied-llama3-rope");
}

#[test]
fn llama_with_linearly_scaled_positions() {
    check("llama/linear-rope");
}
