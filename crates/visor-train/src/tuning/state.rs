//! The saved state of a run on conversations: the weights that learn, and their moments.

use super::settings::Settings;
use super::tuner::Tuner;
use crate::error::TrainError;
use crate::saved::{self, FILE, Saved};
use std::path::Path;

/// What a state must agree with beside the settings, by the name of its field.
pub(super) type Origins = [(&'static str, String); 2];

const SETTINGS: &str = "settings";

/// Saves what is needed to go on exactly.
pub(super) fn save(tuner: &Tuner, origins: &Origins, folder: &Path) -> Result<(), TrainError> {
    let settings = serde_json::to_string(tuner.settings())
        .map_err(|source| TrainError::Json { path: folder.join(FILE), source })?;
    let [one, other] = origins.clone();
    let texts = [(SETTINGS, settings), one, other];
    saved::write(folder, tuner.steps_done(), tuner.optimizer().state(), &texts)
}

/// Goes on from a saved state, if the folder holds one; says from which step.
pub(super) fn resume(
    tuner: &mut Tuner,
    origins: &Origins,
    folder: &Path,
) -> Result<Option<u64>, TrainError> {
    let Some(saved) = Saved::open(folder)? else { return Ok(None) };
    if let Some(field) = saved.json::<Settings>(SETTINGS)?.difference(tuner.settings()) {
        return Err(saved.other(field));
    }
    for (name, expected) in origins {
        if saved.text(name)? != *expected {
            return Err(saved.other(name));
        }
    }
    let (step, state) = saved.into_state()?;
    tuner.restore(step, state)?;
    Ok(Some(step))
}
