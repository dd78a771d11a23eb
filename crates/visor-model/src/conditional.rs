//! Conditional position: what cross-attention has instead of rotary positions.

use crate::counter;
use crate::weights::zeros;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use visor_core::cost::matmul;

/// Taps of the convolution.
pub const KERNEL: usize = 7;

/// One residual depthwise 1-D convolution over the flattened tokens of each picture by itself:
/// kernel 7, padding 3, no bias (method, section 1).
#[derive(Module, Debug)]
pub struct ConditionalPosition {
    /// `[E, 1, 7]`, the layout of a grouped convolution.
    weight: Param<Tensor<3>>,
}

impl ConditionalPosition {
    /// A convolution to be filled; zeros leave the picture as it is.
    pub fn new(d_model: usize, device: &Device) -> Self {
        Self { weight: zeros([d_model, 1, KERNEL], device) }
    }

    /// Pictures `[B, V, E]` to `[B, V, E]`.
    pub fn forward(&self, pictures: Tensor<3>) -> Tensor<3> {
        let [b, v, e] = pictures.dims();
        counter::record(matmul(b * v, KERNEL, e));
        let margin = Tensor::zeros([b, KERNEL / 2, e], &pictures.device());
        let padded = Tensor::cat(vec![margin.clone(), pictures.clone(), margin], 1); // [B, V+6, E]
        let taps = self.weight.val().reshape([e, KERNEL]).transpose(); // [7, E]
        let tap = |i| taps.clone().narrow(0, i, 1).reshape([1, 1, e]);
        (0..KERNEL).fold(pictures, |sum, i| sum + padded.clone().narrow(1, i, v) * tap(i))
    }
}
