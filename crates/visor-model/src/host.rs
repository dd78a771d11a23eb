//! Where kernels take the place of burn's operations: on tensors in the processor's memory, most of
//! them only where no gradient is taken. Whoever calls gets its tensors back where none can run, and
//! goes on with the formula.
//!
//! Values are read where they lie. What is written is the buffer of the tensor that goes in, where
//! nobody else holds it, else a copy.
#![expect(clippy::result_large_err, reason = "a tensor that nothing was done to goes back")]

mod attention;

pub(crate) use attention::{attend, put};

use burn::tensor::{Device, Tensor, TensorData};
use visor_runtime::device::{HostValues, Keeps, RowFunction};

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

/// A function of rows of the last axis, also where gradients are taken of it.
///
/// # Errors
/// As [`in_place`].
fn of_rows<const R: usize>(x: Tensor<R>, function: RowFunction) -> Result<Tensor<R>, Tensor<R>> {
    let RowFunction { width, constant, forward, .. } = function;
    in_place(x, |x| forward(x, width, constant)).or_else(|x| function.of_tracked(x))
}

/// `e^x / sum e^x` over the last axis, also where gradients are taken of it.
///
/// # Errors
/// As [`in_place`].
pub(crate) fn softmax<const R: usize>(x: Tensor<R>) -> Result<Tensor<R>, Tensor<R>> {
    let function = RowFunction {
        width: x.dims()[R - 1],
        constant: 0.0,
        forward: |x, width, _| visor_kernels::softmax(x, width),
        keeps: Keeps::Results,
        gradient: |y, grad, width, _| visor_kernels::softmax_gradient(y, grad, width),
    };
    of_rows(x, function)
}

/// `x * sigmoid(x)`, also where gradients are taken of it.
///
/// # Errors
/// As [`in_place`].
pub(crate) fn silu<const R: usize>(x: Tensor<R>) -> Result<Tensor<R>, Tensor<R>> {
    let function = RowFunction {
        width: 1,
        constant: 0.0,
        forward: |x, _, _| visor_kernels::silu(x),
        keeps: Keeps::Values,
        gradient: |x, grad, _, _| visor_kernels::silu_gradient(x, grad),
    };
    of_rows(x, function)
}

/// `x * (1 + erf(x / sqrt(2))) / 2`, also where gradients are taken of it.
///
/// # Errors
/// As [`in_place`].
pub(crate) fn gelu<const R: usize>(x: Tensor<R>) -> Result<Tensor<R>, Tensor<R>> {
    let function = RowFunction {
        width: 1,
        constant: 0.0,
        forward: |x, _, _| visor_kernels::gelu(x),
        keeps: Keeps::Values,
        gradient: |x, grad, _, _| visor_kernels::gelu_gradient(x, grad),
    };
    of_rows(x, function)
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

/// `x / sqrt(mean(x^2) + eps) * weight` over the last axis, also where gradients are taken of it.
///
/// # Errors
/// As [`in_place`].
pub(crate) fn rms_norm<const R: usize>(
    x: Tensor<R>,
    weight: &Tensor<1>,
    eps: f64,
) -> Result<Tensor<R>, Tensor<R>> {
    let known = HostValues::of(weight);
    if let Some(weight) = known.as_ref().and_then(HostValues::in_order) {
        return in_place(x, |x| visor_kernels::rms_norm(x, weight, eps as f32));
    }
    let function = RowFunction {
        width: x.dims()[R - 1],
        constant: eps as f32,
        forward: visor_kernels::to_unit_scale,
        keeps: Keeps::Values,
        gradient: visor_kernels::to_unit_scale_gradient,
    };
    Ok(function.of_tracked(x)? * weight.clone().unsqueeze())
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

#[cfg(test)]
mod tests {
    use crate::init::Noise;
    use crate::mlp::{gelu, gelu_tanh};
    use crate::norm::{LayerNorm, RmsNorm};
    use crate::rotary::{Position, RotaryConfig};
    use crate::weights;
    use burn::tensor::{Device, Tensor, TensorData, Tolerance, activation};
    use visor_core::Rotary;
    use visor_runtime::{DeviceRequest, device};

    pub(super) fn random<const R: usize>(
        name: &str,
        shape: [usize; R],
        device: &Device,
    ) -> Tensor<R> {
        let values = Noise::new(4, name).normal(shape.iter().product(), 1.5);
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// What a device with kernels and one without give.
    pub(super) fn expect_equal(what: &str, run: impl Fn(&Device) -> TensorData) {
        let device = device::open(DeviceRequest::Cpu).expect("the CPU is always there");
        let (kernels, formulas) = (run(&device), run(&device::training(&device)));
        let tolerance = Tolerance::<f32>::absolute(2e-5);
        assert!(kernels.shape() == formulas.shape(), "{what}");
        kernels.assert_approx_eq(&formulas, tolerance);
    }

    #[test]
    fn kernels_give_what_the_formulas_give() {
        expect_equal("gelu", |device| gelu(random("x", [3, 40], device)).into_data());
        expect_equal("gelu, tanh", |device| gelu_tanh(random("x", [3, 40], device)).into_data());
        expect_equal("norms", |device| {
            let fill = &mut |name: &str, shape: &[usize]| {
                Ok(Noise::new(5, name).normal(shape.iter().product(), 1.0))
            };
            let rms = weights::fill(RmsNorm::new(40, 1e-5, device), device, fill);
            let layer = weights::fill(LayerNorm::new(40, 1e-5, device), device, fill);
            let x = rms.expect("filled").forward(random("x", [2, 7, 40], device));
            layer.expect("filled").forward(x).into_data()
        });
        expect_equal("rotary", |device| {
            let rotary = RotaryConfig { scheme: Rotary::OneD, base: 100.0, head_dim: 6 };
            let rows: Vec<Vec<Position>> =
                (0..2).map(|b| (0..5).map(|s| Position::at(3 * b + s)).collect()).collect();
            let x = random("x", [2, 5, 3, 6], device).swap_dims(1, 2); // [B, H, S, D]
            rotary.table(&rows, device).turn(x).into_data()
        });
    }

    #[test]
    fn gradients_of_kernels_are_those_of_the_formulas() {
        let device = device::open(DeviceRequest::Cpu).expect("the CPU is always there");
        let device = device::training(&device);
        type Function = fn(Tensor<2>) -> Tensor<2>;
        let pairs: [(Function, Function); 2] = [
            (|x| super::softmax(x).expect("tracked"), |x| activation::softmax(x, 1)),
            (|x| super::silu(x).expect("tracked"), activation::silu),
        ];
        for (kernel, formula) in pairs {
            let [ours, theirs] = [kernel, formula].map(|function| {
                let x = random("x", [30, 17], &device).require_grad();
                let y = function(x.clone()) * random("upstream", [30, 17], &device);
                let grads = y.clone().sum().backward();
                let grad = x.grad(&grads).expect("of a leaf");
                (y.into_data(), grad.into_data())
            });
            let tolerance = Tolerance::<f32>::absolute(1e-5);
            ours.0.assert_approx_eq(&theirs.0, tolerance);
            ours.1.assert_approx_eq(&theirs.1, tolerance);
        }
    }
}
