//! Saving is all or nothing.

use crate::support::{
    CONFIG, ONE_FILE, TOKENIZER, load, manifest, names, open, save, save_tensors, saved, tensor,
    tensors, values,
};
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;
use visor_checkpoint::{
    CheckpointError, Dtype, TensorToSave, Trust, files, read_safetensors, save_checkpoint,
    write_safetensors,
};

#[test]
fn saving_over_a_checkpoint_replaces_all_of_it() {
    let (root, folder) = saved(Dtype::F32, 20);
    assert_eq!(names(&folder).len(), 3 + 4);
    save(&folder, Dtype::F16, ONE_FILE);
    let files = ["config.json", "model.safetensors", "tokenizer.json", "visor.json"];
    assert_eq!(names(&folder), files);
    assert_eq!(load(&folder).expect("loaded"), values());
    assert_eq!(names(root.path()), ["model"]);
}

// Elsewhere a folder with open files cannot be renamed.
#[cfg(unix)]
#[test]
fn a_reader_finds_one_checkpoint_or_the_other_while_they_are_exchanged() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    let version = |step: u64| {
        let mut manifest = manifest();
        manifest.provenance.steps = step;
        let tensors = [tensor("w", &[64], step as f32)];
        save_tensors(&folder, &tensors, Some(&manifest), Dtype::F32, ONE_FILE).expect("saved");
    };
    version(0);
    let done = AtomicBool::new(false);
    let whole = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut whole = 0;
            while !done.load(Ordering::Relaxed) {
                // Files of two checkpoints can only meet if the exchange falls between opening
                // them, and then the hashes do not fit. Nothing is ever absent.
                let loaded = open(&folder).and_then(|checkpoint| {
                    let (verified, weights) = checkpoint.verified_weights()?;
                    Ok((checkpoint, verified, weights))
                });
                match loaded {
                    Ok((checkpoint, verified, mut weights)) => {
                        assert_eq!(verified.trust, Trust::Hashed);
                        let step = checkpoint.manifest().expect("a manifest").provenance.steps;
                        assert_eq!(weights.take("w", &[64]).expect("taken")[0], step as f32);
                        whole += 1;
                    }
                    Err(CheckpointError::Hash { .. }) => {}
                    // Where folders cannot be exchanged in one step there is a gap.
                    Err(_) if !cfg!(any(target_os = "linux", target_os = "macos")) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
            whole
        });
        (1..=30).for_each(version);
        done.store(true, Ordering::Relaxed);
        reader.join().expect("the reader saw nothing else")
    });
    assert!(whole > 0);
}

// Elsewhere a folder with open files cannot be renamed.
#[cfg(unix)]
#[test]
fn a_checkpoint_that_was_exchanged_after_it_was_opened_is_noticed() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    let opened = open(&folder).expect("opened");
    let (_, mut weights) = opened.verified_weights().expect("verified");
    save_tensors(&folder, &[tensor("w", &[1], 0.0)], Some(&manifest()), Dtype::F32, ONE_FILE)
        .expect("saved");
    assert!(matches!(opened.verify(), Err(CheckpointError::Hash { .. })));
    // What was open before still is the old checkpoint.
    assert_eq!(weights.take("model.norm.weight", &[4]).expect("taken"), values()[0]);
}

