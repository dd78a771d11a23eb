//! The record of a comparison: all that tables, plots, the report and the gate are made from.
//!
//! [`CompareRecord::new`] computes it once; nothing computes with observations afterwards. Floats
//! have six significant digits, so that the same observations give the same bytes and a record
//! that was read back is the one that was written.

mod benchmark;
mod build;
mod comparisons;
mod context;
mod line;
mod pareto;
mod rounding;

pub use benchmark::{BenchmarkRecord, OfficialFigure};
pub use context::{Context, Fitting, RecordError};
pub(crate) use rounding::rounded;

use super::observation::{Group, Kind, Scope, Stage, Suite};
use super::statistics::{Difference, Estimate, Spread};
use crate::Environment;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use visor_train::selector::Selection;

/// Version of the fields.
pub const SCHEMA_VERSION: u32 = 1;

/// Two costs are called equal when they differ by no more than this share.
pub const EQUAL_COST: f64 = 0.01;

/// A model or a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Its digest, in hexadecimal digits.
    pub sha256: String,
}

/// How times were taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Requests of each row before the first that counts.
    pub warm_up: usize,
    /// In which order rows took turns, for people.
    pub order: String,
}

/// One comparison of budgets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareRecord {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Where it was run.
    pub environment: Environment,
    /// The compared model.
    pub model: Identity,
    /// The policy that routed.
    pub policy: Option<Identity>,
    /// What was asked.
    pub suite: Suite,
    /// Questions.
    pub items: usize,
    /// Pictures that they are about.
    pub pictures: usize,
    /// The families: easy ones first, then hard ones, then others; by name.
    pub families: Vec<FamilyHead>,
    /// Everything that the numbers depend on, by name.
    pub settings: BTreeMap<String, String>,
    /// How times were taken, where they were.
    pub protocol: Option<Protocol>,
    /// The row that others are compared with.
    pub full: String,
    /// The row that savings are relative to.
    pub dense: Option<String>,
    /// The routed row that matters most.
    pub routed: Option<String>,
    /// The cost at which references are equal to the routed row.
    pub cost_scope: Scope,
    /// What the look-up by family was fitted on.
    pub fitted_on: Option<String>,
    /// Names of the rungs, cheapest first.
    pub ladder: Vec<String>,
    /// One entry a budget, baseline, control and reference.
    pub rows: Vec<RowRecord>,
    /// The best that mixtures of rungs could have, by scope.
    pub frontier: Vec<Frontier>,
    /// Pairs of rows on the same items.
    pub comparisons: Vec<Comparison>,
    /// What a benchmark's own evaluation says, where the items are of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub benchmark: Option<BenchmarkRecord>,
    /// What the patches that questions choose are worth, where the model has a selector and the
    /// questions are generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
}

/// A family of questions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilyHead {
    /// Its name.
    pub name: String,
    /// What it is expected to need.
    pub kind: Kind,
    /// Its questions.
    pub items: usize,
}

/// A row and everything that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowRecord {
    /// Its key.
    pub name: String,
    /// What it is.
    pub group: Group,
    /// What it is in a few words.
    pub about: String,
    /// The network that answered, where it is not the compared one.
    pub network: Option<String>,
    /// Visual tokens that reach the decoder.
    pub visual_tokens: Option<u32>,
    /// Of a reference, the routed row whose cost or histogram it has.
    pub of: Option<String>,
    /// Mean score; `None` where only the cost is known.
    pub accuracy: Option<Estimate>,
    /// This row less the full one.
    pub difference: Option<Difference>,
    /// Mean over the easy families.
    pub easy: Option<FamilyMean>,
    /// Mean over the hard families.
    pub hard: Option<FamilyMean>,
    /// Mean over all families.
    pub all_families: Option<FamilyMean>,
    /// By family.
    pub families: BTreeMap<String, Estimate>,
    /// By family, scalar of difficulty and value.
    pub difficulty: BTreeMap<String, BTreeMap<String, Vec<AtDifficulty>>>,
    /// Mean cost.
    pub gflops: Costs,
    /// Median cost.
    pub gflops_median: Costs,
    /// 95th percentile of the cost.
    pub gflops_p95: Costs,
    /// Mean cost of the dense row over this one's.
    pub savings: Option<Savings>,
    /// Mean number of self-attention layers.
    pub self_attention_layers: f64,
    /// Measured times in milliseconds.
    pub times_ms: BTreeMap<Stage, Spread>,
    /// The most memory that was resident, in bytes.
    pub peak_rss_bytes: Option<u64>,
    /// How often it takes each rung, where it chooses.
    pub routing: Option<Shares>,
    /// Rows that are at least as good and cheap, and better in one.
    pub dominated_by: Dominated,
}

