//! What is saved is what is loaded, by us and by others.

use crate::support::{
    CONFIG, ONE_FILE, TOKENIZER, load, manifest, names, open, saved, tensor, tensors, values,
};
use proptest::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use std::collections::BTreeMap;
use std::fs;
use tempfile::TempDir;
use visor_checkpoint::{
    Checkpoint, Dtype, Manifest, Source, TensorToSave, Trust, Weights, read_safetensors,
    write_safetensors,
};

#[test]
fn a_checkpoint_loads_as_it_was_saved_in_every_format_sharded_or_not() {
    for dtype in Dtype::ALL {
        for max_shard_bytes in [0, 20, 64, ONE_FILE] {
            let (_root, folder) = saved(dtype, max_shard_bytes);
            assert_eq!(load(&folder).expect("loaded"), values(), "{dtype} {max_shard_bytes}");

            let checkpoint = open(&folder).expect("opened");
            assert_eq!(checkpoint.config_json(), CONFIG);
            assert_eq!(checkpoint.tokenizer_json().expect("a tokenizer").as_ref(), TOKENIZER);
            assert_eq!(checkpoint.generation_config().expect("no error"), None);
            let read = checkpoint.manifest().expect("a manifest").clone();
            assert_eq!(Manifest { files: BTreeMap::new(), ..read }, manifest());
        }
    }
}

#[test]
fn weights_above_the_limit_are_cut_into_numbered_shards_with_an_index() {
    let (_root, folder) = saved(Dtype::F32, 20);
    let shards = ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors"];
    for name in shards.into_iter().chain(["model.safetensors.index.json"]) {
        assert!(names(&folder).iter().any(|n| n == name), "{name} in {:?}", names(&folder));
    }
    let index = fs::read_to_string(folder.join("model.safetensors.index.json")).expect("an index");
    let index: serde_json::Value = serde_json::from_str(&index).expect("JSON");
    assert_eq!(index["metadata"]["total_size"], 4 * (4 + 12 + 1 + 4));
    // In order of the alphabet: the head alone, then norm and gate together.
    assert_eq!(index["weight_map"]["lm_head.weight"], shards[0]);
    assert_eq!(index["weight_map"]["visor.layers.1.gate"], shards[1]);
}

#[test]
fn the_report_counts_what_was_loaded() {
    let (_root, folder) = saved(Dtype::F16, 20);
    let mut weights = open(&folder).expect("opened").weights().expect("weights");
    assert_eq!(weights.parameters(), 21);
    assert_eq!(weights.dtype("lm_head.weight"), Some(Dtype::F16));
    assert_eq!(weights.shape("lm_head.weight"), Some([3, 4].as_slice()));
    assert!(weights.contains("model.norm.weight") && !weights.contains("model.norm"));
    for t in tensors() {
        weights.take(&t.name, &t.shape).expect("taken");
    }
    let report = weights.finish().expect("all taken");
    assert_eq!((report.tensors, report.parameters, report.ignored.len()), (4, 21, 0));
}

#[test]
fn the_reference_implementation_reads_our_files() {
    let root = TempDir::new().expect("a folder");
    let path = root.path().join("x.safetensors");
    let metadata = BTreeMap::from([("step".to_owned(), "12".to_owned())]);
    let written = write_safetensors(&path, &tensors(), Dtype::F32, &metadata).expect("written");
    let bytes = fs::read(&path).expect("read");
    assert_eq!(written.bytes, bytes.len() as u64);
    assert_eq!(written.sha256, visor_checkpoint::Sha256Sum::of(&bytes));

    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a valid header");
    assert_eq!(header.metadata().as_ref().expect("metadata")["step"], "12");
    let theirs = SafeTensors::deserialize(&bytes).expect("a valid file");
    assert_eq!(theirs.len(), tensors().len());
    for t in tensors() {
        let view = theirs.tensor(&t.name).expect("the tensor");
        let bytes: Vec<u8> = t.data.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!((view.shape(), view.data()), (t.shape.as_slice(), bytes.as_slice()));
    }
    assert_eq!(Weights::open_file(&path).expect("opened").metadata(), &metadata);
}

