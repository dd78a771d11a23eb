//! Which model is meant: one that is shipped, or a folder.

use crate::error::Error;
use crate::shipped;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use thiserror::Error;
use visor_checkpoint::{Checkpoint, Source};

/// Why a model cannot be found.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelRefError {
    /// It is neither shipped nor a folder.
    #[error("there is no model `{asked}`: expected a folder with a checkpoint{}", or_shipped())]
    NotFound {
        /// What was asked for.
        asked: String,
    },
    /// It has the form of a Hugging Face id.
    #[error(
        "`{asked}` looks like a Hugging Face id, and downloading from the hub is not supported \
         yet: download the files into a folder and name the folder{}",
        or_shipped()
    )]
    Hub {
        /// What was asked for.
        asked: String,
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
}

impl ModelRef {
    /// The best shipped model.
    ///
    /// # Errors
    /// [`ModelRefError::NoDefault`].
    pub fn best_shipped() -> Result<Self, ModelRefError> {
        shipped::shipped_models().next().map(Self::Shipped).ok_or(ModelRefError::NoDefault)
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
            Self::Shipped(name) => shipped::source(name)
                .ok_or_else(|| ModelRefError::NotFound { asked: (*name).to_owned() }),
        }
    }
}

impl FromStr for ModelRef {
    type Err = ModelRefError;

    /// A shipped name wins over a folder of the same name, which `./name` still means.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(name) = shipped::shipped_models().find(|name| *name == text) {
            return Ok(Self::Shipped(name));
        }
        let folder = PathBuf::from(text);
        if !text.is_empty() && folder.exists() {
            return Ok(Self::Folder(folder));
        }
        let asked = text.to_owned();
        if is_hub_id(text) {
            Err(ModelRefError::Hub { asked })
        } else {
            Err(ModelRefError::NotFound { asked })
        }
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shipped(name) => f.write_str(name),
            Self::Folder(folder) => folder.display().fmt(f),
        }
    }
}

/// `owner/name`, which a path could be too: whoever asks has looked for a folder before.
fn is_hub_id(text: &str) -> bool {
    let plain = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        part.chars().all(allowed) && part.chars().any(|c| c.is_ascii_alphanumeric())
    };
    text.split_once('/').is_some_and(|(owner, name)| plain(owner) && plain(name))
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
    fn a_hub_id_is_told_from_a_folder_that_is_missing() {
        let error = |text: &str| text.parse::<ModelRef>().expect_err("nothing there");
        for text in ["HuggingFaceTB/SmolVLM-256M-Instruct", "a/b"] {
            assert_eq!(error(text), ModelRefError::Hub { asked: text.to_owned() });
        }
        for text in ["", "nowhere", "./nowhere", "../a", "/nowhere/at/all", "a/b/c"] {
            assert_eq!(error(text), ModelRefError::NotFound { asked: text.to_owned() });
        }
    }
}
