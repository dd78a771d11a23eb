//! A choice of patches with a gradient (method, section 5).
//!
//! The scores of a question get logistic noise (the difference of two Gumbels). A threshold `t` is
//! found for which `sum_i sigmoid((l_i - t) / tau) = kappa`, by bisection on the values, then by
//! one Newton step that carries the gradient of scores and `kappa`. Forward, the best `ceil(kappa)`
//! are read and nothing else; backward, the soft mask stands in their place.

use burn::tensor::{Tensor, TensorData, activation};
use visor_model::init::Noise;
use visor_model::selector::best;

/// Halvings of the interval that the threshold lies in.
const BISECTIONS: usize = 40;

/// A choice, `[Q, V]`.
#[derive(Clone, Debug)]
pub(super) struct Relaxed {
    /// Between 0 and 1, summing to `kappa`.
    #[cfg(test)]
    pub(super) soft: Tensor<2>,
    /// 0 or 1, with the gradient of `soft`.
    pub(super) mask: Tensor<2>,
}

/// Chooses by `logits`, `[Q, V]`, and `kappa`, `[Q]`. `noise` is as long as `logits`, or empty.
pub(super) fn relax(logits: Tensor<2>, kappa: Tensor<1>, noise: Vec<f32>, tau: f64) -> Relaxed {
    let ([q, v], device) = (logits.dims(), logits.device());
    let logits = match noise.is_empty() {
        true => logits,
        false => logits + Tensor::from_data(TensorData::new(noise, [q, v]), &device),
    };
    let values: Vec<f32> = logits.clone().detach().into_data().iter::<f32>().collect();
    let counts: Vec<f32> = kappa.clone().detach().into_data().iter::<f32>().collect();
    let (mut start, mut hard) = (Vec::with_capacity(q), vec![0.0_f32; q * v]);
    for (row, (values, &count)) in values.chunks(v).zip(&counts).enumerate() {
        start.push(threshold(values, f64::from(count), tau));
        for patch in best(values, count.ceil().max(1.0) as usize) {
            hard[row * v + patch] = 1.0;
        }
    }
    let start: Tensor<2> = Tensor::from_data(TensorData::new(start, [q, 1]), &device);
    let at_start = activation::sigmoid((logits.clone() - start.clone()) / tau); // [Q, V]
    let slope = at_start.clone().detach();
    let slope = (slope.clone() * (-slope + 1.0)).sum_dim(1) / tau; // [Q, 1]
    let newton = (at_start.sum_dim(1) - kappa.reshape([q, 1])) / (slope + 1e-6);
    let soft = activation::sigmoid((logits - start - newton) / tau);
    let hard: Tensor<2> = Tensor::from_data(TensorData::new(hard, [q, v]), &device);
    // In this order the stand-in adds exactly nothing.
    Relaxed {
        mask: hard + (soft.clone() - soft.clone().detach()),
        #[cfg(test)]
        soft,
    }
}

/// `t` with `sum_i sigmoid((l_i - t) / tau) = kappa`.
fn threshold(logits: &[f32], kappa: f64, tau: f64) -> f32 {
    let above = |t: f64| {
        let share = |&l: &f32| 1.0 / (1.0 + (-(f64::from(l) - t) / tau).exp());
        logits.iter().map(share).sum::<f64>() > kappa
    };
    let ends = logits.iter().fold((f32::MAX, f32::MIN), |(a, b), &l| (a.min(l), b.max(l)));
    let reach = 40.0 * tau;
    let (mut low, mut high) = (f64::from(ends.0) - reach, f64::from(ends.1) + reach);
    for _ in 0..BISECTIONS {
        let middle = 0.5 * (low + high);
        if above(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    (0.5 * (low + high)) as f32
}

/// Logistic noise: differences of two Gumbels.
pub(super) fn logistic(noise: &mut Noise, n: usize) -> Vec<f32> {
    let draw = |noise: &mut Noise| {
        let u = noise.uniform().clamp(1e-6, 1.0 - 1e-6);
        (u / (1.0 - u)).ln()
    };
    (0..n).map(|_| draw(noise)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use visor_runtime::{DeviceRequest, device};

    fn sum(logits: &[f32], t: f32, tau: f64) -> f64 {
        let share = |&l: &f32| 1.0 / (1.0 + (-(f64::from(l) - f64::from(t)) / tau).exp());
        logits.iter().map(share).sum()
    }

    proptest! {
        #[test]
        fn the_soft_mask_sums_to_the_number_that_is_wanted(
            logits in proptest::collection::vec(-8.0_f32..8.0, 4..40),
            share in 0.1_f64..0.9,
            tau in 0.1_f64..1.0,
        ) {
            let kappa = share * logits.len() as f64;
            let t = threshold(&logits, kappa, tau);
            prop_assert!((sum(&logits, t, tau) - kappa).abs() < 1e-3);
        }
    }

    #[test]
    fn forward_the_best_are_read_and_backward_scores_and_number_have_gradients() {
        let plain = device::open(DeviceRequest::Cpu).expect("the CPU is always there");
        let device = device::training(&plain);
        let logits = Tensor::<2>::from_floats([[0.1, 2.0, -1.0, 0.9, -2.0]], &device);
        let logits = logits.require_grad();
        let kappa = Tensor::<1>::from_floats([1.7], &device).require_grad();
        let Relaxed { soft, mask } = relax(logits.clone(), kappa.clone(), Vec::new(), 0.5);
        let values: Vec<f32> = mask.clone().into_data().iter::<f32>().collect();
        assert_eq!(values, [0.0, 1.0, 0.0, 1.0, 0.0], "the best two");
        let total = soft.sum().into_scalar::<f32>();
        assert!((total - 1.7).abs() < 1e-3, "{total}");
        let worth = Tensor::<2>::from_floats([[3.0, 0.0, 0.0, 0.0, 0.0]], &device);
        let gradients = (mask * worth).sum().backward();
        let of_logits = logits.grad(&gradients).expect("a gradient");
        let of_logits: Vec<f32> = of_logits.into_data().iter::<f32>().collect();
        assert!(of_logits[0] > 0.0, "{of_logits:?}");
        assert!(of_logits[1..].iter().all(|&g| g <= 0.0), "others make room: {of_logits:?}");
        let of_kappa = kappa.grad(&gradients).expect("a gradient").into_scalar::<f32>();
        assert!(of_kappa > 0.0, "more patches would bring the wanted one: {of_kappa}");
    }
}
