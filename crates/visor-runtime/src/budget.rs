//! A budget request, resolved against what the model offers and what the prompt costs.

use crate::card::{DenseMode, ModelCard};
use crate::costs::CostTable;
use crate::error::RunError;
use crate::policy::PolicyChoice;
use std::num::NonZeroUsize;
use visor_core::cost::Flops;
use visor_core::{Basis, BudgetError, BudgetRequest, Decision, Ladder, RungId, Schedule};

/// What a sample runs at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A rung of the model's ladder.
    Rung(RungId),
    /// The dense reference.
    Dense,
}

/// What was decided for a sample, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// What it runs at.
    pub level: Level,
    /// The name of the rung, or `dense`.
    pub name: String,
    /// Self-attention layers that run.
    pub self_attention_layers: Vec<usize>,
    /// The most patches that are read, where a pair says so.
    pub patches: Option<NonZeroUsize>,
    /// Why.
    pub basis: Basis,
    /// What the policy predicts for each rung, cheapest first; empty where none was asked.
    pub probabilities: Vec<(String, f32)>,
}

/// A budget request after everything that can be known before a tensor exists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Resolved {
    /// There is nothing left to decide.
    Decided { level: Level, basis: Basis },
    /// The policy chooses, no higher than `highest`.
    ByPolicy { highest: RungId },
}

impl Resolved {
    pub(crate) fn is_by_policy(&self) -> bool {
        matches!(self, Self::ByPolicy { .. })
    }
}

/// Whether somebody can decide for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyPresence {
    Present,
    Absent,
}

/// What a request is resolved against.
pub(crate) struct Offer<'a> {
    pub(crate) card: &'a ModelCard,
    pub(crate) costs: &'a CostTable,
    pub(crate) policy: PolicyPresence,
}

