//! The saved state of a run on the generated suite.

use crate::error::TrainError;
use crate::recipe::Recipe;
use crate::saved::{self, Saved};
use crate::trainer::Trainer;
use std::path::Path;

pub use crate::saved::FILE;

const RECIPE: &str = "recipe";

/// Saves what is needed to go on exactly.
///
/// # Errors
/// If the file cannot be written; the old one is then unharmed.
pub fn save(trainer: &Trainer, folder: &Path) -> Result<(), TrainError> {
    let recipe = serde_json::to_string(trainer.recipe())
        .map_err(|source| TrainError::Json { path: folder.join(FILE), source })?;
    saved::write(folder, trainer.steps_done(), trainer.optimizer().state(), &[(RECIPE, recipe)])
}

/// Goes on from a saved state, if the folder holds one; says from which step.
///
/// # Errors
/// [`TrainError::OtherRun`] if it was saved by another recipe, [`TrainError::State`] if it is
/// damaged.
pub fn resume(trainer: &mut Trainer, folder: &Path) -> Result<Option<u64>, TrainError> {
    let Some(saved) = Saved::open(folder)? else { return Ok(None) };
    if let Some(field) = difference(&saved.json(RECIPE)?, trainer.recipe()) {
        return Err(saved.other(field));
    }
    let (step, state) = saved.into_state()?;
    trainer.restore(step, state)?;
    Ok(Some(step))
}

/// The first field in which two recipes differ.
fn difference(saved: &Recipe, asked: &Recipe) -> Option<&'static str> {
    let fields = [
        ("suite", saved.suite == asked.suite),
        ("families", saved.families == asked.families),
        ("arm", saved.arm == asked.arm),
        ("sizes", saved.sizes == asked.sizes),
        ("seed", saved.seed == asked.seed),
        ("batch", saved.batch == asked.batch && saved.accumulate == asked.accumulate),
        ("learning rate", saved.learning_rate == asked.learning_rate),
        ("clip", saved.clip == asked.clip),
        ("steps", saved.steps == asked.steps),
        ("sampling", saved.sampling == asked.sampling),
        ("losses", saved.losses == asked.losses),
        ("precision", saved.precision == asked.precision),
    ];
    fields.into_iter().find(|&(_, same)| !same).map(|(field, _)| field)
}
