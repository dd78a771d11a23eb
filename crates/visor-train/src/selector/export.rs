//! A checkpoint with a selector: the same files and tensors, and the selector's beside them.

use super::fit::Fitted;
use super::settings::Settings;
use crate::error::TrainError;
use crate::trained;
use std::path::Path;
use visor_checkpoint::{Checkpoint, SELECTOR_PREFIX, TensorToSave};
use visor_model::{Blueprint, weights};

/// What becomes of the policy that a checkpoint names where it gets another selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultPolicy {
    /// It chooses no patches and goes on deciding.
    Kept,
    /// It was trained for what is no longer there, and is not named any more.
    Dropped,
}

/// Saves what is in `checkpoint` with a selector in the place of the one that it may have. The
/// backbone's tensors are written as they were read, or as they became where it learned along: then
/// no policy fits any more.
///
/// # Errors
/// If the checkpoint has no `visor.json`, cannot be read, or the folder cannot be written; what was
/// there before is then unharmed.
pub fn with_selector(
    checkpoint: &Checkpoint,
    fitted: &Fitted,
    settings: &Settings,
    policy: DefaultPolicy,
    folder: &Path,
) -> Result<(), TrainError> {
    let Fitted { selector, network, .. } = fitted;
    let mut manifest = checkpoint.manifest().ok_or(TrainError::NoLadder)?.clone();
    manifest.selector = Some(settings.manifest());
    manifest.note_selector_trained(settings.supervision.word());
    if policy == DefaultPolicy::Dropped || network.is_some() {
        manifest.default_policy = None;
    }
    let keys = Blueprint::read(checkpoint)?.config.family.key_map();
    let mut tensors = match network {
        Some(network) => {
            manifest.provenance.notes.insert("backbone".to_owned(), "trained on".to_owned());
            weights::tensors(network, &keys)
        }
        None => as_stored(checkpoint)?,
    };
    // The one that it had, which nothing reads any more.
    tensors.retain(|tensor| !tensor.name.starts_with(SELECTOR_PREFIX));
    tensors.extend(weights::named(selector).into_iter().map(|tensor| {
        let name = keys.on_disk(&format!("selector.{}", tensor.name));
        TensorToSave { name, ..tensor }
    }));
    trained::save(folder, checkpoint, &manifest, &tensors)
}

fn as_stored(checkpoint: &Checkpoint) -> Result<Vec<TensorToSave<'static>>, TrainError> {
    let (_, mut stored) = checkpoint.verified_weights()?;
    let names: Vec<String> = stored.names().map(str::to_owned).collect();
    let tensor = |name: String| {
        let shape = stored.shape(&name).unwrap_or_default().to_vec();
        let data = stored.take(&name, &shape)?.into();
        Ok(TensorToSave { name, shape, data })
    };
    names.into_iter().map(tensor).collect()
}
