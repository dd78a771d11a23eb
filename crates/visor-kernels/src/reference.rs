//! The slow and obvious twins of all kernels, in double precision.

/// Numbers between -1 and 1 that a seed names.
pub(crate) fn noise(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (f64::from(state) / f64::from(u32::MAX) * 2.0 - 1.0) as f32
    };
    (0..n).map(|_| next()).collect()
}

pub(crate) fn silu(x: f32) -> f64 {
    let x = f64::from(x);
    x / (1.0 + (-x).exp())
}

pub(crate) fn gelu_tanh(x: f32) -> f64 {
    let x = f64::from(x);
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
    0.5 * x * (1.0 + inner.tanh())
}

pub(crate) fn gelu(x: f32) -> f64 {
    let x = f64::from(x);
    0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt()))
}

pub(crate) fn gelu_slope(x: f32) -> f64 {
    let x = f64::from(x);
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    0.5 * (1.0 + erf(x / 2.0_f64.sqrt())) + x * density
}

/// By its integral, Simpson's rule on 2,000 intervals.
fn erf(x: f64) -> f64 {
    let (n, end) = (2000, x.clamp(-6.0, 6.0));
    let step = end / f64::from(n);
    let term = |i: i32| {
        let weight = if i == 0 || i == n {
            1.0
        } else if i % 2 == 1 {
            4.0
        } else {
            2.0
        };
        weight * (-(f64::from(i) * step).powi(2)).exp()
    };
    2.0 / std::f64::consts::PI.sqrt() * step / 3.0 * (0..=n).map(term).sum::<f64>()
}

pub(crate) fn softmax(row: &[f32]) -> Vec<f64> {
    let top = row.iter().copied().fold(f32::MIN, f32::max);
    let powers: Vec<f64> = row.iter().map(|&x| f64::from(x - top).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

pub(crate) fn rms_norm(row: &[f32], weight: &[f32], eps: f64) -> Vec<f64> {
    let mean = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / row.len() as f64;
    let scaled = |(&x, &w): (&f32, &f32)| f64::from(x) / (mean + eps).sqrt() * f64::from(w);
    row.iter().zip(weight).map(scaled).collect()
}

pub(crate) fn layer_norm(row: &[f32], weight: &[f32], bias: &[f32], eps: f64) -> Vec<f64> {
    let n = row.len() as f64;
    let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
    let scaled = |((&x, &w), &b): ((&f32, &f32), &f32)| {
        (f64::from(x) - mean) / (variance + eps).sqrt() * f64::from(w) + f64::from(b)
    };
    row.iter().zip(weight).zip(bias).map(scaled).collect()
}