#[test]
fn what_cannot_be_saved_leaves_the_old_checkpoint_and_no_other_files() {
    let (root, folder) = saved(Dtype::F32, ONE_FILE);
    let bad = |name: &str, shape: &[usize], data: &[f32]| TensorToSave {
        name: name.to_owned(),
        shape: shape.to_vec(),
        data: data.to_vec().into(),
    };
    let twice = [tensor("a", &[1], 0.0), tensor("a", &[1], 0.0)];
    let cases: [(&[TensorToSave<'_>], &str); 6] = [
        (&twice, "`a`"),
        (&[bad("__metadata__", &[1], &[0.0])], "`__metadata__`"),
        (&[bad("short", &[2, 2], &[0.0; 3])], "`short`"),
        (&[bad("huge", &[usize::MAX, 8], &[0.0; 3])], "`huge`"),
        (&[bad("over", &[2], &[0.0, 7e4])], "`over`"),
        (&[bad("nan", &[2], &[0.0, f32::NAN])], "`nan`"),
    ];
    for (tensors, named) in cases {
        let error = save_tensors(&folder, tensors, Some(&manifest()), Dtype::F16, ONE_FILE)
            .expect_err(named);
        assert!(error.to_string().contains(named), "{error}");
        assert_eq!(load(&folder).expect("the old one"), values());
        assert_eq!(names(root.path()), ["model"]);
    }
}

#[test]
fn a_value_beyond_half_precision_is_named_with_its_place_and_a_way_out() {
    let root = TempDir::new().expect("a folder");
    let mut data = vec![0.0; 100_000];
    data[70_001] = -1e6;
    let tensor = TensorToSave { name: "w".to_owned(), shape: vec![100_000], data: data.into() };
    let tensors = [tensor];
    let path = root.path().join("w.safetensors");
    let error = write_safetensors(&path, &tensors, Dtype::F16, &BTreeMap::new())
        .expect_err("beyond the range");
    assert!(matches!(error, CheckpointError::Overflow { index: 70_001, .. }), "{error}");
    assert!(error.to_string().contains("BF16"), "{error}");
    assert!(names(root.path()).is_empty());
    write_safetensors(&path, &tensors, Dtype::BF16, &BTreeMap::new()).expect("in range");
}

#[test]
fn a_single_file_is_replaced_whole_or_not_at_all() {
    let root = TempDir::new().expect("a folder");
    let path = root.path().join("state.safetensors");
    let write = |value: f32| {
        let data = vec![1.0, value].into();
        let tensors = [TensorToSave { name: "w".to_owned(), shape: vec![2], data }];
        write_safetensors(&path, &tensors, Dtype::F32, &BTreeMap::new())
    };
    write(2.0).expect("written");
    write(f32::INFINITY).expect_err("not finite");
    assert_eq!(read_safetensors(&path).expect("read")[0].2, [1.0, 2.0]);
    write(3.0).expect("written");
    assert_eq!(read_safetensors(&path).expect("read")[0].2, [1.0, 3.0]);
    assert_eq!(names(root.path()), ["state.safetensors"]);
}

#[test]
fn files_that_are_no_part_of_a_checkpoint_are_not_deleted() {
    for name in ["samples", "notes.txt", "lora.safetensors", "README.md"] {
        let (_root, folder) = saved(Dtype::F32, ONE_FILE);
        if name == "samples" {
            fs::create_dir(folder.join(name)).expect("created");
        } else {
            fs::write(folder.join(name), "precious").expect("written");
        }
        let error = save_tensors(&folder, &tensors(), None, Dtype::F32, ONE_FILE).expect_err(name);
        assert!(matches!(&error, CheckpointError::WouldDelete { entry, .. } if entry == name));
        assert!(folder.join(name).exists());
    }
}

#[test]
fn files_that_a_checkpoint_may_have_are_replaced() {
    for name in files::SMALL {
        let (_root, folder) = saved(Dtype::F32, ONE_FILE);
        fs::write(folder.join(name), "of the checkpoint that was there").expect("written");
        save_tensors(&folder, &tensors(), None, Dtype::F32, ONE_FILE).expect(name);
        assert_eq!(folder.join(name).exists(), name == files::TOKENIZER);
    }
}

#[test]
fn further_files_are_saved_hashed_unless_they_are_prose_and_replaced() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("a/b/model");
    let extra: [(&str, &[u8]); 3] =
        [("tokenizer.json", TOKENIZER), ("README.md", b"# A card"), ("words.dat", b"1 2")];
    let save = || {
        save_checkpoint(
            &folder,
            CONFIG,
            &extra,
            Some(&manifest()),
            &tensors(),
            Dtype::F32,
            ONE_FILE,
        )
    };
    save().expect("saved, with the folders above");
    fs::write(folder.join("README.md"), "# A better card").expect("written");
    assert_eq!(load(&folder).expect("prose may change"), values());
    save().expect("saved again");
    let card = open(&folder).expect("opened").file("README.md").expect("read").expect("there");
    assert_eq!(card.as_ref(), b"# A card");
    fs::write(folder.join("words.dat"), "2 1").expect("written");
    assert!(matches!(load(&folder), Err(CheckpointError::Hash { .. })));
}

#[test]
fn further_files_cannot_take_the_names_of_the_checkpoint_or_leave_the_folder() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("model");
    let names_ = [
        "config.json",
        "visor.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "../x",
        "/x",
        "",
        ".visor-verified.json",
    ];
    for name in names_ {
        let extra: [(&str, &[u8]); 1] = [(name, b"{}")];
        let error = save_checkpoint(&folder, CONFIG, &extra, None, &[], Dtype::F32, ONE_FILE)
            .expect_err(name);
        assert!(matches!(error, CheckpointError::Name { .. }), "{name}: {error}");
    }
    let extra: [(&str, &[u8]); 2] = [("a", b""), ("a", b"")];
    save_checkpoint(&folder, CONFIG, &extra, None, &[], Dtype::F32, ONE_FILE).expect_err("twice");
    assert!(names(root.path()).is_empty());
}

