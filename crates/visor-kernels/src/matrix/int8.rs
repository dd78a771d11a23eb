//! Eight bits a weight: a whole number from -127 to 127 times a factor that its output has.
//!
//! In [`Dynamic`] rows are rounded on the way in as well, each between its own least and largest
//! value, and products are sums of whole numbers: exact, in any order.

use super::MatrixError;
use super::fours::Fours;
use super::vnni::Vnni;
use crate::rows::is_alone;
use rayon::prelude::*;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::{Isa, SimdOp};
use rten_tensor::NdTensorView;
use rten_vecmath::{MinMax, Quantize};
use std::mem::MaybeUninit;
use std::ops::Range;

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

fn expect_width(inputs: usize) -> Result<(), MatrixError> {
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
    order: Order,
    scales: Vec<f32>,
    /// The sum of each output's weights: what a zero of a row adds to its products.
    sums: Vec<i32>,
    inputs: usize,
    /// The largest number that a row is rounded to.
    levels: f32,
}

/// Whose products they are.
enum Order {
    /// Our own, where the processor has the instruction.
    Fours(Fours),
    /// Those of a crate, on all others.
    Executor(PackedBMatrix<i8>),
}

/// A row in eight bits: `(number - zero) * step`.
#[derive(Clone, Copy)]
pub(super) struct Rounded {
    step: f32,
    zero: u8,
}

impl Dynamic {
    pub(super) fn new(weights: &Quantised) -> Self {
        Self::ordered(weights, Vnni::detect())
    }

    pub(super) fn ordered(weights: &Quantised, vnni: Option<Vnni>) -> Self {
        let shape = [weights.outputs(), weights.inputs()];
        let view = NdTensorView::from_data(shape, weights.values());
        let order = match vnni {
            Some(vnni) => Order::Fours(Fours::new(vnni, weights.values(), shape)),
            None => Order::Executor(EXECUTOR.with(|gemm| gemm.prepack_b(view.transposed()))),
        };
        let sum = |row: &[i8]| row.iter().map(|&value| i32::from(value)).sum();
        let rows = weights.values().chunks_exact(weights.inputs().max(1));
        Self {
            sums: rows.map(sum).collect(),
            order,
            scales: weights.scales().to_vec(),
            inputs: weights.inputs(),
            // Where pairs of products are added up in 16 bits, half the numbers must do.
            levels: if EXECUTOR.with(GemmExecutor::may_saturate) { 127.0 } else { 255.0 },
        }
    }

    /// A byte a weight, a factor and a sum an output; an executor's own sums are as many again.
    pub(super) fn bytes(&self) -> usize {
        let own = self.scales.len() * (size_of::<f32>() + size_of::<i32>());
        own + match &self.order {
            Order::Fours(fours) => fours.bytes(),
            Order::Executor(_) => self.scales.len() * (self.inputs + size_of::<i32>()),
        }
    }

    /// Rows `x` by all weights, into `out`.
    pub(super) fn product(&self, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
        let (inputs, outputs) = (self.inputs, self.scales.len());
        let packed = match &self.order {
            Order::Fours(fours) => {
                let (numbers, rounded) = self.round(x);
                return fours.product(&numbers, &rounded, self, bias, out);
            }
            Order::Executor(packed) => packed,
        };
        let block = |x, out: &mut [f32]| {
            let (numbers, rounded) = self.round(x);
            self.executed(packed, &numbers, &rounded, bias, out);
        };
        let rows = x.len() / inputs;
        let size = rows.div_ceil(rayon::current_num_threads()).clamp(1, BLOCK);
        match is_alone() || rows < BLOCK {
            true => {
                let blocks = x.chunks(BLOCK * inputs).zip(out.chunks_mut(BLOCK * outputs));
                blocks.for_each(|(x, out)| block(x, out));
            }
            false => {
                let blocks = x.par_chunks(size * inputs).zip(out.par_chunks_mut(size * outputs));
                blocks.for_each(|(x, out)| block(x, out));
            }
        }
    }

    /// Rows in eight bits.
    fn round(&self, x: &[f32]) -> (Vec<u8>, Vec<Rounded>) {
        let inputs = self.inputs;
        let mut numbers = vec![0; x.len()];
        let round = |(row, numbers): (&[f32], &mut [u8])| {
            let rounded = Rounded::fit(row, self.levels);
            let steps = if rounded.step > 0.0 { rounded.step.recip() } else { 0.0 };
            let mut line = vec![MaybeUninit::uninit(); inputs];
            let row = Quantize::new(row, &mut line, steps, rounded.zero).dispatch();
            numbers.copy_from_slice(row);
            rounded
        };
        let rounded = match is_alone() || x.len() < BLOCK * inputs {
            true => {
                x.chunks_exact(inputs).zip(numbers.chunks_exact_mut(inputs)).map(round).collect()
            }
            false => {
                let rows = x.par_chunks_exact(inputs).zip(numbers.par_chunks_exact_mut(inputs));
                rows.map(round).collect()
            }
        };
        (numbers, rounded)
    }

    fn executed(
        &self,
        packed: &PackedBMatrix<i8>,
        numbers: &[u8],
        rounded: &[Rounded],
        bias: Option<&[f32]>,
        out: &mut [f32],
    ) {
        let outputs = self.scales.len();
        let mut sums = vec![0; out.len()];
        // The executor takes zeros of rows as well, and gives every eight rows those of the first
        // eight (0.27.0, `pack_a`): here they are taken off behind the product.
        let numbers = NdTensorView::from_data([rounded.len(), self.inputs], numbers);
        let (numbers, packed) = (GemmInputA::Unpacked(numbers), GemmInputB::Packed(packed));
        EXECUTOR
            .with(|gemm| gemm.gemm(&mut sums, numbers, packed, GemmOptions::default()))
            .expect("shapes follow from each other, and this executor has packed");
        self.scale(rounded, &sums, 0..outputs, bias, out, outputs);
    }

    /// Brings rows of sums of some outputs back to their scale, into the beginnings of lines of
    /// `out`.
    pub(super) fn scale(
        &self,
        rounded: &[Rounded],
        sums: &[i32],
        outputs: Range<usize>,
        bias: Option<&[f32]>,
        out: &mut [f32],
        line: usize,
    ) {
        let (scales, weights) = (&self.scales[outputs.clone()], &self.sums[outputs.clone()]);
        let bias = bias.map(|bias| &bias[outputs]);
        Scale { sums, rounded, weights, scales, bias, out, line }.dispatch();
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
    /// As many rows as are rounded.
    sums: &'a [i32],
    rounded: &'a [Rounded],
    /// The sum of each output's weights.
    weights: &'a [i32],
    scales: &'a [f32],
    bias: Option<&'a [f32]>,
    out: &'a mut [f32],
    /// From a row of `out` to the next.
    line: usize,
}

impl SimdOp for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        let Self { sums, rounded, weights, scales, bias, out, line } = self;
        let rows = sums.chunks_exact(sums.len() / rounded.len()).zip(out.chunks_mut(line));
        for (&Rounded { step, zero }, (sums, out)) in rounded.iter().zip(rows) {
            let zero = i32::from(zero);
            let of_outputs = weights.iter().zip(scales);
            for ((out, &sum), (&weights, &scale)) in out.iter_mut().zip(sums).zip(of_outputs) {
                *out = (sum - zero * weights) as f32 * (step * scale);
            }
            if let Some(bias) = bias {
                out.iter_mut().zip(bias).for_each(|(out, bias)| *out += bias);
            }
        }
    }
}
