//! Eight bits a weight: a whole number from -127 to 127 times a factor that its output has.
//!
//! In [`Dynamic`] rows are rounded on the way in as well, each between its own least and largest
//! value, and products are sums of whole numbers: exact, in any order.

use super::MatrixError;
use crate::rows::is_alone;
use rayon::prelude::*;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::{Isa, SimdOp};
use rten_tensor::NdTensorView;
use rten_vecmath::{MinMax, Quantize};
use std::mem::MaybeUninit;

/// Weights and the values that they are multiplied with, at their largest, over longer rows might
/// leave 32 bits.
pub const MAX_INPUTS: usize = 1 << 16;

/// The largest weight: -128 is left out, so that signs are alike.
const LARGEST: f32 = 127.0;

/// Rows that are rounded, multiplied and given back their scale together.
const BLOCK: usize = 64;

/// Weights `[outputs, inputs]` in eight bits, with a factor for each output, as they are stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantised {
    values: Vec<i8>,
    scales: Vec<f32>,
    inputs: usize,
}

impl Quantised {
    /// No rows yet.
    pub(super) fn none(inputs: usize) -> Self {
        Self { values: Vec::new(), scales: Vec::new(), inputs }
    }

    /// Puts rows of the same width behind those that are there, of which there will be `outputs`.
    pub(super) fn append(&mut self, rows: &Self, outputs: usize) -> Result<(), MatrixError> {
        let (all, inputs) = (outputs.saturating_mul(self.inputs), self.inputs);
        let none = |_| MatrixError::Memory { outputs, inputs };
        self.values.try_reserve_exact(all.saturating_sub(self.values.len())).map_err(none)?;
        self.values.extend_from_slice(&rows.values);
        self.scales.extend_from_slice(&rows.scales);
        Ok(())
    }

    /// Rounds each row to whole steps, 127 of which reach its value of largest size.
    ///
    /// # Errors
    /// [`MatrixError::Size`], [`MatrixError::TooWide`].
    pub fn nearest(values: &[f32], [outputs, inputs]: [usize; 2]) -> Result<Self, MatrixError> {
        super::expect_size(values.len(), outputs, inputs)?;
        expect_width(inputs)?;
        let mut all = Vec::with_capacity(values.len());
        let mut scales = Vec::with_capacity(outputs);
        for row in values.chunks_exact(inputs.max(1)) {
            let size = row.iter().fold(0.0_f32, |size, value| size.max(value.abs()));
            let scale = short(size / LARGEST);
            // Of a row of zeros, or of values too small for a factor, zeros are left.
            let steps = if scale.is_normal() { scale.recip() } else { 0.0 };
            all.extend(row.iter().map(|value| (value * steps).round_ties_even() as i8));
            scales.push(if steps == 0.0 { 0.0 } else { scale });
        }
        Ok(Self { values: all, scales, inputs })
    }

    /// Of whole numbers `[outputs, inputs]` and a factor an output.
    ///
    /// # Errors
    /// [`MatrixError::Size`], [`MatrixError::TooWide`].
    pub fn from_parts(
        values: Vec<i8>,
        scales: Vec<f32>,
        inputs: usize,
    ) -> Result<Self, MatrixError> {
        super::expect_size(values.len(), scales.len(), inputs)?;
        expect_width(inputs)?;
        Ok(Self { values, scales, inputs })
    }

    /// Rows.
    pub fn outputs(&self) -> usize {
        self.scales.len()
    }

    /// Values of a row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The whole numbers, row by row.
    pub fn values(&self) -> &[i8] {
        &self.values
    }

    /// The factor of each row.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// What the weights come to.
    pub fn to_f32(&self) -> Vec<f32> {
        let rows = self.values.chunks_exact(self.inputs.max(1)).zip(&self.scales);
        rows.flat_map(|(row, &scale)| row.iter().map(move |&value| f32::from(value) * scale))
            .collect()
    }
}

/// The next factor above whose 17 bits, times a number of 7, are single precision without rounding:
/// what is made of numbers and factor rounds to the same numbers and factor again.
fn short(scale: f32) -> f32 {
    f32::from_bits((scale.to_bits() + 0x7F) & !0x7F)
}

pub(super) fn expect_width(inputs: usize) -> Result<(), MatrixError> {
    match inputs <= MAX_INPUTS {
        true => Ok(()),
        false => Err(MatrixError::TooWide { inputs }),
    }
}

thread_local! {
    /// One a thread: it cannot be handed to another, and looks for instructions when it is made.
    static EXECUTOR: GemmExecutor<u8, i8, i32> = GemmExecutor::new();
}

/// Weights in the order of the products of whole numbers.
pub(super) struct Dynamic {
    packed: PackedBMatrix<i8>,
    scales: Vec<f32>,
    /// The sum of each output's weights: what a zero of a row adds to its products.
    sums: Vec<i32>,
    inputs: usize,
    /// The largest number that a row is rounded to.
    levels: f32,
}

