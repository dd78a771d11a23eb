//! A small checkpoint to save, load, damage and contradict.

use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use visor_checkpoint::{
    Checkpoint, CheckpointError, CrossAttentionManifest, DenseMode, Dtype, Manifest, Provenance,
    SelectorManifest, Source, TensorToSave, save_checkpoint,
};
use visor_core::{ImageMask, Ladder, Layout, PositionScheme, Rotary};

pub(crate) const CONFIG: &[u8] = br#"{"model_type":"idefics3"}"#;
pub(crate) const TOKENIZER: &[u8] = br#"{"version":"1.0"}"#;
pub(crate) const ONE_FILE: u64 = u64::MAX;

/// Values that all number formats can hold.
pub(crate) fn tensor(name: &str, shape: &[usize], first: f32) -> TensorToSave<'static> {
    let n: usize = shape.iter().product();
    let data = (0..n).map(|i| first + i as f32 / 8.0).collect();
    TensorToSave { name: name.to_owned(), shape: shape.to_vec(), data }
}

pub(crate) fn tensors() -> Vec<TensorToSave<'static>> {
    vec![
        tensor("model.norm.weight", &[4], 1.0),
        tensor("lm_head.weight", &[3, 4], -2.0),
        tensor("visor.layers.1.gate", &[], 0.5),
        tensor("visor.selector.query.weight", &[2, 2], 0.25),
    ]
}

pub(crate) fn ladder() -> Ladder {
    let layout = Layout::try_new(7, &[1, 4, 6], &[2, 3, 5]).expect("a layout");
    let rungs = [
        ("low".to_owned(), vec![]),
        ("mid".to_owned(), vec![3]),
        ("top".to_owned(), vec![2, 3, 5]),
    ];
    Ladder::try_new(layout, 2, &rungs).expect("a ladder")
}

pub(crate) fn manifest() -> Manifest {
    let mut manifest = Manifest::new(
        ladder(),
        PositionScheme { image_mask: ImageMask::Bidirectional, rotary: Rotary::TwoD },
        CrossAttentionManifest { n_kv_heads: 2, bias: false, null_key: true },
        DenseMode::None,
        Provenance {
            visor_version: "0.1.0".to_owned(),
            created: Some("2026-01-02".to_owned()),
            recipe: "nano".to_owned(),
            seed: u64::MAX,
            steps: 7,
            data: "generated".to_owned(),
            notes: [("why".to_owned(), "a test".to_owned())].into(),
        },
    );
    manifest.selector = Some(SelectorManifest { d_select: 2, n_pools: 1, k_min: 1, k_max: 4 });
    manifest
}

/// Saves the small checkpoint to `folder`.
pub(crate) fn save(folder: &Path, dtype: Dtype, max_shard_bytes: u64) {
    save_tensors(folder, &tensors(), Some(&manifest()), dtype, max_shard_bytes).expect("saved");
}

pub(crate) fn save_tensors(
    folder: &Path,
    tensors: &[TensorToSave<'_>],
    manifest: Option<&Manifest>,
    dtype: Dtype,
    max_shard_bytes: u64,
) -> Result<(), CheckpointError> {
    let extra: [(&str, &[u8]); 1] = [("tokenizer.json", TOKENIZER)];
    save_checkpoint(folder, CONFIG, &extra, manifest, tensors, dtype, max_shard_bytes)
}

/// A temporary folder with the small checkpoint in `model`.
pub(crate) fn saved(dtype: Dtype, max_shard_bytes: u64) -> (TempDir, PathBuf) {
    let root = TempDir::new().expect("a temporary folder");
    let folder = root.path().join("model");
    save(&folder, dtype, max_shard_bytes);
    (root, folder)
}

pub(crate) fn open(folder: &Path) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::open(Source::Folder(folder.to_owned()))
}

/// Opens, verifies and loads everything, as a strict reader does.
pub(crate) fn load(folder: &Path) -> Result<Vec<Vec<f32>>, CheckpointError> {
    let (_, mut weights) = open(folder)?.verified_weights()?;
    let values = tensors().iter().map(|t| weights.take(&t.name, &t.shape)).collect();
    weights.finish()?;
    values
}

pub(crate) fn values() -> Vec<Vec<f32>> {
    tensors().into_iter().map(|t| t.data.into_owned()).collect()
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("an entry").file_name().into_string().expect("a plain name")
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// Files older than the resolution of any clock, as those of a checkpoint normally are.
pub(crate) fn age(folder: &Path) {
    let past = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    for name in names(folder) {
        let file = fs::File::options().append(true).open(folder.join(name)).expect("a file");
        file.set_modified(past).expect("a time");
    }
}
