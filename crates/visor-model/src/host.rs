//! Where kernels take the place of burn's operations: on tensors in the processor's memory that no
//! gradient is taken of. Whoever calls gets its tensors back where they are not, and goes on with
//! the formula.
//!
//! Values are read where they lie. What is written is the buffer of the tensor that goes in, where
//! nobody else holds it, else a copy.

use crate::attention::Terms;
use crate::placement::BLOCKED;
use burn::tensor::{Device, Tensor, TensorData};
use visor_kernels::{Attention, Rows};
use visor_runtime::device::HostValues;

/// Changes the values of a tensor, in the order of its axes.
///
/// # Errors
/// The tensor, where no kernel can run on it.
pub(crate) fn in_place<const R: usize>(
    x: Tensor<R>,
    work: impl FnOnce(&mut [f32]),
) -> Result<Tensor<R>, Tensor<R>> {
    match is_here(&x) {
        true => Ok(changed(x, work)),
        false => Err(x),
    }
}

/// `silu(gate) * up`.
///
/// # Errors
/// As [`in_place`].
pub(crate) fn silu_times<const R: usize>(
    gate: Tensor<R>,
    up: Tensor<R>,
) -> Result<Tensor<R>, (Tensor<R>, Tensor<R>)> {
    let beside = HostValues::of(&up);
    match beside.as_ref().and_then(HostValues::in_order) {
        Some(values) if is_here(&gate) && gate.dims() == up.dims() => {
            Ok(changed(gate, |gate| visor_kernels::silu_times(gate, values)))
        }
        _ => Err((gate, up)),
    }
}

/// `x / sqrt(mean(x^2) + eps) * weight` over the last axis.
///
/// # Errors
/// As [`in_place`].
pub(crate) fn rms_norm<const R: usize>(
    x: Tensor<R>,
    weight: &Tensor<1>,
    eps: f64,
) -> Result<Tensor<R>, Tensor<R>> {
    let weight = HostValues::of(weight);
    match weight.as_ref().and_then(HostValues::in_order) {
        Some(weight) => in_place(x, |x| visor_kernels::rms_norm(x, weight, eps as f32)),
        None => Err(x),
    }
}

/// `(x - mean) / sqrt(var + eps) * weight + bias` over the last axis.
///
/// # Errors
/// As [`in_place`].
pub(crate) fn layer_norm<const R: usize>(
    x: Tensor<R>,
    weight: &Tensor<1>,
    bias: &Tensor<1>,
    eps: f64,
) -> Result<Tensor<R>, Tensor<R>> {
    let (weight, bias) = (HostValues::of(weight), HostValues::of(bias));
    let weight = weight.as_ref().and_then(HostValues::in_order);
    match weight.zip(bias.as_ref().and_then(HostValues::in_order)) {
        Some((weight, bias)) => {
            in_place(x, |x| visor_kernels::layer_norm(x, weight, bias, eps as f32))
        }
        None => Err(x),
    }
}

/// Turns queries or keys `[B, H, S, D]` by the cosines and sines `[B or 1, 1, S, D/2]` of their
/// tokens.
///
/// # Errors
/// As [`in_place`].
pub(crate) fn turn(x: Tensor<4>, cos: &Tensor<4>, sin: &Tensor<4>) -> Result<Tensor<4>, Tensor<4>> {
    let [b, h, s, d] = x.dims();
    let (tables, cos, sin) = (cos.dims()[0], HostValues::of(cos), HostValues::of(sin));
    let angles = cos.as_ref().and_then(HostValues::in_order);
    let (Some(cos), Some(sin)) = (angles, sin.as_ref().and_then(HostValues::in_order)) else {
        return Err(x);
    };
    let (sample, table) = (s * h * d, s * (d / 2));
    if sample == 0 || !is_here(&x) {
        return Err(x);
    }
    // The heads of a token stand together in what the projections give.
    let turned = changed(x.swap_dims(1, 2), |x| {
        for (index, x) in x.chunks_mut(sample).enumerate() {
            let at = if tables == b { index * table } else { 0 };
            visor_kernels::turn(x, s, d, &cos[at..][..table], &sin[at..][..table]);
        }
    });
    Ok(turned.swap_dims(1, 2)) // [B, H, S, D]
}

