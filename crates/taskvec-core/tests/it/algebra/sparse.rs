//! Vectors of which only what is not zero is stored.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use taskvec_core::safetensors::{Header, TensorSpec, encode_header};
use taskvec_core::statistics::{Storage, smallest_storage};
use taskvec_core::{
    Bindings, Checkpoint, Dtype, Error, InspectOptions, Library, PlanOptions, Reference,
    VerifyOptions, WriteOptions, WriteReport, inspect, verify, write,
};

use super::fixture::{Tensor, World};

const UP: &str = "model.layers.0.mlp.up_proj.weight";
const DOWN: &str = "model.layers.0.mlp.down_proj.weight";
const NORM: &str = "model.norm.weight";
const ROWS: usize = 301;
const COLUMNS: usize = 512;

/// Two models of small integers that differ by one in every `step`-th element of their matrices.
fn world(step: usize) -> World {
    let model = |salt: f64| {
        let changed = |index: usize| {
            if index.is_multiple_of(step) {
                salt
            } else {
                0.0
            }
        };
        let value = |index: usize| (index % 7) as f64 + changed(index);
        let matrix = |name: &str, rows: usize, columns: usize| {
            let values: Vec<f64> = (0..rows * columns).map(value).collect();
            Tensor::new(name, Dtype::Bf16, &[rows, columns], &values)
        };
        let norm: Vec<f64> = (0..8).map(|index| f64::from(index) + salt).collect();
        vec![
            // Rows that do not fill their part of a mask are stored whole.
            vec![matrix(UP, ROWS, COLUMNS), matrix(DOWN, 100, 100)],
            vec![Tensor::new(NORM, Dtype::Bf16, &[8], &norm)],
        ]
    };
    World::default()
        .model("base", &model(0.0))
        .model("tuned", &model(1.0))
}

fn options(dtype: Dtype) -> PlanOptions {
    PlanOptions {
        output_dtype: Some(dtype),
        ..PlanOptions::default()
    }
}

fn scanned(world: &World, expression: &str) -> Storage {
    let options = InspectOptions::default();
    smallest_storage(&world.plan(expression), &options, &|_| {}).unwrap()
}

/// Writes as `--dtype auto` does.
fn write_smallest(world: &World, expression: &str, to: &Path, threads: usize) -> WriteReport {
    let storage = scanned(world, expression);
    let plan = world
        .plan_with(expression, &options(storage.dtype))
        .unwrap();
    let options = WriteOptions {
        threads: NonZeroUsize::new(threads),
        storage: Some(&storage),
        overwrite: true,
        sync: false,
        ..WriteOptions::default()
    };
    write(&plan, to, &options, &|_| {}).unwrap()
}

fn open(path: &Path) -> Checkpoint {
    let reference = Reference::Path(path.to_path_buf());
    Checkpoint::open(&reference, &Library::new()).unwrap()
}

#[test]
fn a_vector_of_zeros_becomes_small_and_stays_what_it_is() {
    let scratch = tempfile::tempdir().unwrap();
    let world = world(10);
    let directory = scratch.path().join("vector");
    let report = write_smallest(&world, "tuned - base", &directory, 2);
    assert_eq!(report.sparse_tensors, 1);
    assert_eq!(
        report.dense_bytes,
        2 * (ROWS * COLUMNS + 100 * 100 + 8) as u64
    );
    let of_up = 16 + 8 * ROWS + ROWS * COLUMNS / 8 + 2 * (ROWS * COLUMNS).div_ceil(10);
    assert_eq!(report.data_bytes, (of_up + 2 * (100 * 100 + 8)) as u64);

    // What is read back is what a dense vector holds, whole and in any part.
    let dense = scratch.path().join("dense.safetensors");
    let plan = world
        .plan_with("tuned - base", &options(Dtype::Bf16))
        .unwrap();
    write(&plan, &dense, &WriteOptions::default(), &|_| {}).unwrap();
    let (sparse, dense) = (open(&directory), open(&dense));
    let names =
        |checkpoint: &Checkpoint| -> Vec<String> { checkpoint.tensors().keys().cloned().collect() };
    assert_eq!(names(&sparse), names(&dense));
    assert_eq!(sparse.shards().len(), 2);
    for name in names(&dense) {
        let (one, two) = (&sparse.tensors()[&name], &dense.tensors()[&name]);
        assert_eq!(
            (one.dtype, &one.shape, one.byte_len()),
            (two.dtype, &two.shape, two.byte_len())
        );
        assert_eq!(
            sparse.read(&name).unwrap(),
            dense.read(&name).unwrap(),
            "{name}"
        );
    }
    let whole = dense.read(UP).unwrap();
    for (begin, length) in [
        (0, 2),
        (2, 1022),
        (1000, 60),
        (1022, 2050),
        (200_000, 90_000),
        (whole.len() - 2, 2),
    ] {
        let mut part = vec![7; length];
        sparse.read_at(UP, begin as u64, &mut part).unwrap();
        assert_eq!(part, &whole[begin..begin + length], "{begin}");
    }

    // It is verified, and added, like any other.
    let check = VerifyOptions {
        all: true,
        ..VerifyOptions::default()
    };
    let verified = verify(
        &directory,
        &Bindings::default(),
        &world.library(),
        &check,
        &|_| {},
    )
    .unwrap();
    assert!(verified.is_sound(), "{verified:?}");
    let names = Bindings::default()
        .with("base", "mem:base".parse().unwrap())
        .with("v", Reference::Path(directory));
    let plan = |text: &str| {
        let expression = text.parse().unwrap();
        taskvec_core::Plan::build(
            &expression,
            &names,
            &world.library(),
            &PlanOptions::default(),
        )
        .unwrap()
    };
    let inspected = inspect(&plan("v"), &InspectOptions::default(), &|_| {}).unwrap();
    assert_eq!(inspected.tensors[UP].elements, (ROWS * COLUMNS) as u64);
    assert_eq!(
        plan("base + v").load_all().unwrap(),
        world.plan("tuned").load_all().unwrap()
    );
}

