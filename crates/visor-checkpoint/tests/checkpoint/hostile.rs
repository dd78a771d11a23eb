//! Damaged and malicious files: an error, or the right values; never a panic, never another file.

use crate::support::{ONE_FILE, load, open, saved, values};
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use visor_checkpoint::{
    CheckpointError, Dtype, HeaderError, Manifest, Source, TensorOutline, Weights, read_safetensors,
};

/// A file of weights from its header, in any claimed length, and its data.
fn weights_of(header: &str, claimed: u64, data: &[u8]) -> Result<Weights, CheckpointError> {
    let root = TempDir::new().expect("a folder");
    let mut bytes = claimed.to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    let path = root.path().join("model.safetensors");
    fs::write(&path, bytes).expect("written");
    Weights::open_file(&path)
}

fn problem(header: &str, data: &[u8]) -> HeaderError {
    match weights_of(header, header.len() as u64, data) {
        Err(CheckpointError::Header { problem, .. }) => problem,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted: {header}"),
    }
}

#[test]
fn a_flipped_bit_anywhere_in_a_checkpoint_is_noticed() {
    for max_shard_bytes in [20, ONE_FILE] {
        let (_root, folder) = saved(Dtype::F32, max_shard_bytes);
        for name in crate::support::names(&folder) {
            // What it records is covered by nothing but its own structure: tested elsewhere.
            if name == "visor.json" {
                continue;
            }
            let path = folder.join(&name);
            let good = fs::read(&path).expect("read");
            for place in 0..good.len() {
                let mut bytes = good.clone();
                bytes[place] ^= 1 << (place % 8);
                fs::write(&path, &bytes).expect("written");
                let loaded = load(&folder);
                assert!(loaded.is_err(), "bit flip at byte {place} of {name}");
            }
            fs::write(&path, &good).expect("written");
        }
        assert_eq!(load(&folder).expect("whole again"), values());
    }
}

#[test]
fn without_verification_a_flipped_bit_is_an_error_or_another_value_but_never_a_panic() {
    let (_root, folder) = saved(Dtype::F16, ONE_FILE);
    let path = folder.join("model.safetensors");
    let good = fs::read(&path).expect("read");
    for place in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[place] ^= 1 << bit;
            fs::write(&path, &bytes).expect("written");
            let _ = read_safetensors(&path);
        }
    }
}

#[test]
fn a_manifest_with_a_flipped_bit_never_panics_and_never_hides_other_weights() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    let path = folder.join("visor.json");
    let good = fs::read(&path).expect("read");
    for place in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[place] ^= 1 << bit;
            fs::write(&path, &bytes).expect("written");
            if let Ok(loaded) = load(&folder) {
                assert_eq!(loaded, values());
            }
        }
    }
}

#[test]
fn a_file_cut_short_at_any_length_is_an_error() {
    for max_shard_bytes in [20, ONE_FILE] {
        let (_root, folder) = saved(Dtype::BF16, max_shard_bytes);
        for name in crate::support::names(&folder) {
            let path = folder.join(&name);
            let good = fs::read(&path).expect("read");
            for length in 0..good.len() {
                fs::write(&path, &good[..length]).expect("written");
                let all_but_a_line_end = name == "visor.json" && length == good.len() - 1;
                assert_eq!(load(&folder).is_ok(), all_but_a_line_end, "{name} at {length}");
                if name.ends_with(".safetensors") {
                    assert!(read_safetensors(&path).is_err(), "{name} at {length}");
                }
            }
            fs::write(&path, &good).expect("written");
        }
    }
}

#[test]
fn a_header_longer_than_the_file_or_the_limit_is_refused_before_it_is_read() {
    for claimed in [3, 1000, 99_999_999] {
        let error = weights_of("{}", claimed, &[]).expect_err("too long");
        let CheckpointError::Header { problem, .. } = error else { panic!("{error}") };
        assert!(matches!(problem, HeaderError::Truncated { .. }), "{problem}");
    }
    for claimed in [100_000_001, u64::MAX, u64::MAX - 7, 1 << 63] {
        let error = weights_of("{}", claimed, &[]).expect_err("too long");
        let CheckpointError::Header { problem, .. } = error else { panic!("{error}") };
        assert!(matches!(problem, HeaderError::TooLong { .. }), "{problem}");
    }
}

#[test]
fn shapes_that_overflow_are_refused_before_anything_is_allocated() {
    let max = usize::MAX;
    for shape in [
        format!("[{max},{max}]"),
        format!("[{max}]"),
        format!("[{max},2,0]"),
        "[4294967296,4294967296]".into(),
    ] {
        let header = format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,4]}}}}"#);
        let problem = problem(&header, &[0; 4]);
        assert!(matches!(problem, HeaderError::Size { .. }), "{problem}");
    }
}

