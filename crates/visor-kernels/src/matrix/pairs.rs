//! Sums of two products of bf16 at once: AVX512-BF16.
//!
//! One of the two files that hold `unsafe`, once each: an instruction may be run where the processor
//! has it, and no crate underneath offers this one. Rows are rounded to bf16 on the way in, as other
//! devices do it, and sums are in single precision.

use super::MatrixError;
use super::dots::{Dots, Ordered, Sums, WIDTH};
use super::format::{Bf16, Format, Half};
use crate::rows::is_alone;
use rayon::prelude::*;
use rten_simd::{Isa, SimdOp};

/// Numbers of a register.
const NUMBERS: usize = 32;
/// Sums of a register.
const LANES: usize = NUMBERS / 2;
/// The bits of bf16 that are all set where it is no finite number.
const INFINITE: u16 = 0x7F80;
/// Values that are worth a task of their own where they are rounded.
const TASK: usize = 1 << 15;

/// Weights in pairs of inputs, in the order of the instruction.
pub(super) struct Pairs {
    ordered: Ordered<Bf16Dots>,
    outputs: usize,
    inputs: usize,
}

impl Pairs {
    /// No rows yet of `[outputs, inputs]`; `None` where the processor lacks the instruction.
    pub(super) fn new(dims @ [outputs, inputs]: [usize; 2]) -> Option<Self> {
        let ordered = Ordered::new(Bf16Dots::detect()?, dims);
        Some(Self { ordered, outputs, inputs })
    }

    /// Rounds whole rows and puts them behind those that are there.
    pub(super) fn push(&mut self, rows: &[f32]) -> Result<(), MatrixError> {
        let words = rounded(rows);
        // Looked at together, for there is hardly ever one.
        if words.iter().fold(false, |some, word| some | (word & INFINITE == INFINITE)) {
            let first = self.ordered.filled() * self.inputs;
            (first..).zip(rows).try_for_each(|(place, &row)| Bf16::round(row, place).map(drop))?;
        }
        self.ordered.push(&words)
    }

    pub(super) fn bytes(&self) -> usize {
        self.ordered.bytes()
    }

    /// A row of weights.
    pub(super) fn row(&self, row: usize) -> Vec<f32> {
        self.ordered.row(row).map(Bf16::number).collect()
    }

    /// Rows `x` by all weights, into `out`.
    pub(super) fn product(&self, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
        let numbers = rounded(x);
        debug_assert_eq!(out.len(), x.len() / self.inputs * self.outputs);
        self.ordered.product(&numbers, out, |Sums { sums, outputs, out, line, .. }| {
            let n = outputs.len();
            for (sums, out) in sums.chunks_exact(WIDTH).zip(out.chunks_mut(line)) {
                out[..n].copy_from_slice(&sums[..n]);
                if let Some(bias) = bias {
                    let bias = &bias[outputs.clone()];
                    out[..n].iter_mut().zip(bias).for_each(|(out, bias)| *out += bias);
                }
            }
        });
    }
}

/// Values rounded to bf16.
fn rounded(x: &[f32]) -> Vec<u16> {
    let mut numbers = vec![0; x.len()];
    match is_alone() || x.len() <= TASK {
        true => Round { x, numbers: &mut numbers }.dispatch(),
        false => {
            let pieces = x.par_chunks(TASK).zip(numbers.par_chunks_mut(TASK));
            pieces.for_each(|(x, numbers)| Round { x, numbers }.dispatch());
        }
    }
    numbers
}

/// Rounds values to bf16.
struct Round<'a> {
    x: &'a [f32],
    numbers: &'a mut [u16],
}

impl SimdOp for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        for (number, &value) in self.numbers.iter_mut().zip(self.x) {
            let bits = value.to_bits();
            // To the nearest, of two that are as near to the even one.
            let nearest = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16;
            let quiet = bits >> 16 | 0x40;
            *number = if value.is_nan() { quiet as u16 } else { nearest as u16 };
        }
    }
}

/// This processor has the instruction.
#[derive(Clone, Copy, Debug)]
struct Bf16Dots(());

impl Bf16Dots {
    /// Where it has.
    #[cfg(target_arch = "x86_64")]
    fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16");
        has.then_some(Self(()))
    }

    /// No processor of this kind has.
    #[cfg(not(target_arch = "x86_64"))]
    fn detect() -> Option<Self> {
        None
    }
}

