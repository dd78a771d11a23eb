//! What a trained policy does on questions that it did not learn from.

use super::examples::Examples;
use super::pareto::Measured;
use crate::error::TrainError;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use visor_core::Thrift;
use visor_core::cost::Flops;
use visor_policy::Objective;

/// Version of the fields.
pub const SCHEMA_VERSION: u32 = 1;

/// The thrifts that are tried.
const THRIFTS: [f32; 9] = [0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5];

/// A policy at one thrift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routed {
    /// The thrift; `None` where cost is not weighed when a rung is chosen.
    pub thrift: Option<f32>,
    /// Mean score.
    pub accuracy: f64,
    /// Mean cost above the cheapest rung, as a share of what the dearest costs above it.
    pub share_of_refinement_cost: f64,
    /// Questions by rung, cheapest first.
    pub histogram: Vec<usize>,
}

/// How a policy was trained, and what it does on questions held out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRecord {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What it learned to predict.
    pub objective: String,
    /// The questions.
    pub data: String,
    /// Learned from.
    pub questions: usize,
    /// Held out; the numbers below are theirs.
    pub held_out: usize,
    /// Seed of weights and order.
    pub seed: u64,
    /// Steps taken.
    pub steps: u64,
    /// Mean loss over the last epoch.
    pub loss: f32,
    /// Wall minutes of making the labels, as far as this run made them, and of learning.
    pub minutes: f64,
    /// Mean score of each rung, cheapest first.
    pub fixed: Vec<f64>,
    /// Mean score of the cheapest right rung, and the share of its cost.
    pub oracle: (f64, f64),
    /// The policy at each thrift.
    pub routed: Vec<Routed>,
    /// Every budget that pairs were chosen from, on the questions learned from; none where the
    /// policy chooses from rungs alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<Measured>,
}

/// Mean score and share of cost of a choice for each question of a range.
fn follow(
    examples: &Examples,
    range: Range<usize>,
    mut choose: impl FnMut(usize) -> Result<usize, TrainError>,
) -> Result<(f64, f64, Vec<usize>), TrainError> {
    let (mut score, mut spent, mut full) = (0.0, 0.0, 0.0);
    let mut histogram = Vec::new();
    let n = range.len().max(1) as f64;
    for index in range {
        let (scores, costs) = (examples.scores(index), examples.costs(index));
        let rung = choose(index)?;
        histogram.resize(scores.len(), 0);
        histogram[rung] += 1;
        score += f64::from(scores[rung]);
        let above = |cost: Flops| (cost - costs[0]).0 as f64;
        spent += above(costs[rung]);
        full += above(costs[costs.len() - 1]);
    }
    Ok((score / n, if full > 0.0 { spent / full } else { 0.0 }, histogram))
}

/// Everything but how it was trained: fills the lists of `record` from the logits of the questions
/// in `range`.
///
/// # Errors
/// None for logits of the same ladder.
pub fn record(
    mut record: PolicyRecord,
    objective: Objective,
    examples: &Examples,
    logits: &[Vec<f32>],
    range: Range<usize>,
) -> Result<PolicyRecord, TrainError> {
    let rungs = logits.first().map_or(0, Vec::len);
    record.fixed = (0..rungs)
        .map(|rung| Ok(follow(examples, range.clone(), |_| Ok(rung))?.0))
        .collect::<Result<_, TrainError>>()?;
    let (score, share, _) = follow(examples, range.clone(), |index| {
        let scores = examples.scores(index);
        let best = scores.iter().copied().fold(0.0, f32::max);
        Ok(scores.iter().position(|&score| score >= best).unwrap_or(0))
    })?;
    record.oracle = (score, share);
    let thrifts: Vec<Option<Thrift>> = match objective {
        Objective::Utility => THRIFTS.into_iter().map(Thrift::new).collect(),
        Objective::CheapestRight => vec![None],
    };
    for thrift in thrifts {
        let (accuracy, share, histogram) = follow(examples, range.clone(), |index| {
            let costs = examples.costs(index);
            let chosen = objective
                .choose(&logits[index - range.start], costs, thrift, None)
                .map_err(|because| TrainError::Choice { because })?;
            Ok(chosen.rung)
        })?;
        record.routed.push(Routed {
            thrift: thrift.map(Thrift::weight),
            accuracy,
            share_of_refinement_cost: share,
            histogram,
        });
    }
    Ok(record)
}