#[test]
fn data_that_overlaps_has_holes_or_leaves_the_file_is_refused() {
    let two = |a: &str, b: &str| {
        let entry = |at| format!(r#"{{"dtype":"F32","shape":[1],"data_offsets":{at}}}"#);
        format!(r#"{{"a":{},"b":{}}}"#, entry(a), entry(b))
    };
    assert!(
        weights_of(&two("[4,8]", "[0,4]"), two("[4,8]", "[0,4]").len() as u64, &[0; 8]).is_ok()
    );
    for (a, b) in [("[0,4]", "[0,4]"), ("[0,4]", "[2,6]"), ("[4,8]", "[8,12]"), ("[0,4]", "[8,12]")]
    {
        let problem = problem(&two(a, b), &[0; 12]);
        assert!(matches!(problem, HeaderError::Offset { .. }), "{a} {b}: {problem}");
    }
    for a in ["[0,8]", "[4,0]", "[8,12]", "[0,18446744073709551615]", "[0,3]"] {
        let problem = problem(&two(a, "[4,8]"), &[0; 8]);
        assert!(matches!(problem, HeaderError::Size { .. }), "{a}: {problem}");
    }
    let problem = problem(&two("[0,4]", "[4,8]"), &[0; 9]);
    assert!(matches!(problem, HeaderError::DataLength { tensors: 8, data: 9 }), "{problem}");
}

#[test]
fn formats_that_are_not_read_are_refused_by_name_where_they_are_taken() {
    for (dtype, bytes) in [("I64", 8), ("I16", 2), ("U8", 1), ("BOOL", 1)] {
        let entry = |end| format!(r#"{{"dtype":"{dtype}","shape":[1],"data_offsets":[0,{end}]}}"#);
        let header = format!(r#"{{"a":{}}}"#, entry(bytes));
        let open = || weights_of(&header, header.len() as u64, &vec![0; bytes]).expect("opened");
        assert_eq!((open().dtype("a"), open().parameters()), (None, 1));
        let mut weights = open();
        let outline = TensorOutline { name: "a".to_owned(), shape: vec![1] };
        let taken = weights.take("a", &[1]).expect_err(dtype);
        let expected = open().expect(&[outline]).expect_err(dtype);
        for error in [taken, expected] {
            assert!(matches!(error, CheckpointError::NotRead { .. }), "{error}");
            let message = error.to_string();
            assert!(message.contains("`a`") && message.contains(dtype), "{message}");
        }
        // Not by accident: nobody said that it may be left.
        assert!(
            matches!(weights.finish(), Err(CheckpointError::Unused { names }) if names == ["a"])
        );
        let mut weights = open();
        weights.ignore("a", "positions are counted");
        assert_eq!(weights.finish().expect("left with a reason").ignored.len(), 1);
        // Its place in the file is checked as that of any other.
        let header = format!(r#"{{"a":{}}}"#, entry(bytes + 1));
        let problem = problem(&header, &vec![0; bytes + 1]);
        assert!(matches!(problem, HeaderError::Size { .. }), "{problem}");
    }
}

#[test]
fn doubles_are_taken_as_singles_and_refused_where_they_are_beyond_those() {
    let header = r#"{"a":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}}"#;
    let take = |values: [f64; 2]| {
        let bytes = values.map(f64::to_le_bytes).concat();
        weights_of(header, header.len() as u64, &bytes).expect("opened").take("a", &[2])
    };
    assert_eq!(take([0.1, -3.0]).expect("taken"), [0.1, -3.0]);
    let error = take([0.0, 1e39]).expect_err("beyond single precision");
    assert!(matches!(error, CheckpointError::NonFinite { index: 1, .. }), "{error}");
}

#[test]
fn formats_that_nobody_knows_are_refused_by_name() {
    for dtype in ["I128", "F8_E4M3", "f32", ""] {
        let header = format!(r#"{{"a":{{"dtype":"{dtype}","shape":[0],"data_offsets":[0,0]}}}}"#);
        let message = problem(&header, &[]).to_string();
        assert!(message.contains("`a`") && message.contains(&format!("{dtype:?}")), "{message}");
    }
}

#[test]
fn headers_that_are_not_an_object_of_tensors_are_refused() {
    let entry = r#"{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
    let bad = [
        "".to_owned(),
        "[]".to_owned(),
        "{".to_owned(),
        r#"{"a":1}"#.to_owned(),
        r#"{"a":{}}"#.to_owned(),
        format!(r#"{{"a":{entry},"a":{entry}}}"#),
        format!(r#"{{"a":{entry}}} x"#),
        r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}"#.to_owned(),
        r#"{"a":{"dtype":"F32","shape":[0.0],"data_offsets":[0,0]}}"#.to_owned(),
        r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0]}}"#.to_owned(),
        r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0],"code":"x"}}"#.to_owned(),
        r#"{"__metadata__":{"a":1}}"#.to_owned(),
        r#"{"__metadata__":{"a":"1","a":"2"}}"#.to_owned(),
        r#"{"__metadata__":{},"__metadata__":{}}"#.to_owned(),
        "[".repeat(100_000),
        format!(r#"{{"a":{}"#, r#"{"a":"#.repeat(100_000)),
    ];
    for header in bad {
        let problem = problem(&header, &[]);
        assert!(matches!(problem, HeaderError::Json(_)), "{problem}");
    }
}

#[test]
fn an_index_cannot_name_a_file_outside_of_the_folder() {
    let root = TempDir::new().expect("a folder");
    let secret = root.path().join("secret.safetensors");
    fs::write(&secret, b"\x02\0\0\0\0\0\0\0{}").expect("written");
    let folder = root.path().join("model");
    fs::create_dir_all(folder.join("sub")).expect("created");
    fs::copy(&secret, folder.join("sub/x.safetensors")).expect("copied");
    let absolute = secret.display().to_string();
    let names = [
        "../secret.safetensors",
        "/etc/passwd",
        "sub/x.safetensors",
        "./sub/x.safetensors",
        "..\\secret.safetensors",
        "C:\\x.safetensors",
        "C:x.safetensors",
        "..",
        "",
        "x.safetensors\0",
        "config.json",
        ".hidden.safetensors",
        &absolute,
    ];
    for name in names {
        let index = serde_json::json!({ "weight_map": { "a": name } });
        fs::write(folder.join("model.safetensors.index.json"), index.to_string()).expect("written");
        let error = Weights::open(&Source::Folder(folder.clone())).expect_err(name);
        assert!(matches!(error, CheckpointError::BadFileName { .. }), "{name}: {error}");
    }
}

#[test]
fn a_manifest_cannot_name_a_file_outside_of_the_folder() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    let path = folder.join("visor.json");
    let text = fs::read_to_string(&path).expect("read");
    for name in ["../config.json", "/etc/passwd", "a/b"] {
        let text = text.replace("\"config.json\"", &format!("{name:?}"));
        fs::write(&path, text).expect("written");
        let error = open(&folder).expect_err(name);
        assert!(matches!(error, CheckpointError::BadFileName { .. }), "{name}: {error}");
    }
}

#[test]
fn a_folder_where_a_file_should_be_is_an_error() {
    for name in ["config.json", "visor.json", "model.safetensors", "tokenizer.json"] {
        let (_root, folder) = saved(Dtype::F32, ONE_FILE);
        fs::remove_file(folder.join(name)).expect("removed");
        fs::create_dir(folder.join(name)).expect("created");
        let error = load(&folder).expect_err(name);
        assert!(matches!(error, CheckpointError::NotAFile { .. }), "{name}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_nowhere_is_not_a_missing_file() {
    for name in ["visor.json", "model.safetensors"] {
        let (_root, folder) = saved(Dtype::F32, ONE_FILE);
        fs::remove_file(folder.join(name)).expect("removed");
        std::os::unix::fs::symlink("nowhere", folder.join(name)).expect("linked");
        let error = load(&folder).expect_err(name);
        assert!(matches!(&error, CheckpointError::NoFile { file, .. } if file == name), "{error}");
    }
}

#[test]
fn a_configuration_or_manifest_of_any_size_is_not_read() {
    for name in ["config.json", "visor.json"] {
        let (_root, folder) = saved(Dtype::F32, ONE_FILE);
        let file = fs::File::options().write(true).open(folder.join(name)).expect("opened");
        // A sparse file: a terabyte that takes no room.
        file.set_len(1 << 40).expect("enlarged");
        let error = open(&folder).expect_err("too large");
        assert!(matches!(error, CheckpointError::TooLarge { .. }), "{error}");
    }
}

fn open_bytes(name: &str, bytes: &[u8], folder: &Path) -> Result<Weights, CheckpointError> {
    fs::write(folder.join(name), bytes).expect("written");
    Weights::open(&Source::Folder(folder.to_owned()))
}

/// JSON that is nearly a header: right words in wrong places.
fn nearly_header() -> impl Strategy<Value = String> {
    let number = prop_oneof![0..20_u64, Just(u64::MAX), any::<u64>()];
    let list = proptest::collection::vec(number, 0..3);
    let entry = (prop_oneof!["F32", "BF16", "I64"], list.clone(), list).prop_map(
        |(dtype, shape, offsets)| {
            serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets })
        },
    );
    proptest::collection::btree_map("[ab]|__metadata__", entry, 0..4)
        .prop_map(|entries| serde_json::to_string(&entries).expect("JSON"))
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_never_more_than_an_error(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let root = TempDir::new().expect("a folder");
        let _ = Manifest::parse(&bytes);
        let _ = open_bytes("model.safetensors.index.json", &bytes, root.path());
        let _ = open_bytes("model.safetensors", &bytes, root.path());
        let mut headed = (bytes.len() as u64).to_le_bytes().to_vec();
        headed.extend_from_slice(&bytes);
        let _ = open_bytes("model.safetensors", &headed, root.path());
    }

    #[test]
    fn a_header_is_accepted_only_if_the_reference_implementation_accepts_it(
        header in nearly_header(),
        data in 0_usize..40,
    ) {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        let root = TempDir::new().expect("a folder");
        if let Ok(weights) = open_bytes("model.safetensors", &bytes, root.path()) {
            let theirs = safetensors::SafeTensors::deserialize(&bytes);
            prop_assert!(theirs.is_ok(), "{header} with {data} bytes");
            prop_assert_eq!(theirs.expect("checked").len(), weights.names().count());
        }
    }
}
