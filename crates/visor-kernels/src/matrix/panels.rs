//! Products whose weights widen to single precision in registers.
//!
//! A panel is as many outputs as a line holds; its lines, one an input, lie one after another. A
//! tile is some rows by one or two panels: its sums stay in registers while all inputs go by. Every
//! sum is taken in the order of the inputs, whatever the tile.

use super::format::Format;
use super::share::{Share, heights};
use super::{MatrixError, TALLEST};
use crate::rows::is_alone;
use rayon::prelude::*;
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};
use std::marker::PhantomData;
use std::ops::Range;

/// Most rows that are laid out for a pass over the panels: with their inputs they stay in a
/// second-level cache.
const ROWS: usize = 96;
/// Lines that are filled at a time: they stay in a first-level cache.
const LINES: usize = 64;
/// The longest line: 64 bytes of int8.
const LONGEST: usize = 64;

/// Weights in panels.
pub(super) struct Panels<F: Format<V>, const V: usize> {
    words: Vec<F::Word>,
    outputs: usize,
    /// Rows that have come: all of them, before there are products.
    filled: usize,
    inputs: usize,
    /// Numbers of single precision that a register holds.
    lanes: usize,
    format: PhantomData<F>,
}

/// What is done to sums before they are handed out.
#[derive(Clone, Copy)]
pub(super) struct Ending<'a> {
    /// A factor an output.
    pub(super) scales: Option<&'a [f32]>,
    /// Is added to each output.
    pub(super) bias: Option<&'a [f32]>,
}

impl<F: Format<V>, const V: usize> Panels<F, V> {
    /// No rows yet of `[outputs, inputs]`.
    pub(super) fn new([outputs, inputs]: [usize; 2]) -> Self {
        let (words, lanes) = (Vec::new(), Lanes.dispatch());
        Self { words, outputs, filled: 0, inputs, lanes, format: PhantomData }
    }

    /// Puts whole rows behind those that are there; `word` gives that of a value at a place, counted
    /// through all rows. Columns that fill up the last panel are zeros.
    pub(super) fn push<T: Copy + Sync>(
        &mut self,
        rows: &[T],
        word: &(impl Fn(T, usize) -> Result<F::Word, MatrixError> + Sync),
    ) -> Result<(), MatrixError> {
        let &mut Self { outputs, filled: done, inputs, lanes, .. } = self;
        let (width, panel) = (self.width(), self.width() * inputs);
        let all = outputs.div_ceil(width).saturating_mul(panel);
        if self.words.len() < all {
            // Zeros of the system's cost nothing before they are written over, but a want of them
            // ends the process: so much is asked for first, and seen to be.
            let none = |_| MatrixError::Memory { outputs, inputs };
            std::hint::black_box(&mut Vec::<F::Word>::new())
                .try_reserve_exact(all)
                .map_err(none)?;
            self.words = vec![F::Word::default(); all];
        }
        let filled = done + rows.len().checked_div(inputs).unwrap_or(0);
        // The first row goes to the panel of the last one before, where that has room.
        let first = done / width;
        let fill = |(index, words): (usize, &mut [F::Word])| {
            let start = (first + index) * width;
            let outputs = done.max(start)..filled.min(start + width);
            (0..inputs).step_by(LINES).try_for_each(|from| {
                let lines = from..inputs.min(from + LINES);
                outputs.clone().try_for_each(|output| {
                    let place = F::place(output - start, lanes);
                    let row = &rows[(output - done) * inputs..][..inputs];
                    lines.clone().zip(&row[lines.clone()]).try_for_each(|(input, &value)| {
                        words[input * width + place] = word(value, output * inputs + input)?;
                        Ok(())
                    })
                })
            })
        };
        let words = &mut self.words[first * panel..filled.div_ceil(width) * panel];
        match is_alone() {
            true => words.chunks_mut(panel.max(1)).enumerate().try_for_each(fill)?,
            false => words.par_chunks_mut(panel.max(1)).enumerate().try_for_each(fill)?,
        }
        self.filled = filled;
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.words.as_slice())
    }

    fn width(&self) -> usize {
        V * self.lanes
    }

    /// A row of weights, times `scale`.
    pub(super) fn row(&self, row: usize, scale: f32) -> Vec<f32> {
        let (width, panel) = (self.width(), self.panel(row / self.width()));
        let place = F::place(row % width, self.lanes);
        panel.chunks_exact(width).map(|line| F::number(line[place]) * scale).collect()
    }

    fn panel(&self, panel: usize) -> &[F::Word] {
        let length = self.width() * self.inputs;
        &self.words[panel * length..][..length]
    }

    /// Rows `x` by all panels, into `out`.
    pub(super) fn product(&self, x: &[f32], ending: Ending<'_>, out: &mut [f32]) {
        let &Self { outputs, inputs, .. } = self;
        let share = Share { rows: x.len() / inputs, outputs, inputs, width: self.width() };
        share.among_threads(out, |rows, panels, out| {
            let x = &x[rows.start * inputs..rows.end * inputs];
            Part { weights: self, x, panels, ending, out }.dispatch();
        });
    }
}

/// Rows by some panels.
struct Part<'a, F: Format<V>, const V: usize> {
    weights: &'a Panels<F, V>,
    x: &'a [f32],
    panels: Range<usize>,
    ending: Ending<'a>,
    /// `[rows, outputs of the panels]`.
    out: &'a mut [f32],
}

