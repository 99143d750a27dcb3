//! Content of inputs and outputs, hashed in passing, and what `verify` makes of it.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use taskvec_core::provenance::InputRecord;
use taskvec_core::verification::Finding;
use taskvec_core::{
    Bindings, Checkpoint, ContentHash, Dtype, Library, LoraOptions, Plan, PlanOptions, Provenance,
    Reference, Verification, VerifyOptions, WriteOptions, verify, write, write_lora,
};

use super::fixture::{Tensor, World, decoder, family};

fn options(threads: usize, chunk: usize) -> WriteOptions<'static> {
    WriteOptions {
        threads: NonZeroUsize::new(threads),
        chunk_bytes: NonZeroUsize::new(chunk),
        sync: false,
        ..WriteOptions::default()
    }
}

fn written(plan: &Plan, path: &Path) {
    write(plan, path, &options(2, 1 << 20), &|_| {}).unwrap();
}

fn record(path: &Path) -> Provenance {
    let file = path.join("taskvec.json");
    Provenance::parse(&file, &fs::read(&file).unwrap()).unwrap()
}

fn verified(world: &World, path: &Path) -> Verification {
    let (names, options) = (Bindings::default(), VerifyOptions::default());
    verify(path, &names, &world.library(), &options, &|_| {}).unwrap()
}

/// What was found of weight files, by whose they are and their names.
fn findings(found: &Verification) -> BTreeMap<(String, String), Finding> {
    let weights = found
        .files
        .iter()
        .filter(|file| file.name.ends_with(".safetensors"));
    weights
        .map(|file| {
            let of = file.parent.clone().unwrap_or_else(|| "output".to_owned());
            ((of, file.name.clone()), file.finding.clone())
        })
        .collect()
}

const FIRST: &str = "model-00001-of-00002.safetensors";
const SECOND: &str = "model-00002-of-00002.safetensors";

/// The family, in which a tensor of one member has another last element.
fn changed(name: &str, tensor: &str) -> World {
    let mut world = family(Dtype::Bf16);
    for (salt, member) in [(1, "target"), (2, "grpo"), (3, "sft")] {
        if member == name {
            let mut shards = decoder(Dtype::Bf16, salt);
            let found = shards
                .iter_mut()
                .flatten()
                .find(|found| found.name == tensor);
            *found.unwrap().bytes.last_mut().unwrap() ^= 1;
            world = world.model(member, &shards);
        }
    }
    world
}

#[test]
fn hashes_depend_on_neither_threads_nor_chunks_nor_passes() {
    let directory = tempfile::tempdir().unwrap();
    // Long enough for many pieces, with rows that end within them.
    let model = |salt: u64| {
        let up = "model.layers.0.mlp.up_proj.weight";
        vec![vec![
            Tensor::counted(up, Dtype::Bf16, &[301, 999], salt),
            Tensor::counted("model.norm.weight", Dtype::Bf16, &[7], salt),
            Tensor::new("model.positions", Dtype::I64, &[2], &[0.0, 1.0]),
        ]]
    };
    let world = World::default()
        .model("target", &model(1))
        .model("grpo", &model(2))
        .model("sft", &model(3));
    let mut of_grpo = None;
    for (number, expression) in [
        "target + 0.5*(grpo - sft)",
        "target + ties(grpo - sft, target - sft, density=0.5)",
        "target + della(grpo - sft, density=0.5)",
        "target + lowrank(grpo - sft, rank=2)",
        "grpo - sft",
    ]
    .into_iter()
    .enumerate()
    {
        let mut first = None;
        for (threads, chunk) in [(1, 1 << 20), (2, 1000), (3, 40_000)] {
            let path = directory.path().join(format!("{number}-{threads}"));
            write(
                &world.plan(expression),
                &path,
                &options(threads, chunk),
                &|_| {},
            )
            .unwrap();
            let found = fs::read(path.join("taskvec.json")).unwrap();
            assert_eq!(
                *first.get_or_insert_with(|| found.clone()),
                found,
                "{expression}"
            );
        }
        let path = directory.path().join(format!("{number}-1"));
        let found = verified(&world, &path);
        assert!(found.is_sound());
        for (file, finding) in findings(&found) {
            // A vector has no integers, and reads none.
            let expected = if file.0 == "target" || file.0 == "output" {
                Finding::SameContent
            } else {
                Finding::SameTensors { read: 2, of: 3 }
            };
            assert_eq!(finding, expected, "{expression}: {file:?}");
        }
        // A parent's hash does not depend on what is made of it.
        let inputs = record(&path).inputs;
        let grpo = inputs.iter().find(|input| input.name == "grpo").unwrap();
        let read = grpo.files[0].read.unwrap();
        assert_eq!(*of_grpo.get_or_insert(read), read, "{expression}");
    }
}