#[test]
fn neither_threads_nor_form_change_a_byte() {
    let scratch = tempfile::tempdir().unwrap();
    let world = world(5);
    let bytes = |name: &str, threads: usize| {
        let path = scratch.path().join(name);
        write_smallest(&world, "0.5*(tuned - base)", &path, threads);
        fs::read(path).unwrap()
    };
    let one = bytes("one.safetensors", 1);
    assert_eq!(one, bytes("two.safetensors", 2));
    assert_eq!(one, bytes("two.safetensors", 5));
    // A copy of a sparse vector is sparse too.
    let path = scratch.path().join("one.safetensors");
    let expression: taskvec_core::Expression = "v".parse().unwrap();
    let names = Bindings::default().with("v", Reference::Path(path.clone()));
    let storage = {
        let plan = taskvec_core::Plan::build(
            &expression,
            &names,
            &Library::new(),
            &PlanOptions::default(),
        );
        smallest_storage(&plan.unwrap(), &InspectOptions::default(), &|_| {}).unwrap()
    };
    assert_eq!((storage.dtype, storage.sparse_tensors()), (Dtype::Bf16, 1));
    let plan =
        taskvec_core::Plan::build(&expression, &names, &Library::new(), &options(Dtype::Bf16))
            .unwrap();
    let copy = scratch.path().join("copy.safetensors");
    let options = WriteOptions {
        storage: Some(&storage),
        ..WriteOptions::default()
    };
    let report = write(&plan, &copy, &options, &|_| {}).unwrap();
    assert_eq!(report.sparse_tensors, 1);
    assert_eq!(open(&copy).read(UP).unwrap(), open(&path).read(UP).unwrap());
}

#[test]
fn the_file_is_in_the_layout_of_compressed_tensors() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("v.safetensors");
    write_smallest(&world(10), "tuned - base", &path, 1);
    let file = fs::read(path).unwrap();
    let header = Header::from_file_bytes(&file).unwrap();
    let data = file.len() - header.tensors().last().unwrap().end as usize;
    let part = |ending: &str| {
        let name = format!("model.layers.0.mlp.up_proj.{ending}");
        let tensor = header
            .tensors()
            .iter()
            .find(|tensor| tensor.name == name)
            .unwrap();
        let begin = tensor.begin as usize;
        // What PyTorch asks of a view.
        assert_eq!(begin as u64 * 8 % tensor.dtype.bits(), 0, "{name}");
        let bytes = &file[data + begin..data + tensor.end as usize];
        (tensor.dtype, tensor.shape.clone(), bytes)
    };
    let integers = |bytes: &[u8]| -> Vec<i64> {
        bytes
            .as_chunks()
            .0
            .iter()
            .map(|bytes| i64::from_le_bytes(*bytes))
            .collect()
    };
    let (dtype, shape, bytes) = part("shape");
    assert_eq!(
        (dtype, shape, integers(bytes)),
        (Dtype::I64, vec![2], vec![ROWS as i64, COLUMNS as i64])
    );
    let stored: Vec<usize> = (0..ROWS * COLUMNS).step_by(10).collect();
    let before = |row: usize| {
        stored
            .iter()
            .filter(|index| **index < row * COLUMNS)
            .count() as i64
    };
    let (dtype, shape, bytes) = part("row_offsets");
    let offsets: Vec<i64> = (0..ROWS).map(before).collect();
    assert_eq!(
        (dtype, shape, integers(bytes)),
        (Dtype::I64, vec![ROWS], offsets)
    );
    let mut mask = vec![0u8; ROWS * COLUMNS / 8];
    stored
        .iter()
        .for_each(|index| mask[index / 8] |= 1 << (index % 8));
    assert_eq!(
        part("bitmask"),
        (Dtype::U8, vec![ROWS, COLUMNS / 8], mask.as_slice())
    );
    let ones = half::bf16::ONE.to_le_bytes().repeat(stored.len());
    assert_eq!(
        part("compressed"),
        (Dtype::Bf16, vec![stored.len()], ones.as_slice())
    );
}

