//! One test for each way to be wrong, and the `safetensors` crate as the judge of what is right.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use proptest::sample::select;
use safetensors::tensor::TensorView;
use safetensors::{SafeTensors, serialize};

use super::*;

/// A file with this header and so many bytes of data.
fn file(json: impl AsRef<[u8]>, data_bytes: usize) -> Vec<u8> {
    let json = json.as_ref();
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(json);
    file.resize(file.len() + data_bytes, 0);
    file
}

fn refusal(json: impl AsRef<[u8]>, data_bytes: usize) -> HeaderError {
    Header::from_file_bytes(&file(json, data_bytes)).unwrap_err()
}

/// A header entry; `a:F32:[1]:0:4`.
fn entry(name: &str, dtype: &str, shape: &str, begin: u64, end: u64) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
}

#[test]
fn a_small_file_is_read() {
    let json = format!(
        r#"{{"__metadata__":{{"format":"pt"}},{},{},{}}} "#,
        entry("b", "F32", "[2]", 2, 10),
        entry("a", "BF16", "[]", 0, 2),
        entry("empty", "F32", "[0,7]", 2, 2),
    );
    let header = Header::from_file_bytes(&file(json, 10)).unwrap();
    let names: Vec<&str> = header
        .tensors()
        .iter()
        .map(|tensor| &*tensor.name)
        .collect();
    assert_eq!(names, ["a", "empty", "b"]);
    assert_eq!(header.metadata()["format"], "pt");
    assert_eq!(
        (header.tensors()[2].begin, header.tensors()[2].end),
        (2, 10)
    );
}

#[test]
fn a_file_shorter_than_the_length_field() {
    for bytes in 0..8 {
        let error = Header::from_file_bytes(&vec![0; bytes]).unwrap_err();
        assert!(
            matches!(error, HeaderError::FileTooShort { bytes: got } if got == bytes as u64),
            "{error}"
        );
    }
}

#[test]
fn a_header_longer_than_the_file() {
    let mut bytes = file("{}", 0);
    bytes[0] = 3;
    let error = Header::from_file_bytes(&bytes).unwrap_err();
    assert!(
        matches!(
            error,
            HeaderError::BeyondFile {
                header_bytes: 3,
                available: 2
            }
        ),
        "{error}"
    );
}

#[test]
fn a_header_longer_than_the_format_allows() {
    for claimed in [MAX_HEADER_BYTES + 1, u64::MAX] {
        let error = header_length(claimed.to_le_bytes(), u64::MAX).unwrap_err();
        assert!(
            matches!(error, HeaderError::TooLarge { bytes, limit: MAX_HEADER_BYTES } if bytes == claimed),
            "{error}"
        );
    }
    assert_eq!(
        header_length(MAX_HEADER_BYTES.to_le_bytes(), u64::MAX).unwrap(),
        MAX_HEADER_BYTES
    );
}

#[test]
fn a_header_that_is_not_text() {
    assert!(matches!(
        refusal([b'{', 0xff, b'}'], 0),
        HeaderError::NotUtf8(_)
    ));
}

#[test]
fn a_header_that_is_not_the_json_of_a_header() {
    for json in [
        "",
        "[]",
        "null",
        "{",
        "{} x",
        "version https://git-lfs.github.com/spec/v1",
        r#"{"a":1}"#,
        r#"{"a":{}}"#,
        r#"{"a":{"dtype":"F32","shape":[1]}}"#,
        r#"{"a":{"dtype":7,"shape":[1],"data_offsets":[0,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}"#,
        r#"{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"scale":2}}"#,
        r#"{"__metadata__":{"a":1}}"#,
        r#"{"__metadata__":"pt"}"#,
    ] {
        let error = refusal(json, 4);
        assert!(matches!(error, HeaderError::Json(_)), "{json}: {error}");
    }
}

