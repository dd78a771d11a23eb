//! What chooses a budget for a sample (method, section 4).
//!
//! A [`Policy`] is a folder with `policy.json`, the [`PolicyManifest`], and `policy.safetensors`,
//! the [`RouterNetwork`]: a routing token that rides along in prefill and a small head that reads
//! its state at the decision layer beside the mean visual token. [`Router::bind`] holds it against
//! the one model and ladder that it was trained for and makes it a
//! [`BudgetPolicy`](visor_runtime::BudgetPolicy), which a runner can ask.
//!
//! The other policies are what a router is compared with: one rung for all ([`Fixed`]), chance with
//! the same histogram ([`Random`]), the best one can do knowing the family alone ([`LookUp`]), the
//! best there is ([`oracle()`]), and the router itself shown another sample ([`Swapped`]). Those that
//! are told something about a sample are made anew for each sample.
//!
//! This crate knows neither where policies lie nor which one a user means.

mod error;
mod fixed;
mod folder;
mod head;
mod lookup;
mod manifest;
mod objective;
mod oracle;
mod random;
mod router;
mod swapped;
mod wire;

pub use error::{Difference, PolicyFileError};
pub use fixed::Fixed;
pub use folder::Policy;
pub use head::{RouterHead, RouterNetwork, RouterShape};
pub use lookup::{LookUp, Mixture};
pub use manifest::{PolicyManifest, PolicyProvenance, PolicyRung, SCHEMA_VERSION};
pub use objective::{Chosen, Objective, UnknownObjective, cheapest_right, utility};
pub use oracle::oracle;
pub use random::Random;
pub use router::Router;
pub use swapped::Swapped;

/// Names of the files in a policy folder.
pub mod files {
    /// What the policy was trained for.
    pub const MANIFEST: &str = "policy.json";
    /// The routing token and the head.
    pub const WEIGHTS: &str = "policy.safetensors";
}