#[test]
fn what_changed_is_named_and_what_was_not_read_does_not_count() {
    let directory = tempfile::tempdir().unwrap();
    let world = family(Dtype::Bf16);
    let path = directory.path().join("out");
    written(&world.plan("target + only(grpo - sft, \"mlp\")"), &path);
    let found = findings(&verified(&world, &path));
    let of = |name: &str, file: &str| found[&(name.to_owned(), file.to_owned())].clone();
    assert_eq!(of("output", FIRST), Finding::SameContent);
    assert_eq!(of("target", FIRST), Finding::SameContent);
    assert_eq!(of("grpo", FIRST), Finding::SameTensors { read: 1, of: 3 });
    assert_eq!(of("sft", SECOND), Finding::SameTensors { read: 1, of: 3 });

    let up = "model.layers.1.mlp.up_proj.weight";
    let found = findings(&verified(&changed("grpo", up), &path));
    let differing: Vec<_> = found
        .iter()
        .filter(|(_, finding)| !finding.is_sound())
        .collect();
    let [((parent, file), Finding::Changed { what })] = differing.as_slice() else {
        panic!("{differing:?}");
    };
    assert_eq!((parent.as_str(), file.as_str()), ("grpo", SECOND));
    assert!(what.starts_with("XXH3 of the content "), "{what}");
    let unread = changed("grpo", "model.norm.weight");
    assert!(verified(&unread, &path).is_sound());

    let output = path.join(FIRST);
    let mut bytes = fs::read(&output).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&output, bytes).unwrap();
    let found = findings(&verified(&world, &path));
    let place = ("output".to_owned(), FIRST.to_owned());
    assert!(matches!(found[&place], Finding::Changed { .. }));
}

#[test]
fn layers_in_other_places_and_other_rows_are_hashed_as_they_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let world = family(Dtype::Bf16);
    let path = directory.path().join("layers");
    // One layer twice, the other not at all.
    written(
        &world.plan("layers(target + (grpo - sft), \"1, 1\")"),
        &path,
    );
    let found = verified(&world, &path);
    assert!(found.is_sound());
    let found = findings(&found);
    let of = |file: &str| found[&("grpo".to_owned(), file.to_owned())].clone();
    assert_eq!(of(FIRST), Finding::SameTensors { read: 1, of: 3 });
    assert_eq!(of(SECOND), Finding::SameContent);

    let embedding = |rows, salt| {
        let name = "model.embed_tokens.weight";
        vec![vec![Tensor::counted(name, Dtype::Bf16, &[rows, 8], salt)]]
    };
    let world = World::default()
        .model("long", &embedding(12, 1))
        .model("short", &embedding(10, 2));
    let common = PlanOptions {
        common_rows: true,
        ..PlanOptions::default()
    };
    let path = directory.path().join("rows");
    written(
        &world.plan_with("long + (short - long)/2", &common).unwrap(),
        &path,
    );
    let found = verified(&world, &path);
    assert!(found.is_sound());
    let place = ("short".to_owned(), "model.safetensors".to_owned());
    assert_eq!(
        findings(&found)[&place],
        Finding::SameTensors { read: 1, of: 1 }
    );
}