impl Offer<'_> {
    /// Resolves a request, below `ceiling` FLOPs of end-to-end cold prefill where one is given.
    ///
    /// Without a request the policy decides; without a policy it is the dearest level that the
    /// ceiling allows.
    pub(crate) fn resolve(
        &self,
        request: Option<&BudgetRequest>,
        ceiling: Option<Flops>,
    ) -> Result<Resolved, RunError> {
        match (request, &self.card.ladder) {
            (Some(BudgetRequest::AtMost(most)), ladder) => {
                let ceiling = ceiling.map_or(*most, |ceiling| ceiling.min(*most));
                self.within(ladder.as_ref(), ceiling)
            }
            (Some(BudgetRequest::Dense), _) => self.dense(Basis::Requested, ceiling),
            (Some(BudgetRequest::Rung(name)), Some(ladder)) => self.named(ladder, name, ceiling),
            (Some(BudgetRequest::Rung(name)), None) => Err(self.unknown(name)),
            (Some(BudgetRequest::Auto), Some(ladder)) => match self.policy {
                PolicyPresence::Present => self.by_policy(ladder, ceiling),
                PolicyPresence::Absent => Err(self.no_policy()),
            },
            (Some(BudgetRequest::Auto), None) => Err(self.no_policy()),
            (None, Some(ladder)) => match (self.policy, ceiling) {
                (PolicyPresence::Present, _) => self.by_policy(ladder, ceiling),
                (PolicyPresence::Absent, Some(ceiling)) => self.within(Some(ladder), ceiling),
                (PolicyPresence::Absent, None) => {
                    let level = Level::Rung(ladder.largest());
                    Ok(Resolved::Decided { level, basis: Basis::Default })
                }
            },
            (None, None) => self.dense(Basis::Default, ceiling),
        }
    }

    fn named(
        &self,
        ladder: &Ladder,
        name: &str,
        ceiling: Option<Flops>,
    ) -> Result<Resolved, RunError> {
        let rung = ladder.by_name(name).ok_or_else(|| self.unknown(name))?;
        self.decided(Level::Rung(rung), Basis::Requested, ceiling)
    }

    fn dense(&self, basis: Basis, ceiling: Option<Flops>) -> Result<Resolved, RunError> {
        match self.card.dense {
            DenseMode::Available => self.decided(Level::Dense, basis, ceiling),
            DenseMode::Unavailable => Err(BudgetError::NoDense { legal: self.legal() }.into()),
        }
    }

    /// A level that was asked for by name is never traded for a cheaper one.
    fn decided(
        &self,
        level: Level,
        basis: Basis,
        ceiling: Option<Flops>,
    ) -> Result<Resolved, RunError> {
        let cost = self.costs.of(level);
        match ceiling {
            Some(Flops(0)) => Err(BudgetError::Ceiling { got: 0.0 }.into()),
            Some(ceiling) if cost.scopes.end_to_end > ceiling => Err(RunError::AboveCeiling {
                name: cost.name.clone(),
                cost: cost.scopes.end_to_end,
                ceiling,
            }),
            _ => Ok(Resolved::Decided { level, basis }),
        }
    }

    fn within(&self, ladder: Option<&Ladder>, ceiling: Flops) -> Result<Resolved, RunError> {
        let Some(ladder) = ladder else { return self.dense(Basis::Ceiling, Some(ceiling)) };
        let Decision { rung, basis } = self.dearest_within(ladder, ceiling)?;
        Ok(Resolved::Decided { level: Level::Rung(rung), basis })
    }

    fn by_policy(&self, ladder: &Ladder, ceiling: Option<Flops>) -> Result<Resolved, RunError> {
        let highest = match ceiling {
            Some(ceiling) => self.dearest_within(ladder, ceiling)?.rung,
            None => ladder.largest(),
        };
        Ok(Resolved::ByPolicy { highest })
    }

    fn dearest_within(&self, ladder: &Ladder, ceiling: Flops) -> Result<Decision, BudgetError> {
        ladder.dearest_within(ceiling, |rung| self.costs.rung(rung).scopes.end_to_end)
    }

    fn unknown(&self, name: &str) -> RunError {
        BudgetError::Unknown { asked: name.to_owned(), legal: self.legal() }.into()
    }

    fn no_policy(&self) -> RunError {
        BudgetError::NoPolicy { legal: self.legal() }.into()
    }

    /// Everything that could be asked for, for messages.
    fn legal(&self) -> String {
        let rungs = self.card.ladder.iter().flat_map(Ladder::rungs).map(|rung| rung.name());
        let dense = (self.card.dense == DenseMode::Available).then_some("dense");
        let auto = (self.policy == PolicyPresence::Present).then_some("auto");
        let all = rungs.chain(dense).chain(auto).map(|name| format!("`{name}`"));
        all.collect::<Vec<_>>().join(", ")
    }
}

impl Decided {
    /// Without a policy.
    pub(crate) fn new(costs: &CostTable, level: Level, basis: Basis) -> Self {
        let cost = costs.of(level);
        Self {
            level,
            name: cost.name.clone(),
            self_attention_layers: cost.self_attention_layers.clone(),
            patches: cost.patches,
            basis,
            probabilities: Vec::new(),
        }
    }

    /// By a policy, which may have chosen more than is allowed.
    pub(crate) fn by_policy(costs: &CostTable, choice: &PolicyChoice, highest: RungId) -> Self {
        let (rung, basis) = match choice.rung > highest {
            true => (highest, Basis::Capped { predicted: choice.rung }),
            false => (choice.rung, Basis::Predicted),
        };
        let names = costs.rungs.iter().map(|rung| rung.name.clone());
        let probabilities = names.zip(choice.probabilities.iter().copied()).collect();
        Self { probabilities, ..Self::new(costs, Level::Rung(rung), basis) }
    }

    /// What every layer does.
    pub(crate) fn schedule(&self, card: &ModelCard) -> Schedule {
        match (self.level, &card.ladder) {
            (Level::Rung(rung), Some(ladder)) => ladder.schedule(rung),
            (Level::Dense, _) | (Level::Rung(_), None) => {
                Schedule::dense(card.shape.decoder.n_layers)
            }
        }
    }
}

#[cfg(test)]
mod tests;