#[test]
fn what_is_not_smaller_is_stored_whole() {
    // One in two: a mask and half of the elements take more than half, and less than all.
    for (step, sparse) in [(2, 1), (1, 0)] {
        assert_eq!(
            scanned(&world(step), "tuned - base").sparse_tensors(),
            sparse
        );
    }
    // A vector that is nothing but a copy is looked at as well.
    let third = Tensor::new(NORM, Dtype::F32, &[1], &[1.0 / 3.0]);
    let world = World::default().vector("v", vec![third]);
    assert_eq!(scanned(&world, "v").dtype, Dtype::F32);
}

#[test]
fn signs_of_zero_and_what_is_not_finite_are_kept() {
    let scratch = tempfile::tempdir().unwrap();
    let mut values = vec![0.0; 64 * 64];
    (values[5], values[70], values[4095]) = (-0.0, f64::NAN, f64::NEG_INFINITY);
    let tensor = Tensor::new(UP, Dtype::F32, &[64, 64], &values);
    let expected = tensor.bytes.clone();
    let world = World::default().vector("v", vec![tensor]);
    let path = scratch.path().join("v.safetensors");
    let storage = scanned(&world, "v");
    let plan = world.plan_with("v", &options(Dtype::F32)).unwrap();
    let options = WriteOptions {
        storage: Some(&storage),
        ..WriteOptions::default()
    };
    let report = write(&plan, &path, &options, &|_| {}).unwrap();
    assert_eq!((report.sparse_tensors, report.tally().nan), (1, 1));
    let written = open(&path);
    assert_eq!(written.read(UP).unwrap(), expected);
}

/// A stored tensor: type, shape, bytes.
type Part = (Dtype, Vec<usize>, Vec<u8>);

/// The parts of a matrix `x.weight` by their endings, as another tool may have written them.
type Parts = BTreeMap<&'static str, Part>;

