//! Activations, in place.

use crate::rows::{for_rows, for_rows_with};
use rten_simd::ops::{BitOps, FloatOps, NumOps};
use rten_simd::{Isa, Simd, SimdOp, SimdUnaryOp};
use rten_vecmath::{Erf, Exp, Gelu, Silu};

/// `x * (1 + erf(x / sqrt(2))) / 2`.
pub fn gelu(x: &mut [f32]) {
    for_rows(x, 1, |x| {
        Gelu {}.map_mut(x);
    });
}

/// The gradient of [`gelu`]: `grad` is that of its result and becomes that of what went in, `x`.
pub fn gelu_gradient(x: &[f32], grad: &mut [f32]) {
    assert_eq!(x.len(), grad.len(), "a gradient for every value");
    for_rows_with(grad, x, 1, |grad, x| Gradient { x, grad, slope: GeluSlope }.dispatch());
}

/// [`gelu`] by its tanh approximation: `x * sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3))`.
pub fn gelu_tanh(x: &mut [f32]) {
    for_rows(x, 1, |x| {
        GeluTanh.map_mut(x);
    });
}

/// `gate * sigmoid(gate) * up`, into `gate`; both are equally long.
pub fn silu_times(gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len(), "a value of `up` for every value of `gate`");
    for_rows_with(gate, up, 1, |gate, up| SiluTimes { gate, up }.dispatch());
}

/// `x * sigmoid(x)`.
pub fn silu(x: &mut [f32]) {
    for_rows(x, 1, |x| {
        Silu {}.map_mut(x);
    });
}

/// The gradient of [`silu`]: `grad` is that of its result and becomes that of what went in, `x`.
pub fn silu_gradient(x: &[f32], grad: &mut [f32]) {
    assert_eq!(x.len(), grad.len(), "a gradient for every value");
    for_rows_with(grad, x, 1, |grad, x| Gradient { x, grad, slope: SiluSlope }.dispatch());
}

/// The gradient of a function of single values, by its slope.
struct Gradient<'a, S> {
    x: &'a [f32],
    grad: &'a mut [f32],
    slope: S,
}

impl<S: SimdUnaryOp<f32>> SimdOp for Gradient<'_, S> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { x, grad, slope } = self;
        pairwise(
            isa,
            grad,
            x,
            #[inline(always)]
            |grad, x| isa.f32().mul(grad, slope.eval(isa, x)),
        );
    }
}

/// `s (1 + x (1 - s))`, where `s` is the sigmoid of `x`.
struct SiluSlope;

impl SimdUnaryOp<f32> for SiluSlope {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, x: I::F32) -> I::F32 {
        let ops = isa.f32();
        let below = ops.add(ops.one(), Exp::apply(isa, ops.neg(x)));
        let s = ops.div(ops.one(), below);
        ops.mul(s, ops.mul_add(x, ops.sub(ops.one(), s), ops.one()))
    }
}

/// The normal distribution up to `x`, and `x` times its density there.
struct GeluSlope;

impl SimdUnaryOp<f32> for GeluSlope {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, x: I::F32) -> I::F32 {
        use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};
        let ops = isa.f32();
        let (half, root) = (ops.splat(0.5), ops.splat(FRAC_1_SQRT_2));
        let peak = ops.splat(0.5 * FRAC_1_SQRT_2 * FRAC_2_SQRT_PI);
        let up_to = ops.mul(half, ops.add(ops.one(), Erf::apply(isa, ops.mul(x, root))));
        let density = Exp::apply(isa, ops.neg(ops.mul(half, ops.mul(x, x))));
        ops.mul_add(ops.mul(x, peak), density, up_to)
    }
}

/// `term(a, b)` for all values of two equally long slices, into the first.
#[inline(always)]
fn pairwise<I: Isa>(isa: I, a: &mut [f32], b: &[f32], term: impl Fn(I::F32, I::F32) -> I::F32) {
    let ops = isa.f32();
    let n = ops.len();
    let (mut first, mut second) = (a.chunks_exact_mut(n), b.chunks_exact(n));
    for (a, b) in first.by_ref().zip(second.by_ref()) {
        let y = term(ops.load(a), ops.load(b));
        ops.store(y, a);
    }
    let (a, b) = (first.into_remainder(), second.remainder());
    if !a.is_empty() {
        let y = term(ops.load_pad(a).0, ops.load_pad(b).0);
        a.iter_mut().zip(y.to_array()).for_each(|(a, y)| *a = y);
    }
}

struct GeluTanh;

impl SimdUnaryOp<f32> for GeluTanh {
    #[inline(always)]
    fn eval<I: Isa>(&self, isa: I, x: I::F32) -> I::F32 {
        const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769;
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
        // Inlined, so that it is compiled for the instructions that were found.
        pairwise(
            isa,
            self.gate,
            self.up,
            #[inline(always)]
            |gate, up| {
                let below = ops.add(ops.one(), Exp::apply(isa, ops.neg(gate)));
                ops.mul(ops.div(gate, below), up)
            },
        );
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
            let (mut gated, mut erf, mut tanh) = (x.clone(), x.clone(), x.clone());
            let (mut plain, mut grad, mut erf_grad) = (x.clone(), up.clone(), up.clone());
            silu_times(&mut gated, &up);
            silu(&mut plain);
            silu_gradient(&x, &mut grad);
            gelu_gradient(&x, &mut erf_grad);
            gelu(&mut erf);
            gelu_tanh(&mut tanh);
            for (i, &x) in x.iter().enumerate() {
                let near = |got: f32, want: f64| {
                    (f64::from(got) - want).abs() <= 2e-6 * (1.0 + want.abs())
                };
                prop_assert!(near(gated[i], reference::silu(x) * f64::from(up[i])), "{x}");
                prop_assert!(near(plain[i], reference::silu(x)), "{x}");
                let s = 1.0 / (1.0 + (-f64::from(x)).exp());
                let slope = s * (1.0 + f64::from(x) * (1.0 - s));
                prop_assert!(near(grad[i], f64::from(up[i]) * slope), "{x}");
                prop_assert!(near(erf[i], reference::gelu(x)), "{x} {}", erf[i]);
                let slope = f64::from(up[i]) * reference::gelu_slope(x);
                prop_assert!(near(erf_grad[i], slope), "{x} {} {slope}", erf_grad[i]);
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
