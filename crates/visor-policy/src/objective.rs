//! What a router was trained to predict, and how a rung is chosen from that (method, section 4).

use std::fmt;
use std::str::FromStr;
use thiserror::Error;
use visor_core::Thrift;
use visor_core::cost::Flops;
use visor_runtime::PolicyError;

/// What the logits of a router mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Objective {
    /// Each logit is of being right on its rung; what a rung costs is weighed when it is chosen.
    Utility,
    /// The logits together are of each rung being the cheapest right one. Cost was weighed in
    /// training, once for all.
    CheapestRight,
}

/// A word that is no objective.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unknown objective `{got}`: expected `utility` or `cheapest-right`")]
pub struct UnknownObjective {
    /// The word.
    pub got: String,
}

/// A rung by its place in the ladder, and what was predicted of all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// Place of the rung, cheapest first.
    pub rung: usize,
    /// From 0 to 1, one a rung.
    pub probabilities: Vec<f32>,
}

impl Objective {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Utility, Self::CheapestRight];

    /// The word in manifests and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Utility => "utility",
            Self::CheapestRight => "cheapest-right",
        }
    }

    /// The thrift of a new policy: none where cost is not weighed when a rung is chosen.
    pub fn default_thrift(self) -> Option<Thrift> {
        match self {
            Self::Utility => Some(Thrift::DEFAULT),
            Self::CheapestRight => None,
        }
    }

    /// Chooses among rungs of these logits and costs, cheapest first, by the thrift of the user or
    /// else the policy's own.
    ///
    /// # Errors
    /// [`PolicyError::NoThrift`] if a user asks for thrift that cannot be had any more.
    ///
    /// # Panics
    /// If there are no logits, or not one cost a logit.
    pub fn choose(
        self,
        logits: &[f32],
        costs: &[Flops],
        asked: Option<Thrift>,
        own: Option<Thrift>,
    ) -> Result<Chosen, PolicyError> {
        match (self, asked) {
            (Self::Utility, asked) => {
                Ok(utility(logits, costs, asked.or(own).unwrap_or(Thrift::DEFAULT)))
            }
            (Self::CheapestRight, None) => Ok(cheapest_right(logits)),
            (Self::CheapestRight, Some(_)) => Err(PolicyError::NoThrift { objective: self.word() }),
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Objective {
    type Err = UnknownObjective;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|objective| objective.word() == text);
        known.ok_or_else(|| UnknownObjective { got: text.to_owned() })
    }
}

/// The rung of the greatest `p - thrift * cost`, where `p = sigmoid(logit)` and costs are scaled to
/// 0 for the cheapest rung and 1 for the dearest. The cheaper one of two that are as good; the
/// likeliest one where all cost the same.
///
/// # Panics
/// If there are no logits, or not one cost a logit.
pub fn utility(logits: &[f32], costs: &[Flops], thrift: Thrift) -> Chosen {
    assert_eq!(logits.len(), costs.len(), "every rung has one logit and one cost");
    let probabilities: Vec<f32> = logits.iter().map(|&logit| sigmoid(logit)).collect();
    let lowest = costs.iter().min().copied().unwrap_or_default();
    let span = costs.iter().max().copied().unwrap_or_default() - lowest;
    let share = |cost: Flops| match span {
        Flops(0) => 0.0,
        span => (cost - lowest).0 as f64 / span.0 as f64,
    };
    // On the numbers that are reported, so that these explain the choice.
    let score = |(&p, &cost)| f64::from(p) - f64::from(thrift.weight()) * share(cost);
    let rung = first_greatest(probabilities.iter().zip(costs).map(score));
    Chosen { rung, probabilities }
}

/// The likeliest rung by the softmax of the logits, the cheaper one of two that are as likely.
///
/// # Panics
/// If there are no logits.
pub fn cheapest_right(logits: &[f32]) -> Chosen {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> =
        logits.iter().map(|&logit| (f64::from(logit) - f64::from(most)).exp()).collect();
    let all: f64 = weights.iter().sum();
    let probabilities: Vec<f32> = weights.iter().map(|weight| (weight / all) as f32).collect();
    let rung = first_greatest(probabilities.iter().map(|&p| f64::from(p)));
    Chosen { rung, probabilities }
}

fn sigmoid(logit: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(logit)).exp())) as f32
}

