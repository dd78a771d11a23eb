//! What decides the budget of a sample where the user leaves it open.

use crate::model::{RoutingState, RoutingToken};
use thiserror::Error;
use visor_core::cost::{Flops, PolicyShape};
use visor_core::{Ladder, RungId, Thrift};

/// Why a policy did not decide.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The policy was made for another model.
    #[error("the policy expects {expected} {what}, the model gives {got}")]
    Width {
        /// What differs.
        what: &'static str,
        /// By the policy.
        expected: usize,
        /// By the model.
        got: usize,
    },
    /// The user asks for thrift, and this policy does not weigh cost.
    #[error(
        "this policy was trained for `{objective}` and does not weigh cost: leave out --thrift"
    )]
    NoThrift {
        /// What it was trained for.
        objective: &'static str,
    },
    /// The policy's own error.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// What a policy chose.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyChoice {
    /// The rung.
    pub rung: RungId,
    /// What the policy predicts for each rung, cheapest first: a probability of being right, or of
    /// being the one to choose. As many as there are rungs.
    pub probabilities: Vec<f32>,
}

/// Chooses a rung for a sample that has reached the decision layer. One decision a request.
pub trait BudgetPolicy {
    /// The routing token that must ride along in prefill, if the policy reads one.
    fn routing_token(&self) -> Option<&RoutingToken>;

    /// Sizes of its head, for the cost formulas; `None` where choosing costs nothing.
    fn shape(&self) -> Option<PolicyShape>;

    /// Chooses. `costs` holds the end-to-end prefill FLOPs of this sample by rung, cheapest first;
    /// `thrift` is what the user asks for in place of the policy's own.
    ///
    /// # Errors
    /// See [`PolicyError`].
    fn choose(
        &self,
        state: &RoutingState,
        ladder: &Ladder,
        costs: &[Flops],
        thrift: Option<Thrift>,
    ) -> Result<PolicyChoice, PolicyError>;
}
