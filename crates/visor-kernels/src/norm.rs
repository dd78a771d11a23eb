//! Normalisation of rows.

use crate::rows::{for_rows, for_rows_with, products};
use rten_simd::{Isa, SimdOp};
use rten_vecmath::{Normalize, NormalizeOptions, Sum, SumSquare, SumSquareSub};

/// `x / sqrt(mean(x^2) + eps) * weight` for each row of `x`, as long as `weight`.
pub fn rms_norm(x: &mut [f32], weight: &[f32], eps: f32) {
    let width = weight.len();
    for_rows(x, width, |x| {
        for row in x.chunks_mut(width.max(1)) {
            let (scale, element_scale) = (scale(row, eps), Some(weight));
            let options = NormalizeOptions { scale, element_scale, ..Default::default() };
            Normalize::new_mut(row, options).dispatch();
        }
    });
}

/// `x / sqrt(mean(x^2) + eps)` for each row of `width` values.
pub fn to_unit_scale(x: &mut [f32], width: usize, eps: f32) {
    for_rows(x, width, |x| {
        for row in x.chunks_mut(width.max(1)) {
            let options = NormalizeOptions { scale: scale(row, eps), ..Default::default() };
            Normalize::new_mut(row, options).dispatch();
        }
    });
}

/// The gradient of [`to_unit_scale`]: `grad` is that of its result and becomes that of what went
/// in, `x`: `s * (grad - x * s^2 * mean(grad * x))` with `s` for `1 / sqrt(mean(x^2) + eps)`.
pub fn to_unit_scale_gradient(x: &[f32], grad: &mut [f32], width: usize, eps: f32) {
    assert_eq!(x.len(), grad.len(), "a gradient for every value");
    let width = width.max(1);
    for_rows_with(grad, x, width, |grad, x| {
        for (x, grad) in x.chunks(width).zip(grad.chunks_mut(width)) {
            UnitScaleGradient { x, grad, scale: scale(x, eps) }.dispatch();
        }
    });
}

/// `1 / sqrt(mean(x^2) + eps)` of a row.
fn scale(row: &[f32], eps: f32) -> f32 {
    let mean_square = SumSquare::new(row).dispatch() / row.len() as f32;
    (mean_square + eps).sqrt().recip()
}

struct UnitScaleGradient<'a> {
    x: &'a [f32],
    grad: &'a mut [f32],
    scale: f32,
}

impl SimdOp for UnitScaleGradient<'_> {
    type Output = ();

    /// Plain loops: compiled for the instructions that were found, they are as fast.
    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        let Self { x, grad, scale } = self;
        let along = products(x, grad) / x.len() as f32 * scale * scale;
        grad.iter_mut().zip(x).for_each(|(grad, x)| *grad = scale * (*grad - x * along));
    }
}

/// `(x - mean) / sqrt(var + eps) * weight + bias` for each row of `x`, as long as `weight` and
/// `bias`.
pub fn layer_norm(x: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    let width = weight.len();
    assert_eq!(width, bias.len(), "a bias for every weight");
    for_rows(x, width, |x| {
        for row in x.chunks_mut(width.max(1)) {
            let mean = Sum::new(row).dispatch() / width as f32;
            let variance = SumSquareSub::new(row, mean).dispatch() / width as f32;
            let options = NormalizeOptions {
                pre_scale_bias: mean,
                scale: (variance + eps).sqrt().recip(),
                element_scale: Some(weight),
                element_bias: Some(bias),
                bias: 0.0,
            };
            Normalize::new_mut(row, options).dispatch();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn norms_are_their_formulas(
            width in 1_usize..80,
            rows in 0_usize..9,
            seed in 0_u32..100,
            shift in -5.0_f32..5.0,
        ) {
            let mut x = reference::noise(width * rows, seed);
            x.iter_mut().for_each(|x| *x += shift);
            let (weight, bias) = (reference::noise(width, seed + 1), reference::noise(width, 7));
            let (mut rms, mut layer) = (x.clone(), x.clone());
            rms_norm(&mut rms, &weight, 1e-5);
            layer_norm(&mut layer, &weight, &bias, 1e-6);
            for (row, x) in x.chunks(width).enumerate() {
                let want_rms = reference::rms_norm(x, &weight, 1e-5);
                let want_layer = reference::layer_norm(x, &weight, &bias, 1e-6);
                for i in 0..width {
                    let at = row * width + i;
                    let (rms, layer) = (f64::from(rms[at]), f64::from(layer[at]));
                    prop_assert!((rms - want_rms[i]).abs() < 1e-5, "{rms} {}", want_rms[i]);
                    // Rows of equal values magnify the rounding of their mean by 1/sqrt(eps).
                    let tolerance = if width == 1 { 1e-2 } else { 3e-4 };
                    prop_assert!((layer - want_layer[i]).abs() < tolerance, "{layer} {}", want_layer[i]);
                }
            }
        }
    }

    #[test]
    fn the_gradient_of_a_unit_scale_is_what_a_small_step_changes() {
        let (width, rows, eps) = (37, 500, 1e-3);
        let x = reference::noise(width * rows, 3);
        let upstream = reference::noise(width * rows, 4);
        let (mut scaled, mut grad) = (x.clone(), upstream.clone());
        to_unit_scale(&mut scaled, width, eps);
        to_unit_scale_gradient(&x, &mut grad, width, eps);
        let ones = vec![1.0; width];
        for at in (0..x.len()).step_by(61) {
            let row = at / width * width..(at / width + 1) * width;
            let unit = reference::rms_norm(&x[row.clone()], &ones, f64::from(eps));
            assert!((unit[at - row.start] - f64::from(scaled[at])).abs() < 1e-5);
            let loss = |step: f32| -> f64 {
                let mut x: Vec<f32> = x[row.clone()].to_vec();
                x[at - row.start] += step;
                let y = reference::rms_norm(&x, &ones, f64::from(eps));
                y.iter().zip(&upstream[row.clone()]).map(|(y, u)| y * f64::from(*u)).sum()
            };
            let want = (loss(1e-2) - loss(-1e-2)) / 2e-2;
            assert!((want - f64::from(grad[at])).abs() < 1e-3, "{want} {}", grad[at]);
        }
    }
}
