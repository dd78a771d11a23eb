//! Sharing rows among threads.

use rayon::prelude::*;

/// Values that are worth a task of their own: less is done before another thread has woken up.
const TASK: usize = 1 << 14;

/// Calls `work` with pieces of whole rows of `width` values.
pub(crate) fn for_rows(x: &mut [f32], width: usize, work: impl Fn(&mut [f32]) + Sync + Send) {
    let piece = width.max(1) * (TASK / width.max(1)).max(1);
    match is_alone() || x.len() <= piece {
        true => work(x),
        false => x.par_chunks_mut(piece).for_each(work),
    }
}

/// The same with the values of `y` beside those of `x`, of which there are as many.
pub(crate) fn for_rows_with(
    x: &mut [f32],
    y: &[f32],
    width: usize,
    work: impl Fn(&mut [f32], &[f32]) + Sync + Send,
) {
    let piece = width.max(1) * (TASK / width.max(1)).max(1);
    match is_alone() || x.len() <= piece {
        true => work(x, y),
        false => x.par_chunks_mut(piece).zip(y.par_chunks(piece)).for_each(|(x, y)| work(x, y)),
    }
}

/// The sum of `a * b`, in lanes, for the compiler to make one instruction of.
#[inline(always)]
pub(crate) fn products(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    // By halves: one after another, each would wait for the one before.
    for half in [8, 4, 2, 1] {
        let (left, right) = sums.split_at_mut(half);
        left.iter_mut().zip(right).for_each(|(left, right)| *left += *right);
    }
    sums[0] + tail
}

/// Whether there is one thread: then nothing is handed to another and waited for.
pub(crate) fn is_alone() -> bool {
    rayon::current_num_threads() == 1
}