fn first_greatest(scores: impl Iterator<Item = f64>) -> usize {
    let better = |best: (usize, f64), next: (usize, f64)| if next.1 > best.1 { next } else { best };
    scores.enumerate().reduce(better).expect("a ladder has at least one rung").0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn thrift(weight: f32) -> Thrift {
        Thrift::new(weight).expect("from 0 up")
    }

    #[test]
    fn utility_is_worked_by_hand() {
        let costs = [Flops(100), Flops(150), Flops(300)];
        // Probabilities .5, .75, 1 - 2e-9; shares 0, .25, 1.
        let logits = [0.0, 3.0_f32.ln(), 20.0];
        let chosen = |weight| utility(&logits, &costs, thrift(weight)).rung;
        assert_eq!([0.0, 0.3, 0.34, 0.9, 1.1].map(chosen), [2, 2, 1, 1, 0]);
        let p = utility(&logits, &costs, Thrift::DEFAULT).probabilities;
        assert!((p[0] - 0.5).abs() < 1e-6 && (p[1] - 0.75).abs() < 1e-6, "{p:?}");
    }

    #[test]
    fn of_two_that_are_as_good_the_cheaper_one_is_chosen() {
        let costs = [Flops(1), Flops(2), Flops(3)];
        assert_eq!(utility(&[1.0, 1.0, 1.0], &costs, thrift(0.0)).rung, 0);
        assert_eq!(utility(&[40.0, 60.0, 80.0], &costs, thrift(0.0)).rung, 0, "all are certain");
        assert_eq!(cheapest_right(&[-1.0, 2.0, 2.0]).rung, 1);
    }

    #[test]
    fn thrift_changes_nothing_where_all_cost_the_same() {
        let costs = [Flops(7); 3];
        for weight in [0.0, 1.0, f32::MAX] {
            assert_eq!(utility(&[0.0, 2.0, 1.0], &costs, thrift(weight)).rung, 1);
        }
    }

    #[test]
    fn thrift_of_the_user_goes_before_the_policys_own_and_cheapest_right_has_none() {
        let (logits, costs) = ([0.0, 0.5], [Flops(1), Flops(2)]);
        let choose = |objective: Objective, asked, own| {
            objective.choose(&logits, &costs, asked, own).map(|chosen| chosen.rung)
        };
        let (low, high) = (Some(thrift(0.0)), Some(thrift(1.0)));
        assert_eq!(choose(Objective::Utility, None, low).ok(), Some(1));
        assert_eq!(choose(Objective::Utility, high, low).ok(), Some(0));
        assert_eq!(choose(Objective::CheapestRight, None, None).ok(), Some(1));
        let error = choose(Objective::CheapestRight, high, None).expect_err("no thrift");
        assert!(error.to_string().contains("`cheapest-right`"), "{error}");
    }

    #[test]
    fn words_read_back_and_others_are_refused() {
        for objective in Objective::ALL {
            assert_eq!(objective.word().parse(), Ok(objective));
        }
        let error = "cheap".parse::<Objective>().expect_err("no objective").to_string();
        assert!(error.contains("`utility` or `cheapest-right`"), "{error}");
    }

    /// Logits, and costs that ascend as those of a ladder do.
    fn rungs() -> impl Strategy<Value = (Vec<f32>, Vec<Flops>)> {
        proptest::collection::vec((-8.0_f32..8.0, 1_u64..1_000_000), 1..7).prop_map(|rungs| {
            let mut sum = 0;
            let costs = rungs.iter().map(|(_, step)| {
                sum += step;
                Flops(sum)
            });
            let costs = costs.collect();
            (rungs.into_iter().map(|(logit, _)| logit).collect(), costs)
        })
    }

    proptest! {
        #[test]
        fn more_thrift_never_chooses_a_dearer_rung(
            (logits, costs) in rungs(),
            weights in (0.0_f32..3.0, 0.0_f32..3.0),
        ) {
            let (less, more) = (weights.0.min(weights.1), weights.0.max(weights.1));
            let at = |weight| utility(&logits, &costs, thrift(weight)).rung;
            prop_assert!(at(more) <= at(less));
            prop_assert_eq!(at(1e9), 0);
        }

        #[test]
        fn no_thrift_chooses_the_likeliest((logits, costs) in rungs()) {
            let Chosen { rung, probabilities } = utility(&logits, &costs, thrift(0.0));
            prop_assert!(probabilities.iter().all(|p| *p <= probabilities[rung]));
            prop_assert!(probabilities[..rung].iter().all(|p| *p < probabilities[rung]));
        }

        #[test]
        fn probabilities_are_in_range(
            logits in proptest::collection::vec(proptest::num::f32::NORMAL, 1..7),
        ) {
            let costs = vec![Flops(1); logits.len()];
            let each = utility(&logits, &costs, Thrift::DEFAULT).probabilities;
            let together = cheapest_right(&logits).probabilities;
            for p in each.iter().chain(&together) {
                prop_assert!((0.0..=1.0).contains(p), "{}", p);
            }
            prop_assert!((together.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }
}
