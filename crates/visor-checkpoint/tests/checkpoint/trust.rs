//! Hashes, stamps and digests.

use crate::support::{
    ONE_FILE, age, ladder, manifest, names, open, save_tensors, saved, tensor, tensors,
};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use visor_checkpoint::{
    CheckpointError, CrossAttentionManifest, DenseMode, Digests, Dtype, Manifest, Reading,
    ReadingStage, Source, TensorToSave, Trust, Watch, Weights, backbone_digest, selector_digest,
    verify,
};
use visor_core::{ImageMask, Ladder, PositionScheme, Rotary};

const STAMP: &str = ".visor-verified.json";

fn trust(folder: &Path) -> Result<Trust, CheckpointError> {
    open(folder)?.verify().map(|verified| verified.trust)
}

#[test]
fn files_are_hashed_once_and_then_known_by_size_and_time() {
    for max_shard_bytes in [20, ONE_FILE] {
        let (_root, folder) = saved(Dtype::F32, max_shard_bytes);
        age(&folder);
        let first = open(&folder).expect("opened").verify().expect("verified");
        assert_eq!(first.trust, Trust::Hashed);
        let second = open(&folder).expect("opened").verify().expect("verified");
        assert_eq!(second.trust, Trust::Stamped);
        assert_eq!(second.digests, first.digests);
    }
}

#[test]
fn a_watcher_is_told_of_every_byte_that_is_verified_and_loaded() {
    let (_root, folder) = saved(Dtype::BF16, 20);
    age(&folder);
    let told = || {
        let told: Arc<Mutex<Vec<Reading>>> = Arc::default();
        let seen = Arc::clone(&told);
        let watch = Watch::new(move |reading| seen.lock().expect("told").push(reading));
        let checkpoint = open(&folder).expect("opened").watched(watch);
        let (_, mut weights) = checkpoint.verified_weights().expect("verified");
        for tensor in tensors() {
            weights.take(&tensor.name, &tensor.shape).expect("taken");
        }
        // A tied head is taken twice, and counts once.
        weights.take("lm_head.weight", &[3, 4]).expect("taken again");
        told.lock().expect("told").clone()
    };
    let ends = |told: &[Reading], stage: ReadingStage| {
        let all: Vec<&Reading> = told.iter().filter(|reading| reading.stage == stage).collect();
        assert!(all.is_sorted_by_key(|reading| reading.done), "{all:?}");
        all.last().map(|last| (last.done, last.bytes))
    };
    let first = told();
    let (done, bytes) = ends(&first, ReadingStage::Verify).expect("hashed");
    assert_eq!(done, bytes);
    // 21 numbers of two bytes.
    assert_eq!(ends(&first, ReadingStage::Load), Some((42, 42)));
    let stamped = told();
    assert_eq!(ends(&stamped, ReadingStage::Verify), None);
    assert_eq!(ends(&stamped, ReadingStage::Load), Some((42, 42)));
}

#[test]
fn a_file_that_was_written_just_now_is_not_stamped() {
    // It could be written again within the same tick of the clock.
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    assert_eq!(trust(&folder).expect("verified"), Trust::Hashed);
    assert!(!names(&folder).iter().any(|name| name == STAMP));
}

#[test]
fn a_changed_file_makes_the_stamp_worthless() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    age(&folder);
    trust(&folder).expect("verified and stamped");
    let path = folder.join("model.safetensors");
    let mut bytes = fs::read(&path).expect("read");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(&path, &bytes).expect("written");
    let error = trust(&folder).expect_err("damaged");
    assert!(matches!(error, CheckpointError::Hash { .. }), "{error}");
    assert!(error.to_string().contains("model.safetensors"), "{error}");
}

