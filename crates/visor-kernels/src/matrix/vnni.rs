//! Sums of four products of bytes at once: AVX512-VNNI.
//!
//! The only file of the project that holds `unsafe`, once: instructions of a processor may be run
//! where it has them, and the crates underneath offer this one inside their own products alone,
//! which work out eight rows for every one that is asked for. `docs/performance.md` has what that
//! cost. The slow obvious twin is among the tests.

/// Bytes of a register.
pub(super) const BYTES: usize = 64;
/// Sums of a register.
const LANES: usize = BYTES / 4;
/// Outputs of a panel: two registers of sums.
pub(super) const WIDTH: usize = 2 * LANES;
/// Inputs that one instruction takes of each output.
pub(super) const DEPTH: usize = 4;

/// As many inputs of every output of a panel: those of an output side by side.
pub(super) type Line = [[i8; BYTES]; 2];

/// This processor has the instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vnni(());

#[cfg(target_arch = "x86_64")]
impl Vnni {
    /// Where it has.
    pub(super) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni");
        has.then_some(Self(()))
    }

    /// Sums of `R` rows by a panel. Of both as many lines are taken as the shorter has; whole
    /// numbers wrap around past 32 bits.
    pub(super) fn sums<const R: usize>(
        self,
        rows: &[[[u8; DEPTH]; R]],
        panel: &[Line],
    ) -> [[i32; WIDTH]; R] {
        // SAFETY: `self` is made by `detect` alone, where the processor was found to have both
        // features that the function is compiled for; it asks for nothing else.
        #[expect(unsafe_code, reason = "a measured need: decode with weights of eight bits")]
        unsafe {
            sums(rows, panel)
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
fn sums<const R: usize>(rows: &[[[u8; DEPTH]; R]], panel: &[Line]) -> [[i32; WIDTH]; R] {
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

#[cfg(not(target_arch = "x86_64"))]
impl Vnni {
    /// No processor of this kind has.
    pub(super) fn detect() -> Option<Self> {
        None
    }

    /// Is never called.
    pub(super) fn sums<const R: usize>(
        self,
        _rows: &[[[u8; DEPTH]; R]],
        _panel: &[Line],
    ) -> [[i32; WIDTH]; R] {
        unreachable!("there is no such processor to make one on")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sums by their definition.
    fn obvious<const R: usize>(rows: &[[[u8; DEPTH]; R]], panel: &[Line]) -> [[i32; WIDTH]; R] {
        let sum = |r: usize, output: usize| {
            let lines = rows.iter().zip(panel);
            let fours =
                lines.map(|(x, line)| (x[r], &line[output / LANES][output % LANES * DEPTH..]));
            let products = fours.flat_map(|(x, weights)| x.into_iter().zip(weights));
            products.map(|(x, &weight)| i32::from(x) * i32::from(weight)).sum()
        };
        std::array::from_fn(|r| std::array::from_fn(|output| sum(r, output)))
    }

    fn agree<const R: usize>(vnni: Vnni, bytes: &[u8], lines: usize) {
        let mut bytes = bytes.iter().copied().cycle();
        let mut next = || bytes.next().expect("there are some");
        let rows: Vec<[[u8; DEPTH]; R]> =
            (0..lines).map(|_| std::array::from_fn(|_| std::array::from_fn(|_| next()))).collect();
        let line = |next: &mut dyn FnMut() -> u8| {
            std::array::from_fn(|_| std::array::from_fn(|_| next().cast_signed()))
        };
        let panel: Vec<Line> = (0..lines).map(|_| line(&mut next)).collect();
        assert_eq!(vnni.sums(&rows, &panel), obvious(&rows, &panel));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn sums_are_those_of_their_definition_to_the_bit(
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
