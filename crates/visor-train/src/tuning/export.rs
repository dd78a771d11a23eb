//! A trained network as a checkpoint: the files of the one that it began from, other weights, and
//! where they come from.

use super::material::Material;
use super::tuner::Tuner;
use crate::error::TrainError;
use crate::trained;
use std::path::Path;
use visor_checkpoint::{Checkpoint, DenseMode, Provenance};
use visor_model::{Blueprint, weights};

/// Saves what `tuner` has trained, which began from `base`: what has learned in single precision,
/// the rest in the number format that it has there. Dense is offered on while it is the stock model:
/// until stage 2 has changed weights that it runs on. A policy that was trained for the model that it
/// was is not named any more.
///
/// # Errors
/// If the base cannot be read, or the folder cannot be written; what was there before is then
/// unharmed.
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
    manifest.note_backbone_trained();
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
    let keys = Blueprint::read(base)?.config.family.key_map();
    let tensors = weights::tensors(&tuner.network(), &keys);
    trained::save(folder, base, &manifest, &tensors)
}
