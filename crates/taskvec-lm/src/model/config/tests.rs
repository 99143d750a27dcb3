//! Published files, edited files and files made here.

use super::*;
use crate::decoder::RopeScaling;

fn qwen() -> Map<String, Value> {
    let text = r#"{"architectures":["Qwen2ForCausalLM"],"attention_dropout":0.0,"bos_token_id":151643,
        "eos_token_id":151645,"hidden_act":"silu","hidden_size":1536,"initializer_range":0.02,
        "intermediate_size":8960,"max_position_embeddings":32768,"max_window_layers":21,"model_type":"qwen2",
        "num_attention_heads":12,"num_hidden_layers":28,"num_key_value_heads":2,"rms_norm_eps":1e-06,
        "rope_theta":1000000.0,"sliding_window":32768,"tie_word_embeddings":true,"torch_dtype":"bfloat16",
        "transformers_version":"4.43.1","use_cache":true,"use_sliding_window":false,"vocab_size":151936}"#;
    serde_json::from_str(text).unwrap()
}

fn edited(edits: &[(&str, Value)]) -> Result<ModelConfig> {
    let mut json = qwen();
    for (name, value) in edits {
        json.insert((*name).to_owned(), value.clone());
    }
    ModelConfig::parse("model", &json)
}

#[test]
fn a_published_file_is_read() {
    let config = ModelConfig::parse("model", &qwen()).unwrap();
    assert_eq!(config.decoder.head_dim, 128);
    assert_eq!(config.decoder.rope_theta, 1e6);
    assert!(config.decoder.tie_word_embeddings);
    assert_eq!(config.max_positions, 32_768);
    assert_eq!(config.eos_token_ids, [151_645]);
    let generation = json!({ "eos_token_id": [151_645, 151_643] });
    let config = config
        .with_generation_config("model", generation.as_object().unwrap())
        .unwrap();
    assert_eq!(config.eos_token_ids, [151_645, 151_643]);
    assert_eq!(config.to_json(Dtype::F32)["torch_dtype"], "float32");
    assert_eq!(config.to_json(Dtype::Bf16), qwen());
}

#[test]
fn a_config_made_here_reads_back() {
    let read = ModelConfig::parse("model", &qwen()).unwrap();
    let made = ModelConfig::new(read.decoder.clone(), read.max_positions, 151_645);
    let again = ModelConfig::parse("model", &made.to_json(Dtype::F32)).unwrap();
    assert_eq!(
        (again.decoder, again.max_positions, again.eos_token_ids),
        (read.decoder, read.max_positions, vec![151_645])
    );
}

#[test]
fn theta_may_stand_inside_rope_parameters() {
    let edits = [(
        "rope_parameters",
        json!({ "rope_theta": 5e5, "rope_type": "default" }),
    )];
    assert_eq!(edited(&edits).unwrap().decoder.rope_theta, 5e5);
    let edits = [(
        "rope_parameters",
        json!({ "rope_theta": -1, "rope_type": "yarn" }),
    )];
    let text = edited(&edits).unwrap_err().to_string();
    assert!(
        text.contains("in `rope_parameters`: `rope_type` is \"yarn\"")
            && text.contains("in `rope_parameters`: `rope_theta` is -1"),
        "{text}"
    );
}

