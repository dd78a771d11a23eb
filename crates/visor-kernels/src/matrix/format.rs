//! How weights lie in memory, and how a line of them becomes single precision in registers.

use super::MatrixError;
use half::{bf16, f16};
use rten_simd::ops::{BitOps, Extend, IntOps, ToFloat};
use rten_simd::{Isa, Simd};

/// A format of weights. A line is what one register holds: `V` times as many weights as it holds
/// numbers of single precision.
pub(super) trait Format<const V: usize>: Send + Sync + 'static {
    /// One weight.
    type Word: Copy + Default + Send + Sync;

    /// A line in single precision: register `v` gets the columns from `v * lanes` on.
    fn widen<I: Isa>(isa: I, line: &[Self::Word]) -> [I::F32; V];

    /// Where in a line a column lies, so that [`widen`](Self::widen) finds it.
    fn place(column: usize, lanes: usize) -> usize {
        // Columns that go to the same lane lie side by side, so that shifts part them.
        column % lanes * V + column / lanes
    }

    /// One weight in single precision.
    fn number(word: Self::Word) -> f32;
}

/// Single precision itself: nothing widens, and two registers make a line.
pub(super) struct Single;

impl Format<2> for Single {
    type Word = f32;

    #[inline(always)]
    fn widen<I: Isa>(isa: I, line: &[f32]) -> [I::F32; 2] {
        let ops = isa.f32();
        [ops.load(line), ops.load(&line[ops.len()..])]
    }

    fn place(column: usize, _lanes: usize) -> usize {
        column
    }

    fn number(word: f32) -> f32 {
        word
    }
}

/// Formats of two bytes, which values are rounded to.
pub(super) trait Half: Format<2, Word = u16> {
    /// Its name.
    const NAME: &'static str;

    /// The nearest, or infinity.
    fn nearest(value: f32) -> u16;

    /// The nearest of the value at a place.
    fn round(value: f32, place: usize) -> Result<u16, MatrixError> {
        let word = Self::nearest(value);
        match Self::number(word).is_finite() {
            true => Ok(word),
            false => Err(MatrixError::Overflow { place, value, format: Self::NAME }),
        }
    }
}

/// The upper half of single precision.
pub(super) struct Bf16;

impl Format<2> for Bf16 {
    type Word = u16;

    #[inline(always)]
    fn widen<I: Isa>(isa: I, line: &[u16]) -> [I::F32; 2] {
        let (ops, floats) = (isa.i32(), isa.f32());
        let pairs = ops.from_bits(isa.u16().load(line).to_bits());
        let low = ops.shift_left::<16>(pairs);
        let high = ops.and(pairs, ops.splat(!0xFFFF));
        [floats.from_bits(low.to_bits()), floats.from_bits(high.to_bits())]
    }

    fn number(word: u16) -> f32 {
        bf16::from_bits(word).to_f32()
    }
}

impl Half for Bf16 {
    const NAME: &'static str = "bf16";

    fn nearest(value: f32) -> u16 {
        bf16::from_f32(value).to_bits()
    }
}

/// IEEE half precision.
pub(super) struct F16;

impl Format<2> for F16 {
    type Word = u16;

    #[inline(always)]
    fn widen<I: Isa>(isa: I, line: &[u16]) -> [I::F32; 2] {
        let ops = isa.f16();
        let halves = ops.from_bits(isa.u16().load(line).to_bits());
        [ops.extend_low(halves), ops.extend_high(halves)]
    }

    fn place(column: usize, _lanes: usize) -> usize {
        column
    }

    fn number(word: u16) -> f32 {
        f16::from_bits(word).to_f32()
    }
}

impl Half for F16 {
    const NAME: &'static str = "f16";

    fn nearest(value: f32) -> u16 {
        f16::from_f32(value).to_bits()
    }
}

/// Whole numbers of eight bits.
pub(super) struct Int8;

impl Format<4> for Int8 {
    type Word = i8;

    #[inline(always)]
    fn widen<I: Isa>(isa: I, line: &[i8]) -> [I::F32; 4] {
        let ops = isa.i32();
        let fours = ops.from_bits(isa.i8().load(line).to_bits());
        // Up to the sign's place and down again: the sign is spread.
        [
            ops.to_float(ops.shift_right::<24>(ops.shift_left::<24>(fours))),
            ops.to_float(ops.shift_right::<24>(ops.shift_left::<16>(fours))),
            ops.to_float(ops.shift_right::<24>(ops.shift_left::<8>(fours))),
            ops.to_float(ops.shift_right::<24>(fours)),
        ]
    }

    fn number(word: i8) -> f32 {
        f32::from(word)
    }
}
