//! What a record is made from besides observations, and why there is none.

use super::{BenchmarkRecord, Identity, Protocol, SCHEMA_VERSION};
use crate::Environment;
use crate::compare::observation::{Group, Scope};
use crate::compare::references::{FamilyScores, ReferenceError};
use std::collections::BTreeMap;
use thiserror::Error;
use visor_train::selector::Selection;

/// What a look-up by family was fitted on.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitting {
    /// What the items are, as `2000 questions of validation`.
    pub name: String,
    /// How each rung does on each family there.
    pub scores: FamilyScores,
}

/// What observations do not say and a record has to.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where it was run.
    pub environment: Environment,
    /// The compared model.
    pub model: Identity,
    /// The policy that routed.
    pub policy: Option<Identity>,
    /// As the store's.
    pub settings: BTreeMap<String, String>,
    /// How times were taken, where they were.
    pub protocol: Option<Protocol>,
    /// The row that others are compared with; the dearest rung where not said.
    pub full: Option<String>,
    /// The row that savings are relative to; `dense` where not said and there.
    pub dense: Option<String>,
    /// The routed row that matters most; the first one where not said.
    pub routed: Option<String>,
    /// The cost at which references are equal to the routed row.
    pub cost_scope: Scope,
    /// Other items that a look-up by family can be fitted on.
    pub fitting: Option<Fitting>,
    /// What a benchmark's own evaluation says, where the items are of one.
    pub benchmark: Option<BenchmarkRecord>,
    /// What the patches that questions choose are worth, where that was asked.
    pub selection: Option<Selection>,
}

/// Why there is no record.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A row that is asked for and not there.
    #[error("there is no row `{row}` to be {role}; there are {}", .rows.join(", "))]
    UnknownRow {
        /// The row.
        row: String,
        /// What it should be.
        role: &'static str,
        /// All rows.
        rows: Vec<String>,
    },
    /// Nothing to compare with.
    #[error("no row is full: run at least one rung, or name the row to compare with")]
    NoFull,
    /// A routed row that does not route.
    #[error("row `{row}` should route and is a {}", .group.word())]
    NotRouted {
        /// The row.
        row: String,
        /// What it is.
        group: Group,
    },
    /// An observed row with the name of a computed one.
    #[error("an observed row is called `{row}`, which is the name of a computed one")]
    Repeated {
        /// The row.
        row: String,
    },
    /// References that cannot be computed.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A record of another version.
    #[error("the record has schema version {found}, not {SCHEMA_VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// Not a record.
    #[error("not a record of a comparison")]
    Json(#[from] serde_json::Error),
}
