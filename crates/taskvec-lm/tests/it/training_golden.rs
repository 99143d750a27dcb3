//! Ten optimiser steps against PyTorch; `goldens/adamw_steps.py` made the numbers and says how.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::Deserialize;
use taskvec_core::{Checkpoint, Library, Reference};
use taskvec_lm::decoder::{DecoderConfig, RopeScaling};
use taskvec_lm::train::batch::Example;
use taskvec_lm::train::initialization;
use taskvec_lm::train::learner::Learner;
use taskvec_lm::train::optimizer::{AdamWConfig, Schedule};
use taskvec_lm::train::parallel::Workers;
use taskvec_lm::train::parameters::{Parameter, Parameters};
use taskvec_lm::train::sft::{self, SftConfig};

#[derive(Deserialize)]
struct Golden {
    config: Shape,
    settings: Settings,
    examples: Vec<GoldenExample>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Shape {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: usize,
    rms_norm_eps: f64,
    rope_theta: f64,
    tie_word_embeddings: bool,
}

#[derive(Deserialize)]
struct Settings {
    learning_rate: f64,
    warmup_steps: u64,
    total_steps: u64,
    min_lr_rate: f64,
    max_grad_norm: f64,
    weight_decay: f64,
    adam_beta1: f64,
    adam_beta2: f64,
    adam_epsilon: f64,
}

#[derive(Deserialize)]
struct GoldenExample {
    tokens: Vec<u32>,
    prompt: usize,
}

#[derive(Deserialize)]
struct Step {
    loss: f64,
    grad_norm: f64,
    learning_rate: f64,
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/goldens")
        .join(name)
}

/// Hugging Face's name of a parameter.
fn published(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    match parts[..] {
        ["embedding"] => "model.embed_tokens.weight".to_owned(),
        ["norm"] => "model.norm.weight".to_owned(),
        ["layers", layer, "input_norm"] => format!("model.layers.{layer}.input_layernorm.weight"),
        ["layers", layer, "post_attention_norm"] => {
            format!("model.layers.{layer}.post_attention_layernorm.weight")
        }
        ["layers", layer, part, kind] => {
            let part = match part {
                "query" => "self_attn.q_proj",
                "key" => "self_attn.k_proj",
                "value" => "self_attn.v_proj",
                "output" => "self_attn.o_proj",
                "gate" => "mlp.gate_proj",
                "up" => "mlp.up_proj",
                "down" => "mlp.down_proj",
                other => panic!("unknown part {other}"),
            };
            format!("model.layers.{layer}.{part}.{kind}")
        }
        _ => panic!("unknown parameter {name}"),
    }
}

/// A tensor of the golden in the layout of `parameter`: projections are stored transposed.
fn read(checkpoint: &Checkpoint, when: &str, parameter: &Parameter) -> Vec<f32> {
    let name = published(&parameter.name);
    let bytes = checkpoint.read(&format!("{when}.{name}")).unwrap();
    let values: Vec<f32> = bytes
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    if parameter.shape.len() < 2 || parameter.name == "embedding" {
        return values;
    }
    let (inputs, outputs) = (parameter.shape[0], parameter.shape[1]);
    (0..inputs * outputs)
        .map(|index| values[index % outputs * inputs + index / outputs])
        .collect()
}

/// Float32 on both sides, in another order of summation: losses agree to a few units in the last place, and
/// the optimiser's division by √v makes of a difference in a tiny gradient a difference in the weight of up
/// to the learning rate times that gradient's relative error. Ten steps at a rate of 0.01 gave at most
/// 2e-6 where this was made; a wrong constant anywhere gives 1e-4 and more.
const WEIGHT_TOLERANCE: f32 = 1e-5;
const LOSS_TOLERANCE: f64 = 5e-6;

#[test]
fn ten_steps_are_pytorchs() {
    let text = std::fs::read_to_string(golden("adamw_steps.json")).unwrap();
    let golden_steps: Golden = serde_json::from_str(&text).unwrap();
    let file = Reference::Path(golden("adamw_steps.safetensors"));
    let checkpoint = Checkpoint::open(&file, &Library::new()).unwrap();
    let Shape {
        vocab_size,
        hidden_size,
        intermediate_size,
        ..
    } = golden_steps.config;
    let shape = &golden_steps.config;
    let config = DecoderConfig {
        vocab_size,
        hidden_size,
        intermediate_size,
        num_hidden_layers: shape.num_hidden_layers,
        num_attention_heads: shape.num_attention_heads,
        num_key_value_heads: shape.num_key_value_heads,
        head_dim: shape.head_dim,
        rms_norm_eps: shape.rms_norm_eps,
        rope_theta: shape.rope_theta,
        rope_scaling: RopeScaling::Default,
        tie_word_embeddings: shape.tie_word_embeddings,
        attention_bias: true,
        query_key_norm: false,
    };
    let fresh = initialization::decoder(&config, 0, &Device::flex());
    let parameters = Parameters::of(&fresh);
    let all = |when: &str| -> Vec<f32> {
        let tensors = parameters.entries().iter();
        tensors
            .flat_map(|parameter| read(&checkpoint, when, parameter))
            .collect()
    };
    let decoder = parameters.install(&fresh, &all("before"), &Device::flex());

    let settings = &golden_steps.settings;
    let optimizer = AdamWConfig {
        adam_beta1: settings.adam_beta1,
        adam_beta2: settings.adam_beta2,
        adam_epsilon: settings.adam_epsilon,
        weight_decay: settings.weight_decay,
    };
    let schedule = Schedule {
        peak: settings.learning_rate,
        warmup_steps: settings.warmup_steps,
        total_steps: settings.total_steps,
        floor: settings.min_lr_rate,
    };
    let examples: Vec<Example> = golden_steps
        .examples
        .iter()
        .map(|example| {
            let (prompt, completion) = example.tokens.split_at(example.prompt);
            Example::completion(prompt, completion)
        })
        .collect();
    let examples: Vec<&Example> = examples.iter().collect();
    let sft = SftConfig {
        max_grad_norm: settings.max_grad_norm,
        ..SftConfig::default()
    };
    let mut learner = Learner::new(&decoder, optimizer, Workers::new(2).unwrap(), 16).unwrap();
    for (step, expected) in golden_steps.steps.iter().enumerate() {
        let rate = schedule.rate(step as u64);
        assert!(
            (rate - expected.learning_rate).abs() < 1e-15,
            "step {step}: rate {rate}"
        );
        let update = sft::step(&mut learner, &examples, &sft, rate).unwrap();
        let close =
            |found: f64, expected: f64| (found - expected).abs() < LOSS_TOLERANCE * expected;
        assert!(close(update.loss, expected.loss), "step {step}: {update:?}");
        assert!(
            close(update.grad_norm, expected.grad_norm),
            "step {step}: {update:?}"
        );
    }
    let found = parameters.read(learner.decoder()).unwrap();
    for parameter in parameters.entries() {
        let expected = read(&checkpoint, "after", parameter);
        let found = &found[parameter.range.clone()];
        let largest = found
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(
            largest < WEIGHT_TOLERANCE,
            "`{}` is off by {largest}",
            parameter.name
        );
    }
}
