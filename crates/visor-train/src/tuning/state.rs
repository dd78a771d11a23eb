//! The state of a run on disk: one file, whole or not at all.

use super::settings::Settings;
use super::tuner::Tuner;
use crate::error::TrainError;
use crate::optimizer::State;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use visor_checkpoint::{Dtype, TensorToSave, Weights, write_safetensors};

/// What a state must agree with beside the settings, by the name of its field.
pub(super) type Origins = [(&'static str, String); 2];

const STEP: &str = "step";
const SETTINGS: &str = "settings";
const TIME: &str = "time";

/// Saves what is needed to go on exactly: the weights that learn, and their moments.
pub(super) fn save(tuner: &Tuner, origins: &Origins, folder: &Path) -> Result<(), TrainError> {
    let path = folder.join(crate::state::FILE);
    let State { parameters, moment_1, moment_2, time } = tuner.optimizer().state();
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
    let settings = serde_json::to_string(tuner.settings())
        .map_err(|source| TrainError::Json { path: path.clone(), source })?;
    let mut metadata = BTreeMap::from([
        (STEP.to_owned(), tuner.steps_done().to_string()),
        (TIME.to_owned(), time.to_string()),
        (SETTINGS.to_owned(), settings),
    ]);
    metadata.extend(origins.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    write_safetensors(&path, &tensors, Dtype::F32, &metadata)?;
    Ok(())
}

/// Goes on from a saved state, if the folder holds one; says from which step.
pub(super) fn resume(
    tuner: &mut Tuner,
    origins: &Origins,
    folder: &Path,
) -> Result<Option<u64>, TrainError> {
    let path = folder.join(crate::state::FILE);
    if !path.exists() {
        return Ok(None);
    }
    let mut weights = Weights::open_file(&path)?;
    let broken =
        |because: &str| TrainError::State { path: path.clone(), because: because.to_owned() };
    let field = |name: &str| {
        weights.metadata().get(name).cloned().ok_or_else(|| broken(&format!("it has no {name}")))
    };
    let saved: Settings = serde_json::from_str(&field(SETTINGS)?)
        .map_err(|source| TrainError::Json { path: path.clone(), source })?;
    let other = |field| TrainError::OtherRun { path: path.clone(), field };
    if let Some(field) = saved.difference(tuner.settings()) {
        return Err(other(field));
    }
    for (name, expected) in origins {
        if field(name)? != *expected {
            return Err(other(name));
        }
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
    tuner.restore(step, State { parameters, moment_1, moment_2, time })?;
    Ok(Some(step))
}
