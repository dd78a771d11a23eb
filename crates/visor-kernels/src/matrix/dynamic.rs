//! Products in eight bits: rows are rounded on the way in as well as weights, each between its own
//! least and largest value, and products are sums of whole numbers: exact, in any order.

use super::MatrixError;
use super::dots::{Ordered, Sums};
use super::int8::Quantised;
use super::vnni::Vnni;
use crate::rows::is_alone;
use rayon::prelude::*;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::{Isa, SimdOp};
use rten_tensor::NdTensorView;
use rten_vecmath::{MinMax, Quantize};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Rows that are rounded, multiplied and given back their scale together.
const BLOCK: usize = 64;

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

/// Weights on their way into an order.
pub(super) struct Gathering {
    order: Gathered,
    scales: Vec<f32>,
    sums: Vec<i32>,
    outputs: usize,
    inputs: usize,
}

enum Gathered {
    /// Row by row to their places.
    Fours(Ordered<Vnni>),
    /// What brings them in order wants all of them, a byte each.
    Whole(Vec<i8>),
}

impl Gathering {
    /// None yet of `[outputs, inputs]`, for products with an instruction or without.
    pub(super) fn new([outputs, inputs]: [usize; 2], vnni: Option<Vnni>) -> Self {
        let order = match vnni {
            Some(vnni) => Gathered::Fours(Ordered::new(vnni, [outputs, inputs])),
            None => Gathered::Whole(Vec::new()),
        };
        Self { order, scales: Vec::new(), sums: Vec::new(), outputs, inputs }
    }

    /// Puts rows behind those that are there.
    pub(super) fn push(&mut self, rows: &Quantised) -> Result<(), MatrixError> {
        let &mut Self { outputs, inputs, .. } = self;
        let none = |_| MatrixError::Memory { outputs, inputs };
        match &mut self.order {
            Gathered::Fours(fours) => fours.push(rows.values())?,
            Gathered::Whole(all) => {
                let missing = outputs.saturating_mul(inputs).saturating_sub(all.len());
                all.try_reserve_exact(missing).map_err(none)?;
                all.extend_from_slice(rows.values());
            }
        }
        let sum = |row: &[i8]| row.iter().map(|&value| i32::from(value)).sum::<i32>();
        self.sums.extend(rows.values().chunks_exact(inputs.max(1)).map(sum));
        self.scales.extend_from_slice(rows.scales());
        Ok(())
    }

    /// The weights in order, of which every row has come.
    pub(super) fn finish(self) -> Dynamic {
        let Self { order, scales, sums, inputs, .. } = self;
        let order = match order {
            Gathered::Fours(fours) => Order::Fours(fours),
            Gathered::Whole(values) => {
                let view = NdTensorView::from_data([scales.len(), inputs], values.as_slice());
                Order::Executor(EXECUTOR.with(|gemm| gemm.prepack_b(view.transposed())))
            }
        };
        // Where pairs of products are added up in 16 bits, half the numbers must do.
        let levels = if EXECUTOR.with(GemmExecutor::may_saturate) { 127.0 } else { 255.0 };
        Dynamic { order, scales, sums, inputs, levels }
    }
}

/// Whose products they are.
enum Order {
    /// Our own, where the processor has the instruction.
    Fours(Ordered<Vnni>),
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
                return fours.product(&numbers, out, |Sums { sums, rows, outputs, out, line }| {
                    self.scale(&rounded[rows], sums, outputs, bias, out, line);
                });
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
