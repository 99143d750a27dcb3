//! Outputs appear whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use taskvec_core::output::OutputFile;
use taskvec_core::safetensors::{EncodedHeader, TensorSpec, encode_header};
use taskvec_core::{
    CheckpointKind, Dtype, Error, OutputDirectory, OutputOptions, Provenance, Result,
};
use tempfile::tempdir;

use super::fixture::*;

const OVERWRITE: OutputOptions = OutputOptions {
    overwrite: true,
    expected_bytes: None,
    sync: false,
};

fn create(destination: &Path) -> Result<OutputDirectory> {
    OutputDirectory::create(destination, &OutputOptions::default())
}

fn header() -> EncodedHeader {
    let layer = TensorSpec {
        name: "layer",
        dtype: Dtype::F32,
        shape: &[2],
    };
    encode_header(&[layer], &BTreeMap::new()).unwrap()
}

/// Writes a whole model of one tensor, `layer`, with this value twice.
fn write(mut output: OutputDirectory, value: f32) -> Result<()> {
    let header = header();
    let shard = output.create_shard("model.safetensors", &header)?;
    // Backwards, as threads may.
    shard.write_at(header.offsets()[0] + 4, &value.to_le_bytes())?;
    shard.write_at(header.offsets()[0], &value.to_le_bytes())?;
    output.put_file("config.json", CONFIG.as_bytes())?;
    output.set_provenance(&Provenance::new(
        CheckpointKind::Model,
        "a + b".into(),
        None,
    ));
    output.commit()?;
    Ok(())
}

#[test]
fn a_committed_output_opens_and_leaves_nothing_beside_it() {
    let scratch = tempdir().unwrap();
    let destination = scratch.path().join("out");
    write(create(&destination).unwrap(), 7.0).unwrap();
    assert_eq!(listing(scratch.path()), ["out"]);
    assert_eq!(
        listing(&destination),
        ["config.json", "model.safetensors", "taskvec.json"]
    );
    let checkpoint = open(&destination).unwrap();
    assert_eq!(values(&checkpoint, "layer"), [7.0, 7.0]);
    let record = fs::read(destination.join("taskvec.json")).unwrap();
    let record = Provenance::parse(Path::new("taskvec.json"), &record).unwrap();
    assert_eq!(record.expression, "a + b");
}

#[test]
fn shards_with_an_index_open() {
    let scratch = tempdir().unwrap();
    let parent = scratch.path().join("parent");
    sharded_model(&parent);
    let destination = scratch.path().join("copy");
    let mut output = create(&destination).unwrap();
    let checkpoint = open(&parent).unwrap();
    for shard in checkpoint.shards() {
        let specs: Vec<TensorSpec<'_>> = shard
            .tensors
            .iter()
            .map(|name| {
                let info = &checkpoint.tensors()[name];
                TensorSpec {
                    name,
                    dtype: info.dtype,
                    shape: &info.shape,
                }
            })
            .collect();
        let header = encode_header(&specs, checkpoint.metadata()).unwrap();
        let writer = output.create_shard(shard.file_name, &header).unwrap();
        for (name, &offset) in shard.tensors.iter().zip(header.offsets()) {
            writer
                .write_at(offset, &checkpoint.read(name).unwrap())
                .unwrap();
        }
    }
    for file in checkpoint.side_files().unwrap() {
        output.put_side_file(&file).unwrap();
    }
    output.set_index(INDEX, fs::read(parent.join(INDEX)).unwrap());
    output.commit().unwrap();
    // A copy tensor by tensor is a copy byte by byte.
    assert_eq!(listing(&destination), listing(&parent));
    for name in listing(&parent) {
        assert_eq!(
            fs::read(destination.join(&name)).unwrap(),
            fs::read(parent.join(&name)).unwrap()
        );
    }
}