#[test]
fn single_files_and_adapters_record_what_they_read() {
    let directory = tempfile::tempdir().unwrap();
    let world = family(Dtype::Bf16);
    let plan = world.plan("grpo - sft");
    let file = directory.path().join("v.safetensors");
    written(&plan, &file);
    let found = verified(&world, &file);
    assert!(found.is_sound());
    assert_eq!(
        findings(&found)[&("sft".to_owned(), SECOND.to_owned())],
        Finding::SameContent
    );

    let adapter = directory.path().join("adapter");
    let lora = LoraOptions {
        embeddings: true,
        sync: false,
        ..LoraOptions::new(NonZeroUsize::new(2).unwrap())
    };
    write_lora(&plan, &adapter, &lora, &|_, _| {}).unwrap();
    let found = verified(&world, &adapter);
    assert!(found.is_sound() && found.recomputation.is_none());
    assert!(
        findings(&found)
            .values()
            .all(|finding| *finding == Finding::SameContent)
    );

    // The adapter as a parent: its config is compared as well.
    let model = directory.path().join("model");
    let names = Bindings::default()
        .with("target", "mem:target".parse().unwrap())
        .with("v", Reference::Path(adapter));
    let expression = "target + v".parse().unwrap();
    let plan = Plan::build(
        &expression,
        &names,
        &world.library(),
        &PlanOptions::default(),
    )
    .unwrap();
    written(&plan, &model);
    let found = verified(&world, &model);
    let of_adapter = found
        .files
        .iter()
        .filter(|file| file.parent.as_deref() == Some("v"));
    let findings: Vec<_> = of_adapter.map(|file| file.finding.clone()).collect();
    assert_eq!(findings, [Finding::SameContent, Finding::SameContent]);
}

#[test]
fn a_record_without_hashes_is_verified_by_lengths_and_headers() {
    let directory = tempfile::tempdir().unwrap();
    let world = family(Dtype::Bf16);
    let path = directory.path().join("out");
    written(&world.plan("target + (grpo - sft)"), &path);
    let mut old = record(&path);
    old.outputs.iter_mut().for_each(|file| file.xxh3 = None);
    let files = old.inputs.iter_mut().flat_map(|input| &mut input.files);
    files.for_each(|file| file.read = None);
    let text = String::from_utf8(old.to_json()).unwrap();
    assert!(!text.contains("xxh3") && !text.contains("\"read\""));
    fs::write(path.join("taskvec.json"), text).unwrap();
    let found = verified(&world, &path);
    assert!(found.is_sound());
    assert!(
        findings(&found)
            .values()
            .all(|finding| *finding == Finding::SameHeader)
    );
}

#[cfg(unix)]
#[test]
fn the_name_of_a_blob_is_its_hash() {
    let cache = tempfile::tempdir().unwrap();
    let (blobs, snapshot) = (
        cache.path().join("blobs"),
        cache.path().join("snapshots/c0"),
    );
    fs::create_dir_all(&blobs).unwrap();
    fs::create_dir_all(&snapshot).unwrap();
    // No tensors: a header alone.
    let bytes = [&2u64.to_le_bytes()[..], b"{}"].concat();
    let hash = ContentHash::of(&bytes);
    fs::write(blobs.join(hash.to_string()), &bytes).unwrap();
    let known = |target: String| {
        let link = snapshot.join("model.safetensors");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(target, &link).unwrap();
        let opened = Checkpoint::open(&Reference::Path(link), &Library::new()).unwrap();
        InputRecord::of("a", &opened).files[0].sha256
    };
    assert_eq!(known(format!("../../blobs/{hash}")), Some(hash));
    // Small files are named by what git calls them, and other links mean nothing.
    fs::write(blobs.join("ab".repeat(20)), &bytes).unwrap();
    assert_eq!(known(format!("../../blobs/{}", "ab".repeat(20))), None);
    fs::copy(
        blobs.join(hash.to_string()),
        cache.path().join(hash.to_string()),
    )
    .unwrap();
    assert_eq!(known(format!("../../{hash}")), None);
}
