//! The saved state of a selector's training: what its optimisers hold, and what they are of.

use super::settings::Settings;
use crate::error::TrainError;
use crate::optimizer::State;
use crate::saved::{self, FILE, Saved};
use std::path::Path;

const SETTINGS: &str = "settings";

/// What a state is of.
pub(super) struct Origins<'a> {
    /// How the selector is trained.
    pub(super) settings: &'a Settings,
    /// What else must be the same, by name.
    pub(super) others: Vec<(&'static str, String)>,
}

/// Saves what is needed to go on exactly after `step` steps.
///
/// # Errors
/// If the file cannot be written; the old one is then unharmed.
pub(super) fn save(
    folder: &Path,
    origins: &Origins<'_>,
    step: u64,
    parts: impl IntoIterator<Item = (&'static str, State)>,
) -> Result<(), TrainError> {
    let settings = serde_json::to_string(origins.settings)
        .map_err(|source| TrainError::Json { path: folder.join(FILE), source })?;
    let mut texts = origins.others.clone();
    texts.push((SETTINGS, settings));
    saved::write_parts(folder, step, parts, &texts)
}

/// The saved state, if the folder holds one.
///
/// # Errors
/// [`TrainError::OtherRun`] where it is of another training, [`TrainError::State`] if it is damaged.
pub(super) fn open(folder: &Path, origins: &Origins<'_>) -> Result<Option<Saved>, TrainError> {
    let Some(saved) = Saved::open(folder)? else { return Ok(None) };
    let settings: Settings = saved.json(SETTINGS)?;
    if let Some(option) = settings.difference(origins.settings) {
        return Err(saved.other(option));
    }
    for (name, expected) in &origins.others {
        if saved.text(name)? != *expected {
            return Err(saved.other(name));
        }
    }
    Ok(Some(saved))
}
