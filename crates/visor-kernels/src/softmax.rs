//! Softmax over rows, in place.

use crate::rows::{for_rows, for_rows_with, products};
use rten_simd::{Isa, SimdOp};
use rten_vecmath::Softmax;

/// `e^x / sum e^x` over each row of `width` values. What lies more than 88 below the largest of its
/// row becomes 0 exactly.
pub fn softmax(x: &mut [f32], width: usize) {
    for_rows(x, width, |x| {
        for row in x.chunks_mut(width.max(1)) {
            Softmax::new_mut(row).dispatch();
        }
    });
}

/// The gradient of [`softmax`]: `grad` is that of its result `y` and becomes that of what went in,
/// `y * (grad - sum(grad * y))` over each row of `width` values.
pub fn softmax_gradient(y: &[f32], grad: &mut [f32], width: usize) {
    assert_eq!(y.len(), grad.len(), "a gradient for every value");
    for_rows_with(grad, y, width, |grad, y| Gradient { y, grad, width: width.max(1) }.dispatch());
}

struct Gradient<'a> {
    y: &'a [f32],
    grad: &'a mut [f32],
    width: usize,
}

impl SimdOp for Gradient<'_> {
    type Output = ();

    /// Plain loops: compiled for the instructions that were found, they are as fast.
    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        for (y, grad) in self.y.chunks(self.width).zip(self.grad.chunks_mut(self.width)) {
            let sum = products(y, grad);
            grad.iter_mut().zip(y).for_each(|(grad, y)| *grad = y * (*grad - sum));
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
        fn rows_are_shares_of_their_exponentials(
            width in 1_usize..70,
            rows in 0_usize..9,
            seed in 0_u32..100,
        ) {
            let mut x = reference::noise(width * rows, seed);
            x.iter_mut().for_each(|x| *x *= 20.0);
            let mut y = x.clone();
            softmax(&mut y, width);
            for (x, y) in x.chunks(width).zip(y.chunks(width)) {
                for (want, &got) in reference::softmax(x).iter().zip(y) {
                    prop_assert!((want - f64::from(got)).abs() < 1e-6, "{want} {got}");
                }
            }
        }
    }

    #[test]
    fn the_gradient_is_what_a_small_step_changes() {
        let (width, rows) = (37, 500);
        let x = reference::noise(width * rows, 3);
        let upstream = reference::noise(width * rows, 4);
        let mut y = x.clone();
        softmax(&mut y, width);
        let mut grad = upstream.clone();
        softmax_gradient(&y, &mut grad, width);
        for at in (0..x.len()).step_by(61) {
            let row = at / width * width..(at / width + 1) * width;
            let loss = |step: f64| -> f64 {
                let mut x: Vec<f32> = x[row.clone()].to_vec();
                x[at - row.start] += step as f32;
                let y = reference::softmax(&x);
                y.iter().zip(&upstream[row.clone()]).map(|(y, u)| y * f64::from(*u)).sum()
            };
            let want = (loss(1e-2) - loss(-1e-2)) / 2e-2;
            assert!((want - f64::from(grad[at])).abs() < 1e-4, "{want} {}", grad[at]);
        }
    }

    #[test]
    fn what_is_masked_has_no_share_at_all() {
        let mut row = vec![1.0, -3e4, 0.5, -3e4 + 2.0];
        softmax(&mut row, 4);
        assert_eq!((row[1], row[3]), (0.0, 0.0));
        assert!((row[0] + row[2] - 1.0).abs() < 1e-6);
    }
}
