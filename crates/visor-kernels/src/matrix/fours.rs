//! Weights of eight bits in the order of [`Vnni`]'s sums.
//!
//! A panel is 32 outputs; its lines, one for every four inputs, lie one after another. A tile is
//! some rows by a panel.

use super::dynamic::{Dynamic, Rounded};
use super::share::{Share, heights};
use super::vnni::{BYTES, DEPTH, Line, Vnni, WIDTH};
use super::{MatrixError, TALLEST};
use std::ops::Range;

/// Bytes of rows that are laid out for a pass over the panels: they stay in a second-level cache.
const LAID: usize = 256 << 10;

/// `[outputs, inputs]` weights.
pub(super) struct Fours {
    vnni: Vnni,
    lines: Vec<Line>,
    outputs: usize,
    /// Rows that have come: all of them, before there are products.
    filled: usize,
    inputs: usize,
}

impl Fours {
    /// No rows yet of `[outputs, inputs]`.
    pub(super) fn new(vnni: Vnni, [outputs, inputs]: [usize; 2]) -> Self {
        Self { vnni, lines: Vec::new(), outputs, filled: 0, inputs }
    }

    /// Puts whole rows behind those that are there. Outputs that fill up the last panel, and inputs
    /// that fill up a four, are zeros.
    pub(super) fn push(&mut self, rows: &[i8]) -> Result<(), MatrixError> {
        let &mut Self { outputs, inputs, filled, .. } = self;
        let depth = inputs.div_ceil(DEPTH);
        let all = outputs.div_ceil(WIDTH).saturating_mul(depth).saturating_sub(self.lines.len());
        let none = |_| MatrixError::Memory { outputs, inputs };
        self.lines.try_reserve_exact(all).map_err(none)?;
        self.filled += rows.len().checked_div(inputs).unwrap_or(0);
        self.lines.resize(self.filled.div_ceil(WIDTH) * depth, [[0; BYTES]; 2]);
        for (output, row) in (filled..).zip(rows.chunks_exact(inputs.max(1))) {
            let lines = &mut self.lines[output / WIDTH * depth..][..depth];
            let (register, lane) = (output % WIDTH * DEPTH / BYTES, output % WIDTH * DEPTH % BYTES);
            for (line, four) in lines.iter_mut().zip(row.chunks(DEPTH)) {
                line[register][lane..][..four.len()].copy_from_slice(four);
            }
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.lines.as_slice())
    }

    /// Rounded rows, `inputs` numbers each, by all weights, brought back to their scale.
    pub(super) fn product(
        &self,
        numbers: &[u8],
        rounded: &[Rounded],
        weights: &Dynamic,
        bias: Option<&[f32]>,
        out: &mut [f32],
    ) {
        let &Self { outputs, inputs, .. } = self;
        let share = Share { rows: rounded.len(), outputs, inputs, width: WIDTH };
        share.among_threads(out, |rows, panels, out| {
            let numbers = &numbers[rows.start * inputs..rows.end * inputs];
            let rounded = &rounded[rows];
            Part { fours: self, numbers, rounded, panels, weights, bias, out }.run();
        });
    }
}

/// Rows by some panels.
struct Part<'a> {
    fours: &'a Fours,
    numbers: &'a [u8],
    rounded: &'a [Rounded],
    panels: Range<usize>,
    weights: &'a Dynamic,
    bias: Option<&'a [f32]>,
    /// `[rows, outputs of the panels]`.
    out: &'a mut [f32],
}

impl Part<'_> {
    fn run(mut self) {
        let inputs = self.fours.inputs;
        let depth = inputs.div_ceil(DEPTH);
        let rows = self.rounded.len();
        let most = (LAID / inputs.max(1)).max(1).next_multiple_of(TALLEST);
        let mut laid = Vec::new();
        for first in (0..rows).step_by(most) {
            let tiles = heights(first..rows.min(first + most), TALLEST);
            laid.clear();
            for tile in &tiles {
                lay(&self.numbers[tile.start * inputs..tile.end * inputs], inputs, &mut laid);
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
    fn tile<const R: usize>(&mut self, x: &[[u8; DEPTH]], row: usize, panel: usize) {
        let (x, _) = x.as_chunks::<R>();
        let lines = &self.fours.lines[panel * x.len()..][..x.len()];
        let sums = self.fours.vnni.sums(x, lines);
        let all = self.fours.outputs.min(self.panels.end * WIDTH) - self.panels.start * WIDTH;
        let (first, at) = (panel * WIDTH, (panel - self.panels.start) * WIDTH);
        let n = WIDTH.min(all - at);
        let (rounded, outputs) = (&self.rounded[row..row + R], first..first + n);
        let out = &mut self.out[row * all + at..];
        self.weights.scale(rounded, sums.as_flattened(), outputs, self.bias, out, all);
    }
}

/// Rows as a tile takes them: four inputs of each, the next four of each, and so on; zeros fill up.
fn lay(numbers: &[u8], inputs: usize, laid: &mut Vec<[u8; DEPTH]>) {
    let (start, rows) = (laid.len(), numbers.len() / inputs.max(1));
    laid.resize(start + rows * inputs.div_ceil(DEPTH), [0; DEPTH]);
    for (r, row) in numbers.chunks_exact(inputs.max(1)).enumerate() {
        for (to, four) in laid[start + r..].iter_mut().step_by(rows).zip(row.chunks(DEPTH)) {
            to[..four.len()].copy_from_slice(four);
        }
    }
}