/// A row in eight bits: `(number - zero) * step`.
#[derive(Clone, Copy)]
struct Rounded {
    step: f32,
    zero: u8,
}

impl Dynamic {
    pub(super) fn new(weights: Quantised) -> Self {
        let Quantised { values, scales, inputs } = weights;
        let view = NdTensorView::from_data([scales.len(), inputs], values.as_slice());
        let sum = |row: &[i8]| row.iter().map(|&value| i32::from(value)).sum();
        Self {
            sums: values.chunks_exact(inputs.max(1)).map(sum).collect(),
            packed: EXECUTOR.with(|gemm| gemm.prepack_b(view.transposed())),
            scales,
            inputs,
            // Where pairs of products are added up in 16 bits, half the numbers must do.
            levels: if EXECUTOR.with(GemmExecutor::may_saturate) { 127.0 } else { 255.0 },
        }
    }

    /// A byte a weight, a factor and a sum an output; the executor's own sums are as many again.
    pub(super) fn bytes(&self) -> usize {
        self.scales.len() * (self.inputs + size_of::<f32>() + 2 * size_of::<i32>())
    }

    /// Rows `x` by all weights, into `out`.
    pub(super) fn product(&self, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
        let (inputs, outputs) = (self.inputs, self.scales.len());
        let rows = x.len() / inputs;
        let block = rows.div_ceil(rayon::current_num_threads()).clamp(1, BLOCK);
        let (from, to) = (block * inputs, block * outputs);
        match is_alone() || rows < BLOCK {
            true => {
                let blocks = x.chunks(BLOCK * inputs).zip(out.chunks_mut(BLOCK * outputs));
                blocks.for_each(|(x, out)| self.block(x, bias, out));
            }
            false => {
                let blocks = x.par_chunks(from).zip(out.par_chunks_mut(to));
                blocks.for_each(|(x, out)| self.block(x, bias, out));
            }
        }
    }

    fn block(&self, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
        let (inputs, outputs) = (self.inputs, self.scales.len());
        let mut numbers = Vec::with_capacity(x.len());
        let mut line = vec![MaybeUninit::uninit(); inputs];
        let rounded: Vec<Rounded> = x
            .chunks_exact(inputs)
            .map(|row| {
                let rounded = Rounded::fit(row, self.levels);
                let steps = if rounded.step > 0.0 { rounded.step.recip() } else { 0.0 };
                let row = Quantize::new(row, &mut line, steps, rounded.zero).dispatch();
                numbers.extend_from_slice(row);
                rounded
            })
            .collect();
        let mut sums = vec![0; out.len()];
        let numbers = NdTensorView::from_data([rounded.len(), inputs], numbers.as_slice());
        // The executor takes zeros of rows as well, and gives every eight rows those of the first
        // eight (0.27.0, `pack_a`): here they are taken off behind the product.
        let numbers = GemmInputA::Unpacked(numbers);
        let packed = GemmInputB::Packed(&self.packed);
        EXECUTOR
            .with(|gemm| gemm.gemm(&mut sums, numbers, packed, GemmOptions::default()))
            .expect("shapes follow from each other, and this executor has packed");
        let rows = sums.chunks_exact(outputs).zip(out.chunks_exact_mut(outputs));
        for ((sums, out), row) in rows.zip(rounded) {
            Scale { sums, row, weights: self, bias, out }.dispatch();
        }
    }
}

impl Rounded {
    /// From the least to the largest value of a row, with zero between them, in whole steps.
    fn fit(row: &[f32], levels: f32) -> Self {
        let (least, largest) = MinMax::new(row).dispatch();
        let (least, largest) = (least.min(0.0), largest.max(0.0));
        let step = (largest - least) / levels;
        if !step.is_finite() || row.iter().any(|value| value.is_nan()) {
            // What is not a number stays none.
            return Self { step: f32::NAN, zero: 0 };
        }
        if !step.is_normal() {
            return Self { step: 0.0, zero: 0 };
        }
        Self { step, zero: (-least / step).round_ties_even() as u8 }
    }
}

/// Sums of whole numbers, brought back to their scale.
struct Scale<'a> {
    sums: &'a [i32],
    row: Rounded,
    weights: &'a Dynamic,
    bias: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl SimdOp for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        let Self { sums, row: Rounded { step, zero }, weights, bias, out } = self;
        let zero = i32::from(zero);
        let of_outputs = weights.sums.iter().zip(&weights.scales);
        for ((out, &sum), (&weights, &scale)) in out.iter_mut().zip(sums).zip(of_outputs) {
            *out = (sum - zero * weights) as f32 * (step * scale);
        }
        if let Some(bias) = bias {
            out.iter_mut().zip(bias).for_each(|(out, bias)| *out += bias);
        }
    }
}
