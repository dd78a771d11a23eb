//! Softmax over rows, in place.

use crate::rows::for_rows;
use rten_simd::SimdOp;
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
    fn what_is_masked_has_no_share_at_all() {
        let mut row = vec![1.0, -3e4, 0.5, -3e4 + 2.0];
        softmax(&mut row, 4);
        assert_eq!((row[1], row[3]), (0.0, 0.0));
        assert!((row[0] + row[2] - 1.0).abs() < 1e-6);
    }
}
