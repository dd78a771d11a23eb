//! Every tensor is accounted for, both ways, and index and shards agree.

use crate::support::{ONE_FILE, open, saved, tensor, tensors};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use visor_checkpoint::{
    CheckpointError, Dtype, Parts, Source, Streamed, TensorOutline, TensorToSave, Weights,
    save_streamed, scale_of, write_safetensors,
};

const INDEX: &str = "model.safetensors.index.json";

fn weights(folder: &Path) -> Result<Weights, CheckpointError> {
    Weights::open(&Source::Folder(folder.to_owned()))
}

#[test]
fn a_missing_tensor_is_named_with_its_shape() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    let error = weights(&folder).expect("opened").take("model.bias", &[4]).expect_err("missing");
    let message = error.to_string();
    assert!(matches!(error, CheckpointError::Missing { .. }), "{message}");
    assert!(message.contains("`model.bias`") && message.contains("[4]"), "{message}");
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    let mut weights = weights(&folder).expect("opened");
    // As many values, but not the same matrix.
    for shape in [&[4, 3][..], &[12], &[3, 4, 1], &[], &[usize::MAX, usize::MAX]] {
        let error = weights.take("lm_head.weight", shape).expect_err("another shape");
        let message = error.to_string();
        assert!(message.contains("[3, 4]") && message.contains(&format!("{shape:?}")), "{message}");
    }
}

#[test]
fn a_tensor_that_nobody_takes_is_an_error_that_names_it() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    let mut weights = weights(&folder).expect("opened");
    for t in tensors().iter().skip(1) {
        weights.take(&t.name, &t.shape).expect("taken");
    }
    match weights.finish().expect_err("one is left") {
        CheckpointError::Unused { names } => assert_eq!(names, ["model.norm.weight"]),
        other => panic!("{other}"),
    }
}

#[test]
fn tensors_may_be_left_with_a_reason_by_name_by_prefix_or_by_suffix() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    let mut weights = weights(&folder).expect("opened");
    weights.ignore("visor.*", "the dense reference does not use them");
    weights.ignore("*.bias", "nothing ends so");
    weights.ignore("*head.weight", "overruled below");
    weights.ignore("model.norm", "names are whole names");
    weights.ignore("lm_head.weight", "tied");
    weights.ignore("nothing.*", "other checkpoints have it");
    weights.take("model.norm.weight", &[4]).expect("taken");
    let report = weights.finish().expect("all accounted for");
    let ignored: Vec<(&str, &str)> =
        report.ignored.iter().map(|t| (t.name.as_str(), t.because.as_str())).collect();
    let unused = "the dense reference does not use them";
    let expected = [
        ("lm_head.weight", "tied"),
        ("visor.layers.1.gate", unused),
        ("visor.selector.query.weight", unused),
    ];
    assert_eq!(ignored, expected);
}

#[test]
fn a_prefix_does_not_leave_what_it_does_not_begin() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    let mut weights = weights(&folder).expect("opened");
    weights.ignore("model.norm", "names are whole names");
    weights.ignore("visor.selector.*", "not in use");
    match weights.finish().expect_err("three are left") {
        CheckpointError::Unused { names } => {
            assert_eq!(names, ["lm_head.weight", "model.norm.weight", "visor.layers.1.gate"]);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_tensor_can_be_taken_twice_as_a_tied_head_does() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    let mut weights = weights(&folder).expect("opened");
    let once = weights.take("lm_head.weight", &[3, 4]).expect("taken");
    assert_eq!(weights.take("lm_head.weight", &[3, 4]).expect("taken"), once);
}

#[test]
fn a_value_that_is_not_finite_is_an_error_that_names_the_tensor() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    let path = folder.join("model.safetensors");
    let good = fs::read(&path).expect("read");
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut bytes = good.clone();
        // The selector's four values are the last ones; the second of them.
        let place = bytes.len() - 12;
        bytes[place..place + 4].copy_from_slice(&bad.to_le_bytes());
        fs::write(&path, &bytes).expect("written");
        let mut weights = weights(&folder).expect("opened");
        weights.take("lm_head.weight", &[3, 4]).expect("not touched");
        let error = weights.take("visor.selector.query.weight", &[2, 2]).expect_err("not finite");
        assert!(matches!(error, CheckpointError::NonFinite { index: 1, .. }), "{error}");
    }
}