fn integers(values: &[i64]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Three rows of ten columns: `1 0 0 0 0 0 0 0 0 2`, nothing, `0 3 …`.
fn parts() -> Parts {
    let singles: Vec<u8> = [1f32, 2.0, 3.0]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    BTreeMap::from([
        ("shape", (Dtype::I64, vec![2], integers(&[3, 10]))),
        ("row_offsets", (Dtype::I64, vec![3], integers(&[0, 2, 2]))),
        ("bitmask", (Dtype::U8, vec![3, 2], vec![1, 2, 0, 0, 2, 0])),
        ("compressed", (Dtype::F32, vec![3], singles)),
    ])
}

/// Opens a file with these parts and reads the matrix.
fn read(parts: &Parts) -> Result<Vec<u8>, Error> {
    let names: Vec<String> = parts.keys().map(|ending| format!("x.{ending}")).collect();
    let specs: Vec<TensorSpec<'_>> = names
        .iter()
        .zip(parts.values())
        .map(|(name, (dtype, shape, _))| TensorSpec {
            name,
            dtype: *dtype,
            shape,
        })
        .collect();
    let metadata = BTreeMap::from([("taskvec_kind".to_owned(), "vector".to_owned())]);
    let mut file = encode_header(&specs, &metadata).unwrap().bytes().to_vec();
    parts.values().for_each(|(.., bytes)| file.extend(bytes));
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("v.safetensors");
    fs::write(&path, file).unwrap();
    Checkpoint::open(&Reference::Path(path), &Library::new())?.read("x.weight")
}

#[test]
fn rows_that_do_not_fill_their_mask_are_read() {
    let mut expected = [0f32; 30];
    (expected[0], expected[9], expected[21]) = (1.0, 2.0, 3.0);
    let expected: Vec<u8> = expected
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    assert_eq!(read(&parts()).unwrap(), expected);
}

#[test]
fn parts_that_do_not_fit_are_refused_by_name() {
    let cases: Vec<(&str, Part, &str)> = vec![
        (
            "row_offsets",
            (Dtype::I64, vec![3], integers(&[0, 1, 2])),
            "row 0 has 2 bits in its mask, its offsets are 0 and 1",
        ),
        (
            "row_offsets",
            (Dtype::I64, vec![3], integers(&[1, 2, 2])),
            "the offsets of rows 0 to 3",
        ),
        (
            "row_offsets",
            (Dtype::I64, vec![3], integers(&[0, -1, 2])),
            "the offsets of rows 0 to 3",
        ),
        (
            "row_offsets",
            (Dtype::I64, vec![3], integers(&[0, 1 << 40, 2])),
            "the offsets of rows 0 to 3",
        ),
        (
            "row_offsets",
            (Dtype::I64, vec![2], integers(&[0, 2])),
            "its part `.row_offsets` is I64 [2], expected I64 [3]",
        ),
        (
            "row_offsets",
            (Dtype::F64, vec![3], integers(&[0, 2, 2])),
            "its part `.row_offsets` is F64 [3]",
        ),
        (
            "bitmask",
            (Dtype::U8, vec![3, 2], vec![1, 2, 0, 0, 3, 0]),
            "row 2 has 2 bits",
        ),
        // A bit beyond the last column.
        (
            "bitmask",
            (Dtype::U8, vec![3, 2], vec![1, 4, 0, 0, 2, 0]),
            "row 0 has 2 bits",
        ),
        (
            "bitmask",
            (Dtype::U8, vec![6], vec![1, 2, 0, 0, 2, 0]),
            "its part `.bitmask` is U8 [6], expected U8 [3, 2]",
        ),
        (
            "compressed",
            (Dtype::I32, vec![3], vec![0; 12]),
            "its part `.compressed` is I32 [3]",
        ),
        (
            "compressed",
            (Dtype::F32, vec![3, 1], vec![0; 12]),
            "its part `.compressed` is F32 [3, 1]",
        ),
        (
            "compressed",
            (Dtype::F32, vec![31], vec![0; 124]),
            "31 elements are stored of 30",
        ),
        (
            "shape",
            (Dtype::I64, vec![1], integers(&[3])),
            "its part `.shape` is I64 [1]",
        ),
        (
            "shape",
            (Dtype::I64, vec![2], integers(&[-3, 10])),
            "is too large",
        ),
        (
            "shape",
            (Dtype::I64, vec![2], integers(&[3, i64::MAX])),
            "is too large",
        ),
        (
            "shape",
            (Dtype::I64, vec![2], integers(&[i64::MAX, 10])),
            "is too large",
        ),
        (
            "shape",
            (Dtype::I64, vec![2], integers(&[3, 20])),
            "its part `.bitmask`",
        ),
        (
            "weight",
            (Dtype::F32, vec![3, 10], vec![0; 120]),
            "it is stored a second time, whole",
        ),
    ];
    for (part, content, message) in cases {
        let mut parts = parts();
        parts.insert(part, content);
        match read(&parts) {
            Err(Error::Sparse { tensor, reason, .. }) => {
                assert_eq!(tensor, "x.weight");
                assert!(reason.contains(message), "{reason}\n{message}");
            }
            other => panic!("{part}, {message}: {other:?}"),
        }
    }
    let mut short = parts();
    short.insert("compressed", (Dtype::F32, vec![2], vec![0; 8]));
    assert!(matches!(read(&short), Err(Error::Sparse { .. })));
    for lost in ["shape", "row_offsets"] {
        let mut parts = parts();
        parts.remove(lost);
        let error = read(&parts).unwrap_err().to_string();
        assert!(error.contains("is missing"), "{error}");
    }
    // No columns at all, and a matrix without rows, hold nothing and hurt nobody.
    for shape in [[0, 10], [3, 0]] {
        let rows = shape[0] as usize;
        let empty: Parts = BTreeMap::from([
            ("shape", (Dtype::I64, vec![2], integers(&shape))),
            ("row_offsets", (Dtype::I64, vec![rows], vec![0; 8 * rows])),
            (
                "bitmask",
                (
                    Dtype::U8,
                    vec![rows, (shape[1] as usize).div_ceil(8)],
                    vec![],
                ),
            ),
            ("compressed", (Dtype::F32, vec![0], vec![])),
        ]);
        assert!(read(&empty).unwrap().is_empty());
    }
}
