//! A linear map with its weight as checkpoints store it.

use crate::counter;
use crate::weight::Weight;
use crate::weights::zeros;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use visor_core::cost::matmul;

/// `y = x W^T + b` with `W` as `[d_out, d_in]`, the layout of Hugging Face checkpoints.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[d_out, d_in]`.
    pub weight: Weight,
    /// `[d_out]`.
    pub bias: Option<Param<Tensor<1>>>,
}

/// Whether a linear map adds a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// It does.
    With,
    /// It does not.
    Without,
}

impl From<bool> for Bias {
    fn from(with: bool) -> Self {
        if with { Self::With } else { Self::Without }
    }
}

impl Linear {
    /// A map of zeros, to be filled.
    pub fn new(d_in: usize, d_out: usize, bias: Bias, device: &Device) -> Self {
        let bias = match bias {
            Bias::With => Some(zeros([d_out], device)),
            Bias::Without => None,
        };
        Self { weight: Weight::Single(zeros([d_out, d_in], device)), bias }
    }

    /// Maps the last axis: `[.., d_in]` to `[.., d_out]`.
    pub fn forward<const R: usize>(&self, x: Tensor<R>) -> Tensor<R> {
        let mut dims = x.dims();
        let [d_out, d_in] = self.weight.dims();
        let rows = dims.iter().product::<usize>() / d_in;
        counter::record(matmul(rows, d_in, d_out));
        // One product over all rows: a batched one would be cut into a product a sample.
        let y = self.weight.product(x.reshape([rows, d_in]), self.bias.as_ref()); // [rows, d_out]
        dims[R - 1] = d_out;
        y.reshape(dims)
    }
}
