//! Rotary positions, half-split: value `i` of a head is paired with value `i + D/2`.

use crate::rows::is_alone;
use rayon::prelude::*;
use rten_simd::{Isa, SimdOp};

/// Tokens that are worth a task of their own.
const TASK: usize = 32;

/// Turns `[S, H, D]` queries or keys in place by the `[S, D/2]` cosines and sines of their tokens.
pub fn turn(x: &mut [f32], tokens: usize, head_dim: usize, cos: &[f32], sin: &[f32]) {
    let half = head_dim / 2;
    assert_eq!((cos.len(), sin.len()), (tokens * half, tokens * half), "[S, D/2] angles");
    if half == 0 || tokens == 0 {
        return;
    }
    let width = x.len() / tokens;
    let pieces = x.par_chunks_mut(width * TASK);
    let angles = cos.par_chunks(half * TASK).zip(sin.par_chunks(half * TASK));
    match is_alone() || tokens <= TASK {
        true => Turn { x, cos, sin, width, half }.dispatch(),
        false => pieces.zip(angles).for_each(|(x, (cos, sin))| {
            Turn { x, cos, sin, width, half }.dispatch();
        }),
    }
}

struct Turn<'a> {
    x: &'a mut [f32],
    cos: &'a [f32],
    sin: &'a [f32],
    width: usize,
    half: usize,
}

impl SimdOp for Turn<'_> {
    type Output = ();

    /// Plain loops: compiled for the instructions that were found, they are as fast.
    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        let Self { x, cos, sin, width, half } = self;
        let angles = cos.chunks_exact(half).zip(sin.chunks_exact(half));
        for (token, (cos, sin)) in x.chunks_exact_mut(width).zip(angles) {
            for head in token.chunks_exact_mut(2 * half) {
                let (first, second) = head.split_at_mut(half);
                let pairs = first.iter_mut().zip(second).zip(cos.iter().zip(sin));
                for ((first, second), (&cos, &sin)) in pairs {
                    let (x, y) = (*first, *second);
                    *first = x * cos - y * sin;
                    *second = y * cos + x * sin;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn turning_is_a_rotation_of_each_pair(
            tokens in 0_usize..90,
            heads in 1_usize..4,
            half in 1_usize..40,
        ) {
            let head_dim = 2 * half;
            let x = reference::noise(tokens * heads * head_dim, 3);
            let angles = reference::noise(tokens * half, 4);
            let cos: Vec<f32> = angles.iter().map(|angle| angle.cos()).collect();
            let sin: Vec<f32> = angles.iter().map(|angle| angle.sin()).collect();
            let mut turned = x.clone();
            turn(&mut turned, tokens, head_dim, &cos, &sin);
            for at in 0..turned.len() {
                let (token, place) = (at / (heads * head_dim), at % head_dim);
                let angle = token * half + place % half;
                let want = match place < half {
                    true => x[at] * cos[angle] - x[at + half] * sin[angle],
                    false => x[at] * cos[angle] + x[at - half] * sin[angle],
                };
                prop_assert!((turned[at] - want).abs() < 1e-6);
            }
        }
    }
}
