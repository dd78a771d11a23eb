//! A trained network in the place of the one that it began from: the same small files, another
//! manifest, and number formats in which nothing is lost.

use crate::error::TrainError;
use crate::rewrite;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use visor_checkpoint::{
    Checkpoint, Dtype, Manifest, Streamed, TensorOutline, TensorToSave, Weights,
};

/// Saves `tensors` with the small files of `base`. A tensor that is what `base` holds keeps the
/// number format that it has there; all others are written in single precision, in which they were
/// trained and looked at: what is saved is what was reported.
///
/// # Errors
/// If `base` cannot be read or the folder cannot be written; what was there before is then unharmed.
pub(crate) fn save(
    folder: &Path,
    base: &Checkpoint,
    manifest: &Manifest,
    tensors: &[TensorToSave<'_>],
) -> Result<(), TrainError> {
    let (_, mut stored) = base.verified_weights()?;
    let mut formats = BTreeMap::new();
    for tensor in tensors {
        formats.insert(tensor.name.as_str(), format(tensor, &mut stored)?);
    }
    let outline = |tensor: &TensorToSave<'_>| TensorOutline {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
    };
    let outlines: Vec<TensorOutline> = tensors.iter().map(outline).collect();
    let data: BTreeMap<&str, &[f32]> =
        tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.data.as_ref())).collect();
    let values = &mut |outline: &TensorOutline| Ok(Cow::Borrowed(data[outline.name.as_str()]));
    let streamed = Streamed { outlines: &outlines, values };
    rewrite::save(folder, base, Some(manifest), &|name| formats[name], streamed)
}

/// The format of a tensor: that of `stored` where nothing has changed. Whole numbers of eight bits
/// were multiplied out when they were read.
fn format(tensor: &TensorToSave<'_>, stored: &mut Weights) -> Result<Dtype, TrainError> {
    let TensorToSave { name, shape, data } = tensor;
    match stored.dtype(name) {
        Some(half @ (Dtype::F16 | Dtype::BF16))
            if stored.shape(name) == Some(shape) && stored.take(name, shape)? == **data =>
        {
            Ok(half)
        }
        _ => Ok(Dtype::F32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visor_checkpoint::{
        CrossAttentionManifest, DEFAULT_MAX_SHARD_BYTES, DenseMode, Provenance, Source, files,
        save_checkpoint,
    };
    use visor_core::{Ladder, Layout, PositionScheme};

    #[test]
    fn what_has_learned_is_saved_as_it_was_trained_and_the_rest_as_it_was_stored() {
        let layout = Layout::try_new(7, &[1, 4, 6], &[2, 3, 5]).expect("a layout");
        let rungs = [("sa0".to_owned(), vec![]), ("sa1".to_owned(), vec![3])];
        let manifest = Manifest::new(
            Ladder::try_new(layout, 2, &rungs).expect("a ladder"),
            PositionScheme::STOCK,
            CrossAttentionManifest { n_kv_heads: 2, bias: false, null_key: true },
            DenseMode::None,
            Provenance::default(),
        );
        let tensor = |name: &str, data: &[f32]| TensorToSave {
            name: name.to_owned(),
            shape: vec![data.len()],
            data: data.to_vec().into(),
        };
        let root = tempfile::tempdir().expect("a folder");
        let (base, out) = (root.path().join("base"), root.path().join("out"));
        let before = [tensor("left", &[0.5, -2.0]), tensor("trained", &[0.5, -2.0])];
        let small: [(&str, &[u8]); 1] = [(files::TOKENIZER, b"{}")];
        let bytes = DEFAULT_MAX_SHARD_BYTES;
        save_checkpoint(&base, b"{}", &small, Some(&manifest), &before, Dtype::F16, bytes)
            .expect("saved");
        let open = |folder: &Path| {
            Checkpoint::open(Source::Folder(folder.to_owned())).expect("a checkpoint")
        };
        let base = open(&base);
        // Neither fits into halves, and the latter is beyond their range.
        let learned = [0.1, 70_000.0];
        let after =
            [tensor("left", &[0.5, -2.0]), tensor("trained", &learned), tensor("new", &[0.1])];
        save(&out, &base, base.manifest().expect("universal"), &after).expect("saved");
        let saved = open(&out);
        assert!(saved.file(files::TOKENIZER).expect("readable").is_some());
        let mut weights = saved.weights().expect("opened");
        let formats = ["left", "trained", "new"].map(|name| weights.dtype(name));
        assert_eq!(formats, [Some(Dtype::F16), Some(Dtype::F32), Some(Dtype::F32)]);
        assert_eq!(weights.take("trained", &[2]).expect("taken"), learned);
    }
}