#[test]
fn nothing_appears_before_commit_and_a_dropped_output_leaves_nothing() {
    let scratch = tempdir().unwrap();
    let destination = scratch.path().join("out");
    let output = create(&destination).unwrap();
    let shard = output.create_shard("model.safetensors", &header()).unwrap();
    assert!(!destination.exists());
    // Nor does what is there look finished under its hidden name.
    let partial = scratch.path().join(".out.taskvec-partial");
    assert!(partial.is_dir() && open(&partial).is_err());
    drop(output);
    assert!(listing(scratch.path()).is_empty());
    drop(shard);
}

#[test]
fn an_incomplete_shard_is_not_committed() {
    let scratch = tempdir().unwrap();
    let output = create(&scratch.path().join("out")).unwrap();
    let header = header();
    let shard = output.create_shard("model.safetensors", &header).unwrap();
    shard.write_at(header.offsets()[0], &[0; 4]).unwrap();
    let error = output.commit().unwrap_err();
    assert!(
        matches!(error, Error::IncompleteShard { written, expected, .. } if written + 4 == expected),
        "{error}"
    );
    assert!(listing(scratch.path()).is_empty());
}

#[test]
fn writes_outside_a_shard_are_refused() {
    let scratch = tempdir().unwrap();
    let output = create(&scratch.path().join("out")).unwrap();
    let shard = output.create_shard("model.safetensors", &header()).unwrap();
    for offset in [shard.byte_len() - 3, u64::MAX] {
        let error = shard.write_at(offset, &[0; 4]).unwrap_err();
        assert!(matches!(error, Error::WriteOutOfRange { .. }), "{error}");
    }
}

#[test]
fn file_names_stay_in_the_directory_and_are_given_once() {
    let scratch = tempdir().unwrap();
    let output = create(&scratch.path().join("out")).unwrap();
    for name in ["", "..", "a/b", "/a", "a\\b"] {
        let error = output.put_file(name, b"x").unwrap_err();
        assert!(
            matches!(error, Error::OutputFileName { .. }),
            "{name}: {error}"
        );
    }
    output.put_file("config.json", b"{}").unwrap();
    assert!(matches!(
        output.put_file("config.json", b"{}"),
        Err(Error::Io { .. })
    ));
}

