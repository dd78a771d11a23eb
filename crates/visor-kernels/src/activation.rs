//! Activations, in place.

use crate::rows::{for_rows, for_values_with};
use rten_simd::ops::{BitOps, FloatOps, NumOps};
use rten_simd::{Isa, SimdOp, SimdUnaryOp};
use rten_vecmath::{Exp, Gelu};

/// `x * (1 + erf(x / sqrt(2))) / 2`.
pub fn gelu(x: &mut [f32]) {
    for_rows(x, 1, |x| {
        Gelu {}.map_mut(x);
    });
}

/// The same by its tanh approximation: `x * sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3))`.
pub fn gelu_tanh(x: &mut [f32]) {
    for_rows(x, 1, |x| {
        GeluTanh.map_mut(x);
    });
}

/// `gate * sigmoid(gate) * up`, into `gate`; both are equally long.
pub fn silu_times(gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len(), "a value of `up` for every value of `gate`");
    for_values_with(gate, up, |gate, up| SiluTimes { gate, up }.dispatch());
}

struct GeluTanh;

impl SimdUnaryOp<f32> for GeluTanh {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, x: I::F32) -> I::F32 {
        const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769_1;
        let ops = isa.f32();
        let cubic = ops.mul(ops.mul(x, x), ops.splat(0.044_715 * TWICE_SQRT_2_OVER_PI));
        let inner = ops.mul(x, ops.add(cubic, ops.splat(TWICE_SQRT_2_OVER_PI)));
        ops.div(x, ops.add(ops.one(), Exp::apply(isa, ops.neg(inner))))
    }
}

struct SiluTimes<'a> {
    gate: &'a mut [f32],
    up: &'a [f32],
}

impl SimdOp for SiluTimes<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let ops = isa.f32();
        let n = ops.len();
        let (mut gates, mut ups) = (self.gate.chunks_exact_mut(n), self.up.chunks_exact(n));
        let term = |gate: I::F32, up: I::F32| {
            let below = ops.add(ops.one(), Exp::apply(isa, ops.neg(gate)));
            ops.mul(ops.div(gate, below), up)
        };
        for (gate, up) in gates.by_ref().zip(ups.by_ref()) {
            let y = term(ops.load(gate), ops.load(up));
            ops.store(y, gate);
        }
        let (gate, up) = (gates.into_remainder(), ups.remainder());
        if !gate.is_empty() {
            let y = term(ops.load_pad(gate).0, ops.load_pad(up).0);
            let values = rten_simd::Simd::to_array(y);
            gate.iter_mut().zip(values).for_each(|(gate, y)| *gate = y);
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
        fn activations_are_their_formulas(
            x in prop::collection::vec(-30.0_f32..30.0, 0..200),
            seed in 0_u32..100,
        ) {
            let up = reference::noise(x.len(), seed);
            let (mut silu, mut erf, mut tanh) = (x.clone(), x.clone(), x.clone());
            silu_times(&mut silu, &up);
            gelu(&mut erf);
            gelu_tanh(&mut tanh);
            for (i, &x) in x.iter().enumerate() {
                let near = |got: f32, want: f64| {
                    (f64::from(got) - want).abs() <= 2e-6 * (1.0 + want.abs())
                };
                prop_assert!(near(silu[i], reference::silu(x) * f64::from(up[i])), "{x}");
                prop_assert!(near(erf[i], reference::gelu(x)), "{x} {}", erf[i]);
                prop_assert!(near(tanh[i], reference::gelu_tanh(x)), "{x} {}", tanh[i]);
            }
        }
    }

    #[test]
    fn large_values_stay_finite_and_pieces_equal_the_whole() {
        let mut x = reference::noise(100_000, 5);
        x.iter_mut().for_each(|x| *x *= 1e4);
        let up = reference::noise(x.len(), 6);
        let (mut whole, mut parts) = (x.clone(), x.clone());
        silu_times(&mut whole, &up);
        for (x, up) in parts.chunks_mut(777).zip(up.chunks(777)) {
            silu_times(x, up);
        }
        assert_eq!(whole, parts);
        for activation in [gelu, gelu_tanh] {
            let mut y = x.clone();
            activation(&mut y);
            let far = y.iter().zip(&x).filter(|(_, x)| x.abs() > 20.0);
            assert!(far.into_iter().all(|(y, x)| *y == x.max(0.0)), "far out it is a ramp");
        }
    }
}
