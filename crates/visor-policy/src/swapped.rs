//! A policy that is shown another sample: what is left of its choices does not come from looking.

use visor_core::cost::{Flops, PolicyShape};
use visor_core::{Ladder, Thrift};
use visor_runtime::{BudgetPolicy, PolicyChoice, PolicyError, RoutingState, RoutingToken};

/// A policy with the state of another sample in place of the one that is asked about. Costs are
/// still those of the sample.
#[derive(Clone, Debug)]
pub struct Swapped<'p, P: ?Sized> {
    policy: &'p P,
    shown: RoutingState,
}

impl<'p, P: BudgetPolicy + ?Sized> Swapped<'p, P> {
    /// Shows `shown` to `policy`, whatever the sample.
    pub fn new(policy: &'p P, shown: RoutingState) -> Self {
        Self { policy, shown }
    }
}

impl<P: BudgetPolicy + ?Sized> BudgetPolicy for Swapped<'_, P> {
    fn routing_token(&self) -> Option<&RoutingToken> {
        self.policy.routing_token()
    }

    fn shape(&self) -> Option<PolicyShape> {
        self.policy.shape()
    }

    fn choose(
        &self,
        _state: &RoutingState,
        ladder: &Ladder,
        costs: &[Flops],
        thrift: Option<Thrift>,
    ) -> Result<PolicyChoice, PolicyError> {
        self.policy.choose(&self.shown, ladder, costs, thrift)
    }
}
