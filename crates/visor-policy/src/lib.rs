//! What chooses a budget for a sample (method, section 4).
//!
//! A [`Policy`] is a folder with `policy.json`, the [`PolicyManifest`], and `policy.safetensors`,
//! the [`RouterNetwork`]: a routing token that rides along in prefill and a small head that reads
//! its state at the decision layer beside the mean visual token. [`Router::bind`] holds it against
//! the one model and ladder that it was trained for and makes it a
//! [`BudgetPolicy`](visor_runtime::BudgetPolicy), which a runner can ask.
//!
//! A fixed rung needs no policy: it is a [`BudgetRequest`](visor_core::BudgetRequest) by name. The
//! oracle, chance and other references that a router is compared with never run: `visor-benches`
//! computes them from what every rung answered.
//!
//! This crate knows neither where policies lie nor which one a user means.

mod error;
mod folder;
mod head;
mod manifest;
mod objective;
mod router;
mod wire;

pub use error::{Difference, PolicyFileError};
pub use folder::Policy;
pub use head::{RouterHead, RouterNetwork, RouterShape};
pub use manifest::{PolicyManifest, PolicyProvenance, PolicyRung, SCHEMA_VERSION};
pub use objective::{Chosen, Objective, UnknownObjective, cheapest_right, utility};
pub use router::Router;

/// Names of the files in a policy folder.
pub mod files {
    /// What the policy was trained for.
    pub const MANIFEST: &str = "policy.json";
    /// The routing token and the head.
    pub const WEIGHTS: &str = "policy.safetensors";
}
