//! What appears on disk.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use taskvec_core::execute::Tally;
use taskvec_core::{
    Checkpoint, CheckpointKind, Dtype, Error, Library, Plan, PlanOptions, Provenance, Reference,
    WriteOptions, WriteReport, write,
};

use super::fixture::{CONFIG, Tensor, World, decoder, family};

fn write_to(plan: &Plan, destination: &Path) -> WriteReport {
    write(plan, destination, &WriteOptions::default(), &|_| {}).unwrap()
}

pub(crate) fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

fn open(path: &Path) -> Checkpoint {
    Checkpoint::open(&Reference::Path(path.to_path_buf()), &Library::new()).unwrap()
}

#[test]
fn a_model_is_a_directory_like_its_templates() {
    let directory = tempfile::tempdir().unwrap();
    let destination = directory.path().join("enhanced");
    let world = family(Dtype::Bf16);
    let plan = world.plan("target + (grpo - sft)");
    let report = write_to(&plan, &destination);
    assert_eq!(report.destination, destination);
    assert_eq!(
        (report.tensors, report.elements, report.data_bytes),
        (6, 72736, 145_472)
    );
    assert!(report.not_finite.is_empty() && !report.config_dtype_changed);

    let found = files(&destination);
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "README.md",
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "taskvec.json",
            "tokenizer.json",
        ]
    );
    assert_eq!(found["config.json"], CONFIG.as_bytes());
    assert_eq!(found["tokenizer.json"], br#"{"of": "target"}"#);

    let written = open(&destination);
    assert_eq!(written.kind(), CheckpointKind::Model);
    let template = plan.template().unwrap();
    let lists = |checkpoint: &Checkpoint| -> Vec<(String, Vec<String>)> {
        checkpoint
            .shards()
            .iter()
            .map(|shard| (shard.file_name.to_owned(), shard.tensors.to_vec()))
            .collect()
    };
    assert_eq!(lists(&written), lists(template));
    for name in plan.tensors().keys() {
        let bytes = written.read(name).unwrap();
        let stored: Vec<f32> = bytes
            .chunks(2)
            .map(|pair| f32::from_bits(u32::from(u16::from_le_bytes([pair[0], pair[1]])) << 16))
            .collect();
        assert_eq!(stored, plan.load(name).unwrap(), "{name}");
    }

    let provenance = Provenance::parse(Path::new("taskvec.json"), &found["taskvec.json"]).unwrap();
    assert_eq!(provenance.expression, "target + (grpo - sft)");
    let inputs: Vec<&str> = provenance
        .inputs
        .iter()
        .map(|input| input.reference.as_str())
        .collect();
    assert_eq!(inputs, ["mem:target", "mem:grpo", "mem:sft"]);
}

#[test]
fn a_vector_comes_back_as_a_vector() {
    let directory = tempfile::tempdir().unwrap();
    let world = family(Dtype::Bf16);
    let plan = world.plan("grpo - sft");
    let as_directory = directory.path().join("reason");
    let as_file = directory.path().join("reason.safetensors");
    write_to(&plan, &as_directory);
    write_to(&plan, &as_file);
    let names: Vec<String> = files(&as_directory).into_keys().collect();
    assert_eq!(
        names,
        [
            "README.md",
            "taskvec.json",
            "vector-00001-of-00002.safetensors",
            "vector-00002-of-00002.safetensors",
            "vector.safetensors.index.json",
        ]
    );
    let mut record =
        Provenance::parse(Path::new("d"), &files(&as_directory)["taskvec.json"]).unwrap();
    // A file cannot list itself.
    record.outputs.clear();
    let carried = open(&as_file).metadata()["taskvec.json"].clone();
    assert_eq!(
        Provenance::parse(Path::new("f"), carried.as_bytes()).unwrap(),
        record
    );
    for path in [&as_directory, &as_file] {
        let vector = open(path);
        assert_eq!(vector.kind(), CheckpointKind::Vector);
        assert!(
            vector
                .tensors()
                .values()
                .all(|info| info.dtype == Dtype::F32)
        );
        let expression = format!("target + \"{}\"", path.display());
        let direct = world.plan("target + (grpo - sft)").load_all().unwrap();
        assert_eq!(
            world.plan(&expression).load_all().unwrap(),
            direct,
            "F32 holds these differences exactly"
        );
    }
}

#[test]
fn results_do_not_depend_on_threads_or_chunks() {
    let directory = tempfile::tempdir().unwrap();
    let world = family(Dtype::F16).vector("reason", decoder(Dtype::F32, 4).concat());
    for (index, expression) in [
        "target + 0.7*(grpo - sft) + reason/3",
        "target + random(grpo - sft) - 0.1*random(random(reason, 1) + (grpo - sft), 2)",
    ]
    .iter()
    .enumerate()
    {
        let plan = world.plan(expression);
        let mut first = None;
        for (threads, chunk_bytes) in [(1, 1 << 20), (1, 24), (2, 1000), (3, 8), (5, 40_000)] {
            let options = WriteOptions {
                threads: NonZeroUsize::new(threads),
                chunk_bytes: NonZeroUsize::new(chunk_bytes),
                sync: false,
                ..WriteOptions::default()
            };
            let destination = directory
                .path()
                .join(format!("{index}-{threads}-{chunk_bytes}"));
            write(&plan, &destination, &options, &|_| {}).unwrap();
            let found = files(&destination);
            assert_eq!(
                first.get_or_insert_with(|| found.clone()),
                &found,
                "{threads} threads, {chunk_bytes} bytes"
            );
        }
    }
}

