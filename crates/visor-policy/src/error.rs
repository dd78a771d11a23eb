//! Why a policy cannot be read, used with a model, or saved.

use crate::{SCHEMA_VERSION, files};
use std::fmt;
use thiserror::Error;
use visor_checkpoint::{CheckpointError, Sha256Sum};

/// Why a policy cannot be read, used with a model, or saved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PolicyFileError {
    /// The folder is not there, or is a file.
    #[error(
        "there is no folder `{folder}`: expected one with `{}` and `{}`",
        files::MANIFEST,
        files::WEIGHTS
    )]
    NoFolder {
        /// The folder.
        folder: String,
    },
    /// A file of the policy is not there.
    #[error("{place} has no `{file}`: it is no policy, or only a part of one")]
    NoFile {
        /// Folder, or the embedded policy.
        place: String,
        /// The file.
        file: &'static str,
    },
    /// A file cannot be read or written, or is too large.
    #[error(transparent)]
    File(#[from] CheckpointError),
    /// `policy.json` is damaged or is not what is expected.
    #[error("`policy.json` is not as expected")]
    Json(#[source] serde_json::Error),
    /// `policy.json` was written by another generation of this program.
    #[error(
        "`policy.json` has schema version {got}, this program reads {SCHEMA_VERSION}: train the \
         policy again or use the version that wrote it"
    )]
    SchemaVersion {
        /// The version in the file.
        got: u64,
    },
    /// Something in `policy.json` makes no sense.
    #[error("`policy.json` has {field} = {got}, expected {expected}")]
    Field {
        /// Where.
        field: &'static str,
        /// The value.
        got: String,
        /// What is possible.
        expected: &'static str,
    },
    /// The weights are not those that were saved.
    #[error(
        "`policy.safetensors` has sha256 {got}, `policy.json` records {expected}: the file is \
         damaged or from another policy"
    )]
    Hash {
        /// By `policy.json`.
        expected: Sha256Sum,
        /// By its content.
        got: Sha256Sum,
    },
    /// The weights are no safetensors file.
    #[error("`policy.safetensors` is no readable safetensors file")]
    Safetensors(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A tensor is not stored in single precision.
    #[error("tensor `{name}` of `policy.safetensors` is stored as {got}, expected F32")]
    Dtype {
        /// The tensor.
        name: String,
        /// Its format.
        got: String,
    },
    /// A tensor is missing.
    #[error("tensor `{name}` of shape {shape:?} is missing from `policy.safetensors`")]
    Missing {
        /// The tensor.
        name: String,
        /// The shape it should have.
        shape: Vec<usize>,
    },
    /// A tensor has another shape than `policy.json` says.
    #[error(
        "tensor `{name}` of `policy.safetensors` has shape {got:?}, expected {expected:?} by \
         `policy.json`"
    )]
    Shape {
        /// The tensor.
        name: String,
        /// By `policy.json`.
        expected: Vec<usize>,
        /// In the file.
        got: Vec<usize>,
    },
    /// A tensor that is no part of a router.
    #[error("`policy.safetensors` holds tensor `{name}`, for which a policy has no use")]
    Unused {
        /// The tensor.
        name: String,
    },
    /// A value is infinite or not a number.
    #[error(
        "tensor `{name}` of `policy.safetensors` holds {value} at place {index}: expected finite \
         numbers"
    )]
    NonFinite {
        /// The tensor.
        name: String,
        /// Where, counting in storage order.
        index: usize,
        /// The value.
        value: f32,
    },
    /// A manifest for a router of other sizes.
    #[error("the manifest is for {expected} {what}, the network has {got}")]
    Network {
        /// What differs.
        what: &'static str,
        /// By the manifest.
        expected: usize,
        /// By the network.
        got: usize,
    },
    /// There is nothing to choose from.
    #[error("the model `{model}` has no ladder of budgets: a policy has nothing to choose there")]
    NoLadder {
        /// The model.
        model: String,
    },
    /// The policy was trained for another model.
    #[error(
        "the policy does not fit the model `{model}`: {}; use a policy that was trained for this \
         model, or name a budget, which needs none",
        listed(differences)
    )]
    Misfit {
        /// The model.
        model: String,
        /// All that differs, at least one thing.
        differences: Vec<Difference>,
    },
}

/// Something that a policy expects of its model and that this model does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// Tokens of another width.
    Width {
        /// Of what.
        what: &'static str,
        /// By the policy.
        policy: usize,
        /// By the model.
        model: usize,
    },
    /// Another ladder.
    Rungs {
        /// Names and layers by the policy.
        policy: String,
        /// By the model.
        model: String,
    },
    /// Other weights, or another layout.
    Backbone {
        /// Digest by the policy.
        policy: Sha256Sum,
        /// Of the model.
        model: Sha256Sum,
    },
    /// Another patch selector.
    Selector {
        /// Digest by the policy.
        policy: Sha256Sum,
        /// Of the model; `None` without a selector.
        model: Option<Sha256Sum>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Width { what, policy, model } => {
                write!(f, "it expects {what} of {policy} values, the model's have {model}")
            }
            Self::Rungs { policy, model } => {
                write!(f, "it chooses among {policy}, the model has {model}")
            }
            Self::Backbone { policy, model } => {
                write!(f, "it was trained for the backbone {policy}, the model's is {model}")
            }
            Self::Selector { policy, model: Some(model) } => {
                write!(f, "it was trained for the patch selector {policy}, the model's is {model}")
            }
            Self::Selector { policy, model: None } => {
                write!(f, "it was trained for the patch selector {policy}, the model has none")
            }
        }
    }
}

fn listed(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
