use serde_json::json;
use taskvec_core::{Bindings, Dtype, EmbeddedDirectory, Library, OutputOptions, PlanOptions};

use super::*;
use crate::decoder::RopeScaling;
use crate::tokenizer::train_bpe;
use crate::train::initialization;

fn config() -> DecoderConfig {
    DecoderConfig {
        vocab_size: 262,
        hidden_size: 12,
        intermediate_size: 20,
        num_hidden_layers: 2,
        num_attention_heads: 3,
        num_key_value_heads: 1,
        head_dim: 4,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::Default,
        tie_word_embeddings: false,
        attention_bias: true,
        query_key_norm: false,
    }
}

fn model() -> Model {
    let decoder = initialization::decoder(&config(), 7, &Device::flex());
    let tokenizer = train_bpe(std::iter::empty(), 259).unwrap();
    Model::new(decoder, tokenizer, 64, &Device::flex()).unwrap()
}

fn plan(directory: EmbeddedDirectory, expression: &str) -> Plan {
    let library = Library::new().with("test", move |_| Some(directory.clone()), &["model"]);
    Plan::build(
        &expression.parse().unwrap(),
        &Bindings::default(),
        &library,
        &PlanOptions::default(),
    )
    .unwrap()
}

fn weights(model: &Model) -> Vec<Vec<f32>> {
    let stored = tensors::stored(&model.config.decoder);
    stored
        .iter()
        .map(|tensor| tensors::read(&model.decoder, tensor).unwrap())
        .collect()
}

#[test]
fn what_is_saved_loads_again_from_an_expression() {
    let model = model();
    let directory = model.to_embedded(Dtype::F32).unwrap();
    let again = Model::load(&plan(directory.clone(), "test:model"), &Device::flex()).unwrap();
    assert_eq!(weights(&again), weights(&model));
    assert_eq!(again.config.decoder, model.config.decoder);
    assert_eq!(again.config.eos_token_ids, [256]);
    assert_eq!(again.config.max_positions, 64);
    assert_eq!(again.tokenizer.files(), model.tokenizer.files());
    // And saving what was loaded changes no byte.
    assert_eq!(again.to_embedded(Dtype::F32).unwrap(), directory);
}

#[test]
fn the_directory_on_disk_is_the_one_in_memory() {
    let parent = tempfile::tempdir().unwrap();
    let destination = parent.path().join("model");
    let model = model();
    model
        .save(&destination, Dtype::Bf16, &OutputOptions::default(), None)
        .unwrap();
    let embedded = model.to_embedded(Dtype::Bf16).unwrap();
    let mut names: Vec<String> = std::fs::read_dir(&destination)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, embedded.files.keys().cloned().collect::<Vec<_>>());
    for (name, bytes) in &embedded.files {
        assert_eq!(
            std::fs::read(destination.join(name)).unwrap(),
            bytes.as_ref(),
            "{name}"
        );
    }
    let json: Value = serde_json::from_slice(&embedded.files["config.json"]).unwrap();
    assert_eq!(json["torch_dtype"], "bfloat16");
    let again = Model::load(&plan(embedded, "test:model"), &Device::flex()).unwrap();
    let rounded: Vec<Vec<f32>> = weights(&model)
        .into_iter()
        .map(|values| {
            values
                .into_iter()
                .map(|value| half::bf16::from_f32(value).to_f32())
                .collect()
        })
        .collect();
    assert_eq!(weights(&again), rounded);
    assert!(matches!(
        model.to_embedded(Dtype::I64),
        Err(Error::UnsupportedDtype { dtype: Dtype::I64 })
    ));
}

#[test]
fn a_vector_is_no_model() {
    let directory = model().to_embedded(Dtype::F32).unwrap();
    let error =
        Model::load(&plan(directory, "test:model - test:model"), &Device::flex()).unwrap_err();
    assert!(
        matches!(error, Error::NotAModel { .. }) && error.hint().is_some(),
        "{error}"
    );
}

/// A checkpoint whose weights are zeros of these shapes.
struct Zeros(BTreeMap<String, Vec<usize>>);

impl TensorSource for Zeros {
    fn name(&self) -> String {
        "zeros".to_owned()
    }

    fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.0.clone()
    }

    fn load(&self, name: &str) -> Result<Vec<f32>> {
        Ok(vec![0.0; self.0[name].iter().product()])
    }
}

fn assembled(
    edit_shapes: impl FnOnce(&mut BTreeMap<String, Vec<usize>>),
    edit_files: impl FnOnce(&mut BTreeMap<String, Vec<u8>>),
) -> Result<Model> {
    let mut shapes = tensor_shapes(&config());
    let mut files: BTreeMap<String, Vec<u8>> = model()
        .to_embedded(Dtype::F32)
        .unwrap()
        .files
        .into_iter()
        .map(|(name, bytes)| (name, bytes.into_owned()))
        .collect();
    files.remove("model.safetensors");
    edit_shapes(&mut shapes);
    edit_files(&mut files);
    Model::assemble(&Zeros(shapes), files, &Device::flex())
}

