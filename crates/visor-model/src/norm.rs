//! Normalisation over the last axis.

use crate::host;
use crate::weights::zeros;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

/// `x / sqrt(mean(x^2) + eps) * weight` (Llama, Qwen2).
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// `[E]`.
    pub weight: Param<Tensor<1>>,
    #[module(skip)]
    eps: f64,
}

impl RmsNorm {
    /// A norm to be filled.
    pub fn new(width: usize, eps: f64, device: &Device) -> Self {
        Self { weight: zeros([width], device), eps }
    }

    /// What is added to the mean square.
    pub fn eps(&self) -> f64 {
        self.eps
    }

    /// Normalises the last axis.
    pub fn forward<const R: usize>(&self, x: Tensor<R>) -> Tensor<R> {
        host::rms_norm(x, &self.weight.val(), self.eps).unwrap_or_else(|x| {
            let mean_square = x.clone().square().mean_dim(R - 1); // [.., 1]
            let x = x / (mean_square + self.eps).sqrt();
            x * self.weight.val().unsqueeze()
        })
    }
}

/// `(x - mean) / sqrt(var + eps) * weight + bias` (SigLIP).
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[E]`.
    pub weight: Param<Tensor<1>>,
    /// `[E]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    eps: f64,
}

impl LayerNorm {
    /// A norm to be filled.
    pub fn new(width: usize, eps: f64, device: &Device) -> Self {
        Self { weight: zeros([width], device), bias: zeros([width], device), eps }
    }

    /// Normalises the last axis.
    pub fn forward<const R: usize>(&self, x: Tensor<R>) -> Tensor<R> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        host::layer_norm(x, &weight, &bias, self.eps).unwrap_or_else(|x| {
            let centred = x.clone() - x.mean_dim(R - 1);
            let variance = centred.clone().square().mean_dim(R - 1); // [.., 1]
            let x = centred / (variance + self.eps).sqrt();
            x * weight.unsqueeze() + bias.unsqueeze()
        })
    }
}