impl<F: Format<V>, const V: usize> SimdOp for Part<'_, F, V> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(mut self, isa: I) {
        let (inputs, lanes) = (self.weights.inputs, isa.f32().len());
        assert_eq!(lanes, self.weights.lanes, "weights lie as this processor takes them");
        let rows = self.x.len() / inputs;
        // Sums, a line and a number stay within the registers that there are.
        let most = match (lanes, V) {
            (8, 2) => 6,
            (8, _) => 2,
            (_, 2) => TALLEST,
            _ => 6,
        };
        let mut laid = Vec::new();
        for first in (0..rows).step_by(ROWS) {
            let tiles = heights(first..rows.min(first + ROWS), most);
            laid.clear();
            for tile in &tiles {
                lay(&self.x[tile.start * inputs..tile.end * inputs], tile.len(), &mut laid);
            }
            let mut panel = self.panels.start;
            while panel < self.panels.end {
                let pair = panel + 1 < self.panels.end;
                for tile in &tiles {
                    let x = &laid[(tile.start - first) * inputs..][..tile.len() * inputs];
                    match tile.len() {
                        12 => self.tiles::<I, 12>(isa, x, tile.start, panel, pair),
                        6 => self.tiles::<I, 6>(isa, x, tile.start, panel, pair),
                        2 => self.tiles::<I, 2>(isa, x, tile.start, panel, pair),
                        _ => self.tiles::<I, 1>(isa, x, tile.start, panel, pair),
                    }
                }
                panel += 1 + usize::from(pair);
            }
        }
    }
}

impl<F: Format<V>, const V: usize> Part<'_, F, V> {
    /// One panel or a pair of them: a single row takes a pair at once, so that there are sums enough
    /// to work on while others are on their way.
    #[inline(always)]
    fn tiles<I: Isa, const R: usize>(
        &mut self,
        isa: I,
        x: &[f32],
        row: usize,
        panel: usize,
        pair: bool,
    ) {
        match (pair, R) {
            (true, 1) => self.tile::<I, R, 2>(isa, x, row, panel),
            (true, _) => {
                self.tile::<I, R, 1>(isa, x, row, panel);
                self.tile::<I, R, 1>(isa, x, row, panel + 1);
            }
            (false, _) => self.tile::<I, R, 1>(isa, x, row, panel),
        }
    }

    /// `R` rows, laid out, by `P` panels.
    #[inline(always)]
    fn tile<I: Isa, const R: usize, const P: usize>(
        &mut self,
        isa: I,
        x: &[f32],
        row: usize,
        panel: usize,
    ) {
        let ops = isa.f32();
        let width = V * ops.len();
        let panels: [_; P] = std::array::from_fn(|p| self.weights.panel(panel + p));
        let mut lines = panels.map(|panel| panel.chunks_exact(width));
        // Counted by constants, so that every sum has a register of its own.
        let mut sums = [[[ops.zero(); V]; P]; R];
        for x in x.chunks_exact(R) {
            let x: &[f32; R] = x.try_into().expect("a value a row");
            for p in 0..P {
                let line = lines[p].next().expect("a line an input");
                let weights = F::widen(isa, line);
                for r in 0..R {
                    let x = ops.splat(x[r]);
                    for v in 0..V {
                        sums[r][p][v] = ops.mul_add(x, weights[v], sums[r][p][v]);
                    }
                }
            }
        }
        let mut line = [0.0; LONGEST];
        for (r, sums) in sums.iter().enumerate() {
            for (p, sums) in sums.iter().enumerate() {
                for (v, &sum) in sums.iter().enumerate() {
                    ops.store(sum, &mut line[v * ops.len()..]);
                }
                self.hand_out(&mut line, row + r, panel + p);
            }
        }
    }

    /// Ends the sums of a row and a panel.
    #[inline(always)]
    fn hand_out(&mut self, line: &mut [f32; LONGEST], row: usize, panel: usize) {
        let width = self.weights.width();
        let all = self.weights.outputs.min(self.panels.end * width) - self.panels.start * width;
        let (first, at) = (panel * width, (panel - self.panels.start) * width);
        let n = width.min(all - at);
        let line = &mut line[..n];
        if let Some(scales) = self.ending.scales {
            line.iter_mut().zip(&scales[first..]).for_each(|(sum, scale)| *sum *= scale);
        }
        if let Some(bias) = self.ending.bias {
            line.iter_mut().zip(&bias[first..]).for_each(|(sum, bias)| *sum += bias);
        }
        self.out[row * all + at..][..n].copy_from_slice(line);
    }
}

/// Rows as a tile takes them: the first value of each, the second of each, and so on.
#[inline(always)]
fn lay(x: &[f32], rows: usize, laid: &mut Vec<f32>) {
    let (start, inputs) = (laid.len(), x.len() / rows);
    laid.resize(start + x.len(), 0.0);
    for (r, row) in x.chunks_exact(inputs).enumerate() {
        for (to, &value) in laid[start + r..].iter_mut().step_by(rows).zip(row) {
            *to = value;
        }
    }
}

/// Numbers of single precision that a register of this processor holds.
struct Lanes;

impl SimdOp for Lanes {
    type Output = usize;

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> usize {
        isa.f32().len()
    }
}