/// A mean over families, each weighing alike.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilyMean {
    /// The mean.
    pub accuracy: Estimate,
    /// This row less the full one.
    pub difference: Option<Difference>,
}

/// Items of one difficulty.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtDifficulty {
    /// Value of the scalar.
    pub value: f64,
    /// Mean score there.
    pub accuracy: Estimate,
}

/// A figure for each scope.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    /// Everything before the first token.
    pub end_to_end: f64,
    /// The decoder's prefill.
    pub lm_prefill: f64,
    /// The decoder's, because of the picture.
    pub vision_side: f64,
    /// One decode step.
    pub decode_step: f64,
}

impl Costs {
    /// From a figure for each of [`Scope::ALL`].
    pub fn from_all([end_to_end, lm_prefill, vision_side, decode_step]: [f64; 4]) -> Self {
        Self { end_to_end, lm_prefill, vision_side, decode_step }
    }

    /// That of one scope.
    pub fn of(&self, scope: Scope) -> f64 {
        match scope {
            Scope::EndToEnd => self.end_to_end,
            Scope::LmPrefill => self.lm_prefill,
            Scope::VisionSide => self.vision_side,
            Scope::DecodeStep => self.decode_step,
        }
    }
}

/// Ratios of mean costs; `None` where nothing was spent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Savings {
    /// Everything before the first token.
    pub end_to_end: Option<f64>,
    /// The decoder's prefill.
    pub lm_prefill: Option<f64>,
    /// The decoder's, because of the picture.
    pub vision_side: Option<f64>,
    /// One decode step.
    pub decode_step: Option<f64>,
}

impl Savings {
    /// That of one scope.
    pub fn of(&self, scope: Scope) -> Option<f64> {
        match scope {
            Scope::EndToEnd => self.end_to_end,
            Scope::LmPrefill => self.lm_prefill,
            Scope::VisionSide => self.vision_side,
            Scope::DecodeStep => self.decode_step,
        }
    }
}

/// How often each rung is taken, in the order of the ladder; the shares add up to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shares {
    /// Of all items.
    pub all: Vec<f64>,
    /// Of each family's items.
    pub families: BTreeMap<String, Vec<f64>>,
}

/// By what a row is dominated, if anything: among rungs, routed rows and baselines, the best one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dominated {
    /// By FLOPs before the first token.
    pub end_to_end: Option<String>,
    /// By FLOPs of the decoder's prefill.
    pub lm_prefill: Option<String>,
    /// By the median time to the first token.
    pub first_token: Option<String>,
}

/// The best accuracy that a mixture of rungs can have at a cost, with straight lines between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frontier {
    /// What is counted.
    pub scope: Scope,
    /// Mean GFLOPs and mean score, cheapest first.
    pub corners: Vec<(f64, f64)>,
}

/// Two rows on the same items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// What is asked, in a few words.
    pub name: String,
    /// A row, or as `mixture@dense` the best mixture of rungs at no more than a row's cost.
    pub a: String,
    /// Another row.
    pub b: String,
    /// `a` less `b`, a mean of scores.
    pub difference: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// McNemar's exact p, where it can be had.
    pub p: Option<f64>,
    /// Items that both answered.
    pub n: usize,
    /// Mean cost of `a` over that of `b`, in the record's scope; `None` where `b` costs nothing.
    pub cost_ratio: Option<f64>,
    /// Whether the costs differ by no more than [`EQUAL_COST`].
    pub equal_cost: bool,
}

impl CompareRecord {
    /// The row of this name.
    pub fn row(&self, name: &str) -> Option<&RowRecord> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Rows that anybody would look at first: of references only those of the main routed row.
    pub fn main_rows(&self) -> impl Iterator<Item = &RowRecord> {
        self.rows.iter().filter(|row| row.of.is_none() || row.of == self.routed)
    }

    /// As JSON with a line end: the same record gives the same bytes.
    ///
    /// # Errors
    /// None in practice: all of it can be written.
    pub fn to_json(&self) -> Result<String, RecordError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// A record that was written by [`CompareRecord::to_json`].
    ///
    /// # Errors
    /// [`RecordError::Json`], [`RecordError::Version`].
    pub fn from_json(json: &str) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Version {
            schema_version: u32,
        }

        let Version { schema_version: found } = serde_json::from_str(json)?;
        if found != SCHEMA_VERSION {
            return Err(RecordError::Version { found });
        }
        // The parser can be off by a last digit, which is not among the six that were written.
        Ok(rounding::rounded(&serde_json::from_str::<Self>(json)?)?)
    }
}