#[test]
fn every_tensor_that_does_not_fit_is_listed() {
    let error = assembled(
        |shapes| {
            shapes.remove("model.norm.weight");
            shapes.insert("model.layers.1.mlp.up_proj.weight".to_owned(), vec![12, 20]);
            shapes.insert("model.layers.2.mlp.up_proj.weight".to_owned(), vec![20, 12]);
        },
        |_| {},
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the tensors of `zeros` do not fit its `config.json`:\
         \n  `model.layers.1.mlp.up_proj.weight` is [12, 20], expected [20, 12]\
         \n  `model.norm.weight` is missing, expected [12]\
         \n  `model.layers.2.mlp.up_proj.weight` [20, 12] is not part of the architecture"
    );
}

fn edit_config(files: &mut BTreeMap<String, Vec<u8>>, name: &str, value: Value) {
    let mut json: Value = serde_json::from_slice(&files["config.json"]).unwrap();
    json[name] = value;
    files.insert("config.json".to_owned(), json.to_string().into_bytes());
}

#[test]
fn a_tied_model_may_store_its_head_once_more() {
    let tie = |files: &mut BTreeMap<String, Vec<u8>>| {
        edit_config(files, "tie_word_embeddings", json!(true))
    };
    assert!(assembled(|_| {}, tie).unwrap().decoder.head.is_none());
    assert!(assembled(|shapes| drop(shapes.remove("lm_head.weight")), tie).is_ok());
    let misshapen = |shapes: &mut BTreeMap<String, Vec<usize>>| {
        shapes.insert("lm_head.weight".to_owned(), vec![12, 262]);
    };
    assert!(matches!(
        assembled(misshapen, tie),
        Err(Error::TensorMismatch { .. })
    ));
}

#[test]
fn a_config_that_promises_more_than_there_is_allocates_nothing() {
    for (name, value) in [
        ("vocab_size", 1u64 << 24),
        ("hidden_size", 12 << 16),
        ("num_hidden_layers", 1 << 12),
    ] {
        let error = assembled(|_| {}, |files| edit_config(files, name, json!(value))).unwrap_err();
        assert!(matches!(error, Error::TensorMismatch { .. }), "{error}");
    }
}

#[test]
fn missing_and_broken_files_are_named() {
    let drops = |name: &'static str| {
        assembled(|_| {}, |files| drop(files.remove(name)))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(drops("config.json"), "`zeros/config.json` is missing");
    assert_eq!(drops("tokenizer.json"), "`zeros/tokenizer.json` is missing");
    for name in [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        let cut = |files: &mut BTreeMap<String, Vec<u8>>| {
            let bytes = files.get_mut(name).unwrap();
            bytes.truncate(bytes.len() / 2);
        };
        let error = assembled(|_| {}, cut).unwrap_err();
        assert!(
            matches!(&error, Error::Json { file, .. } if *file == format!("zeros/{name}")),
            "{error}"
        );
    }
    assert!(assembled(|_| {}, |files| drop(files.remove("generation_config.json"))).is_ok());
}

#[test]
fn a_vocabulary_must_fit_the_embedding() {
    let smaller = |shapes: &mut BTreeMap<String, Vec<usize>>| {
        shapes.insert("model.embed_tokens.weight".to_owned(), vec![258, 12]);
        shapes.insert("lm_head.weight".to_owned(), vec![258, 12]);
    };
    let error = assembled(smaller, |files| {
        edit_config(files, "vocab_size", json!(258))
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`zeros/tokenizer.json` has 259 tokens, the embedding 258 rows"
    );
}

#[test]
fn the_end_tokens_are_those_of_all_files() {
    let with = |json: Value| {
        let edit = |files: &mut BTreeMap<String, Vec<u8>>| {
            files.insert(
                "generation_config.json".to_owned(),
                json.to_string().into_bytes(),
            );
        };
        assembled(|_| {}, edit).map(|model| model.config.eos_token_ids)
    };
    assert_eq!(
        with(json!({ "eos_token_id": [258, 257] })).unwrap(),
        [258, 257, 256]
    );
    assert_eq!(with(json!({ "eos_token_id": null })).unwrap(), [256]);
    assert!(matches!(
        with(json!({ "eos_token_id": "end" })),
        Err(Error::InvalidConfig { .. })
    ));
}

#[test]
fn another_decoder_must_have_the_same_shape() {
    let model = model();
    let other = DecoderConfig {
        intermediate_size: 21,
        ..config()
    };
    let decoder = initialization::decoder(&other, 1, &Device::flex());
    assert!(matches!(
        model.with_decoder(decoder),
        Err(Error::OtherShape { .. })
    ));
    let decoder = initialization::decoder(&config(), 8, &Device::flex());
    assert_ne!(
        weights(&model.with_decoder(decoder).unwrap()),
        weights(&model)
    );
}
