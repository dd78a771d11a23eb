//! The policy of a model: found, held against the model, and what is known about it.

use crate::error::Error;
use crate::model_ref::ModelRef;
use crate::policy_ref::{Found, PolicyRef};
use visor_checkpoint::{Digests, Source};
use visor_core::cost::PolicyShape;
use visor_core::{Pair, Thrift};
use visor_policy::{Objective, Policy, PolicyFileError, PolicyManifest, PolicyProvenance, Router};
use visor_runtime::ModelCard;

/// What is known about a policy without its weights.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PolicyInfo {
    /// The name of its folder, or the one that it is shipped by.
    pub name: String,
    /// SHA-256 of all that decides, hexadecimal: weights, sizes, objective, thrift, and the model
    /// and ladder that it is for.
    pub sha256: String,
    /// What it was trained to predict.
    pub objective: Objective,
    /// Its thrift where a question asks for none; `None` if it does not weigh cost.
    pub default_thrift: Option<Thrift>,
    /// Sizes of its head, for the cost formulas.
    pub shape: PolicyShape,
    /// The pairs of a rung and a number of patches that it chooses from beside rungs.
    pub pairs: Vec<Pair>,
    /// The digest of the patch selector that it was trained with, hexadecimal; `None` where it
    /// chooses no patches.
    pub selector_sha256: Option<String>,
    /// Where its weights come from.
    pub provenance: PolicyProvenance,
}

impl PolicyInfo {
    fn new(name: String, manifest: &PolicyManifest) -> Self {
        let digest = manifest.digest().expect("a manifest that was read records its weights");
        Self {
            name,
            sha256: digest.to_string(),
            objective: manifest.objective,
            default_thrift: manifest.default_thrift,
            shape: manifest.shape().cost(),
            pairs: manifest.pairs(),
            selector_sha256: manifest.selector_digest.map(|digest| digest.to_string()),
            provenance: manifest.provenance.clone(),
        }
    }
}

/// A policy that is loaded and not yet bound.
pub(crate) struct Loaded {
    name: String,
    policy: Policy,
}

impl Loaded {
    /// Binds the policy to its model.
    pub(crate) fn bind(
        self,
        card: &ModelCard,
        digests: &Digests,
    ) -> Result<(Router, PolicyInfo), Error> {
        let Self { name, policy } = self;
        let failed = cannot_be_used(&name);
        let router = Router::bind(policy, card, digests).map_err(failed)?;
        let info = PolicyInfo::new(name, router.manifest());
        Ok((router, info))
    }
}

/// Reads a policy by `read`, if one is meant, for a model that names `default` as its own.
pub(crate) fn load(
    policy: &PolicyRef,
    model: &ModelRef,
    default: Option<&str>,
    read: impl FnOnce(&Source) -> Result<Policy, PolicyFileError>,
) -> Result<Option<Loaded>, Error> {
    let Some(Found { name, source }) = policy.find(model, default)? else { return Ok(None) };
    let policy = read(&source).map_err(cannot_be_used(&name))?;
    Ok(Some(Loaded { name, policy }))
}

/// Reads what is known without weights, and holds it against what is known of the model.
pub(crate) fn inspect(
    policy: &PolicyRef,
    model: &ModelRef,
    card: &ModelCard,
) -> Result<Option<PolicyInfo>, Error> {
    let default = card.default_policy.as_deref();
    let Some(Found { name, source }) = policy.find(model, default)? else { return Ok(None) };
    let manifest = PolicyManifest::read(&source).map_err(cannot_be_used(&name))?;
    manifest.expect_fit(card, None).map_err(cannot_be_used(&name))?;
    Ok(Some(PolicyInfo::new(name, &manifest)))
}

fn cannot_be_used(name: &str) -> impl Fn(PolicyFileError) -> Error + use<> {
    let policy = name.to_owned();
    move |source| Error::Policy { policy: policy.clone(), source: Box::new(source) }
}
