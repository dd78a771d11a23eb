//! The learned policy, bound to its model: what a runner asks.

use crate::{Chosen, Policy, PolicyFileError, PolicyManifest, RouterShape};
use visor_checkpoint::Digests;
use visor_core::cost::{Flops, PolicyShape};
use visor_core::{Ladder, Thrift};
use visor_runtime::{
    BudgetPolicy, ModelCard, PolicyChoice, PolicyError, RoutingState, RoutingToken,
};

/// A router that fits the model it is asked about.
#[derive(Debug)]
pub struct Router {
    policy: Policy,
    token: RoutingToken,
}

/// The router's logits are no numbers.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the policy's predictions are not numbers: the states of the model overflow")]
struct NonFinite;

impl Router {
    /// Binds a policy to a model.
    ///
    /// # Errors
    /// [`PolicyFileError::Misfit`], with all that differs: widths, ladder, digests.
    pub fn bind(
        policy: Policy,
        card: &ModelCard,
        digests: &Digests,
    ) -> Result<Self, PolicyFileError> {
        policy.manifest().expect_fit(card, Some(digests))?;
        let token = policy.network().token();
        Ok(Self { policy, token })
    }

    /// What is known about the policy.
    pub fn manifest(&self) -> &PolicyManifest {
        self.policy.manifest()
    }
}

impl BudgetPolicy for Router {
    fn routing_token(&self) -> Option<&RoutingToken> {
        Some(&self.token)
    }

    fn shape(&self) -> Option<PolicyShape> {
        Some(self.manifest().shape().cost())
    }

    fn choose(
        &self,
        state: &RoutingState,
        ladder: &Ladder,
        costs: &[Flops],
        thrift: Option<Thrift>,
    ) -> Result<PolicyChoice, PolicyError> {
        let (manifest, RoutingState { token, visual_mean }) = (self.manifest(), state);
        let RouterShape { d_token, d_visual, n_rungs, .. } = manifest.shape();
        let token = token.as_deref().unwrap_or_default();
        let visual = visual_mean.as_deref();
        for (what, expected, got) in [
            ("values of the routing token's state", d_token, token.len()),
            ("values of a visual token", d_visual, visual.map_or(d_visual, <[f32]>::len)),
            ("rungs", n_rungs, ladder.rungs().len()),
            ("costs of rungs", n_rungs, costs.len()),
        ] {
            if expected != got {
                return Err(PolicyError::Width { what, expected, got });
            }
        }
        let logits = self.policy.network().logits(token, visual);
        if logits.iter().any(|logit| !logit.is_finite()) {
            return Err(PolicyError::Failed(Box::new(NonFinite)));
        }
        let Chosen { rung, probabilities } =
            manifest.objective.choose(&logits, costs, thrift, manifest.default_thrift)?;
        let rung = ladder.ids().nth(rung).expect("there are as many rungs as logits");
        Ok(PolicyChoice { rung, probabilities })
    }
}