#[test]
fn a_file_that_was_only_touched_is_hashed_again() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    age(&folder);
    trust(&folder).expect("verified and stamped");
    let file = fs::File::options().append(true).open(folder.join("tokenizer.json"));
    let time = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    file.expect("opened").set_modified(time).expect("touched");
    assert_eq!(trust(&folder).expect("verified"), Trust::Hashed);
    assert_eq!(trust(&folder).expect("verified"), Trust::Stamped);
}

#[test]
fn a_stamp_does_not_vouch_for_a_manifest_that_records_other_hashes() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    age(&folder);
    trust(&folder).expect("verified and stamped");
    let path = folder.join("visor.json");
    let text = fs::read_to_string(&path).expect("read");
    let sum = open(&folder).expect("opened").manifest().expect("there").files["model.safetensors"];
    let other = visor_checkpoint::Sha256Sum::of(b"other").to_string();
    fs::write(&path, text.replace(&sum.to_string(), &other)).expect("written");
    assert!(matches!(trust(&folder), Err(CheckpointError::Hash { .. })));
}

#[test]
fn a_damaged_stamp_is_no_stamp() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    age(&folder);
    trust(&folder).expect("verified and stamped");
    let good = fs::read(folder.join(STAMP)).expect("a stamp");
    for place in 0..good.len() {
        let mut bytes = good.clone();
        bytes.truncate(place);
        fs::write(folder.join(STAMP), &bytes).expect("written");
        assert_eq!(trust(&folder).expect("verified"), Trust::Hashed, "cut at {place}");
    }
}

#[test]
fn a_file_that_is_missing_or_not_recorded_is_an_error() {
    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    fs::remove_file(folder.join("tokenizer.json")).expect("removed");
    assert!(matches!(trust(&folder), Err(CheckpointError::NoFile { .. })));

    let (_root, folder) = saved(Dtype::F32, ONE_FILE);
    let source = Source::Folder(folder);
    let mut unlisted = manifest();
    unlisted.files.clear();
    let error = verify(&source, Some(&unlisted)).expect_err("not recorded");
    assert!(matches!(error, CheckpointError::Unhashed { .. }), "{error}");
}

#[test]
fn a_stock_checkpoint_has_a_digest_but_no_record_to_compare_with() {
    let (_root, folder) = saved(Dtype::F32, 20);
    let with_manifest = open(&folder).expect("opened").digest().expect("a digest");
    fs::remove_file(folder.join("visor.json")).expect("removed");
    age(&folder);
    let first = open(&folder).expect("opened").verify().expect("looked at");
    let second = open(&folder).expect("opened").verify().expect("looked at");
    assert_eq!((first.trust, second.trust), (Trust::Unrecorded, Trust::Unrecorded));
    assert_eq!(first.digests, second.digests);
    assert_ne!(first.digests.backbone, with_manifest);
}

