//! A trained network as a checkpoint: the files of the one that it began from, other weights, and
//! where they come from.

use super::material::Material;
use super::tuner::Tuner;
use crate::convert::stored;
use crate::error::TrainError;
use std::path::Path;
use visor_checkpoint::{
    Checkpoint, DEFAULT_MAX_SHARD_BYTES, DenseMode, Provenance, files, save_checkpoint,
};
use visor_model::{Blueprint, weights};

/// Saves what `tuner` has trained, which began from `base`, in the number format of that. Dense is offered on while it is the
/// stock model: until stage 2 has changed weights that it runs on. A policy that was trained for the
/// model that it was is not named any more.
///
/// # Errors
/// If the base cannot be read, a weight does not fit into that format, or the folder cannot be written;
/// what was there before is then unharmed.
pub fn export(
    tuner: &Tuner,
    base: &Checkpoint,
    material: &Material,
    folder: &Path,
) -> Result<(), TrainError> {
    let mut manifest = base.manifest().ok_or(TrainError::NotConverted)?.clone();
    let settings = tuner.settings();
    if settings.all.steps > 0 {
        manifest.dense = DenseMode::None;
    }
    manifest.default_policy = None;
    let before = manifest.provenance;
    let mut notes = before.notes;
    let said = serde_json::to_string(settings)
        .map_err(|source| TrainError::Json { path: folder.to_owned(), source })?;
    notes.insert("settings".to_owned(), said);
    notes.insert("began from".to_owned(), format!("{} ({})", before.recipe, before.data));
    manifest.provenance = Provenance {
        visor_version: env!("CARGO_PKG_VERSION").to_owned(),
        created: None,
        recipe: "converted, then trained on conversations".to_owned(),
        seed: settings.seed,
        steps: tuner.steps_done(),
        data: format!("{} examples, sha256 {}", material.examples.len(), material.sha256),
        notes,
    };
    let own = |name: &str| {
        name.ends_with(".safetensors")
            || [files::CONFIG, files::MANIFEST, files::INDEX].contains(&name)
    };
    let mut small = Vec::new();
    for name in manifest.files.keys().filter(|name| !own(name)) {
        if let Some(bytes) = base.file(name)? {
            small.push((name.clone(), bytes));
        }
    }
    let small: Vec<(&str, &[u8])> =
        small.iter().map(|(name, bytes)| (name.as_str(), bytes.as_ref())).collect();
    let keys = Blueprint::read(base)?.config.family.key_map();
    let tensors = weights::tensors(&tuner.network(), &keys);
    let (config, bytes) = (base.config_json(), DEFAULT_MAX_SHARD_BYTES);
    let dtype = stored(&base.weights()?);
    save_checkpoint(folder, config, &small, Some(&manifest), &tensors, dtype, bytes)?;
    Ok(())
}
