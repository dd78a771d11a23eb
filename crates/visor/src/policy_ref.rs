//! Which policy is meant: the model's own, one that is shipped, a folder, or none.

use crate::model_ref::ModelRef;
use crate::shipped;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use thiserror::Error;
use visor_checkpoint::Source;

/// Why a policy cannot be found.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyRefError {
    /// It is neither shipped nor a folder.
    #[error("there is no policy `{asked}`: expected a folder with a policy{}", or_shipped())]
    NotFound {
        /// What was asked for.
        asked: String,
    },
    /// A model names a policy that is nowhere.
    #[error(
        "the model `{model}` names the policy `{policy}`, which is {looked}: put it there, name a \
         folder with --policy, or name a budget, which needs no policy"
    )]
    Lost {
        /// The model.
        model: String,
        /// The name in its `visor.json`.
        policy: String,
        /// Where it is not.
        looked: String,
    },
}

/// Which policy decides where a question leaves its budget open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PolicyRef {
    /// The one that the model's `visor.json` names, if it names one: the folder of that name in
    /// `policies` beside the folder that the model lies in (`models/x` and `policies/NAME`), else
    /// inside the model's folder, else the shipped policy of that name. A shipped model has shipped
    /// policies alone, and one of the hub those that came with it or are shipped. A policy that is named and not there is an error.
    #[default]
    Default,
    /// A shipped policy, by its name.
    Shipped(&'static str),
    /// A folder with a policy.
    Folder(PathBuf),
    /// None: nothing of a policy is loaded or run, and a question without a budget gets the largest
    /// rung.
    None,
}

/// A policy that is somewhere.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) source: Source,
}

impl PolicyRef {
    /// Where the policy is, for a model that names `default` as its own.
    pub(crate) fn find(
        &self,
        model: &ModelRef,
        default: Option<&str>,
    ) -> Result<Option<Found>, PolicyRefError> {
        match (self, default) {
            (Self::None, _) | (Self::Default, None) => Ok(None),
            (Self::Default, Some(name)) => default_policy(model, name).map(Some),
            (Self::Folder(folder), _) => Ok(Some(in_folder(folder))),
            (Self::Shipped(name), _) => {
                let missing = || PolicyRefError::NotFound { asked: (*name).to_owned() };
                shipped_policy(name).ok_or_else(missing).map(Some)
            }
        }
    }
}

fn default_policy(model: &ModelRef, name: &str) -> Result<Found, PolicyRefError> {
    let folders = match model {
        ModelRef::Folder(folder) => beside_and_inside(folder, name),
        // Beside it lie other commits of the same model.
        ModelRef::Snapshot(snapshot) => vec![snapshot.folder().join(name)],
        ModelRef::Shipped(_) | ModelRef::Hub(_) => Vec::new(),
    };
    // Whatever stands there is meant, even if it turns out to be no policy.
    if let Some(folder) = folders.iter().find(|folder| folder.exists()) {
        return Ok(Found { name: name.to_owned(), source: Source::Folder(folder.clone()) });
    }
    shipped_policy(name).ok_or_else(|| {
        let place = |folder: &PathBuf| format!("`{}`", folder.display());
        let places: Vec<String> = folders.iter().map(place).collect();
        let looked = match places.is_empty() {
            true => "not shipped with this build".to_owned(),
            false => format!("neither at {} nor shipped", places.join(" nor at ")),
        };
        PolicyRefError::Lost { model: model.to_string(), policy: name.to_owned(), looked }
    })
}

/// Where the policy of a model in a folder may lie, in the order of their standing.
fn beside_and_inside(model: &Path, name: &str) -> Vec<PathBuf> {
    // Of a model that is named as `.` or by a link, too, the parent is wanted.
    let whole = model.canonicalize().unwrap_or_else(|_| model.to_owned());
    let beside = whole.ancestors().nth(2).map(|above| above.join("policies").join(name));
    beside.into_iter().chain([model.join(name)]).collect()
}

fn shipped_policy(name: &str) -> Option<Found> {
    let source = shipped::policy_source(name)?;
    Some(Found { name: name.to_owned(), source })
}

fn in_folder(folder: &Path) -> Found {
    // A folder that is named as `.` has a name all the same.
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = whole.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
    Found { name, source: Source::Folder(folder.to_owned()) }
}

impl FromStr for PolicyRef {
    type Err = PolicyRefError;

    /// A shipped name wins over a folder of the same name, which `./name` still means.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(name) = shipped::shipped_policies().find(|name| *name == text) {
            return Ok(Self::Shipped(name));
        }
        let folder = PathBuf::from(text);
        match !text.is_empty() && folder.exists() {
            true => Ok(Self::Folder(folder)),
            false => Err(PolicyRefError::NotFound { asked: text.to_owned() }),
        }
    }
}

impl fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the model's own"),
            Self::Shipped(name) => f.write_str(name),
            Self::Folder(folder) => folder.display().fmt(f),
            Self::None => f.write_str("none"),
        }
    }
}

/// For messages.
fn or_shipped() -> String {
    let names: Vec<_> = shipped::shipped_policies().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!(", or {}", names.join(" or ")) }
}
