//! What can be opened, and what is then known and read.

use std::borrow::Cow;
use std::fs;

use taskvec_core::{Checkpoint, CheckpointKind, ContentHash, EmbeddedDirectory, Error, Library};
use tempfile::tempdir;

use super::fixture::*;

#[test]
fn a_model_in_one_file() {
    let scratch = tempdir().unwrap();
    model(scratch.path());
    let checkpoint = open(scratch.path()).unwrap();
    assert_eq!(checkpoint.kind(), CheckpointKind::Model);
    assert_eq!(checkpoint.path(), Some(scratch.path()));
    assert_eq!(checkpoint.metadata()["format"], "pt");
    // Tied embeddings have no `lm_head`; that is a model like any other.
    assert_eq!(checkpoint.config().unwrap()["tie_word_embeddings"], true);
    assert_eq!(values(&checkpoint, "layer"), [3.0, 4.0, 5.0]);
    let info = &checkpoint.tensors()["layer"];
    assert_eq!(
        (info.shape.as_slice(), info.element_count(), info.byte_len()),
        (&[3][..], 3, 12)
    );

    let mut piece = [0; 4];
    checkpoint.read_at("layer", 8, &mut piece).unwrap();
    assert_eq!(f32::from_le_bytes(piece), 5.0);
}

#[test]
fn a_model_in_shards_keeps_their_order() {
    let scratch = tempdir().unwrap();
    sharded_model(scratch.path());
    let checkpoint = open(scratch.path()).unwrap();
    let shards = checkpoint.shards();
    assert_eq!(
        shards
            .iter()
            .map(|shard| shard.file_name)
            .collect::<Vec<_>>(),
        [FIRST, SECOND]
    );
    assert_eq!(shards[1].tensors, ["layer", "norm"]);
    assert_eq!(values(&checkpoint, "embed"), [1.0, 2.0]);
    assert_eq!(values(&checkpoint, "norm"), [6.0]);
}

#[test]
fn of_shards_that_disagree_the_first_is_believed() {
    let scratch = tempdir().unwrap();
    sharded_model(scratch.path());
    let second = safetensors(
        &[("layer", &[3.0]), ("norm", &[6.0])],
        &[("format", "tf"), ("made by", "second")],
    );
    fs::write(scratch.path().join(SECOND), second).unwrap();
    let checkpoint = open(scratch.path()).unwrap();
    assert_eq!(checkpoint.metadata()["format"], "pt");
    assert_eq!(checkpoint.metadata()["made by"], "second");
}

#[test]
fn a_vector_needs_no_config() {
    let scratch = tempdir().unwrap();
    let weights = safetensors(&[("layer", &[1.0])], &[]);
    fs::write(scratch.path().join("vector.safetensors"), weights).unwrap();
    let checkpoint = open(scratch.path()).unwrap();
    assert_eq!(checkpoint.kind(), CheckpointKind::Vector);
    assert!(checkpoint.config().is_none());
}

