//! Weights in the order of an instruction that multiplies some numbers of a row with as many weights
//! and adds them all to a sum.
//!
//! A panel is 32 outputs, two registers of sums; its lines, one for every group of inputs, lie one
//! after another. A tile is some rows by a panel.

use super::share::{Share, heights};
use super::{MatrixError, TALLEST};
use crate::rows::is_alone;
use rayon::prelude::*;
use std::ops::Range;

/// Outputs of a panel.
pub(super) const WIDTH: usize = 32;

/// Bytes of rows that are laid out for a pass over the panels: they stay in a second-level cache.
const LAID: usize = 256 << 10;

/// An instruction that this processor has.
pub(super) trait Dots: Copy + Send + Sync {
    /// A number of a row.
    type Number: Copy + Sync;
    /// Numbers that it takes of a row.
    type Group: Copy + Default;
    /// A weight.
    type Weight: Copy + Sync;
    /// The weights of all outputs of a panel that go with a group, those of an output side by side.
    type Line: Copy + Send + Sync;
    /// A sum.
    type Sum: Copy;

    /// Numbers of a group.
    const DEPTH: usize;
    /// A line of zeros.
    const ZEROS: Self::Line;

    /// Some numbers, at most `DEPTH`, and zeros.
    fn group(numbers: &[Self::Number]) -> Self::Group;

    /// The weights of an output in a line, `DEPTH` of them.
    fn weights(line: &mut Self::Line, output: usize) -> &mut [Self::Weight];

    /// Sums of `R` rows by a panel. Of both as many lines are taken as the shorter has.
    fn sums<const R: usize>(
        self,
        rows: &[[Self::Group; R]],
        panel: &[Self::Line],
    ) -> [[Self::Sum; WIDTH]; R];
}

/// `[outputs, inputs]` weights.
pub(super) struct Ordered<D: Dots> {
    dots: D,
    lines: Vec<D::Line>,
    outputs: usize,
    /// Rows that have come: all of them, before there are products.
    filled: usize,
    inputs: usize,
}

/// Sums on their way out: `rows` by `outputs`, into the beginnings of lines of `out`.
pub(super) struct Sums<'a, T> {
    pub(super) sums: &'a [T],
    pub(super) rows: Range<usize>,
    pub(super) outputs: Range<usize>,
    pub(super) out: &'a mut [f32],
    /// From a row of `out` to the next.
    pub(super) line: usize,
}

impl<D: Dots> Ordered<D> {
    /// No rows yet of `[outputs, inputs]`.
    pub(super) fn new(dots: D, [outputs, inputs]: [usize; 2]) -> Self {
        Self { dots, lines: Vec::new(), outputs, filled: 0, inputs }
    }

    /// Puts whole rows behind those that are there. Outputs that fill up the last panel, and inputs
    /// that fill up a group, are zeros.
    pub(super) fn push(&mut self, rows: &[D::Weight]) -> Result<(), MatrixError> {
        let &mut Self { outputs, inputs, filled: done, .. } = self;
        let depth = inputs.div_ceil(D::DEPTH);
        let all = outputs.div_ceil(WIDTH).saturating_mul(depth).saturating_sub(self.lines.len());
        let none = |_| MatrixError::Memory { outputs, inputs };
        self.lines.try_reserve_exact(all).map_err(none)?;
        let filled = done + rows.len().checked_div(inputs).unwrap_or(0);
        self.lines.resize(filled.div_ceil(WIDTH) * depth, D::ZEROS);
        // The first row goes to the panel of the last one before, where that has room.
        let first = done / WIDTH;
        let fill = |(index, lines): (usize, &mut [D::Line])| {
            let start = (first + index) * WIDTH;
            for output in done.max(start)..filled.min(start + WIDTH) {
                let row = &rows[(output - done) * inputs..][..inputs];
                for (line, group) in lines.iter_mut().zip(row.chunks(D::DEPTH)) {
                    D::weights(line, output - start)[..group.len()].copy_from_slice(group);
                }
            }
        };
        let lines = &mut self.lines[first * depth..];
        match is_alone() {
            true => lines.chunks_mut(depth.max(1)).enumerate().for_each(fill),
            false => lines.par_chunks_mut(depth.max(1)).enumerate().for_each(fill),
        }
        self.filled = filled;
        Ok(())
    }

