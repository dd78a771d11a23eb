//! The file of a run's state: what an optimiser holds, and named texts that say what it is of. One
//! file, whole or not at all.

use crate::error::TrainError;
use crate::optimizer::State;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use visor_checkpoint::{Dtype, TensorToSave, Weights, write_safetensors};

/// Name of the file in a run's folder.
pub const FILE: &str = "state.safetensors";

const STEP: &str = "step";
const TIME: &str = "time";

/// Saves a state after `step` steps.
///
/// # Errors
/// If the file cannot be written; the old one is then unharmed.
pub(crate) fn write(
    folder: &Path,
    step: u64,
    state: State,
    texts: &[(&str, String)],
) -> Result<(), TrainError> {
    write_parts(folder, step, [("", state)], texts)
}

/// The same of several optimisers, each with the beginning of its tensors' names.
///
/// # Errors
/// If the file cannot be written; the old one is then unharmed.
pub(crate) fn write_parts(
    folder: &Path,
    step: u64,
    parts: impl IntoIterator<Item = (&'static str, State)>,
    texts: &[(&str, String)],
) -> Result<(), TrainError> {
    let mut tensors = Vec::new();
    let mut metadata = BTreeMap::from([(STEP.to_owned(), step.to_string())]);
    for (part, State { parameters, moment_1, moment_2, time }) in parts {
        let mut add = |name: &str, data: Vec<f32>| {
            let (name, shape) = (format!("{part}{name}"), vec![data.len()]);
            tensors.push(TensorToSave { name, shape, data: Cow::Owned(data) });
        };
        add("parameters", parameters);
        if time > 0 {
            add("moment_1", moment_1);
            add("moment_2", moment_2);
        }
        metadata.insert(format!("{part}{TIME}"), time.to_string());
    }
    metadata.extend(texts.iter().map(|(name, text)| ((*name).to_owned(), text.clone())));
    write_safetensors(&folder.join(FILE), &tensors, Dtype::F32, &metadata)?;
    Ok(())
}

/// A state that was found.
pub(crate) struct Saved {
    path: PathBuf,
    weights: Weights,
}

impl Saved {
    /// The state in a folder, if there is one.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn open(folder: &Path) -> Result<Option<Self>, TrainError> {
        let path = folder.join(FILE);
        match path.exists() {
            false => Ok(None),
            true => Ok(Some(Self { weights: Weights::open_file(&path)?, path })),
        }
    }

    /// A text by its name.
    ///
    /// # Errors
    /// [`TrainError::State`] if there is none.
    pub(crate) fn text(&self, name: &str) -> Result<String, TrainError> {
        let text = self.weights.metadata().get(name).cloned();
        text.ok_or_else(|| self.broken(format!("it has no {name}")))
    }

    /// What a text says as JSON.
    ///
    /// # Errors
    /// If there is none, or it says something else.
    pub(crate) fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, TrainError> {
        serde_json::from_str(&self.text(name)?)
            .map_err(|source| TrainError::Json { path: self.path.clone(), source })
    }

    /// The error of a state that differs in `field`.
    pub(crate) fn other(&self, field: &'static str) -> TrainError {
        TrainError::OtherRun { path: self.path.clone(), field }
    }

    /// The steps that were done, and what the optimiser held.
    ///
    /// # Errors
    /// [`TrainError::State`] if it is damaged.
    pub(crate) fn into_state(mut self) -> Result<(u64, State), TrainError> {
        Ok((self.step()?, self.part("")?))
    }

    /// The steps that were done.
    ///
    /// # Errors
    /// [`TrainError::State`] if it is damaged.
    pub(crate) fn step(&self) -> Result<u64, TrainError> {
        self.number(STEP)
    }

    /// What the optimiser held whose tensors' names begin with `part`.
    ///
    /// # Errors
    /// [`TrainError::State`] if it is damaged.
    pub(crate) fn part(&mut self, part: &str) -> Result<State, TrainError> {
        let time = self.number(&format!("{part}{TIME}"))? as usize;
        let mut take = |name: &str| self.take(&format!("{part}{name}"));
        let parameters = take("parameters")?;
        let (moment_1, moment_2) = match time {
            0 => (Vec::new(), Vec::new()),
            _ => (take("moment_1")?, take("moment_2")?),
        };
        Ok(State { parameters, moment_1, moment_2, time })
    }

    fn number(&self, name: &str) -> Result<u64, TrainError> {
        let number = self.text(name)?.parse();
        number.map_err(|_| self.broken("a number is damaged".to_owned()))
    }

    fn take(&mut self, name: &str) -> Result<Vec<f32>, TrainError> {
        let shape = self.weights.shape(name).map(<[usize]>::to_vec);
        let shape = shape.ok_or_else(|| self.broken(format!("it has no {name}")))?;
        Ok(self.weights.take(name, &shape)?)
    }

    fn broken(&self, because: String) -> TrainError {
        TrainError::State { path: self.path.clone(), because }
    }
}