#[test]
fn deep_and_huge_json_is_refused_without_harm() {
    let deep = "[".repeat(1_000_000);
    for json in [
        deep.clone(),
        format!(r#"{{"a":{deep}"#),
        format!(r#"{{"a":{{"dtype":"F32","shape":{deep}"#),
        format!(r#"{{"__metadata__":{{"k":{deep}"#),
    ] {
        assert!(matches!(refusal(json, 0), HeaderError::Json(_)));
    }
    let zeros = format!("[{}0]", "0,".repeat(1_000_000));
    let error = refusal(format!("{{{}}}", entry("a", "F32", &zeros, 0, 0)), 0);
    assert!(
        matches!(
            &error,
            HeaderError::TooManyDimensions {
                dimensions: 1_000_001,
                limit: 64,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_tensor_listed_twice() {
    let json = format!(
        "{{{},{}}}",
        entry("a", "U8", "[4]", 0, 4),
        entry("a", "U8", "[4]", 4, 8)
    );
    let error = refusal(json, 8);
    assert!(
        matches!(&error, HeaderError::DuplicateTensor { tensor } if tensor == "a"),
        "{error}"
    );
    // Also when an escape hides it.
    let json = format!(
        "{{{},{}}}",
        entry("a", "U8", "[4]", 0, 4),
        entry("\\u0061", "U8", "[4]", 0, 4)
    );
    assert!(matches!(
        refusal(json, 4),
        HeaderError::DuplicateTensor { .. }
    ));
}

#[test]
fn metadata_listed_twice() {
    let error = refusal(r#"{"__metadata__":{"k":"1","k":"2"}}"#, 0);
    assert!(
        matches!(&error, HeaderError::DuplicateMetadata { key } if key == "k"),
        "{error}"
    );
    let error = refusal(r#"{"__metadata__":{},"__metadata__":{}}"#, 0);
    assert!(
        matches!(&error, HeaderError::DuplicateMetadata { key } if key == "__metadata__"),
        "{error}"
    );
}

#[test]
fn an_unknown_dtype() {
    let error = refusal(format!("{{{}}}", entry("a", "Q4_K", "[4]", 0, 4)), 4);
    assert!(
        matches!(&error, HeaderError::UnknownDtype { tensor, dtype } if tensor == "a" && dtype == "Q4_K"),
        "{error}"
    );
}

#[test]
fn a_size_that_overflows() {
    let half = 1u64 << 32;
    for shape in [
        format!("[{half},{half}]"),
        format!("[{}]", u64::MAX),
        format!("[{}]", 1u64 << 60),
    ] {
        let error = refusal(format!("{{{}}}", entry("a", "F32", &shape, 0, 4)), 4);
        assert!(
            matches!(error, HeaderError::SizeOverflow { .. }),
            "{shape}: {error}"
        );
    }
}

#[test]
fn elements_that_do_not_fill_a_byte() {
    let error = refusal(format!("{{{}}}", entry("a", "F4", "[3]", 0, 2)), 2);
    assert!(
        matches!(
            error,
            HeaderError::PartialByte {
                dtype: Dtype::F4,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn offsets_reversed() {
    let error = refusal(format!("{{{}}}", entry("a", "U8", "[4]", 4, 0)), 4);
    assert!(
        matches!(
            error,
            HeaderError::OffsetsReversed {
                begin: 4,
                end: 0,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn offsets_beyond_the_file() {
    for end in [5, u64::MAX] {
        let error = refusal(format!("{{{}}}", entry("a", "U8", "[5]", 0, end)), 4);
        assert!(
            matches!(error, HeaderError::OffsetsBeyondFile { data_bytes: 4, .. }),
            "{error}"
        );
    }
}

#[test]
fn overlapping_tensors() {
    let json = format!(
        "{{{},{}}}",
        entry("a", "U8", "[4]", 0, 4),
        entry("b", "U8", "[4]", 3, 7)
    );
    let error = refusal(json, 7);
    assert!(
        matches!(&error, HeaderError::Overlap { tensor, begin: 3, other, other_end: 4 }
            if tensor == "b" && other == "a"),
        "{error}"
    );
}

#[test]
fn a_hole_between_tensors_or_before_the_first() {
    let json = format!(
        "{{{},{}}}",
        entry("a", "U8", "[4]", 0, 4),
        entry("b", "U8", "[4]", 5, 9)
    );
    let error = refusal(json, 9);
    assert!(
        matches!(
            error,
            HeaderError::Hole {
                begin: 5,
                expected: 4,
                ..
            }
        ),
        "{error}"
    );
    let error = refusal(format!("{{{}}}", entry("a", "U8", "[4]", 1, 5)), 5);
    assert!(
        matches!(
            error,
            HeaderError::Hole {
                begin: 1,
                expected: 0,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_length_that_is_not_what_shape_and_dtype_ask_for() {
    for (shape, end) in [("[1]", 3), ("[1]", 5), ("[2,0]", 4), ("[]", 8)] {
        let error = refusal(
            format!("{{{}}}", entry("a", "F32", shape, 0, end)),
            end as usize,
        );
        assert!(
            matches!(error, HeaderError::LengthMismatch { got, .. } if got == end),
            "{shape}: {error}"
        );
    }
}

#[test]
fn bytes_after_the_last_tensor() {
    let error = refusal(format!("{{{}}}", entry("a", "U8", "[4]", 0, 4)), 6);
    assert!(
        matches!(error, HeaderError::TrailingBytes { bytes: 2 }),
        "{error}"
    );
    assert!(matches!(
        refusal("{}", 1),
        HeaderError::TrailingBytes { bytes: 1 }
    ));
}

#[test]
fn what_cannot_be_encoded() {
    let none = BTreeMap::new();
    let spec = |name, dtype, shape| TensorSpec { name, dtype, shape };
    let a = spec("a", Dtype::U8, &[4]);
    assert!(matches!(
        encode_header(&[a, a], &none),
        Err(HeaderError::DuplicateTensor { .. })
    ));
    assert!(matches!(
        encode_header(&[spec(METADATA_KEY, Dtype::U8, &[4])], &none),
        Err(HeaderError::DuplicateTensor { .. })
    ));
    assert!(matches!(
        encode_header(&[spec("a", Dtype::F4, &[1])], &none),
        Err(HeaderError::PartialByte { .. })
    ));
    let huge = [usize::MAX >> 3];
    let huge = |name| spec(name, Dtype::U8, &huge);
    for tensors in [
        vec![spec("a", Dtype::F64, &[usize::MAX, 2])],
        (0..9)
            .map(|i| huge(["a", "b", "c", "d", "e", "f", "g", "h", "i"][i]))
            .collect(),
    ] {
        assert!(matches!(
            encode_header(&tensors, &none),
            Err(HeaderError::SizeOverflow { .. })
        ));
    }
    let long = BTreeMap::from([("k".to_owned(), "x".repeat(MAX_HEADER_BYTES as usize))]);
    assert!(matches!(
        encode_header(&[], &long),
        Err(HeaderError::TooLarge { .. })
    ));
}

#[test]
fn shard_names_are_those_transformers_uses() {
    assert_eq!(shard_file_name("model", 0, 1), "model.safetensors");
    assert_eq!(
        shard_file_name("vector", 1, 12),
        "vector-00002-of-00012.safetensors"
    );
}

/// A tensor to build files from: name, dtype, shape.
type Spec = (String, Dtype, Vec<usize>);

fn tensors() -> impl Strategy<Value = Vec<Spec>> {
    let tensor = (
        select(Dtype::ALL.to_vec()),
        prop::collection::vec(0usize..5, 0..4),
    );
    prop::collection::btree_map("[a-z.0-9]{1,8}|\\PC{1,4}", tensor, 0..6).prop_map(|map| {
        map.into_iter()
            .filter(|(name, (dtype, shape))| {
                name != METADATA_KEY && tensor_bytes(name, *dtype, shape).is_ok()
            })
            .map(|(name, (dtype, shape))| (name, dtype, shape))
            .collect()
    })
}

fn theirs(dtype: Dtype) -> safetensors::Dtype {
    serde_json::from_value(serde_json::Value::String(dtype.name().into())).unwrap()
}

/// The tensors as the reference crate reads them: dtype name, shape, bytes.
type Contents = BTreeMap<String, (String, Vec<usize>, Vec<u8>)>;

fn read_by_theirs(file: &[u8]) -> Option<Contents> {
    let read = SafeTensors::deserialize(file).ok()?;
    Some(
        read.tensors()
            .into_iter()
            .map(|(name, view)| {
                let dtype = view.dtype().to_string();
                (name, (dtype, view.shape().to_vec(), view.data().to_vec()))
            })
            .collect(),
    )
}

fn read_by_ours(file: &[u8]) -> Option<Contents> {
    let header = Header::from_file_bytes(file).ok()?;
    let data_bytes = header.tensors().last().map_or(0, |last| last.end);
    let data = &file[file.len() - data_bytes as usize..];
    Some(
        header
            .tensors()
            .iter()
            .map(|tensor| {
                let bytes = data[tensor.begin as usize..tensor.end as usize].to_vec();
                let dtype = tensor.dtype.name().to_owned();
                (tensor.name.clone(), (dtype, tensor.shape.clone(), bytes))
            })
            .collect(),
    )
}

/// A file of these tensors by the reference crate, filled with counted bytes.
fn written_by_theirs(specs: &[Spec], metadata: Option<HashMap<String, String>>) -> Vec<u8> {
    let data: Vec<Vec<u8>> = specs
        .iter()
        .map(|(name, dtype, shape)| {
            let bytes = tensor_bytes(name, *dtype, shape).unwrap();
            (0..bytes).map(|i| (i % 251) as u8).collect()
        })
        .collect();
    let views = specs
        .iter()
        .zip(&data)
        .map(|((name, dtype, shape), bytes)| {
            let view = TensorView::new(theirs(*dtype), shape.clone(), bytes).unwrap();
            (name.as_str(), view)
        });
    serialize(views, metadata).unwrap()
}

proptest! {
    #[test]
    fn what_the_reference_crate_writes_is_read_identically(
        specs in tensors(),
        metadata in prop::option::of(prop::collection::hash_map("\\PC{0,5}", "\\PC{0,5}", 0..3)),
    ) {
        // Of nothing at all the crate writes invalid JSON, which it does not read back itself.
        let metadata = metadata.filter(|metadata| !(specs.is_empty() && metadata.is_empty()));
        let file = written_by_theirs(&specs, metadata.clone());
        let ours = read_by_ours(&file);
        prop_assert!(ours.is_some());
        prop_assert_eq!(ours, read_by_theirs(&file));
        let header = Header::from_file_bytes(&file).unwrap();
        let metadata: BTreeMap<_, _> = metadata.into_iter().flatten().collect();
        prop_assert_eq!(header.metadata(), &metadata);
    }

    #[test]
    fn what_we_encode_is_read_identically(
        specs in tensors().prop_shuffle(),
        metadata in prop::collection::btree_map("\\PC{0,5}", "\\PC{0,5}", 0..3),
    ) {
        let listed: Vec<TensorSpec<'_>> = specs
            .iter()
            .map(|(name, dtype, shape)| TensorSpec { name, dtype: *dtype, shape })
            .collect();
        let encoded = encode_header(&listed, &metadata).unwrap();
        let mut file = encoded.bytes().to_vec();
        prop_assert_eq!(file.len() % 8, 0);
        file.extend((0..encoded.data_bytes()).map(|i| (i % 251) as u8));
        prop_assert_eq!(file.len() as u64, encoded.file_bytes());
        let contents = read_by_theirs(&file);
        prop_assert!(contents.is_some());
        prop_assert_eq!(&contents, &read_by_ours(&file));
        let contents = contents.unwrap_or_default();
        prop_assert_eq!(contents.len(), specs.len());
        for ((name, dtype, shape), &offset) in specs.iter().zip(encoded.offsets()) {
            let (read_dtype, read_shape, bytes) = &contents[name];
            prop_assert_eq!((read_dtype.as_str(), read_shape), (dtype.name(), shape));
            prop_assert_eq!(&file[offset as usize..offset as usize + bytes.len()], &bytes[..]);
        }
        let header = Header::from_file_bytes(&file).unwrap();
        prop_assert_eq!(header.metadata(), &metadata);
    }

    /// One tensor kind at a time, so that both order by name: then the bytes are equal too.
    #[test]
    fn the_encoded_form_is_the_reference_crates_own(specs in tensors(), dtype in select(vec![Dtype::Bf16, Dtype::F32])) {
        let specs: Vec<Spec> = specs.into_iter().map(|(name, _, shape)| (name, dtype, shape)).collect();
        let listed: Vec<TensorSpec<'_>> = specs
            .iter()
            .map(|(name, dtype, shape)| TensorSpec { name, dtype: *dtype, shape })
            .collect();
        let metadata = [("format".to_owned(), "pt".to_owned())];
        let ours = encode_header(&listed, &metadata.clone().into()).unwrap();
        let theirs = written_by_theirs(&specs, Some(metadata.into()));
        prop_assert_eq!(ours.bytes(), &theirs[..ours.bytes().len()]);
    }

    /// Bytes changed, inserted, removed, the file cut or lengthened: never a panic, and nothing is accepted
    /// that the reference crate refuses or reads otherwise.
    #[test]
    fn a_damaged_file_is_accepted_only_as_the_reference_crate_reads_it(
        specs in tensors(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0u8..5, any::<u8>()), 1..4),
    ) {
        let mut file = written_by_theirs(&specs, None);
        for (index, kind, byte) in damage {
            let at = index.index(file.len().max(1)).min(file.len());
            // Mostly digits and punctuation, which make other valid JSON more often than other bytes do.
            let likely = b"0123456789[]{},:\" ";
            let likely = likely[usize::from(byte) % likely.len()];
            match kind {
                0 if at < file.len() => file[at] = byte,
                1 if at < file.len() => file[at] = likely,
                2 => file.insert(at, likely),
                3 if at < file.len() => { file.remove(at); }
                _ => file.truncate(at),
            }
        }
        if let Some(ours) = read_by_ours(&file) {
            prop_assert_eq!(Some(ours), read_by_theirs(&file));
        }
    }

    /// Well-formed JSON with hostile values: here the two must agree both ways.
    #[test]
    fn hostile_values_are_judged_as_by_the_reference_crate(
        entries in prop::collection::vec(
            (
                select(vec!["F32", "BF16", "U8", "F4", "F6_E2M3", "I64", "FLOAT"]),
                prop::collection::vec(select(vec![0u64, 1, 2, 3, 1 << 32, 1 << 61, u64::MAX]), 0..4),
                select(vec![0u64, 1, 2, 4, 8, 12, u64::MAX]),
                select(vec![0u64, 1, 2, 4, 8, 12, u64::MAX]),
            ),
            0..4,
        ),
        data_bytes in select(vec![0usize, 1, 2, 4, 8, 12]),
    ) {
        let json: Vec<String> = entries
            .iter()
            .enumerate()
            .map(|(i, (dtype, shape, begin, end))| entry(&format!("t{i}"), dtype, &format!("{shape:?}"), *begin, *end))
            .collect();
        let file = file(format!("{{{}}}", json.join(",")), data_bytes);
        prop_assert_eq!(read_by_ours(&file), read_by_theirs(&file));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), length in 0u64..64) {
        let _ = Header::from_file_bytes(&bytes);
        let mut file = length.to_le_bytes().to_vec();
        file.extend(bytes);
        let _ = Header::from_file_bytes(&file);
    }
}
