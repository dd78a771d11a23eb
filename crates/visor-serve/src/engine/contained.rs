//! Panics of a model, contained to the request that causes them.

use super::shared::Shared;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The model panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panicked;

/// Runs `work`. What it was given must not be used any more if it panicked: samples are over then,
/// and weights nobody changes.
pub(super) fn contained<T>(shared: &Shared, work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        shared.count(|stats| stats.panics += 1);
        tracing::error!("the model panicked; the requests of this pass are run again, one by one");
        Panicked
    })
}