#[test]
fn scaled_positions_are_read() {
    let llama = [
        ("architectures", json!(["LlamaForCausalLM"])),
        (
            "rope_scaling",
            json!({ "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192, "rope_type": "llama3" }),
        ),
    ];
    let decoder = edited(&llama).unwrap().decoder;
    assert!(!decoder.attention_bias && !decoder.query_key_norm);
    let scaling = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 8192.0,
    };
    assert_eq!(decoder.rope_scaling, scaling);
    // 2048 and 8192 positions a wave are where keeping ends and dividing by the factor begins.
    let wave = |positions: f64| positions / std::f64::consts::TAU;
    assert_eq!(scaling.apply(wave(2000.0)), wave(2000.0));
    assert_eq!(scaling.apply(wave(8192.0)), 8.0 * wave(8192.0));
    let between = scaling.apply(wave(4096.0)) / wave(4096.0);
    assert!((between - 24.0 / 10.0).abs() < 1e-12, "{between}");
    let bare = [("rope_scaling", json!({ "rope_type": "llama3" }))];
    let text = edited(&bare).unwrap_err().to_string();
    for field in [
        "factor",
        "low_freq_factor",
        "original_max_position_embeddings",
    ] {
        let problem = format!("in `rope_scaling`: `{field}` is missing");
        assert!(text.contains(&problem), "{text}");
    }
}

#[test]
fn qwen3_normalises_its_heads() {
    let edits = [
        ("architectures", json!(["Qwen3ForCausalLM"])),
        ("attention_bias", json!(false)),
    ];
    let decoder = edited(&edits).unwrap().decoder;
    assert!(decoder.query_key_norm && !decoder.attention_bias);
    assert_eq!(decoder.head_dim, 128);
    assert!(
        edited(&[
            ("architectures", json!(["Qwen3ForCausalLM"])),
            ("attention_bias", json!(true))
        ])
        .is_err()
    );
}

#[test]
fn every_problem_is_listed_at_once() {
    let edits = [
        ("hidden_size", json!(1e30)),
        ("num_attention_heads", json!(7)),
        ("num_hidden_layers", json!(u64::MAX)),
        ("vocab_size", json!(-1)),
        ("intermediate_size", Value::Null),
        ("rms_norm_eps", json!("small")),
        ("tie_word_embeddings", json!(1)),
        ("hidden_act", json!("gelu")),
        ("eos_token_id", json!([1.5])),
        ("layer_types", json!(["sliding_attention"])),
        ("quantization_config", json!({ "quant_method": "awq" })),
        ("rope_scaling", json!({ "type": "linear" })),
        ("mlp_bias", json!(true)),
    ];
    let Err(Error::InvalidConfig { file, problems }) = edited(&edits) else {
        panic!()
    };
    assert_eq!(file, "model/config.json");
    let text = problems.join("\n");
    for name in edits.iter().map(|(name, _)| *name) {
        let name = if name == "layer_types" {
            "sliding window"
        } else {
            name
        };
        assert!(text.contains(name), "{name} is not in\n{text}");
    }
    assert!(text.contains("`intermediate_size` is missing"), "{text}");
}

#[test]
fn a_window_no_layer_uses_is_none() {
    let edits = [
        ("use_sliding_window", json!(true)),
        ("max_window_layers", json!(28)),
    ];
    assert!(edited(&edits).is_ok());
    assert!(edited(&[("layer_types", json!(["full_attention"]))]).is_ok());
    assert!(edited(&[("layer_types", json!(["sliding_attention"]))]).is_err());
}

#[test]
fn odd_heads_are_refused() {
    for edits in [
        [("head_dim", json!(3))],
        [("num_key_value_heads", json!(5))],
        [("num_attention_heads", json!(0))],
    ] {
        assert!(
            matches!(edited(&edits), Err(Error::InvalidConfig { .. })),
            "{edits:?}"
        );
    }
}

#[test]
fn other_architectures_are_refused_by_name() {
    let text = edited(&[("architectures", json!(["MistralForCausalLM"]))])
        .unwrap_err()
        .to_string();
    assert_eq!(
        text,
        "`model/config.json` describes MistralForCausalLM, expected one of: Qwen2ForCausalLM, \
         Qwen3ForCausalLM, LlamaForCausalLM"
    );
    assert!(edited(&[("architectures", json!([])), ("model_type", json!("qwen2"))]).is_ok());
    assert!(
        edited(&[
            ("architectures", Value::Null),
            ("model_type", json!("gpt2"))
        ])
        .is_err()
    );
    assert!(ModelConfig::parse("model", &Map::new()).is_err());
}
