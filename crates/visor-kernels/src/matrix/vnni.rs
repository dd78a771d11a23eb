//! Sums of four products of bytes at once: AVX512-VNNI.
//!
//! One of the two files that hold `unsafe`, once each: an instruction may be run where the processor
//! has it, and the crates underneath offer this one inside their own products alone, which work out
//! eight rows for every one that is asked for. `docs/performance.md` has what that cost.

use super::dots::{Dots, WIDTH};

/// Bytes of a register.
const BYTES: usize = 64;
/// Sums of a register.
const LANES: usize = BYTES / 4;

/// This processor has the instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vnni(());

impl Vnni {
    /// Where it has.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni");
        has.then_some(Self(()))
    }

    /// No processor of this kind has.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn detect() -> Option<Self> {
        None
    }
}

/// Whole numbers, exact: they wrap around past 32 bits, which rows of
/// [`MAX_INPUTS`](super::MAX_INPUTS) do not reach.
impl Dots for Vnni {
    type Number = u8;
    type Group = [u8; 4];
    type Weight = i8;
    type Line = [[i8; BYTES]; 2];
    type Sum = i32;

    const DEPTH: usize = 4;
    const ZEROS: Self::Line = [[0; BYTES]; 2];

    #[inline(always)]
    fn group(numbers: &[u8]) -> [u8; 4] {
        let mut group = [0; 4];
        group[..numbers.len()].copy_from_slice(numbers);
        group
    }

    #[inline(always)]
    fn weights(line: &mut Self::Line, output: usize) -> &mut [i8] {
        &mut line[output / LANES][output % LANES * 4..][..4]
    }

    #[cfg(target_arch = "x86_64")]
    fn sums<const R: usize>(
        self,
        rows: &[[[u8; 4]; R]],
        panel: &[Self::Line],
    ) -> [[i32; WIDTH]; R] {
        // SAFETY: `self` is made by `detect` alone, where the processor was found to have both
        // features that the function is compiled for; it asks for nothing else.
        #[expect(unsafe_code, reason = "a measured need: decode with weights of eight bits")]
        unsafe {
            sums(rows, panel)
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn sums<const R: usize>(self, _: &[[[u8; 4]; R]], _: &[Self::Line]) -> [[i32; WIDTH]; R] {
        unreachable!("there is no such processor to make one on")
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
fn sums<const R: usize>(rows: &[[[u8; 4]; R]], panel: &[[[i8; BYTES]; 2]]) -> [[i32; WIDTH]; R] {
    use std::arch::x86_64::{
        __m512i, _mm512_dpbusd_epi32, _mm512_set1_epi32, _mm512_setzero_si512,
    };
    // Counted by constants, so that every sum has a register of its own.
    let mut sums = [[_mm512_setzero_si512(); 2]; R];
    for (x, line) in rows.iter().zip(panel) {
        let line: [__m512i; 2] = [bytemuck::cast(line[0]), bytemuck::cast(line[1])];
        for r in 0..R {
            let x = _mm512_set1_epi32(i32::from_ne_bytes(x[r]));
            for v in 0..2 {
                sums[r][v] = _mm512_dpbusd_epi32(sums[r][v], x, line[v]);
            }
        }
    }
    let mut out = [[0; WIDTH]; R];
    for r in 0..R {
        let registers: [[i32; LANES]; 2] = [bytemuck::cast(sums[r][0]), bytemuck::cast(sums[r][1])];
        out[r] = bytemuck::cast(registers);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sums by their definition.
    fn obvious<const R: usize>(
        rows: &[[[u8; 4]; R]],
        panel: &[[[i8; BYTES]; 2]],
    ) -> [[i32; WIDTH]; R] {
        let sum = |r: usize, output: usize| {
            let groups = rows.iter().zip(panel).map(|(x, line)| {
                let weights = &line[output / LANES][output % LANES * 4..];
                let products = x[r].iter().zip(weights);
                products.map(|(&x, &weight)| i32::from(x) * i32::from(weight)).sum::<i32>()
            });
            groups.sum::<i32>()
        };
        std::array::from_fn(|r| std::array::from_fn(|output| sum(r, output)))
    }

    fn agree<const R: usize>(vnni: Vnni, bytes: &[u8], lines: usize) {
        let mut bytes = bytes.iter().copied().cycle();
        let mut next = || bytes.next().expect("there are some");
        let mut row = || -> [u8; 4] { std::array::from_fn(|_| next()) };
        let rows: Vec<[[u8; 4]; R]> = (0..lines).map(|_| std::array::from_fn(|_| row())).collect();
        let mut line = || std::array::from_fn(|_| std::array::from_fn(|_| next().cast_signed()));
        let panel: Vec<[[i8; BYTES]; 2]> = (0..lines).map(|_| line()).collect();
        assert_eq!(vnni.sums(&rows, &panel), obvious(&rows, &panel));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn sums_of_bytes_are_those_of_their_definition_to_the_bit(
            bytes in prop::collection::vec(any::<u8>(), 1..997),
            lines in 0_usize..40,
        ) {
            // A processor without the instruction has nothing to show.
            if let Some(vnni) = Vnni::detect() {
                agree::<1>(vnni, &bytes, lines);
                agree::<2>(vnni, &bytes, lines);
                agree::<6>(vnni, &bytes, lines);
                agree::<12>(vnni, &bytes, lines);
            }
        }
    }
}
