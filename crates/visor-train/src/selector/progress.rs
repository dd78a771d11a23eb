//! What a selector's training tells while it goes on.

use serde::Serialize;

/// News of a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// It starts, or goes on from a saved step.
    Started {
        /// Steps already done.
        from: u64,
    },
    /// A step was done.
    Stepped(StepOutcome),
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StepOutcome {
    /// Steps done, this one included.
    pub step: u64,
    /// Cross-entropy of the answers at the lowest rung.
    pub answers: f32,
    /// Mean number of patches that were read.
    pub patches: f32,
    /// Norm of the selector's gradient before clipping.
    pub gradient_norm: f32,
}