#[test]
fn files_of_the_reference_implementation_are_read_with_mixed_formats() {
    let root = TempDir::new().expect("a folder");
    let path = root.path().join("x.safetensors");
    let single: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let half: Vec<u8> = half::f16::from_f32(0.25).to_le_bytes().to_vec();
    let brain: Vec<u8> = half::bf16::from_f32(-3.0).to_le_bytes().to_vec();
    let view = |dtype, shape: &[usize], data| TensorView::new(dtype, shape.to_vec(), data);
    let tensors = [
        ("single", view(safetensors::Dtype::F32, &[2, 1], &single).expect("a view")),
        ("half", view(safetensors::Dtype::F16, &[1], &half).expect("a view")),
        ("brain", view(safetensors::Dtype::BF16, &[], &brain).expect("a view")),
    ];
    fs::write(&path, safetensors::serialize(tensors, None).expect("serialized")).expect("written");
    let read = read_safetensors(&path).expect("read");
    let expected = [
        ("brain".to_owned(), vec![], vec![-3.0]),
        ("half".to_owned(), vec![1], vec![0.25]),
        ("single".to_owned(), vec![2, 1], vec![1.5, -2.0]),
    ];
    assert_eq!(read, expected);
}

#[test]
fn the_order_of_tensors_does_not_change_the_file() {
    let root = TempDir::new().expect("a folder");
    let (one, other) = (root.path().join("one"), root.path().join("other"));
    let mut reversed = tensors();
    reversed.reverse();
    let first = write_safetensors(&one, &tensors(), Dtype::BF16, &BTreeMap::new());
    let second = write_safetensors(&other, &reversed, Dtype::BF16, &BTreeMap::new());
    assert_eq!(first.expect("written"), second.expect("written"));
}

#[test]
fn tensors_longer_than_one_piece_survive() {
    let root = TempDir::new().expect("a folder");
    let path = root.path().join("x.safetensors");
    let n = (1 << 18) + 12_345;
    let values: Vec<f32> = (0..n).map(|i| (i % 2048) as f32).collect();
    for dtype in [Dtype::F32, Dtype::F16] {
        let big = TensorToSave { name: "big".into(), shape: vec![n], data: (&values).into() };
        let tensors = [tensor("a", &[3], 1.0), big, tensor("z", &[3], 2.0)];
        write_safetensors(&path, &tensors, dtype, &BTreeMap::new()).expect("written");
        let read = read_safetensors(&path).expect("read");
        assert!(read[1].2 == values, "{dtype}");
        assert_eq!(read[2].2, [2.0, 2.125, 2.25]);
    }
}

#[test]
fn a_checkpoint_embedded_in_the_binary_is_the_same_checkpoint() {
    for max_shard_bytes in [20, ONE_FILE] {
        let (_root, folder) = saved(Dtype::BF16, max_shard_bytes);
        // A test's stand-in for include_bytes!.
        let leak = |name: String| -> (&'static str, &'static [u8]) {
            let bytes = fs::read(folder.join(&name)).expect("a file");
            (name.leak(), bytes.leak())
        };
        let files: Vec<_> = names(&folder).into_iter().map(leak).collect();
        let embedded = Checkpoint::open(Source::Embedded(files.leak())).expect("opened");
        let on_disk = open(&folder).expect("opened");
        let verified = embedded.verify().expect("verified");
        assert_eq!(verified.trust, Trust::Hashed);
        assert_eq!(verified.digests, on_disk.verify().expect("verified").digests);
        assert_eq!(embedded.manifest(), on_disk.manifest());
        let mut weights = embedded.weights().expect("weights");
        assert_eq!(weights.take("model.norm.weight", &[4]).expect("taken"), values()[0]);
    }
}

proptest! {
    #[test]
    fn any_single_precision_tensors_come_back_to_the_bit(
        tensors in proptest::collection::btree_map(
            "\\PC{0,12}",
            proptest::collection::vec(proptest::num::f32::NORMAL | proptest::num::f32::SUBNORMAL
                | proptest::num::f32::ZERO, 0..40),
            0..6,
        ),
    ) {
        let root = TempDir::new().expect("a folder");
        let path = root.path().join("state.safetensors");
        let to_save: Vec<TensorToSave<'_>> = tensors
            .iter()
            .map(|(name, data)| TensorToSave {
                name: name.clone(), shape: vec![data.len()], data: data.into() })
            .collect();
        write_safetensors(&path, &to_save, Dtype::F32, &BTreeMap::new()).expect("written");
        let read = read_safetensors(&path).expect("read");
        prop_assert_eq!(read.len(), tensors.len());
        for ((name, data), (read_name, shape, read)) in tensors.iter().zip(&read) {
            prop_assert_eq!((name, &vec![data.len()]), (read_name, shape));
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(data), bits(read));
        }
    }
}
