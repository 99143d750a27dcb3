//! Everything that is no checkpoint, each with its own error and, where there is advice, a hint.

use std::fs;
use std::path::Path;

use taskvec_core::checkpoint::IndexError;
use taskvec_core::safetensors::HeaderError;
use taskvec_core::{Checkpoint, EmbeddedDirectory, Error, Library, WeightFormat};
use tempfile::tempdir;

use super::fixture::*;

fn hint(error: &Error) -> String {
    error.hint().unwrap_or_default()
}

#[test]
fn a_path_that_does_not_exist_names_its_neighbours() {
    let scratch = tempdir().unwrap();
    model(&scratch.path().join("target"));
    let error = refusal(&scratch.path().join("tagret"));
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    let target = scratch.path().join("target");
    assert_eq!(
        hint(&error),
        format!("did you mean `{}`?", target.display())
    );

    // A file where a directory should be.
    let error = refusal(&target.join("config.json").join("model"));
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[test]
fn what_looks_like_a_hub_name_is_told_how_to_write_it() {
    let error = refusal(Path::new("no-such-organisation/no-such-model"));
    assert_eq!(
        hint(&error),
        "if it is on the Hugging Face Hub, write `hf:no-such-organisation/no-such-model`, in an expression \
         `\"hf:no-such-organisation/no-such-model\"`"
    );
    assert!(refusal(Path::new("/no/such/place")).hint().is_none());
}

#[test]
fn a_hub_reference_is_told_how_to_download() {
    let open = |text: &str| Checkpoint::open(&text.parse().unwrap(), &Library::new()).unwrap_err();
    let error = open("hf:Qwen/Qwen2.5-1.5B@main");
    assert_eq!(
        error.to_string(),
        "nothing is fetched here: `Qwen/Qwen2.5-1.5B` must be on this machine"
    );
    assert_eq!(
        hint(&error),
        "download it with `hf download Qwen/Qwen2.5-1.5B --revision main --local-dir Qwen2.5-1.5B` and pass `Qwen2.5-1.5B`"
    );
    assert!(hint(&open("hf:Qwen/Qwen2.5-1.5B")).contains("B --local-dir"));
}

#[test]
fn an_unknown_embedded_name_lists_those_there_are() {
    let library = Library::new().with("micro", |_| None::<EmbeddedDirectory>, &["base", "sft"]);
    let error = Checkpoint::open(&"micro:bass".parse().unwrap(), &library).unwrap_err();
    assert!(matches!(error, Error::UnknownEmbedded { .. }), "{error}");
    assert_eq!(hint(&error), "there are `micro:base` and `micro:sft`");
    let error = Checkpoint::open(&"macro:base".parse().unwrap(), &library).unwrap_err();
    assert!(matches!(error, Error::UnknownScheme { .. }), "{error}");
    assert!(
        hint(&error).starts_with("the collections are `micro`;"),
        "{}",
        hint(&error)
    );
}

#[test]
fn weights_in_other_formats_are_told_how_to_convert() {
    let scratch = tempdir().unwrap();
    for (name, format) in [
        ("pytorch_model.bin", WeightFormat::PyTorch),
        ("model.pt", WeightFormat::PyTorch),
        ("model.Q4_K_M.gguf", WeightFormat::Gguf),
        ("tf_model.h5", WeightFormat::Keras),
    ] {
        let directory = scratch.path().join(format!("only {name}"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("config.json"), CONFIG).unwrap();
        let file = directory.join(name);
        fs::write(&file, "anything").unwrap();
        for given in [&directory, &file] {
            let error = refusal(given);
            match &error {
                Error::UnsupportedFormat {
                    path,
                    format: found,
                } => {
                    assert_eq!((path, *found), (&file, format));
                }
                other => panic!("{other:?}"),
            }
            assert!(error.hint().is_some());
        }
    }
    let error = refusal(&scratch.path().join("only pytorch_model.bin"));
    assert!(
        error
            .to_string()
            .ends_with("is a PyTorch pickle, not safetensors"),
        "{error}"
    );
    assert!(
        hint(&error).contains("save_pretrained(o)' DIR OUT"),
        "{}",
        hint(&error)
    );
}

#[test]
fn directories_without_weights() {
    let scratch = tempdir().unwrap();
    let error = refusal(scratch.path());
    assert!(
        matches!(&error, Error::NoWeights { found, .. } if found.is_empty()),
        "{error}"
    );
    fs::write(scratch.path().join("consolidated.safetensors"), "").unwrap();
    let error = refusal(scratch.path());
    assert!(
        hint(&error).ends_with("it holds `consolidated.safetensors`"),
        "{}",
        hint(&error)
    );
}

#[test]
fn shards_without_their_index() {
    let scratch = tempdir().unwrap();
    sharded_model(scratch.path());
    fs::remove_file(scratch.path().join(INDEX)).unwrap();
    let error = refusal(scratch.path());
    assert!(
        matches!(&error, Error::MissingIndex { shard, index, .. } if shard == FIRST && index == INDEX),
        "{error}"
    );
}

#[test]
fn a_model_and_a_vector_in_one_directory() {
    let scratch = tempdir().unwrap();
    model(scratch.path());
    fs::write(scratch.path().join("vector.safetensors"), "").unwrap();
    assert!(matches!(
        refusal(scratch.path()),
        Error::AmbiguousWeights { .. }
    ));
}

#[test]
fn files_that_are_no_checkpoint() {
    let scratch = tempdir().unwrap();
    sharded_model(scratch.path());
    let error = refusal(&scratch.path().join("config.json"));
    assert!(matches!(error, Error::NotACheckpoint { .. }), "{error}");
    let error = refusal(&scratch.path().join(INDEX));
    assert_eq!(hint(&error), "pass the directory that holds the index");
    fs::create_dir(scratch.path().join("config")).unwrap();
    fs::create_dir(scratch.path().join("config/model.safetensors")).unwrap();
    assert!(matches!(
        refusal(&scratch.path().join("config")),
        Error::NoWeights { .. }
    ));
}

#[cfg(unix)]
#[test]
fn a_pipe_or_device_is_not_waited_for() {
    let scratch = tempdir().unwrap();
    let link = scratch.path().join("model.safetensors");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    let error = refusal(&link);
    assert!(matches!(error, Error::NotACheckpoint { .. }), "{error}");
}

#[test]
fn a_model_without_config() {
    let scratch = tempdir().unwrap();
    model(scratch.path());
    fs::remove_file(scratch.path().join("config.json")).unwrap();
    assert!(matches!(
        refusal(scratch.path()),
        Error::MissingConfig { .. }
    ));
}

#[test]
fn a_config_that_is_not_an_object_too_deep_or_too_large() {
    let scratch = tempdir().unwrap();
    model(scratch.path());
    let config = scratch.path().join("config.json");
    for json in ["[]", "{", "", &format!("{{\"a\":{}", "[".repeat(100_000))] {
        fs::write(&config, json).unwrap();
        let error = refusal(scratch.path());
        assert!(
            matches!(&error, Error::Json { file, .. } if file == &config),
            "{error}"
        );
    }
    fs::File::create(&config).unwrap().set_len(1 << 40).unwrap();
    let error = refusal(scratch.path());
    assert!(
        matches!(
            error,
            Error::FileTooLarge {
                bytes: 0x100_0000_0000,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_cut_file_names_itself_and_the_tensor() {
    let scratch = tempdir().unwrap();
    model(scratch.path());
    let path = scratch.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let error = refusal(scratch.path());
        assert!(
            matches!(&error, Error::Header { file, .. } if file == &path),
            "{length}: {error}"
        );
        assert!(hint(&error).contains("cut short"), "{length}: {error}");
    }
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(
        refusal(scratch.path()),
        Error::Header { source: HeaderError::OffsetsBeyondFile { tensor, .. }, .. } if tensor == "layer"
    ));
}

#[test]
fn a_web_page_under_the_name_of_weights() {
    let scratch = tempdir().unwrap();
    model(scratch.path());
    let page = "<!DOCTYPE html><html>".repeat(10);
    fs::write(scratch.path().join("model.safetensors"), page).unwrap();
    let error = refusal(scratch.path());
    assert!(hint(&error).contains("Git LFS pointer"), "{error}");
}

/// The index error of opening the sharded model after `change`.
fn index_refusal(change: impl FnOnce(&Path)) -> IndexError {
    let scratch = tempdir().unwrap();
    sharded_model(scratch.path());
    change(scratch.path());
    match refusal(scratch.path()) {
        Error::Index { file, source } => {
            assert_eq!(file, scratch.path().join(INDEX));
            source
        }
        other => panic!("{other:?}"),
    }
}

/// Replaces the index by one with this weight map.
fn weight_map(directory: &Path, map: &str) {
    fs::write(directory.join(INDEX), format!(r#"{{"weight_map": {map}}}"#)).unwrap();
}

#[test]
fn an_index_that_is_not_an_index() {
    for json in [
        "",
        "[]",
        "{}",
        r#"{"weight_map": []}"#,
        r#"{"weight_map": {"a": 1}}"#,
        &format!(r#"{{"metadata": {}"#, "[".repeat(1_000_000)),
    ] {
        let error = index_refusal(|directory| fs::write(directory.join(INDEX), json).unwrap());
        assert!(matches!(error, IndexError::Json(_)), "{error}");
    }
    let error = index_refusal(|directory| weight_map(directory, "{}"));
    assert!(matches!(error, IndexError::Empty), "{error}");
}

#[test]
fn an_index_that_lists_a_tensor_twice() {
    let map = format!(r#"{{"embed": "{FIRST}", "embed": "{SECOND}"}}"#);
    let error = index_refusal(|directory| weight_map(directory, &map));
    assert!(
        matches!(&error, IndexError::DuplicateTensor { tensor } if tensor == "embed"),
        "{error}"
    );
}

#[test]
fn an_index_that_leaves_the_directory() {
    for shard in [
        "../x.safetensors",
        "/etc/passwd",
        "sub/x",
        "..",
        "",
        "C:x",
        "a\\\\b",
        "a\\u0000b",
    ] {
        let map = format!(r#"{{"embed": "{shard}"}}"#);
        let error = index_refusal(|directory| weight_map(directory, &map));
        assert!(
            matches!(error, IndexError::ShardPath { .. }),
            "{shard}: {error}"
        );
    }
}

#[test]
fn a_missing_shard() {
    let error = index_refusal(|directory| fs::remove_file(directory.join(SECOND)).unwrap());
    assert!(
        matches!(&error, IndexError::MissingShard { shard, tensor } if shard == SECOND && tensor == "layer"),
        "{error}"
    );
}

#[test]
fn a_tensor_that_its_shard_does_not_hold() {
    let error = index_refusal(|directory| {
        let second = safetensors(&[("layer", &[1.0])], &[]);
        fs::write(directory.join(SECOND), second).unwrap();
    });
    assert!(
        matches!(&error, IndexError::TensorNotInShard { tensor, shard } if tensor == "norm" && shard == SECOND),
        "{error}"
    );
}

#[test]
fn a_tensor_that_the_index_lacks() {
    let error = index_refusal(|directory| {
        let first = safetensors(&[("embed", &[1.0]), ("extra", &[1.0])], &[]);
        fs::write(directory.join(FIRST), first).unwrap();
    });
    assert!(
        matches!(&error, IndexError::TensorNotInIndex { tensor, shard } if tensor == "extra" && shard == FIRST),
        "{error}"
    );
}

#[test]
fn a_tensor_in_another_shard_than_the_index_says() {
    let map = format!(r#"{{"embed": "{FIRST}", "layer": "{SECOND}", "norm": "{FIRST}"}}"#);
    let error = index_refusal(|directory| weight_map(directory, &map));
    assert!(
        matches!(&error, IndexError::TensorElsewhere { tensor, indexed, shard }
            if tensor == "norm" && indexed == FIRST && shard == SECOND),
        "{error}"
    );
}

#[test]
fn a_tensor_in_two_shards() {
    let error = index_refusal(|directory| {
        let first = safetensors(&[("embed", &[1.0]), ("norm", &[1.0])], &[]);
        fs::write(directory.join(FIRST), first).unwrap();
    });
    assert!(
        matches!(&error, IndexError::TensorInTwoShards { tensor, first, second }
            if tensor == "norm" && first == FIRST && second == SECOND),
        "{error}"
    );
}

#[test]
fn a_bad_shard_is_named() {
    let scratch = tempdir().unwrap();
    sharded_model(scratch.path());
    let path = scratch.path().join(SECOND);
    fs::write(&path, "x").unwrap();
    let error = refusal(scratch.path());
    assert!(
        matches!(&error, Error::Header { file, .. } if file == &path),
        "{error}"
    );
}
