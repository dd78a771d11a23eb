//! The policy that a model names, where its selector is trained anew.

use crate::output;
use anyhow::Result;
use visor::{ModelInfo, ModelRef, PolicyRef};
use visor_train::selector::{BackboneTraining, DefaultPolicy, Settings};

/// Whether the policy that `model` names goes on deciding; says so where it does not. One that
/// chooses patches is bound to the selector that it was trained with, and every one to the backbone.
pub(super) fn beside_another_selector(
    model: &ModelRef,
    settings: &Settings,
) -> Result<DefaultPolicy> {
    let info = ModelInfo::open(model)?;
    let Some(name) = &info.card().default_policy else { return Ok(DefaultPolicy::Kept) };
    // One that cannot be used now will not be of use later.
    let policy = info.policy(&PolicyRef::Default).ok().flatten();
    let reads_all = policy.is_some_and(|policy| policy.selector_sha256.is_none());
    if settings.backbone == BackboneTraining::Frozen && reads_all {
        return Ok(DefaultPolicy::Kept);
    }
    output::note(&format!(
        "the checkpoint names no policy: `{name}` was trained for what the model was; `visor train \
         policy` trains another"
    ));
    Ok(DefaultPolicy::Dropped)
}
