//! Folders: what is saved is loaded, and what was damaged is named.

use crate::support::*;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use visor_checkpoint::{Dtype, Sha256Sum, Source, TensorToSave, write_safetensors};
use visor_model::weights;
use visor_policy::{Objective, Policy, PolicyManifest, RouterNetwork, RouterShape};

const WEIGHTS: &str = "policy.safetensors";
const MANIFEST: &str = "policy.json";

fn saved() -> TempDir {
    let folder = TempDir::new().unwrap();
    policy(Objective::Utility, 1).save(folder.path()).unwrap();
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn what_is_saved_is_loaded_and_saved_to_the_same_bytes() {
    let (folder, again) = (saved(), TempDir::new().unwrap());
    assert_eq!(names(folder.path()), [MANIFEST, WEIGHTS]);
    let loaded = load(&folder).unwrap();
    let kept = policy(Objective::Utility, 1);
    assert_eq!(weights::named(loaded.network()), weights::named(kept.network()));
    let bytes = fs::read(folder.path().join(WEIGHTS)).unwrap();
    let hashed = Some(Sha256Sum::of(&bytes));
    assert_eq!(*loaded.manifest(), PolicyManifest { weights: hashed, ..kept.manifest().clone() });
    let written = loaded.save(again.path()).unwrap();
    assert_eq!(written, *loaded.manifest());
    for file in [MANIFEST, WEIGHTS] {
        let read = |folder: &TempDir| fs::read(folder.path().join(file)).unwrap();
        assert_eq!(read(&folder), read(&again), "{file}");
    }
}

#[test]
fn an_embedded_policy_is_loaded_as_one_in_a_folder() {
    let folder = saved();
    let leak =
        |file: &str| -> &'static [u8] { Vec::leak(fs::read(folder.path().join(file)).unwrap()) };
    let files = vec![(MANIFEST, leak(MANIFEST)), (WEIGHTS, leak(WEIGHTS))];
    let embedded = Policy::load(&Source::Embedded(files.leak()), &cpu()).unwrap();
    let loaded = load(&folder).unwrap();
    assert_eq!(weights::named(embedded.network()), weights::named(loaded.network()));
    assert_eq!(embedded.manifest(), loaded.manifest());
}

#[test]
fn saving_replaces_a_policy_and_leaves_other_files_as_they_are() {
    let folder = saved();
    fs::write(folder.path().join("README.md"), "a card").unwrap();
    fs::write(folder.path().join("record.json"), "{}").unwrap();
    policy(Objective::CheapestRight, 2).save(folder.path()).unwrap();
    assert_eq!(names(folder.path()), ["README.md", MANIFEST, WEIGHTS, "record.json"]);
    assert_eq!(fs::read_to_string(folder.path().join("README.md")).unwrap(), "a card");
    assert_eq!(load(&folder).unwrap().manifest().objective, Objective::CheapestRight);
    let below = folder.path().join("a/b");
    policy(Objective::Utility, 3).save(&below).unwrap();
    assert_eq!(names(&below), [MANIFEST, WEIGHTS]);
}

#[test]
fn a_policy_that_cannot_be_saved_leaves_the_old_one_and_no_temporary_files() {
    let folder = saved();
    let before = fs::read(folder.path().join(WEIGHTS)).unwrap();
    let kept = manifest(Objective::Utility);
    let broken =
        weights::fill(RouterNetwork::new(kept.shape(), &cpu()), &cpu(), &mut |_, shape| {
            Ok(vec![f32::NAN; shape.iter().product()])
        });
    let error = Policy::new(kept.clone(), broken.unwrap()).unwrap().save(folder.path());
    assert!(error.unwrap_err().to_string().contains("NaN"));
    let mut kept = kept;
    kept.rungs[3].name = "a b".to_owned();
    let network = RouterNetwork::from_seed(kept.shape(), 2, &cpu());
    let error = Policy::new(kept, network).unwrap().save(folder.path()).unwrap_err();
    assert!(error.to_string().contains("a name of letters"), "{error}");
    assert_eq!(names(folder.path()), [MANIFEST, WEIGHTS]);
    assert_eq!(fs::read(folder.path().join(WEIGHTS)).unwrap(), before);
    load(&folder).unwrap();
}

#[test]
fn a_manifest_for_a_network_of_other_sizes_is_refused() {
    let manifest = manifest(Objective::Utility);
    let shape = RouterShape { d_hidden: 7, ..manifest.shape() };
    let error = Policy::new(manifest, RouterNetwork::new(shape, &cpu())).unwrap_err().to_string();
    assert!(error.contains("for 3 values inside the head, the network has 7"), "{error}");
}

fn edit(folder: &Path, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = folder.join(file);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn replace(folder: &Path, from: &str, to: &str) {
    edit(folder, MANIFEST, |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(from), "{text}");
        *bytes = text.replacen(from, to, 1).into_bytes();
    });
}