fn digests(tensors: &[TensorToSave<'_>], manifest: &Manifest, dtype: Dtype, max: u64) -> Digests {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("model");
    save_tensors(&folder, tensors, Some(manifest), dtype, max).expect("saved");
    let digests = open(&folder).expect("opened").verify().expect("verified").digests;
    let weights = Weights::open(&Source::Folder(folder)).expect("opened");
    assert_eq!(backbone_digest(&weights, Some(manifest)).expect("a digest"), digests.backbone);
    assert_eq!(selector_digest(&weights, Some(manifest)).expect("a digest"), digests.selector);
    digests
}

#[test]
fn the_digest_does_not_depend_on_shards_the_default_policy_or_provenance() {
    let base = digests(&tensors(), &manifest(), Dtype::F32, ONE_FILE);
    assert_eq!(digests(&tensors(), &manifest(), Dtype::F32, 20), base);
    let mut other = manifest();
    other.default_policy = Some("another".to_owned());
    other.provenance.steps += 1;
    other.dense = DenseMode::Trained;
    assert_eq!(digests(&tensors(), &other, Dtype::F32, ONE_FILE), base);
}

#[test]
fn the_digest_changes_with_every_weight_name_shape_and_format() {
    let base = digests(&tensors(), &manifest(), Dtype::F32, ONE_FILE);
    let changed = |change: &dyn Fn(&mut Vec<TensorToSave<'static>>)| {
        let mut tensors = tensors();
        change(&mut tensors);
        digests(&tensors, &manifest(), Dtype::F32, ONE_FILE)
    };
    for place in 0..3 {
        let other = changed(&|tensors| {
            let last = tensors[place].data.to_mut().last_mut().expect("not empty");
            *last = f32::from_bits(last.to_bits() ^ 1);
        });
        assert_ne!(other.backbone, base.backbone);
        assert_eq!(other.selector, base.selector);
    }
    let others = [
        changed(&|tensors| tensors[0].name.push('x')),
        changed(&|tensors| tensors[1].shape = vec![4, 3]),
        changed(&|tensors| tensors.push(tensor("more", &[1], 0.0))),
        changed(&|tensors| drop(tensors.remove(0))),
        digests(&tensors(), &manifest(), Dtype::F16, ONE_FILE),
    ];
    for other in others {
        assert_ne!(other.backbone, base.backbone);
    }
}

#[test]
fn the_selector_has_a_digest_of_its_own() {
    let base = digests(&tensors(), &manifest(), Dtype::F32, ONE_FILE);
    let mut other = tensors();
    other[3].data.to_mut()[0] += 1.0;
    let changed = digests(&other, &manifest(), Dtype::F32, ONE_FILE);
    assert_eq!(changed.backbone, base.backbone);
    assert_ne!(changed.selector, base.selector);

    let mut wider = manifest();
    wider.selector.as_mut().expect("there").k_max += 1;
    let changed = digests(&tensors(), &wider, Dtype::F32, ONE_FILE);
    assert_eq!(changed.backbone, base.backbone);
    assert_ne!(changed.selector, base.selector);

    other.truncate(3);
    let none = digests(&other, &manifest(), Dtype::F32, ONE_FILE);
    assert_eq!((none.backbone, none.selector), (base.backbone, None));
}

#[test]
fn the_digest_changes_with_layout_ladder_positions_and_cross_attention() {
    let base = digests(&tensors(), &manifest(), Dtype::F32, ONE_FILE).backbone;
    let layout = || ladder().layout().clone();
    let rungs = |rungs: &[(&str, &[usize])], decision| {
        let rungs: Vec<_> = rungs.iter().map(|(n, l)| ((*n).to_owned(), l.to_vec())).collect();
        Ladder::try_new(layout(), decision, &rungs).expect("a ladder")
    };
    let ladders = [
        rungs(&[("low", &[]), ("mid", &[3]), ("best", &[2, 3, 5])], 2),
        rungs(&[("low", &[]), ("mid", &[5]), ("top", &[2, 3, 5])], 2),
        rungs(&[("low", &[]), ("top", &[2, 3, 5])], 2),
        rungs(&[("low", &[]), ("mid", &[3]), ("top", &[2, 3, 5])], 1),
    ];
    let mut manifests: Vec<Manifest> =
        ladders.into_iter().map(|ladder| Manifest { ladder, ..manifest() }).collect();
    let positions = manifest().positions;
    let masks = PositionScheme { image_mask: ImageMask::Causal, ..positions };
    let rotary = PositionScheme { rotary: Rotary::OneD, ..positions };
    manifests.extend([masks, rotary].map(|positions| Manifest { positions, ..manifest() }));
    let cross = manifest().cross;
    let crosses = [
        CrossAttentionManifest { n_kv_heads: 1, ..cross },
        CrossAttentionManifest { bias: true, ..cross },
        CrossAttentionManifest { null_key: false, ..cross },
    ];
    manifests.extend(crosses.map(|cross| Manifest { cross, ..manifest() }));
    for manifest in manifests {
        assert_ne!(digests(&tensors(), &manifest, Dtype::F32, ONE_FILE).backbone, base);
    }
}
