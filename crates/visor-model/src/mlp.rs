//! The two feed-forward blocks.

use crate::host;
use crate::linear::{Bias, Linear};
use crate::precision::ForEach;
use crate::together::Together;
use crate::weight::Role;
use burn::module::Module;
use burn::tensor::{Device, Tensor, activation};

/// `down(silu(gate(x)) * up(x))` (Llama, Qwen2).
#[derive(Module, Debug)]
pub struct SwiGlu {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
    /// Gate and up as one product, where they run so.
    #[module(skip)]
    together: Option<Together<2>>,
}

impl SwiGlu {
    /// A block to be filled.
    pub fn new(d_model: usize, d_ffn: usize, device: &Device) -> Self {
        let linear = |d_in, d_out| Linear::new(d_in, d_out, Bias::Without, device);
        Self {
            gate_proj: linear(d_model, d_ffn),
            up_proj: linear(d_model, d_ffn),
            down_proj: linear(d_ffn, d_model),
            together: None,
        }
    }

    /// The same with gate and up as one product, to be run.
    #[must_use]
    pub(crate) fn joined(mut self) -> Self {
        self.together = Together::of([&mut self.gate_proj, &mut self.up_proj]);
        self
    }

    pub(crate) fn for_each_weight(&mut self, each: ForEach<'_>) {
        for linear in [&mut self.gate_proj, &mut self.up_proj, &mut self.down_proj] {
            each(&mut linear.weight, Role::Product);
        }
    }

    /// `[B, S, E]` to `[B, S, E]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        if let Some(together) = &self.together {
            let [batch, s, e] = x.dims();
            let [gate, up] = together.forward(x, [s, s]); // [B * S, d_ffn]
            return self.down_proj.forward(silu_times(gate, up)).reshape([batch, s, e]);
        }
        let gate = self.gate_proj.forward(x.clone()); // [B, S, d_ffn]
        self.down_proj.forward(silu_times(gate, self.up_proj.forward(x)))
    }
}

/// `silu(gate) * up`.
fn silu_times<const R: usize>(gate: Tensor<R>, up: Tensor<R>) -> Tensor<R> {
    host::silu_times(gate, up).unwrap_or_else(|(gate, up)| silu(gate) * up)
}

fn silu<const R: usize>(x: Tensor<R>) -> Tensor<R> {
    host::silu(x).unwrap_or_else(activation::silu)
}

/// `fc2(gelu_tanh(fc1(x)))` (SigLIP).
#[derive(Module, Debug)]
pub struct VisionMlp {
    fc1: Linear,
    fc2: Linear,
}

impl VisionMlp {
    /// A block to be filled.
    pub fn new(d_model: usize, d_ffn: usize, device: &Device) -> Self {
        Self {
            fc1: Linear::new(d_model, d_ffn, Bias::With, device),
            fc2: Linear::new(d_ffn, d_model, Bias::With, device),
        }
    }

    pub(crate) fn for_each_weight(&mut self, each: ForEach<'_>) {
        each(&mut self.fc1.weight, Role::Product);
        each(&mut self.fc2.weight, Role::Product);
    }

    /// `[B, P, E]` to `[B, P, E]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.fc2.forward(gelu_tanh(self.fc1.forward(x)))
    }
}

/// GELU by its tanh approximation, written as `x * sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3))`.
pub fn gelu_tanh<const R: usize>(x: Tensor<R>) -> Tensor<R> {
    const TWICE_SQRT_2_OVER_PI: f64 = 1.595_769_121_605_730_8;
    host::in_place(x, visor_kernels::gelu_tanh).unwrap_or_else(|x| {
        let cube = x.clone() * x.clone() * x.clone();
        x.clone() * activation::sigmoid((x + cube * 0.044_715) * TWICE_SQRT_2_OVER_PI)
    })
}

/// GELU by the error function.
pub(crate) fn gelu<const R: usize>(x: Tensor<R>) -> Tensor<R> {
    host::gelu(x).unwrap_or_else(activation::gelu)
}