/// Writes other weights, with the hash that they should have.
fn resave(folder: &Path, dtype: Dtype, change: impl FnOnce(&mut Vec<TensorToSave<'static>>)) {
    let mut tensors = weights::named(policy(Objective::Utility, 1).network());
    change(&mut tensors);
    let path = folder.join(WEIGHTS);
    let old = Sha256Sum::of(&fs::read(&path).unwrap()).to_string();
    let new = write_safetensors(&path, &tensors, dtype, &BTreeMap::new()).unwrap().sha256;
    replace(folder, &old, &new.to_string());
}

/// What is done to a folder, and what the error says of it.
type Damage = (&'static str, fn(&Path), &'static str);

const DAMAGES: &[Damage] = &[
    ("a bit", |f| edit(f, WEIGHTS, |b| *b.last_mut().unwrap() ^= 1), "sha256"),
    ("a bit of the header", |f| edit(f, WEIGHTS, |b| b[20] ^= 1), "sha256"),
    ("half of the weights", |f| edit(f, WEIGHTS, |b| b.truncate(b.len() / 2)), "sha256"),
    ("no weights in the file", |f| edit(f, WEIGHTS, Vec::clear), "sha256"),
    ("missing weights", |f| fs::remove_file(f.join(WEIGHTS)).unwrap(), "no `policy.safetensors`"),
    ("missing manifest", |f| fs::remove_file(f.join(MANIFEST)).unwrap(), "no `policy.json`"),
    ("half a manifest", |f| edit(f, MANIFEST, |b| b.truncate(b.len() / 2)), "`policy.json`"),
    ("a huge manifest", |f| edit(f, MANIFEST, |b| b.resize(2 << 20, b' ')), "at most 1048576"),
    (
        "a folder for weights",
        |f| {
            fs::remove_file(f.join(WEIGHTS)).unwrap();
            fs::create_dir(f.join(WEIGHTS)).unwrap();
        },
        "not a regular file",
    ),
    (
        "an extra tensor",
        |f| {
            resave(f, Dtype::F32, |tensors| {
                let (name, data) = ("head.stray".to_owned(), Cow::Owned(vec![0.0]));
                tensors.push(TensorToSave { name, shape: vec![1], data });
            })
        },
        "`head.stray`, for which a policy has no use",
    ),
    (
        "a missing tensor",
        |f| {
            resave(f, Dtype::F32, |tensors| {
                tensors.retain(|tensor| tensor.name != "head.output.bias");
            })
        },
        "`head.output.bias` of shape [4] is missing",
    ),
    (
        "a tensor of another shape",
        |f| {
            resave(f, Dtype::F32, |tensors| {
                let tensor = tensors.iter_mut().find(|t| t.name == "head.hidden.weight").unwrap();
                tensor.shape.reverse();
            })
        },
        "shape [24, 3], expected [3, 24]",
    ),
    ("halves", |f| resave(f, Dtype::F16, |_| ()), "stored as F16, expected F32"),
    ("another width", |f| replace(f, "\"d_hidden\": 3", "\"d_hidden\": 4"), "expected [4, 24]"),
    ("another token", |f| replace(f, "\"d_token\": 12", "\"d_token\": 11"), "expected [11]"),
    ("a huge head", |f| replace(f, "\"d_hidden\": 3", "\"d_hidden\": 16384"), "[16384, 24]"),
    (
        "a rung less",
        |f| {
            edit(f, MANIFEST, |bytes| {
                let mut manifest = PolicyManifest::parse(bytes).unwrap();
                manifest.rungs.pop();
                *bytes = manifest.to_json().into_bytes();
            });
        },
        "expected [3, 3]",
    ),
    (
        "a manifest of tomorrow",
        |f| {
            replace(f, "\"schema_version\": 1", "\"schema_version\": 2");
        },
        "schema version 2",
    ),
];

#[test]
fn every_damage_to_a_policy_is_an_error_that_names_it() {
    for (what, damage, says) in DAMAGES {
        let folder = saved();
        damage(folder.path());
        let error = chain(&load(&folder).unwrap_err());
        assert!(error.contains(says), "{what}: {error}");
    }
    let nowhere = Source::Folder("nowhere".into());
    let error = Policy::load(&nowhere, &cpu()).unwrap_err().to_string();
    assert!(error.contains("no folder `nowhere`: expected one with `policy.json`"), "{error}");
}

#[test]
fn values_that_are_not_finite_are_an_error() {
    let folder = saved();
    let old = Sha256Sum::of(&fs::read(folder.path().join(WEIGHTS)).unwrap()).to_string();
    edit(folder.path(), WEIGHTS, |bytes| {
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    });
    let new = Sha256Sum::of(&fs::read(folder.path().join(WEIGHTS)).unwrap()).to_string();
    replace(folder.path(), &old, &new);
    let error = load(&folder).unwrap_err().to_string();
    assert!(error.contains("holds inf at place 11"), "{error}");
}

#[test]
fn damaged_weights_whose_hash_was_adjusted_never_panic() {
    let folder = saved();
    let whole = fs::read(folder.path().join(WEIGHTS)).unwrap();
    let json = fs::read_to_string(folder.path().join(MANIFEST)).unwrap();
    let old = Sha256Sum::of(&whole).to_string();
    for place in 0..whole.len().min(700) {
        for change in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[place] ^= change;
            fs::write(folder.path().join(WEIGHTS), &bytes).unwrap();
            let json = json.replace(&old, &Sha256Sum::of(&bytes).to_string());
            fs::write(folder.path().join(MANIFEST), json).unwrap();
            let _ = load(&folder);
        }
    }
}
