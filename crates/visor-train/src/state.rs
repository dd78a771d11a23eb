//! The state of a run on disk: one file, whole or not at all.

use crate::error::TrainError;
use crate::optimizer::State;
use crate::recipe::Recipe;
use crate::trainer::Trainer;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use visor_checkpoint::{Dtype, TensorToSave, Weights, write_safetensors};

/// Name of the file in a run's folder.
pub const FILE: &str = "state.safetensors";

const STEP: &str = "step";
const RECIPE: &str = "recipe";
const TIME: &str = "time";

/// Saves what is needed to go on exactly.
///
/// # Errors
/// If the file cannot be written; the old one is then unharmed.
pub fn save(trainer: &Trainer, folder: &Path) -> Result<(), TrainError> {
    let path = folder.join(FILE);
    let State { parameters, moment_1, moment_2, time } = trainer.optimizer().state();
    let tensor = |name: &str, data: Vec<f32>| TensorToSave {
        name: name.to_owned(),
        shape: vec![data.len()],
        data: Cow::Owned(data),
    };
    let mut tensors = vec![tensor("parameters", parameters)];
    if time > 0 {
        tensors.push(tensor("moment_1", moment_1));
        tensors.push(tensor("moment_2", moment_2));
    }
    let recipe = serde_json::to_string(trainer.recipe())
        .map_err(|source| TrainError::Json { path: path.clone(), source })?;
    let metadata = BTreeMap::from([
        (STEP.to_owned(), trainer.steps_done().to_string()),
        (TIME.to_owned(), time.to_string()),
        (RECIPE.to_owned(), recipe),
    ]);
    write_safetensors(&path, &tensors, Dtype::F32, &metadata)?;
    Ok(())
}

/// Goes on from a saved state, if the folder holds one; says from which step.
///
/// # Errors
/// [`TrainError::OtherRun`] if it was saved by another recipe, [`TrainError::State`] if it is
/// damaged.
pub fn resume(trainer: &mut Trainer, folder: &Path) -> Result<Option<u64>, TrainError> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Ok(None);
    }
    let mut weights = Weights::open_file(&path)?;
    let broken =
        |because: &str| TrainError::State { path: path.clone(), because: because.to_owned() };
    let field = |name: &str| {
        weights.metadata().get(name).cloned().ok_or_else(|| broken(&format!("it has no {name}")))
    };
    let saved: Recipe = serde_json::from_str(&field(RECIPE)?)
        .map_err(|source| TrainError::Json { path: path.clone(), source })?;
    if let Some(field) = difference(&saved, trainer.recipe()) {
        return Err(TrainError::OtherRun { path, field });
    }
    let number = |name| field(name)?.parse::<u64>().map_err(|_| broken("a number is damaged"));
    let (step, time) = (number(STEP)?, number(TIME)? as usize);
    let mut take = |name: &str| -> Result<Vec<f32>, TrainError> {
        let shape = weights.shape(name).map(<[usize]>::to_vec);
        let shape = shape.ok_or_else(|| broken(&format!("it has no {name}")))?;
        Ok(weights.take(name, &shape)?)
    };
    let parameters = take("parameters")?;
    let (moment_1, moment_2) = match time {
        0 => (Vec::new(), Vec::new()),
        _ => (take("moment_1")?, take("moment_2")?),
    };
    trainer.restore(step, State { parameters, moment_1, moment_2, time })?;
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
    ];
    fields.into_iter().find(|&(_, same)| !same).map(|(field, _)| field)
}