#[test]
fn an_empty_directory_may_be_filled_another_may_not() {
    let scratch = tempdir().unwrap();
    let destination = scratch.path().join("out");
    fs::create_dir(&destination).unwrap();
    write(create(&destination).unwrap(), 1.0).unwrap();
    let error = create(&destination).unwrap_err();
    assert!(
        matches!(
            error,
            Error::DestinationExists {
                is_directory: true,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("--overwrite"));
    assert_eq!(listing(scratch.path()), ["out"]);
    assert_eq!(values(&open(&destination).unwrap(), "layer"), [1.0, 1.0]);
}

#[test]
fn overwriting_replaces_the_whole_directory_at_commit() {
    let scratch = tempdir().unwrap();
    let destination = scratch.path().join("out");
    write(create(&destination).unwrap(), 1.0).unwrap();
    fs::write(destination.join("stale.txt"), "old").unwrap();

    let output = OutputDirectory::create(&destination, &OVERWRITE).unwrap();
    drop(output);
    assert_eq!(values(&open(&destination).unwrap(), "layer"), [1.0, 1.0]);

    write(
        OutputDirectory::create(&destination, &OVERWRITE).unwrap(),
        2.0,
    )
    .unwrap();
    assert_eq!(values(&open(&destination).unwrap(), "layer"), [2.0, 2.0]);
    assert!(!destination.join("stale.txt").exists());
    assert_eq!(listing(scratch.path()), ["out"]);
}

#[test]
fn overwriting_spares_what_is_not_ours() {
    let scratch = tempdir().unwrap();
    let home = scratch.path().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("thesis.tex"), "years").unwrap();
    let file = scratch.path().join("notes.txt");
    fs::write(&file, "notes").unwrap();
    for destination in [&home, &file] {
        let error = OutputDirectory::create(destination, &OVERWRITE).unwrap_err();
        assert!(matches!(error, Error::DestinationForeign { .. }), "{error}");
    }
    assert_eq!(listing(scratch.path()), ["home", "notes.txt"]);
}

#[test]
fn a_second_writer_of_one_destination_is_refused() {
    let scratch = tempdir().unwrap();
    let destination = scratch.path().join("out");
    let first = create(&destination).unwrap();
    let error = create(&destination).unwrap_err();
    assert!(matches!(error, Error::DestinationBusy { .. }), "{error}");
    // The refused one has not harmed the first.
    write(first, 3.0).unwrap();
    assert_eq!(values(&open(&destination).unwrap(), "layer"), [3.0, 3.0]);
    assert_eq!(listing(scratch.path()), ["out"]);
}

#[test]
fn something_that_appears_meanwhile_is_not_replaced() {
    let scratch = tempdir().unwrap();
    let destination = scratch.path().join("out");
    let output = create(&destination).unwrap();
    fs::create_dir(&destination).unwrap();
    fs::write(destination.join("file"), "mine").unwrap();
    let error = output.commit().unwrap_err();
    assert!(matches!(error, Error::DestinationExists { .. }), "{error}");
    assert_eq!(listing(&destination), ["file"]);
    assert_eq!(listing(scratch.path()), ["out"]);
}

#[test]
fn what_a_killed_writer_left_is_cleared() {
    let scratch = tempdir().unwrap();
    let destination = scratch.path().join("out");
    let partial = scratch.path().join(".out.taskvec-partial");
    fs::create_dir(&partial).unwrap();
    fs::write(partial.join("model.safetensors"), "half").unwrap();
    fs::write(scratch.path().join(".out.taskvec-lock"), "").unwrap();
    write(create(&destination).unwrap(), 4.0).unwrap();
    assert_eq!(listing(scratch.path()), ["out"]);
    assert_eq!(values(&open(&destination).unwrap(), "layer"), [4.0, 4.0]);
}

#[test]
fn a_replacement_killed_half_way_is_taken_back_or_finished() {
    let scratch = tempdir().unwrap();
    let destination = scratch.path().join("out");
    let aside = scratch.path().join(".out.taskvec-old");
    write(create(&destination).unwrap(), 1.0).unwrap();
    fs::rename(&destination, &aside).unwrap();
    // The old output is back, so it is in the way again.
    let error = create(&destination).unwrap_err();
    assert!(matches!(error, Error::DestinationExists { .. }), "{error}");
    assert_eq!(values(&open(&destination).unwrap(), "layer"), [1.0, 1.0]);

    fs::create_dir(&aside).unwrap();
    write(
        OutputDirectory::create(&destination, &OVERWRITE).unwrap(),
        2.0,
    )
    .unwrap();
    assert_eq!(listing(scratch.path()), ["out"]);
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_leftovers_is_removed_not_followed() {
    let scratch = tempdir().unwrap();
    let precious = scratch.path().join("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("file"), "kept").unwrap();
    std::os::unix::fs::symlink(&precious, scratch.path().join(".out.taskvec-partial")).unwrap();
    write(create(&scratch.path().join("out")).unwrap(), 1.0).unwrap();
    assert_eq!(listing(&precious), ["file"]);
}

#[cfg(unix)]
#[test]
fn a_linked_destination_is_written_where_the_link_points() {
    let scratch = tempdir().unwrap();
    let real = scratch.path().join("real");
    let link = scratch.path().join("link");
    fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    write(create(&link).unwrap(), 1.0).unwrap();
    assert!(link.is_symlink() && open(&real).is_ok());

    std::os::unix::fs::symlink("nowhere", scratch.path().join("dangling")).unwrap();
    assert!(create(&scratch.path().join("dangling")).is_err());
}

#[test]
fn destinations_that_cannot_be() {
    let scratch = tempdir().unwrap();
    let error = create(&scratch.path().join("no/such")).unwrap_err();
    assert!(matches!(error, Error::DestinationParent { .. }), "{error}");
    assert!(
        error
            .hint()
            .unwrap()
            .starts_with("create it with `mkdir -p ")
    );
    for name in ["..", "/"] {
        let error = create(&scratch.path().join(name)).unwrap_err();
        assert!(matches!(error, Error::DestinationUnnamed { .. }), "{error}");
    }
    let file = scratch.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(
        create(&file),
        Err(Error::DestinationExists {
            is_directory: false,
            ..
        })
    ));
    assert!(matches!(
        create(&file.join("out")),
        Err(Error::DestinationParent { .. })
    ));
}

#[cfg(unix)]
#[test]
fn too_little_space_is_known_before_anything_is_written() {
    let scratch = tempdir().unwrap();
    let options = OutputOptions {
        expected_bytes: Some(u64::MAX),
        ..OutputOptions::default()
    };
    let error = OutputDirectory::create(&scratch.path().join("out"), &options).unwrap_err();
    assert!(
        matches!(
            error,
            Error::NoSpace {
                needed: u64::MAX,
                available: Some(_),
                ..
            }
        ),
        "{error}"
    );
    assert!(listing(scratch.path()).is_empty());
}

#[test]
fn a_single_file_appears_whole_and_replaces_only_when_told() {
    let scratch = tempdir().unwrap();
    let destination = scratch.path().join("reason.safetensors");
    let header = header();
    let write = |value: u8, options: &OutputOptions| -> Result<()> {
        let (output, shard) = OutputFile::create(&destination, &header, options)?;
        shard.write_at(header.offsets()[0], &[value; 8])?;
        output.commit()?;
        Ok(())
    };
    write(1, &OutputOptions::default()).unwrap();
    assert_eq!(open(&destination).unwrap().read("layer").unwrap(), [1; 8]);
    let error = write(2, &OutputOptions::default()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::DestinationExists {
                is_directory: false,
                ..
            }
        ),
        "{error}"
    );
    write(3, &OVERWRITE).unwrap();
    assert_eq!(open(&destination).unwrap().read("layer").unwrap(), [3; 8]);
    assert_eq!(listing(scratch.path()), ["reason.safetensors"]);

    let directory = scratch.path().join("d.safetensors");
    fs::create_dir(&directory).unwrap();
    assert!(matches!(
        OutputFile::create(&directory, &header, &OVERWRITE),
        Err(Error::DestinationForeign { .. })
    ));
}

#[test]
fn a_single_file_does_not_replace_one_that_appears_meanwhile() {
    let scratch = tempdir().unwrap();
    let destination = scratch.path().join("reason.safetensors");
    let header = header();
    let (output, shard) =
        OutputFile::create(&destination, &header, &OutputOptions::default()).unwrap();
    shard.write_at(header.offsets()[0], &[1; 8]).unwrap();
    fs::write(&destination, "mine").unwrap();
    assert!(matches!(
        output.commit(),
        Err(Error::DestinationExists { .. })
    ));
    assert_eq!(fs::read(&destination).unwrap(), b"mine");
    assert_eq!(listing(scratch.path()), ["reason.safetensors"]);
}

#[cfg(unix)]
#[test]
fn files_have_the_mode_any_new_file_has() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = tempdir().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    fs::write(scratch.path().join("file"), "").unwrap();
    fs::create_dir(scratch.path().join("directory")).unwrap();
    let destination = scratch.path().join("out");
    write(create(&destination).unwrap(), 1.0).unwrap();
    assert_eq!(mode(&destination), mode(&scratch.path().join("directory")));
    for name in listing(&destination) {
        assert_eq!(
            mode(&destination.join(name)),
            mode(&scratch.path().join("file"))
        );
    }
}
