//! How long the stages of a request take. The only clock below the command line.

use std::time::{Duration, Instant};

/// Measured times of one request. The caller's own time between two events is not in them.
///
/// Of a request in a batch, all but `preprocess` are times of the whole batch: how long the stages
/// took for all samples together while this one was among them. They do not add up over a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// Decoding and preparing pictures, encoding the prompt, resolving the budget.
    pub preprocess: Duration,
    /// Vision encoder and connector.
    pub encode: Duration,
    /// Decoder and policy, up to the logits of the first token.
    pub prefill: Duration,
    /// All steps after the first token.
    pub decode: Duration,
    /// Everything before the first token was there.
    pub first_token: Duration,
    /// Everything.
    pub total: Duration,
}

/// Runs `work`, adds the time to `spent` and returns what it gave.
pub(crate) fn timed<T>(spent: &mut Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let out = work();
    *spent += start.elapsed();
    out
}