/// The second product of a pair is added before the first; numbers too small for full precision
/// count as zero.
impl Dots for Bf16Dots {
    type Number = u16;
    type Group = [u16; 2];
    type Weight = u16;
    type Line = [[u16; NUMBERS]; 2];
    type Sum = f32;

    const DEPTH: usize = 2;
    const ZEROS: Self::Line = [[0; NUMBERS]; 2];

    #[inline(always)]
    fn group(numbers: &[u16]) -> [u16; 2] {
        match *numbers {
            [first, second] => [first, second],
            [first] => [first, 0],
            _ => [0; 2],
        }
    }

    #[inline(always)]
    fn weights(line: &mut Self::Line, output: usize) -> &mut [u16] {
        &mut line[output / LANES][output % LANES * 2..][..2]
    }

    #[cfg(target_arch = "x86_64")]
    fn sums<const R: usize>(
        self,
        rows: &[[[u16; 2]; R]],
        panel: &[Self::Line],
    ) -> [[f32; WIDTH]; R] {
        // SAFETY: `self` is made by `detect` alone, where the processor was found to have both
        // features that the function is compiled for; it asks for nothing else.
        #[expect(unsafe_code, reason = "a measured need: products with weights of bf16")]
        unsafe {
            sums(rows, panel)
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn sums<const R: usize>(self, _: &[[[u16; 2]; R]], _: &[Self::Line]) -> [[f32; WIDTH]; R] {
        unreachable!("there is no such processor to make one on")
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
fn sums<const R: usize>(
    rows: &[[[u16; 2]; R]],
    panel: &[[[u16; NUMBERS]; 2]],
) -> [[f32; WIDTH]; R] {
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_set1_epi32, _mm512_setzero_ps,
    };
    // Counted by constants, so that every sum has a register of its own.
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    for (x, line) in rows.iter().zip(panel) {
        let line: [__m512bh; 2] = [bytemuck::cast(line[0]), bytemuck::cast(line[1])];
        for r in 0..R {
            let x: __m512i = _mm512_set1_epi32(bytemuck::cast(x[r]));
            let x: __m512bh = bytemuck::cast(x);
            for v in 0..2 {
                sums[r][v] = _mm512_dpbf16_ps(sums[r][v], x, line[v]);
            }
        }
    }
    let mut out = [[0.0; WIDTH]; R];
    for r in 0..R {
        let registers: [[f32; LANES]; 2] = [bytemuck::cast(sums[r][0]), bytemuck::cast(sums[r][1])];
        out[r] = bytemuck::cast(registers);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::noise;
    use half::bf16;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_are_rounded_as_bf16_is_defined(bits in any::<u32>()) {
            let mut number = [0];
            Round { x: &[f32::from_bits(bits)], numbers: &mut number }.dispatch();
            prop_assert_eq!(number[0], bf16::from_f32(f32::from_bits(bits)).to_bits());
        }

        #[test]
        fn sums_of_pairs_are_those_of_their_definition(
            rows in 1_usize..30,
            outputs in 1_usize..70,
            inputs in 1_usize..90,
            seed in 0_u32..1000,
        ) {
            // A processor without the instruction has nothing to show.
            let Some(mut pairs) = Pairs::new([outputs, inputs]) else { return Ok(()) };
            let (weights, x) = (noise(outputs * inputs, seed), noise(rows * inputs, seed + 1));
            pairs.push(&weights).expect("small values");
            let mut out = vec![0.0; rows * outputs];
            pairs.product(&x, None, &mut out);
            let number = |value: f32| f64::from(bf16::from_f32(value).to_f32());
            for (place, &got) in out.iter().enumerate() {
                let row = &x[place / outputs * inputs..][..inputs];
                let of_output = &weights[place % outputs * inputs..][..inputs];
                let products = row.iter().zip(of_output).map(|(&x, &w)| number(x) * number(w));
                let (sum, size) = products.fold((0.0, 0.0), |(sum, size), product| {
                    (sum + product, size + product.abs())
                });
                prop_assert!((f64::from(got) - sum).abs() <= 1e-5 * (1.0 + size), "{got} {sum}");
            }
        }
    }
}
