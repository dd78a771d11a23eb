//! A checkpoint with a selector: the same files and tensors, and the selector's beside them.

use super::fit::Fitted;
use super::settings::Settings;
use crate::error::TrainError;
use std::borrow::Cow;
use std::path::Path;
use visor_checkpoint::{
    Checkpoint, DEFAULT_MAX_SHARD_BYTES, Dtype, SELECTOR_PREFIX, TensorToSave, files,
    save_checkpoint,
};
use visor_model::config::ModelConfig;
use visor_model::weights;

/// Saves what is in `checkpoint` with a selector in the place of the one that it may have. The
/// backbone's tensors are written as they were read, or as they became where it learned along; the
/// policy that was trained for it then no longer fits, and is not named any more.
///
/// # Errors
/// If the checkpoint has no `visor.json`, cannot be read, or the folder cannot be written; what was
/// there before is then unharmed.
pub fn with_selector(
    checkpoint: &Checkpoint,
    fitted: &Fitted,
    settings: &Settings,
    folder: &Path,
) -> Result<(), TrainError> {
    let Fitted { selector, network, .. } = fitted;
    let mut manifest = checkpoint.manifest().ok_or(TrainError::NoLadder)?.clone();
    manifest.selector = Some(settings.manifest());
    let said = settings.supervision.word().to_owned();
    manifest.provenance.notes.insert("selector".to_owned(), said);

    let (_, mut stored) = checkpoint.verified_weights()?;
    let names: Vec<String> = stored.names().map(str::to_owned).collect();
    let of_backbone = names.iter().filter(|name| !name.starts_with(SELECTOR_PREFIX));
    let mut tensors = Vec::new();
    let mut dtype = Dtype::F32;
    let keys = ModelConfig::parse(checkpoint.config_json())
        .map_err(visor_model::ModelError::from)?
        .family
        .key_map();
    if let Some(network) = network {
        tensors = weights::tensors(network, &keys);
        // It learned along with the selector that it had, which nothing read.
        tensors.retain(|tensor| !tensor.name.starts_with(SELECTOR_PREFIX));
        manifest.default_policy = None;
        manifest.provenance.notes.insert("backbone".to_owned(), "trained on".to_owned());
    }
    for name in of_backbone.filter(|_| network.is_none()) {
        let shape = stored.shape(name).unwrap_or_default().to_vec();
        dtype = stored.dtype(name).unwrap_or(dtype);
        let data = Cow::Owned(stored.take(name, &shape)?);
        tensors.push(TensorToSave { name: name.clone(), shape, data });
    }
    let own = weights::named(selector).into_iter().map(|tensor| {
        let name = keys.on_disk(&format!("selector.{}", tensor.name));
        TensorToSave { name, ..tensor }
    });
    tensors.extend(own);

    let weights_or_own = |name: &str| {
        name.ends_with(".safetensors")
            || [files::CONFIG, files::MANIFEST, files::INDEX].contains(&name)
    };
    let mut small = Vec::new();
    for name in manifest.files.keys().filter(|name| !weights_or_own(name)) {
        if let Some(bytes) = checkpoint.file(name)? {
            small.push((name.clone(), bytes));
        }
    }
    let small: Vec<(&str, &[u8])> =
        small.iter().map(|(name, bytes)| (name.as_str(), bytes.as_ref())).collect();
    let config = checkpoint.config_json();
    let max_bytes = DEFAULT_MAX_SHARD_BYTES;
    save_checkpoint(folder, config, &small, Some(&manifest), &tensors, dtype, max_bytes)?;
    Ok(())
}