    /// Rows that have come.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.lines.as_slice())
    }

    /// A row of weights.
    pub(super) fn row(&self, output: usize) -> impl Iterator<Item = D::Weight> {
        let depth = self.inputs.div_ceil(D::DEPTH);
        let lines = self.lines[output / WIDTH * depth..][..depth].iter();
        let groups = lines.map(move |&line| {
            let mut line = line;
            D::weights(&mut line, output % WIDTH).to_vec()
        });
        groups.flatten().take(self.inputs)
    }

    /// Rows of numbers by all weights; `end` makes values of sums.
    pub(super) fn product(
        &self,
        numbers: &[D::Number],
        out: &mut [f32],
        end: impl Fn(Sums<'_, D::Sum>) + Sync,
    ) {
        let &Self { outputs, inputs, .. } = self;
        let share = Share { rows: numbers.len() / inputs, outputs, inputs, width: WIDTH };
        share.among_threads(out, |rows, panels, out| {
            Part { weights: self, numbers, rows, panels, end: &end, out }.run();
        });
    }
}

/// Rows by some panels.
struct Part<'a, D: Dots, E> {
    weights: &'a Ordered<D>,
    numbers: &'a [D::Number],
    rows: Range<usize>,
    panels: Range<usize>,
    end: &'a E,
    /// `[rows, outputs of the panels]`.
    out: &'a mut [f32],
}

impl<D: Dots, E: Fn(Sums<'_, D::Sum>)> Part<'_, D, E> {
    fn run(mut self) {
        let inputs = self.weights.inputs;
        let depth = inputs.div_ceil(D::DEPTH);
        let most = (LAID / (inputs.max(1) * size_of::<D::Number>())).max(1);
        let (mut laid, most) = (Vec::new(), most.next_multiple_of(TALLEST));
        for first in self.rows.clone().step_by(most) {
            let tiles = heights(first..self.rows.end.min(first + most), TALLEST);
            laid.clear();
            for tile in &tiles {
                let numbers = &self.numbers[tile.start * inputs..tile.end * inputs];
                lay::<D>(numbers, inputs, &mut laid);
            }
            for panel in self.panels.clone() {
                for tile in &tiles {
                    let x = &laid[(tile.start - first) * depth..][..tile.len() * depth];
                    match tile.len() {
                        12 => self.tile::<12>(x, tile.start, panel),
                        6 => self.tile::<6>(x, tile.start, panel),
                        2 => self.tile::<2>(x, tile.start, panel),
                        _ => self.tile::<1>(x, tile.start, panel),
                    }
                }
            }
        }
    }

    /// `R` rows, laid out, by a panel.
    fn tile<const R: usize>(&mut self, x: &[D::Group], row: usize, panel: usize) {
        let (x, _) = x.as_chunks::<R>();
        let lines = &self.weights.lines[panel * x.len()..][..x.len()];
        let sums = self.weights.dots.sums(x, lines);
        let line = self.weights.outputs.min(self.panels.end * WIDTH) - self.panels.start * WIDTH;
        let (first, at) = (panel * WIDTH, (panel - self.panels.start) * WIDTH);
        let outputs = first..first + WIDTH.min(line - at);
        let out = &mut self.out[(row - self.rows.start) * line + at..];
        (self.end)(Sums { sums: sums.as_flattened(), rows: row..row + R, outputs, out, line });
    }
}

/// Rows as a tile takes them: a group of each, the next group of each, and so on.
fn lay<D: Dots>(numbers: &[D::Number], inputs: usize, laid: &mut Vec<D::Group>) {
    let (start, rows) = (laid.len(), numbers.len() / inputs.max(1));
    laid.resize(start + rows * inputs.div_ceil(D::DEPTH), D::Group::default());
    for (r, row) in numbers.chunks_exact(inputs.max(1)).enumerate() {
        let (to, groups) = (laid[start + r..].iter_mut(), row.chunks(D::DEPTH));
        to.step_by(rows).zip(groups).for_each(|(to, group)| *to = D::group(group));
    }
}