#[test]
fn what_could_not_be_read_again_is_not_saved() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("model");
    let mut bad = manifest();
    bad.cross.n_kv_heads = 0;
    let error = save_tensors(&folder, &tensors(), Some(&bad), Dtype::F32, ONE_FILE);
    assert!(matches!(error, Err(CheckpointError::Field { .. })));
    let error = save_checkpoint(&folder, b"{", &[], None, &tensors(), Dtype::F32, ONE_FILE);
    assert!(matches!(error, Err(CheckpointError::Json { .. })));
    assert!(names(root.path()).is_empty());
}

#[test]
fn a_file_where_the_folder_should_be_is_an_error() {
    let root = TempDir::new().expect("a folder");
    let path = root.path().join("model");
    fs::write(&path, "precious").expect("written");
    let error = save_tensors(&path, &tensors(), None, Dtype::F32, ONE_FILE);
    assert!(matches!(error, Err(CheckpointError::NoFolder { .. })));
    assert_eq!(fs::read(&path).expect("still there"), b"precious");
}

#[cfg(unix)]
#[test]
fn the_folder_behind_a_link_is_replaced_and_its_permissions_stay() {
    use std::os::unix::fs::PermissionsExt;
    let (root, folder) = saved(Dtype::F32, ONE_FILE);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).expect("set");
    let link = root.path().join("latest");
    std::os::unix::fs::symlink(&folder, &link).expect("linked");
    save(&link, Dtype::F16, ONE_FILE);
    assert!(link.is_symlink() && !folder.is_symlink());
    assert_eq!(fs::metadata(&folder).expect("there").permissions().mode() & 0o777, 0o750);
    let weights = open(&folder).expect("opened").weights().expect("weights");
    assert_eq!(weights.dtype("lm_head.weight"), Some(Dtype::F16));
    assert_eq!(names(root.path()), ["latest", "model"]);
}

#[cfg(unix)]
#[test]
fn saved_files_and_folders_can_be_read_as_others_of_the_user() {
    use std::os::unix::fs::PermissionsExt;
    let root = TempDir::new().expect("a folder");
    let plain_folder = root.path().join("plain");
    fs::create_dir(&plain_folder).expect("created");
    fs::write(plain_folder.join("file"), "").expect("written");
    let folder = root.path().join("model");
    save(&folder, Dtype::F32, ONE_FILE);
    let state = root.path().join("state.safetensors");
    write_safetensors(&state, &tensors(), Dtype::F32, &BTreeMap::new()).expect("written");
    let mode = |path: &std::path::Path| fs::metadata(path).expect("there").permissions().mode();
    assert_eq!(mode(&folder), mode(&plain_folder));
    for file in [folder.join("visor.json"), folder.join("model.safetensors"), state] {
        assert_eq!(mode(&file), mode(&plain_folder.join("file")));
    }
}
