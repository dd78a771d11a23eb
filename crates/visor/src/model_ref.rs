//! Which model is meant: one that is shipped, a folder, or one of the hub.

use crate::error::Error;
use crate::shipped;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use thiserror::Error;
use visor_checkpoint::hub::{Hub, HubModel, Progress, Snapshot};
use visor_checkpoint::{Checkpoint, Source};

/// Why a model cannot be found.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelRefError {
    /// It is neither shipped nor a folder, and can be no id on the hub.
    #[error(
        "there is no model `{asked}`: expected a folder with a checkpoint, an id on the hub as in \
         owner/name{}",
        or_shipped()
    )]
    NotFound {
        /// What was asked for.
        asked: String,
    },
    /// It is on the hub, and nothing is downloaded without being told to.
    #[error("the model `{model}` of the hub has not been fetched: see `ModelRef::fetched`")]
    NotFetched {
        /// Which one.
        model: HubModel,
    },
    /// No checkpoint is shipped that could be the default.
    #[error("this build ships no model: name a folder with a checkpoint")]
    NoDefault,
}

/// A model by name or place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ModelRef {
    /// A shipped checkpoint, by its name.
    Shipped(&'static str),
    /// A folder with a checkpoint.
    Folder(PathBuf),
    /// A model of the hub, by its id and revision, wherever its files are: it is opened once it has
    /// been [fetched](Self::fetched).
    Hub(HubModel),
    /// A model of the hub that has been fetched, or [described](Self::described).
    Snapshot(Snapshot),
}

impl ModelRef {
    /// The best shipped model.
    ///
    /// # Errors
    /// [`ModelRefError::NoDefault`].
    pub fn best_shipped() -> Result<Self, ModelRefError> {
        shipped::shipped_models().next().map(Self::Shipped).ok_or(ModelRefError::NoDefault)
    }

    /// The model with its files on this machine: one of the hub comes out of the cache or is
    /// downloaded into it, any other is itself.
    ///
    /// # Errors
    /// As [`Hub::fetch`].
    pub fn fetched(self, hub: &Hub, progress: &mut dyn Progress) -> Result<Self, Error> {
        match self {
            Self::Hub(model) => Ok(Self::Snapshot(hub.fetch(&model, progress)?)),
            here @ (Self::Shipped(_) | Self::Folder(_) | Self::Snapshot(_)) => Ok(here),
        }
    }

    /// The same without weights: enough for a [`ModelInfo`](crate::ModelInfo), not for a model that
    /// answers.
    ///
    /// # Errors
    /// As [`Hub::fetch_small`].
    pub fn described(self, hub: &Hub, progress: &mut dyn Progress) -> Result<Self, Error> {
        match self {
            Self::Hub(model) => Ok(Self::Snapshot(hub.fetch_small(&model, progress)?)),
            here @ (Self::Shipped(_) | Self::Folder(_) | Self::Snapshot(_)) => Ok(here),
        }
    }

    /// What to call the model, where its place says nothing to people.
    pub(crate) fn own_name(&self) -> Option<String> {
        match self {
            Self::Folder(_) => None,
            named @ (Self::Shipped(_) | Self::Hub(_) | Self::Snapshot(_)) => {
                Some(named.to_string())
            }
        }
    }

    /// Opens the checkpoint: reads its small files, and no weights.
    ///
    /// # Errors
    /// If there is none, or a small file is damaged.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        Ok(Checkpoint::open(self.source()?)?)
    }

    /// Where the files are.
    pub(crate) fn source(&self) -> Result<Source, ModelRefError> {
        match self {
            Self::Folder(folder) => Ok(Source::Folder(folder.clone())),
            Self::Snapshot(snapshot) => Ok(Source::Folder(snapshot.folder().to_owned())),
            Self::Hub(model) => Err(ModelRefError::NotFetched { model: model.clone() }),
            Self::Shipped(name) => shipped::source(name)
                .ok_or_else(|| ModelRefError::NotFound { asked: (*name).to_owned() }),
        }
    }
}

impl FromStr for ModelRef {
    type Err = ModelRefError;

    /// A shipped name wins over a folder of the same name, which `./name` still means; a folder
    /// that is there wins over an id on the hub.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(name) = shipped::shipped_models().find(|name| *name == text) {
            return Ok(Self::Shipped(name));
        }
        let folder = PathBuf::from(text);
        if !text.is_empty() && folder.exists() {
            return Ok(Self::Folder(folder));
        }
        let missing = |_| ModelRefError::NotFound { asked: text.to_owned() };
        text.parse().map(Self::Hub).map_err(missing)
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shipped(name) => f.write_str(name),
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Hub(model) => model.fmt(f),
            Self::Snapshot(snapshot) => snapshot.model().fmt(f),
        }
    }
}

/// For messages.
fn or_shipped() -> String {
    let names: Vec<_> = shipped::shipped_models().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!(", or {}", names.join(" or ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_there_is_meant_by_its_path() {
        assert_eq!("src".parse(), Ok(ModelRef::Folder(PathBuf::from("src"))));
    }

    #[test]
    fn an_id_on_the_hub_is_told_from_a_folder_that_is_missing() {
        for text in ["HuggingFaceTB/SmolVLM-256M-Instruct", "a/b", "a/b@v1.0"] {
            let model = text.parse::<ModelRef>().expect("an id");
            assert!(matches!(model, ModelRef::Hub(_)), "{model:?}");
            assert_eq!(model.to_string(), text);
            let error = model.checkpoint().expect_err("not here").to_string();
            assert!(error.contains("has not been fetched"), "{error}");
        }
        for text in ["", "nowhere", "./nowhere", "../a", "/nowhere/at/all", "a/b/c", "a/b@"] {
            let error = text.parse::<ModelRef>().expect_err("nothing there");
            assert_eq!(error, ModelRefError::NotFound { asked: text.to_owned() });
        }
    }

    #[test]
    fn a_shipped_name_and_a_folder_win_over_the_hub() {
        for name in shipped::shipped_models() {
            assert_eq!(name.parse(), Ok(ModelRef::Shipped(name)));
        }
        // Relative to the crate, where its tests run; an id as well, by its form.
        assert_eq!("tests/facade".parse(), Ok(ModelRef::Folder(PathBuf::from("tests/facade"))));
    }
}
