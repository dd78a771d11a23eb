//! The layers that both towers of CLIP have.

use super::config::{ClipActivation, TowerConfig};
use crate::attention::{Heads, attend};
use crate::linear::{Bias, Linear};
use crate::norm::LayerNorm;
use burn::module::Module;
use burn::tensor::{Device, Tensor, activation};

#[derive(Module, Debug)]
struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    #[module(skip)]
    heads: Heads,
}

#[derive(Module, Debug)]
struct Mlp {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    activation: ClipActivation,
}

#[derive(Module, Debug)]
struct Layer {
    layer_norm1: LayerNorm,
    self_attn: Attention,
    layer_norm2: LayerNorm,
    mlp: Mlp,
}

/// A stack of layers (`CLIPEncoder`).
#[derive(Module, Debug)]
pub(super) struct Tower {
    layers: Vec<Layer>,
}

impl Tower {
    /// Layers to be filled.
    pub(super) fn new(config: &TowerConfig, device: &Device) -> Self {
        let &TowerConfig { d_model, d_ffn, n_layers, n_heads, eps, activation } = config;
        let linear = |d_in, d_out| Linear::new(d_in, d_out, Bias::With, device);
        let heads = Heads { n_heads, n_kv_heads: n_heads, head_dim: d_model / n_heads };
        let layer = |_| Layer {
            layer_norm1: LayerNorm::new(d_model, eps, device),
            self_attn: Attention {
                q_proj: linear(d_model, d_model),
                k_proj: linear(d_model, d_model),
                v_proj: linear(d_model, d_model),
                out_proj: linear(d_model, d_model),
                heads,
            },
            layer_norm2: LayerNorm::new(d_model, eps, device),
            mlp: Mlp { fc1: linear(d_model, d_ffn), fc2: linear(d_ffn, d_model), activation },
        };
        Self { layers: (0..n_layers).map(layer).collect() }
    }

    /// `[B, S, E]` through all layers; `bias` as in [`attend`]. `observe` is told of each state.
    pub(super) fn forward(
        &self,
        mut x: Tensor<3>,
        bias: Option<&Tensor<4>>,
        observe: &mut dyn FnMut(usize, &Tensor<3>),
    ) -> Tensor<3> {
        for (index, layer) in self.layers.iter().enumerate() {
            x = x.clone() + layer.self_attn.forward(&layer.layer_norm1.forward(x), bias);
            x = x.clone() + layer.mlp.forward(layer.layer_norm2.forward(x));
            observe(index, &x);
        }
        x
    }
}

impl Attention {
    fn forward(&self, x: &Tensor<3>, bias: Option<&Tensor<4>>) -> Tensor<3> {
        let split = |linear: &Linear| self.heads.split(linear.forward(x.clone()));
        let (q, k, v) = (split(&self.q_proj), split(&self.k_proj), split(&self.v_proj));
        self.out_proj.forward(self.heads.merge(attend(q, k, v, bias)))
    }
}

impl Mlp {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = self.fc1.forward(x); // [B, S, d_ffn]
        self.fc2.forward(match self.activation {
            ClipActivation::QuickGelu => x.clone() * activation::sigmoid(x * 1.702),
            ClipActivation::Gelu => activation::gelu(x),
        })
    }
}
