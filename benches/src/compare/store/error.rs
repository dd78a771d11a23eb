//! What can be wrong with a store and with what is added to it.

use super::SCHEMA_VERSION;
use crate::compare::observation::ObservationError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// What is wrong with a store.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file that cannot be read or written.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{} is in use by another run", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Made by another version of this program.
    #[error("{} has schema version {found}, not {SCHEMA_VERSION}: use another folder", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Begun with other settings.
    #[error(
        "{} was begun with other settings: {}; use the same settings or another folder",
        .path.display(), .changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    OtherSettings {
        /// The file.
        path: PathBuf,
        /// What differs.
        changes: Vec<Change>,
    },
    /// A line that is not an entry.
    #[error("{}:{line}: not a line of observations", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An entry that does not follow from those before.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// Entries that do not make a run.
    #[error(transparent)]
    Observations(#[from] ObservationError),
}

/// A setting that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The setting.
    pub name: String,
    /// What it was; `None` where there was no such setting.
    pub was: Option<String>,
    /// What it is.
    pub is: Option<String>,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = |value: &Option<String>| {
            value.as_ref().map_or("not set".to_owned(), |v| format!("`{v}`"))
        };
        write!(f, "`{}` was {} and is {}", self.name, word(&self.was), word(&self.is))
    }
}

/// An entry that does not follow from those before it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OrderError {
    /// The items are given once and first.
    #[error("the items come once, and before all answers")]
    Items,
    /// Two rows of one name.
    #[error("row `{row}` is declared twice")]
    Repeated {
        /// The row.
        row: String,
    },
    /// Something about a row that was not declared.
    #[error("row `{row}` is not declared")]
    Undeclared {
        /// The row.
        row: String,
    },
    /// Answers that do not follow the row's last one.
    #[error("row `{row}` goes on at item {expected} of {items}, not with items {first} to {last}")]
    Answers {
        /// The row.
        row: String,
        /// The item that comes next.
        expected: usize,
        /// All items.
        items: usize,
        /// First item of the part.
        first: usize,
        /// Its last item.
        last: usize,
    },
}