fn two_shards(index: &str) -> Result<Weights, CheckpointError> {
    let root = TempDir::new().expect("a folder");
    for (file, name) in [("a.safetensors", "one"), ("b.safetensors", "two")] {
        let tensors = [tensor(name, &[2], 0.0)];
        write_safetensors(&root.path().join(file), &tensors, Dtype::F32, &BTreeMap::new())
            .expect("written");
    }
    fs::write(root.path().join(INDEX), index).expect("written");
    weights(root.path())
}

#[test]
fn index_and_shards_must_agree() {
    let good = r#"{"weight_map": {"one": "a.safetensors", "two": "b.safetensors"}, "metadata": 1}"#;
    let opened = two_shards(good).expect("they agree");
    assert_eq!(opened.names().collect::<Vec<_>>(), ["one", "two"]);

    let swapped = r#"{"weight_map": {"one": "b.safetensors", "two": "a.safetensors"}}"#;
    assert!(matches!(two_shards(swapped), Err(CheckpointError::Unlisted { .. })));
    let too_much = r#"{"weight_map": {"one": "a.safetensors", "two": "b.safetensors",
        "three": "b.safetensors"}}"#;
    assert!(matches!(two_shards(too_much), Err(CheckpointError::NotInShard { .. })));
    let same = r#"{"weight_map": {"one": "a.safetensors", "two": "a.safetensors"}}"#;
    assert!(matches!(two_shards(same), Err(CheckpointError::NotInShard { .. })));
    let absent = r#"{"weight_map": {"one": "a.safetensors", "two": "c.safetensors"}}"#;
    assert!(matches!(two_shards(absent), Err(CheckpointError::NoFile { .. })));
    let twice = r#"{"weight_map": {"one": "a.safetensors", "one": "a.safetensors"}}"#;
    let error = two_shards(twice).expect_err("a repeated key");
    assert!(matches!(error, CheckpointError::Json { .. }), "{error}");
    for wrong in ["", "[]", "{}", r#"{"weight_map": []}"#, r#"{"weight_map": {"one": 1}}"#] {
        assert!(matches!(two_shards(wrong), Err(CheckpointError::Json { .. })), "{wrong}");
    }
}

#[test]
fn a_tensor_in_a_shard_that_the_index_does_not_list_is_an_error() {
    let index = r#"{"weight_map": {"one": "a.safetensors"}}"#;
    let opened = two_shards(index).expect("the other file is not part of it");
    assert_eq!(opened.names().collect::<Vec<_>>(), ["one"]);
    let (_root, folder) = saved(Dtype::F32, 20);
    let text = fs::read_to_string(folder.join(INDEX)).expect("an index");
    let line = text.lines().find(|line| line.contains("visor.layers.1.gate")).expect("listed");
    fs::write(folder.join(INDEX), text.replace(line, "")).expect("written");
    assert!(matches!(weights(&folder), Err(CheckpointError::Unlisted { .. })));
}

#[test]
fn weights_that_are_not_read_are_named() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    let said = |folder: &Path| weights(folder).expect_err("no weights").to_string();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1000\n";
    for file in ["model.safetensors", "tokenizer.json"] {
        fs::write(folder.join(file), pointer).expect("written");
    }
    assert!(said(&folder).contains("model.safetensors` is a pointer of Git LFS"));
    let error = open(&folder).expect("opened").tokenizer_json().expect_err("a pointer");
    assert!(matches!(error, CheckpointError::Pointer { .. }), "{error}");
    fs::remove_file(folder.join("model.safetensors")).expect("removed");
    fs::write(folder.join(INDEX), r#"{"weight_map": {}}"#).expect("written");
    assert!(said(&folder).contains("lists no tensor"), "{}", said(&folder));
    fs::remove_file(folder.join(INDEX)).expect("removed");
    fs::write(folder.join("adapter_config.json"), "{}").expect("written");
    assert!(said(&folder).contains("is an adapter"), "{}", said(&folder));
    fs::write(folder.join("pytorch_model.bin"), "").expect("written");
    assert!(said(&folder).contains("has `pytorch_model.bin`"), "{}", said(&folder));
    fs::remove_file(folder.join("config.json")).expect("removed");
    let error = open(&folder).expect_err("no model");
    assert!(matches!(error, CheckpointError::Adapter { .. }), "{error}");
}

