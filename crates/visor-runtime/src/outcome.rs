//! What came out of a request: an answer never comes without the budget that it was given at.

use crate::budget::Decided;
use crate::model::Selection;
use crate::timing::Timing;
use visor_core::cost::{Flops, Scopes};
use visor_core::{BudgetRequest, Patches};

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinishReason {
    /// The model gave an end token.
    Eos,
    /// A stop string appeared.
    Stop,
    /// As many tokens as were asked for.
    Length,
}

impl FinishReason {
    /// The word used in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Eos => "eos",
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// What the request costs by the formulas, beside the dense reference.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RunCost {
    /// At the level that was decided: what the request would cost alone.
    pub cold: Scopes,
    /// At the dense reference.
    pub dense: Scopes,
    /// End-to-end prefill FLOPs that were executed; below `cold` where work was reused: a picture
    /// that is kept, or that an earlier sample of the batch or the request itself shows, is not
    /// encoded again.
    pub spent: Flops,
    /// FLOPs of all decode steps that were executed.
    pub decode: Flops,
    /// Bytes of cached keys and values after prefill.
    pub kv_bytes: u64,
}

impl RunCost {
    /// How many times cheaper than dense, end to end.
    pub fn saving(&self) -> f64 {
        self.dense.end_to_end.0 as f64 / self.cold.end_to_end.0 as f64
    }
}

/// The pictures of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PictureUse {
    /// Pictures in the prompt.
    pub shown: usize,
    /// Those among them that were encoded before: held by the caller, kept in the cache, or shown
    /// by an earlier sample of the batch or before in the same prompt.
    pub cached: usize,
}

/// What came out of a request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The answer.
    pub text: String,
    /// Every token that was generated, the end token included.
    pub token_ids: Vec<u32>,
    /// Why the answer ended.
    pub finish_reason: FinishReason,
    /// Tokens of the prompt, visual ones included.
    pub prompt_tokens: usize,
    /// Visual tokens among them.
    pub visual_tokens: usize,
    /// Its pictures, and how many of them were encoded before.
    pub pictures: PictureUse,
    /// The budget that was asked for.
    pub requested: Option<BudgetRequest>,
    /// The budget that was used, and why.
    pub decided: Decided,
    /// The patches that were asked for.
    pub patches: Patches,
    /// What cross-attention read of the pictures; `None` where it read everything.
    pub selection: Option<Selection>,
    /// What that costs by the formulas.
    pub cost: RunCost,
    /// What was measured.
    pub timing: Timing,
}

impl Outcome {
    /// Generated tokens a second, after the first; `None` where there was only one.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let steps = self.token_ids.len().checked_sub(1).filter(|steps| *steps > 0)?;
        let seconds = self.timing.decode.as_secs_f64();
        (seconds > 0.0).then(|| steps as f64 / seconds)
    }
}
