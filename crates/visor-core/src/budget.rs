//! What a user asks for, and what was decided.

use crate::cost::Flops;
use crate::{Ladder, RungId};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A budget as it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum BudgetRequest {
    /// A rung by name.
    Rung(String),
    /// The stock reference: every layer self-attention.
    Dense,
    /// The policy decides, sample by sample.
    Auto,
    /// The dearest rung whose end-to-end cold prefill stays within the ceiling.
    AtMost(Flops),
}

impl FromStr for BudgetRequest {
    type Err = std::convert::Infallible;

    /// `auto`, `dense`, or the name of a rung.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "auto" => Self::Auto,
            "dense" => Self::Dense,
            name => Self::Rung(name.to_owned()),
        })
    }
}

impl fmt::Display for BudgetRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rung(name) => f.write_str(name),
            Self::Dense => f.write_str("dense"),
            Self::Auto => f.write_str("auto"),
            Self::AtMost(flops) => write!(f, "at most {flops}"),
        }
    }
}

/// How much cost weighs against being right when a policy chooses: what the dearest rung costs more
/// than the cheapest is worth this much of a probability. 0 spends whatever helps.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Thrift(f32);

impl Thrift {
    /// Where neither user nor policy says otherwise (method, section 4).
    pub const DEFAULT: Self = Self(0.1);

    /// A finite number from 0 up; `None` otherwise.
    pub fn new(weight: f32) -> Option<Self> {
        (weight.is_finite() && weight >= 0.0).then_some(Self(weight))
    }

    /// The weight.
    pub fn weight(self) -> f32 {
        self.0
    }
}

impl fmt::Display for Thrift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a budget cannot be had.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum BudgetError {
    /// No rung has the name.
    #[error("no budget is called `{asked}`; this model has {legal}")]
    Unknown {
        /// The name.
        asked: String,
        /// What can be asked for.
        legal: String,
    },
    /// Even the cheapest rung costs more than the ceiling.
    #[error(
        "a ceiling of {ceiling} is below the cheapest budget: `{cheapest}` costs {cost} for this \
         prompt; raise --max-gflops to at least {:.6}", cost.giga_rounded_up()
    )]
    BelowCheapest {
        /// The ceiling.
        ceiling: Flops,
        /// The cheapest rung.
        cheapest: String,
        /// What it costs, end-to-end cold prefill.
        cost: Flops,
    },
    /// A ceiling that is no positive number.
    #[error("a ceiling must be a positive number of GFLOPs, got {got}")]
    Ceiling {
        /// What was given.
        got: f64,
    },
    /// The model was not trained to run dense.
    #[error("this model has no dense mode; it has {legal}")]
    NoDense {
        /// What can be asked for.
        legal: String,
    },
    /// Nothing decides.
    #[error("`auto` needs a policy and this model has none; it has {legal}")]
    NoPolicy {
        /// What can be asked for.
        legal: String,
    },
}

/// Why a rung was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Basis {
    /// It was asked for by name.
    Requested,
    /// It is the dearest one below the ceiling.
    Ceiling,
    /// It is the model's largest rung, taken because nothing was asked for.
    Default,
    /// A policy chose it.
    Predicted,
    /// A policy chose a dearer one and the ceiling cut it.
    Capped {
        /// What the policy chose.
        predicted: RungId,
    },
    /// It would have been a dearer one, which nobody asked for by name, and whoever serves the model
    /// lowered it because too much is asked at once.
    Lowered {
        /// What it would have been.
        from: RungId,
    },
}

impl Basis {
    /// The word used in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Ceiling => "ceiling",
            Self::Default => "default",
            Self::Predicted => "predicted",
            Self::Capped { .. } => "capped",
            Self::Lowered { .. } => "lowered",
        }
    }
}

/// The rung of one sample, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// The rung.
    pub rung: RungId,
    /// Why.
    pub basis: Basis,
}

impl Ladder {
    /// The dearest rung whose cost is within `ceiling`.
    ///
    /// # Errors
    /// [`BudgetError::BelowCheapest`] if there is none, [`BudgetError::Ceiling`] if the ceiling is
    /// no positive number.
    pub fn dearest_within(
        &self,
        ceiling: Flops,
        cost: impl Fn(RungId) -> Flops,
    ) -> Result<Decision, BudgetError> {
        if ceiling == Flops(0) {
            return Err(BudgetError::Ceiling { got: 0.0 });
        }
        let affordable = self.ids().rev().find(|&rung| cost(rung) <= ceiling);
        affordable.map(|rung| Decision { rung, basis: Basis::Ceiling }).ok_or_else(|| {
            let cheapest = self.cheapest();
            BudgetError::BelowCheapest {
                ceiling,
                cheapest: self.rung(cheapest).name().to_owned(),
                cost: cost(cheapest),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layout;

    fn ladder() -> Ladder {
        let layout = Layout::try_new(4, &[0, 3], &[1, 2]).expect("a layout");
        let rungs = [("sa0".to_owned(), vec![]), ("sa2".to_owned(), vec![1, 2])];
        Ladder::try_new(layout, 1, &rungs).expect("a ladder")
    }

    #[test]
    fn a_ceiling_takes_the_dearest_rung_below_it() {
        let ladder = ladder();
        let cost = |rung: RungId| Flops(100 + 50 * rung.index() as u64);
        let decide = |ceiling| ladder.dearest_within(Flops(ceiling), cost).map(|d| d.rung.index());
        assert_eq!(decide(149), Ok(0));
        assert_eq!(decide(150), Ok(1));
        let error = decide(99).expect_err("below the cheapest").to_string();
        assert!(error.contains("`sa0`"), "{error}");
    }

    #[test]
    fn words_of_a_request_round_trip() {
        for word in ["auto", "dense", "sa2"] {
            let request: BudgetRequest = word.parse().expect("infallible");
            assert_eq!(request.to_string(), word);
        }
    }
}