#[test]
fn a_folder_without_weights_or_without_a_configuration_says_so() {
    let (root, folder) = saved(Dtype::F32, ONE_FILE);
    fs::remove_file(folder.join("model.safetensors")).expect("removed");
    assert!(matches!(weights(&folder), Err(CheckpointError::NoWeights { .. })));
    fs::remove_file(folder.join("config.json")).expect("removed");
    let error = open(&folder).expect_err("no configuration");
    assert!(error.to_string().contains("config.json"), "{error}");
    let error = open(&root.path().join("nowhere")).expect_err("no folder");
    assert!(matches!(error, CheckpointError::NoFolder { .. }), "{error}");
    let error = open(&folder.join("tokenizer.json")).expect_err("a file");
    assert!(matches!(error, CheckpointError::NoFolder { .. }), "{error}");
}

#[test]
fn a_folder_without_a_manifest_is_a_stock_checkpoint() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    fs::remove_file(folder.join("visor.json")).expect("removed");
    assert!(open(&folder).expect("opened").manifest().is_none());
}

#[test]
fn whole_numbers_come_with_the_factors_of_their_rows_or_not_at_all() {
    let root = TempDir::new().expect("a folder");
    let path = root.path().join("x.safetensors");
    let matrix = |name: &str, shape: &[usize]| {
        let n: usize = shape.iter().product();
        let data: Vec<f32> = (0..n).map(|i| i as f32 - 2.0).collect();
        TensorToSave { name: name.to_owned(), shape: shape.to_vec(), data: data.into() }
    };
    let formats = |name: &str| match name {
        "m" | "v" => Dtype::I8,
        _ => Dtype::F32,
    };
    let save = |tensors: &[TensorToSave<'_>]| {
        let outlines: Vec<TensorOutline> = tensors
            .iter()
            .map(|t| TensorOutline { name: t.name.clone(), shape: t.shape.clone() })
            .collect();
        let values = &mut |outline: &TensorOutline| {
            let tensor = tensors.iter().find(|tensor| tensor.name == outline.name);
            Ok(tensor.expect("one of them").data.clone())
        };
        let tensors = Streamed { outlines: &outlines, values };
        let parts = Parts {
            config_json: b"{}",
            extra_files: &[],
            manifest: None,
            formats: &formats,
            max_shard_bytes: ONE_FILE,
        };
        save_streamed(&root.path().join("m"), &parts, tensors)
    };
    let factors =
        TensorToSave { name: scale_of("m"), shape: vec![2], data: vec![0.5, -3.0].into() };
    save(&[matrix("m", &[2, 3]), factors.clone()]).expect("saved");
    let folder = root.path().join("m");
    let mut weights = weights(&folder).expect("opened");
    assert_eq!((weights.parameters(), weights.dtype("m")), (6, Some(Dtype::I8)));
    assert_eq!(weights.names().collect::<Vec<_>>(), ["m"]);
    let taken = weights.take("m", &[2, 3]).expect("taken");
    assert_eq!(taken, [-1.0, -0.5, 0.0, -3.0, -6.0, -9.0]);
    let report = weights.finish().expect("factors go with their matrix");
    assert_eq!((report.tensors, report.parameters), (1, 6));
    // None, as many as columns, and those of what is no matrix.
    let wide = TensorToSave { shape: vec![3], data: vec![1.0; 3].into(), ..factors.clone() };
    let vector = TensorToSave { name: scale_of("v"), ..factors.clone() };
    for tensors in [
        vec![matrix("m", &[2, 3])],
        vec![matrix("m", &[2, 3]), wide],
        vec![matrix("v", &[2]), vector],
    ] {
        let error = save(&tensors).expect_err("factors are missing or do not fit");
        assert!(matches!(error, CheckpointError::Factors { .. }), "{error}");
    }
    let error = write_safetensors(&path, &[matrix("m", &[2, 3])], Dtype::I8, &BTreeMap::new());
    assert!(matches!(error, Err(CheckpointError::Factors { .. })) && !path.exists());
    // More than a byte holds.
    let large = TensorToSave { data: vec![128.0; 6].into(), ..matrix("m", &[2, 3]) };
    let error = save(&[large, factors]).expect_err("beyond 127");
    assert!(matches!(error, CheckpointError::Overflow { dtype: Dtype::I8, .. }), "{error}");
}