/// Fewer queries do not pay for bringing keys and values into the order of a kernel.
const LEAST_QUERIES: usize = 8;

/// `softmax(q k^T / sqrt(D) + bias) v` for `q` of `[B, H, T, D]`, `k` and `v` of `[B, G, S, D]` and
/// `bias` of `[B or 1, 1, T, S]`: what is read, `[B, H, T, D]`. The weights `[B, H, T, S]` are left
/// for who looks. `None` where no kernel can run; then nothing was left.
pub(crate) fn attend(
    q: &Tensor<4>,
    k: &Tensor<4>,
    v: &Tensor<4>,
    terms: &mut Terms<'_>,
) -> Option<Tensor<4>> {
    let ([b, h, t, d], [_, g, s, _]) = (q.dims(), k.dims());
    if t < LEAST_QUERIES || s == 0 || terms.mask.is_some() {
        return None;
    }
    let bias = terms.bias;
    let host = [Heads::of(q)?, Heads::of(k)?, Heads::of(v)?];
    let biases = bias.map_or(1, |bias| bias.dims()[0]);
    let bias = match bias {
        Some(bias) => Some(HostValues::of(bias)?),
        None => None,
    };
    let bias = match &bias {
        Some(bias) => Some(bias.in_order()?),
        None => None,
    };
    let mut read = Vec::with_capacity(b * t * h * d);
    let mut weights = terms.seen.as_ref().map(|_| vec![0.0; b * t * h * s]);
    for sample in 0..b {
        let [q, k, v] = host.each_ref().map(|heads| heads.rows(sample));
        let attention = Attention {
            q,
            k,
            v,
            bias: bias.map(|bias| &bias[if biases == b { sample * t * s } else { 0 }..][..t * s]),
            hidden: BLOCKED / 2.0,
            scale: (d as f64).powf(-0.5) as f32,
            queries: t,
            keys: s,
            heads: h,
            kv_heads: g,
            head_dim: d,
        };
        let weights = weights.as_mut();
        let seen = weights.map(|weights| &mut weights[sample * t * h * s..][..t * h * s]);
        read.extend(attention.run(seen)); // [T, H, D]
    }
    let device = q.device();
    if let (Some(seen), Some(weights)) = (&mut terms.seen, weights) {
        **seen = Some(lifted(weights, [b, t, h, s], &device).swap_dims(1, 2)); // [B, H, T, S]
    }
    Some(lifted(read, [b, t, h, d], &device).swap_dims(1, 2)) // [B, H, T, D]
}

/// A tensor `[B, N, S, D]` whose rows of `D` values are whole.
struct Heads {
    values: HostValues,
    sample: usize,
    head: usize,
    row: usize,
}

impl Heads {
    fn of(x: &Tensor<4>) -> Option<Self> {
        let values = HostValues::of(x)?;
        match *values.strides()? {
            [sample, head, row, 1] => Some(Self { values, sample, head, row }),
            _ => None,
        }
    }

    fn rows(&self, sample: usize) -> Rows<'_> {
        let values = &self.values.values()[sample * self.sample..];
        Rows { values, row: self.row, head: self.head }
    }
}

fn is_here<const R: usize>(x: &Tensor<R>) -> bool {
    HostValues::of(x).is_some()
}

/// Takes the values out, changes them and puts them back: of a tensor that is here.
fn changed<const R: usize>(x: Tensor<R>, work: impl FnOnce(&mut [f32])) -> Tensor<R> {
    let device = x.device();
    let mut data = x.into_data();
    work(data.as_mut_slice().expect("the tensor is in single precision"));
    Tensor::from_data(data, &device)
}

fn lifted(values: Vec<f32>, shape: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values, shape), device)
}