#[test]
fn what_is_not_finite_is_reported_by_tensor() {
    let tensors = |values: &[f64]| {
        vec![vec![
            Tensor::new("a", Dtype::F16, &[3], values),
            Tensor::new("b", Dtype::F16, &[1], &[1.0]),
            Tensor::new("c", Dtype::F16, &[1], &[f64::NAN]),
        ]]
    };
    let world = World::default()
        .model("x", &tensors(&[60000.0, f64::INFINITY, f64::NAN]))
        .model("y", &tensors(&[30000.0, 1.0, 1.0]))
        .model("z", &tensors(&[1.0, 1.0, 1.0]));
    let directory = tempfile::tempdir().unwrap();
    let report = write_to(&world.plan("x + (y - z)"), &directory.path().join("sum"));
    let expected = BTreeMap::from([
        (
            "a".to_owned(),
            Tally {
                nan: 1,
                infinite: 2,
                overflowed: 1,
            },
        ),
        (
            "c".to_owned(),
            Tally {
                nan: 1,
                infinite: 0,
                overflowed: 0,
            },
        ),
    ]);
    assert_eq!(report.not_finite, expected);
    assert_eq!(
        report.tally(),
        Tally {
            nan: 2,
            infinite: 2,
            overflowed: 1
        }
    );
    // Copies are counted as well.
    let report = write_to(&world.plan("x"), &directory.path().join("copy"));
    assert_eq!(
        report.tally(),
        Tally {
            nan: 2,
            infinite: 1,
            overflowed: 0
        }
    );
}

#[test]
fn carried_tensors_and_empty_ones_arrive() {
    let tensors = |salt: u64| {
        vec![vec![
            Tensor::new("buffer", Dtype::U8, &[3], &[1.0, 2.0, salt as f64]),
            Tensor::new("empty", Dtype::Bf16, &[0, 4], &[]),
            Tensor::counted("w", Dtype::Bf16, &[5], salt),
            Tensor::new("scalar", Dtype::F32, &[], &[2.5]),
        ]]
    };
    let world = World::default()
        .model("a", &tensors(1))
        .model("b", &tensors(2));
    let directory = tempfile::tempdir().unwrap();
    let destination = directory.path().join("out");
    write_to(&world.plan("b + random(a - b)"), &destination);
    let written = open(&destination);
    assert_eq!(written.read("buffer").unwrap(), [1, 2, 2]);
    assert_eq!(written.tensors()["empty"].shape, [0, 4]);
    assert_eq!(written.read("scalar").unwrap(), 2.5f32.to_le_bytes());
}

#[test]
fn an_output_dtype_reaches_the_config() {
    let directory = tempfile::tempdir().unwrap();
    let destination = directory.path().join("wide");
    let options = PlanOptions {
        output_dtype: Some(Dtype::F32),
        ..PlanOptions::default()
    };
    let plan = family(Dtype::Bf16)
        .plan_with("target + 0.5*(grpo - sft)", &options)
        .unwrap();
    assert!(write_to(&plan, &destination).config_dtype_changed);
    let config = fs::read_to_string(destination.join("config.json")).unwrap();
    assert_eq!(config, CONFIG.replace("bfloat16", "float32"));
    assert_eq!(
        open(&destination).tensors()["model.norm.weight"].dtype,
        Dtype::F32
    );
}

#[test]
fn a_cancelled_write_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let destination = directory.path().join("out");
    let cancelled = AtomicBool::new(false);
    let options = WriteOptions {
        chunk_bytes: NonZeroUsize::new(512),
        cancelled: Some(&cancelled),
        ..WriteOptions::default()
    };
    cancelled.store(true, Ordering::Relaxed);
    let plan = family(Dtype::Bf16).plan("target + random(grpo - sft)");
    let outcome = write(&plan, &destination, &options, &|_| {});
    assert!(matches!(outcome, Err(Error::Cancelled)));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    cancelled.store(false, Ordering::Relaxed);
    write(&plan, &destination, &options, &|_| {}).unwrap();
}

#[test]
fn progress_ends_at_the_total() {
    let directory = tempfile::tempdir().unwrap();
    let seen = Mutex::new(Vec::new());
    let plan = family(Dtype::Bf16).plan("grpo - sft");
    write(
        &plan,
        &directory.path().join("out"),
        &WriteOptions::default(),
        &|progress| {
            seen.lock().unwrap().push(progress);
        },
    )
    .unwrap();
    let seen = seen.into_inner().unwrap();
    let last = seen
        .iter()
        .max_by_key(|progress| progress.bytes_done)
        .unwrap();
    assert_eq!((last.bytes_done, last.bytes_total), (290_944, 290_944));
}
