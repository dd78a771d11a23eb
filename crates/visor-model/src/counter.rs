//! Counts the matrix products that really run, to hold the cost formulas against.
//!
//! The count is kept per thread and costs an addition a product, so it is always on. Rows and keys
//! that only fill up a shape are left out: what is counted is what a sample costs by the formulas,
//! on every device.

use std::cell::Cell;
use visor_core::cost::Flops;

thread_local! {
    static EXECUTED: Cell<u64> = const { Cell::new(0) };
}

/// Adds the FLOPs of a product that is about to run.
pub(crate) fn record(flops: Flops) {
    EXECUTED.with(|count| count.set(count.get() + flops.0));
}

/// Counts products of `computed` rows, all that `work` runs, as products of the `real` ones among
/// them.
pub(crate) fn of_rows<T>(computed: usize, real: usize, work: impl FnOnce() -> T) -> T {
    let (out, Flops(executed)) = count(work);
    if computed > real {
        let filled = executed / computed as u64 * (computed - real) as u64;
        EXECUTED.with(|count| count.set(count.get() - filled));
    }
    out
}

/// Runs `work` and returns what it gave with the FLOPs of the matrix products on this thread.
pub fn count<T>(work: impl FnOnce() -> T) -> (T, Flops) {
    let before = EXECUTED.with(Cell::get);
    let out = work();
    (out, Flops(EXECUTED.with(Cell::get) - before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_fill_up_a_shape_do_not_count() {
        let (_, executed) = count(|| {
            record(Flops(7));
            of_rows(6, 4, || record(Flops(6 * 10)));
            of_rows(3, 3, || record(Flops(3 * 100)));
        });
        assert_eq!(executed, Flops(7 + 40 + 300));
    }
}
