//! Normalisation of rows.

use crate::rows::for_rows;
use rten_simd::SimdOp;
use rten_vecmath::{Normalize, NormalizeOptions, Sum, SumSquare, SumSquareSub};

/// `x / sqrt(mean(x^2) + eps) * weight` for each row of `x`, as long as `weight`.
pub fn rms_norm(x: &mut [f32], weight: &[f32], eps: f32) {
    let width = weight.len();
    for_rows(x, width, |x| {
        for row in x.chunks_mut(width.max(1)) {
            let mean_square = SumSquare::new(row).dispatch() / width as f32;
            let scale = (mean_square + eps).sqrt().recip();
            let element_scale = Some(weight);
            let options = NormalizeOptions { scale, element_scale, ..Default::default() };
            Normalize::new_mut(row, options).dispatch();
        }
    });
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
}
