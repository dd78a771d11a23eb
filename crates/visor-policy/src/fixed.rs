//! One rung, whatever the sample: the best single rung of a comparison, and what the policies that
//! are told something about a sample come to.

use visor_core::cost::{Flops, PolicyShape};
use visor_core::{Ladder, RungId, Thrift};
use visor_runtime::{BudgetPolicy, PolicyChoice, PolicyError, RoutingState, RoutingToken};

/// A policy that is certain of its rung. It reads nothing and costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Place of the rung, cheapest first.
    rung: usize,
    /// How many rungs it was chosen from.
    rungs: usize,
    /// Who chose, for messages.
    chooser: &'static str,
}

impl Fixed {
    /// Always `rung` of `ladder`.
    pub fn new(ladder: &Ladder, rung: RungId) -> Self {
        Self::chosen_by("fixed", rung.index(), ladder.rungs().len())
    }

    pub(crate) fn chosen_by(chooser: &'static str, rung: usize, rungs: usize) -> Self {
        Self { rung, rungs, chooser }
    }

    /// Place of its rung, cheapest first.
    pub fn rung(self) -> usize {
        self.rung
    }
}

impl BudgetPolicy for Fixed {
    fn routing_token(&self) -> Option<&RoutingToken> {
        None
    }

    fn shape(&self) -> Option<PolicyShape> {
        None
    }

    fn choose(
        &self,
        _state: &RoutingState,
        ladder: &Ladder,
        _costs: &[Flops],
        thrift: Option<Thrift>,
    ) -> Result<PolicyChoice, PolicyError> {
        if thrift.is_some() {
            return Err(PolicyError::NoThrift { objective: self.chooser });
        }
        let got = ladder.rungs().len();
        match ladder.ids().nth(self.rung) {
            Some(rung) if got == self.rungs => {
                let probabilities = (0..got).map(|place| f32::from(place == self.rung)).collect();
                Ok(PolicyChoice { rung, probabilities })
            }
            _ => Err(PolicyError::Width { what: "rungs", expected: self.rungs, got }),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use visor_core::Layout;

    /// So many rungs, of 0, 1, 2 layers and so on.
    pub(crate) fn ladder(rungs: usize) -> Ladder {
        let layout = Layout::try_new(7, &[1, 4, 6], &[2, 3, 5]).expect("a layout");
        let rung = |n: usize| (format!("sa{n}"), [2, 3, 5][..n].to_vec());
        Ladder::try_new(layout, 2, &(0..rungs).map(rung).collect::<Vec<_>>()).expect("a ladder")
    }

    pub(crate) fn choose(policy: &dyn BudgetPolicy, ladder: &Ladder) -> usize {
        let costs: Vec<Flops> = (0..ladder.rungs().len() as u64).map(Flops).collect();
        let choice = policy.choose(&RoutingState::default(), ladder, &costs, None);
        choice.expect("a choice").rung.index()
    }

    #[test]
    fn one_rung_is_chosen_for_all_and_is_certain() {
        let ladder = ladder(3);
        let policy = Fixed::new(&ladder, ladder.by_name("sa1").expect("a rung"));
        assert!(policy.routing_token().is_none() && policy.shape().is_none());
        let choice = policy.choose(&RoutingState::default(), &ladder, &[], None).expect("a choice");
        assert_eq!((choice.rung.index(), choice.probabilities), (1, vec![0.0, 1.0, 0.0]));
    }

    #[test]
    fn another_ladder_and_thrift_are_errors() {
        let policy = Fixed::new(&ladder(3), ladder(3).largest());
        let state = RoutingState::default();
        for rungs in [2, 4] {
            let error = policy.choose(&state, &ladder(rungs), &[], None).expect_err("refused");
            assert!(error.to_string().contains("expects 3 rungs"), "{error}");
        }
        let thrift = Some(Thrift::DEFAULT);
        let error = policy.choose(&state, &ladder(3), &[], thrift).expect_err("refused");
        assert!(matches!(error, PolicyError::NoThrift { objective: "fixed" }), "{error}");
    }
}
