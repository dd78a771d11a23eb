//! Why a model cannot be had from the hub.

use super::HubModel;
use crate::{CheckpointError, Sha256Sum};
use std::io;
use thiserror::Error;

/// What went wrong with a model of the hub, what was expected, and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HubError {
    /// This is no id.
    #[error("`{got}` is no id of a model on the hub: expected owner/name")]
    Id {
        /// What was given.
        got: String,
    },
    /// This is no revision.
    #[error("`{got}` is no revision of `{id}`: expected a branch, a tag or a commit")]
    Revision {
        /// The model.
        id: String,
        /// What was given.
        got: String,
    },
    /// Nothing says where the cache is.
    #[error("no folder for the hub's cache: set HF_HOME or HF_HUB_CACHE, or HOME")]
    NoCache,
    /// A variable holds what cannot be used.
    #[error("{variable} is not as expected: {expected}")]
    Variable {
        /// Which one. Its value may be a secret.
        variable: &'static str,
        /// What is possible.
        expected: &'static str,
    },
    /// The model is not in the cache, and the hub is not asked.
    #[error(
        "{} is not in the cache `{cache}`, or only a part of it is, and nothing is downloaded \
         offline: leave out --offline and HF_HUB_OFFLINE, or name a folder with a checkpoint",
        named(.model)
    )]
    Offline {
        /// The model.
        model: HubModel,
        /// The cache.
        cache: String,
    },
    /// The cache has a part of the model, and the hub is not asked.
    #[error(
        "{} is in the cache `{cache}` without {missing}, and nothing is downloaded offline: leave \
         out --offline and HF_HUB_OFFLINE, or name a folder with a checkpoint", named(.model)
    )]
    Incomplete {
        /// The model.
        model: HubModel,
        /// The cache.
        cache: String,
        /// The files that are missing.
        missing: String,
    },
    /// The hub gave no answer.
    #[error(
        "cannot get {what} of {} from {endpoint}: check the network, HF_ENDPOINT and proxies, or \
         go on with what is in the cache, with --offline", named(.model)
    )]
    Unreachable {
        /// The model.
        model: HubModel,
        /// What was asked for.
        what: String,
        /// Who was asked.
        endpoint: String,
        /// What happened.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The hub does not show the model to somebody unknown.
    #[error(
        "{endpoint} does not show {what} of {} without a token (status {status}): check the id; \
         if the model is private or gated, accept its conditions and set HF_TOKEN", named(.model)
    )]
    NeedsToken {
        /// The model.
        model: HubModel,
        /// What was asked for.
        what: String,
        /// Who was asked.
        endpoint: String,
        /// 401 or 403.
        status: u16,
    },
    /// The hub does not show the model to the owner of the token.
    #[error(
        "{endpoint} does not show {what} of {} to the owner of the token that was given (status \
         {status}): check the id and the token, and whether the model's conditions were accepted",
        named(.model)
    )]
    Denied {
        /// The model.
        model: HubModel,
        /// What was asked for.
        what: String,
        /// Who was asked.
        endpoint: String,
        /// 401 or 403.
        status: u16,
    },
    /// There is no such model, or it has no such revision.
    #[error(
        "{endpoint} has no {what} of {}: check the id and the revision", named(.model)
    )]
    NotFound {
        /// The model.
        model: HubModel,
        /// What was asked for.
        what: String,
        /// Who was asked.
        endpoint: String,
    },
    /// The hub answered with something else.
    #[error(
        "{endpoint} answered the request for {what} of {} with status {status}, expected {expected}: \
         try again later", named(.model)
    )]
    Status {
        /// The model.
        model: HubModel,
        /// What was asked for.
        what: String,
        /// Who was asked.
        endpoint: String,
        /// What it answered.
        status: u16,
        /// What would have been right.
        expected: &'static str,
    },
    /// The list of files is not one.
    #[error("the hub's list of the files of {} is not as expected: {problem}", named(.model))]
    Listing {
        /// The model.
        model: HubModel,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that every checkpoint has is not there.
    #[error("{} has no `{file}`: it is no checkpoint that can be loaded here", named(.model))]
    NoFile {
        /// The model.
        model: HubModel,
        /// The file.
        file: String,
    },
    /// There are no weights, or none that are read here.
    #[error(
        "{} has neither `model.safetensors` nor `model.safetensors.index.json`: other formats are \
         not read, convert the weights to safetensors", named(.model)
    )]
    NoWeights {
        /// The model.
        model: HubModel,
    },
    /// A file of the model that names others is damaged.
    #[error("the files of {} contradict each other", named(.model))]
    Checkpoint {
        /// The model.
        model: HubModel,
        /// What is wrong.
        #[source]
        source: Box<CheckpointError>,
    },
    /// The connection ended before the file did, again and again.
    #[error(
        "the download of `{file}` of {} was cut off after {got} of {expected} bytes: run the same \
         command again, it goes on from there", named(.model)
    )]
    Cut {
        /// The model.
        model: HubModel,
        /// The file.
        file: String,
        /// How many bytes are there.
        got: u64,
        /// How many there should be.
        expected: u64,
        /// What happened.
        #[source]
        source: Option<io::Error>,
    },
    /// More comes than was announced.
    #[error(
        "`{file}` of {} is longer than the {expected} bytes that the hub lists: run the same \
         command again", named(.model)
    )]
    Longer {
        /// The model.
        model: HubModel,
        /// The file.
        file: String,
        /// How many bytes there should be.
        expected: u64,
    },
    /// A file is not the one that was announced.
    #[error(
        "`{file}` of {} has sha256 {got}, the hub lists {expected}: what was received is deleted, \
         run the same command again", named(.model)
    )]
    Hash {
        /// The model.
        model: HubModel,
        /// The file.
        file: String,
        /// By the hub's list.
        expected: Sha256Sum,
        /// By its content.
        got: Sha256Sum,
    },
    /// Somebody else downloads the same file.
    #[error(
        "another program is downloading `{file}` of {}: wait until it is done, then run the same \
         command again", named(.model)
    )]
    Busy {
        /// The model.
        model: HubModel,
        /// The file.
        file: String,
    },
    /// The operating system refused.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Both, always: a wrong revision looks like a wrong id.
fn named(model: &HubModel) -> String {
    format!("`{}` at revision `{}`", model.id(), model.revision())
}

impl HubError {
    pub(super) fn io<'a>(
        action: &'static str,
        path: &'a std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.display().to_string(), source }
    }
}
