//! Counts the matrix products that really run, to hold the cost formulas against.
//!
//! The count is kept per thread and costs an addition a product, so it is always on.

use std::cell::Cell;
use visor_core::cost::Flops;

thread_local! {
    static EXECUTED: Cell<u64> = const { Cell::new(0) };
}

/// Adds the FLOPs of a product that is about to run.
pub(crate) fn record(flops: Flops) {
    EXECUTED.with(|count| count.set(count.get() + flops.0));
}

/// Runs `work` and returns what it gave with the FLOPs of the matrix products on this thread.
pub fn count<T>(work: impl FnOnce() -> T) -> (T, Flops) {
    let before = EXECUTED.with(Cell::get);
    let out = work();
    (out, Flops(EXECUTED.with(Cell::get) - before))
}