#[test]
fn the_kind_is_the_headers_then_the_records_then_the_names() {
    let scratch = tempdir().unwrap();
    model(scratch.path());
    fs::write(scratch.path().join("taskvec.json"), r#"{"kind": "vector"}"#).unwrap();
    assert_eq!(open(scratch.path()).unwrap().kind(), CheckpointKind::Vector);
    let weights = safetensors(&[("layer", &[1.0])], &[("taskvec_kind", "model")]);
    fs::write(scratch.path().join("model.safetensors"), weights).unwrap();
    assert_eq!(open(scratch.path()).unwrap().kind(), CheckpointKind::Model);
}

#[test]
fn a_bare_file_has_no_neighbours() {
    let scratch = tempdir().unwrap();
    model(scratch.path());
    let checkpoint = open(&scratch.path().join("model.safetensors")).unwrap();
    assert_eq!(checkpoint.kind(), CheckpointKind::Model);
    assert!(checkpoint.config().is_none() && checkpoint.side_files().unwrap().is_empty());

    let file = scratch.path().join("reason.safetensors");
    fs::write(
        &file,
        safetensors(&[("layer", &[1.0])], &[("taskvec_kind", "vector")]),
    )
    .unwrap();
    assert_eq!(open(&file).unwrap().kind(), CheckpointKind::Vector);
}

#[test]
fn a_whole_file_goes_before_an_index_as_in_transformers() {
    let scratch = tempdir().unwrap();
    sharded_model(scratch.path());
    model(scratch.path());
    assert_eq!(open(scratch.path()).unwrap().shards().len(), 1);
}

#[cfg(unix)]
#[test]
fn links_are_followed_as_in_the_hubs_cache() {
    let scratch = tempdir().unwrap();
    model(&scratch.path().join("blobs"));
    let snapshot = scratch.path().join("snapshot");
    fs::create_dir(&snapshot).unwrap();
    for name in ["model.safetensors", "config.json"] {
        std::os::unix::fs::symlink(format!("../blobs/{name}"), snapshot.join(name)).unwrap();
    }
    std::os::unix::fs::symlink("../blobs/gone", snapshot.join("tokenizer.json")).unwrap();
    let checkpoint = open(&snapshot).unwrap();
    assert_eq!(values(&checkpoint, "embed"), [1.0, 2.0]);
    assert_eq!(checkpoint.side_files().unwrap().len(), 1);
}

#[test]
fn an_embedded_directory_reads_as_one_on_disk() {
    let scratch = tempdir().unwrap();
    sharded_model(scratch.path());
    let library = Library::new().with(
        "micro",
        {
            let files = listing(scratch.path())
                .into_iter()
                .map(|name| {
                    let bytes = fs::read(scratch.path().join(&name)).unwrap();
                    (name, Cow::Owned(bytes))
                })
                .collect();
            let directory = EmbeddedDirectory { files };
            move |name| (name == "base").then(|| directory.clone())
        },
        &["base"],
    );
    let embedded = Checkpoint::open(&"micro:base".parse().unwrap(), &library).unwrap();
    let on_disk = open(scratch.path()).unwrap();
    assert_eq!(embedded.name(), "micro:base");
    assert_eq!(embedded.path(), None);
    assert_eq!(embedded.tensors(), on_disk.tensors());
    assert_eq!(embedded.config(), on_disk.config());
    assert_eq!(embedded.file_records(), on_disk.file_records());
    assert_eq!(
        embedded.read("norm").unwrap(),
        on_disk.read("norm").unwrap()
    );
    assert_eq!(
        embedded.side_files().unwrap()[0].read().unwrap(),
        CONFIG.as_bytes()
    );
    embedded.verify_unchanged().unwrap();
}

#[test]
fn side_files_are_listed_and_read_verbatim() {
    let scratch = tempdir().unwrap();
    model(scratch.path());
    // Not what a JSON writer would give back.
    let tokenizer = b"{ \"a\":1 ,\r\n\"a\":2 }\n\n";
    fs::write(scratch.path().join("tokenizer.json"), tokenizer).unwrap();
    fs::write(scratch.path().join("README.md"), "about the old weights").unwrap();
    let side_files = open(scratch.path()).unwrap().side_files().unwrap();
    let names: Vec<&str> = side_files.iter().map(|file| file.name()).collect();
    assert_eq!(names, ["config.json", "tokenizer.json"]);
    assert_eq!(side_files[1].byte_len(), tokenizer.len() as u64);
    assert_eq!(side_files[1].read().unwrap(), tokenizer);
}

#[test]
fn hashes_are_those_of_the_files() {
    let scratch = tempdir().unwrap();
    sharded_model(scratch.path());
    let checkpoint = open(scratch.path()).unwrap();
    assert!(
        checkpoint
            .file_records()
            .iter()
            .all(|record| record.sha256.is_none())
    );
    let mut read = 0;
    let records = checkpoint
        .hashed_file_records(&mut |bytes| read += bytes)
        .unwrap();
    for record in &records {
        let bytes = fs::read(scratch.path().join(&record.name)).unwrap();
        assert_eq!(record.sha256, Some(ContentHash::of(&bytes)));
        assert_eq!(record.bytes, bytes.len() as u64);
    }
    assert_eq!(read, records.iter().map(|record| record.bytes).sum::<u64>());
}

#[test]
fn reads_outside_a_tensor_are_refused() {
    let scratch = tempdir().unwrap();
    model(scratch.path());
    let checkpoint = open(scratch.path()).unwrap();
    for offset in [9, 12, u64::MAX] {
        let error = checkpoint
            .read_at("layer", offset, &mut [0; 4])
            .unwrap_err();
        assert!(
            matches!(error, Error::ReadOutOfRange { bytes: 12, .. }),
            "{error}"
        );
    }
    let error = checkpoint.read("lm_head").unwrap_err();
    assert!(
        matches!(&error, Error::UnknownTensor { tensor, .. } if tensor == "lm_head"),
        "{error}"
    );
}

#[test]
fn a_file_that_shrinks_is_an_error_not_a_crash() {
    let scratch = tempdir().unwrap();
    model(scratch.path());
    let checkpoint = open(scratch.path()).unwrap();
    let path = scratch.path().join("model.safetensors");
    let length = fs::metadata(&path).unwrap().len();
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(length - 1)
        .unwrap();
    let error = checkpoint.read("layer").unwrap_err();
    match &error {
        Error::FileChanged { file, change } => {
            assert_eq!(file, &path);
            assert_eq!(
                change,
                &format!("it had {length} bytes, now {}", length - 1)
            );
        }
        other => panic!("{other:?}"),
    }
    // What is still there can be read, but the end check tells.
    assert_eq!(values(&checkpoint, "embed"), [1.0, 2.0]);
    assert!(matches!(
        checkpoint.verify_unchanged(),
        Err(Error::FileChanged { .. })
    ));
}

#[test]
fn a_file_rewritten_in_place_is_noticed() {
    let scratch = tempdir().unwrap();
    model(scratch.path());
    let checkpoint = open(scratch.path()).unwrap();
    checkpoint.verify_unchanged().unwrap();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(scratch.path().join("model.safetensors"))
        .unwrap();
    let later = file.metadata().unwrap().modified().unwrap() + std::time::Duration::from_secs(1);
    file.set_modified(later).unwrap();
    let error = checkpoint.verify_unchanged().unwrap_err();
    assert!(
        matches!(&error, Error::FileChanged { change, .. } if change.contains("modification time")),
        "{error}"
    );
}

#[test]
fn many_threads_read_at_once() {
    let scratch = tempdir().unwrap();
    let long: Vec<f32> = (0..10_000).map(|i| i as f32).collect();
    let weights = safetensors(&[("long", &long)], &[]);
    fs::write(scratch.path().join("vector.safetensors"), weights).unwrap();
    let checkpoint = open(scratch.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (checkpoint, long) = (checkpoint.clone(), &long);
            scope.spawn(move || {
                for i in (thread..10_000).step_by(97) {
                    let mut bytes = [0; 4];
                    checkpoint.read_at("long", i * 4, &mut bytes).unwrap();
                    assert_eq!(f32::from_le_bytes(bytes), long[i as usize]);
                }
            });
        }
    });
}
