//! How a product of rows with panels of weights is shared among threads.

use super::TALLEST;
use crate::rows::is_alone;
use rayon::prelude::*;
use std::ops::Range;

/// Less than this many multiplications is done before another thread has woken up.
const TASK: usize = 1 << 17;
/// Most rows that a thread takes at a time.
const BLOCK: usize = 8 * TALLEST;

/// A product of `rows` with `[outputs, inputs]` weights that lie in panels of `width` outputs.
#[derive(Clone, Copy)]
pub(super) struct Share {
    pub(super) rows: usize,
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) width: usize,
}

impl Share {
    /// Calls `part` with rows, panels and where `[rows, outputs of the panels]` go, until all of
    /// `out`, `[rows, outputs]`, is filled.
    pub(super) fn among_threads(
        self,
        out: &mut [f32],
        part: impl Fn(Range<usize>, Range<usize>, &mut [f32]) + Sync + Send,
    ) {
        let Self { rows, outputs, inputs, width } = self;
        let (threads, panels) = (rayon::current_num_threads(), outputs.div_ceil(width));
        if is_alone() || rows * inputs * outputs < TASK {
            return part(0..rows, 0..panels, out);
        }
        if rows >= 2 * TALLEST * threads {
            let block = rows.div_ceil(threads).next_multiple_of(TALLEST).min(BLOCK);
            let blocks = out.par_chunks_mut(block * outputs).enumerate();
            return blocks.for_each(|(index, out)| {
                let first = index * block;
                part(first..rows.min(first + block), 0..panels, out);
            });
        }
        // Few rows: threads share the outputs.
        let piece = panels.div_ceil(2 * threads);
        let columns = piece * width;
        let place = |index: usize| index * piece..panels.min((index + 1) * piece);
        if rows == 1 {
            let pieces = out.par_chunks_mut(columns).enumerate();
            return pieces.for_each(|(index, out)| part(0..1, place(index), out));
        }
        let pieces: Vec<(usize, Vec<f32>)> = (0..panels.div_ceil(piece))
            .into_par_iter()
            .map(|index| {
                let width = columns.min(outputs - index * columns);
                let mut own = vec![0.0; rows * width];
                part(0..rows, place(index), &mut own);
                (width, own)
            })
            .collect();
        for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
            let mut at = 0;
            for (width, own) in &pieces {
                out[at..][..*width].copy_from_slice(&own[row * width..][..*width]);
                at += width;
            }
        }
    }
}

/// Rows cut into the heights that there are tiles for, of `most` at most.
pub(super) fn heights(rows: Range<usize>, most: usize) -> Vec<Range<usize>> {
    let mut tiles = Vec::new();
    let mut first = rows.start;
    while first < rows.end {
        let left = (rows.end - first).min(most);
        let height = [TALLEST, 6, 2].into_iter().find(|&height| height <= left).unwrap_or(1);
        tiles.push(first..first + height);
        first += height;
    }
    tiles
}
