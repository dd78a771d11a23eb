//! Cross-attention: text reads the picture, the picture stays as it is (VISOR, Eq. 2).

use crate::attention::{Heads, attend};
use crate::linear::{Bias, Linear};
use crate::norm::RmsNorm;
use crate::weights::zeros;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

/// `CA(T, V)`: own projections, no rotary positions, a gate, and a learned null key and value that
/// let a text token read nothing (method, section 1).
#[derive(Module, Debug)]
pub struct CrossAttention {
    text_norm: RmsNorm,
    visual_norm: RmsNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    /// `[G * D]`.
    null_key: Param<Tensor<1>>,
    /// `[G * D]`.
    null_value: Param<Tensor<1>>,
    /// `[1]`; `None` once it has been folded into the output projection.
    gate: Option<Param<Tensor<1>>>,
    #[module(skip)]
    heads: Heads,
}

/// The keys and values of a picture for one layer, the null pair first: `[B, G, 1 + V, D]` each.
#[derive(Clone, Debug)]
pub struct VisualKeys {
    k: Tensor<4>,
    v: Tensor<4>,
}

impl VisualKeys {
    /// Number of patches, without the null key.
    pub fn n_visual(&self) -> usize {
        let [_, _, s, _] = self.k.dims();
        s - 1
    }
}

impl CrossAttention {
    /// A block to be filled.
    pub fn new(d_model: usize, heads: Heads, bias: Bias, eps: f64, device: &Device) -> Self {
        let (d_q, d_kv) = (heads.n_heads * heads.head_dim, heads.n_kv_heads * heads.head_dim);
        Self {
            text_norm: RmsNorm::new(d_model, eps, device),
            visual_norm: RmsNorm::new(d_model, eps, device),
            q_proj: Linear::new(d_model, d_q, bias, device),
            k_proj: Linear::new(d_model, d_kv, bias, device),
            v_proj: Linear::new(d_model, d_kv, bias, device),
            o_proj: Linear::new(d_q, d_model, Bias::Without, device),
            null_key: zeros([d_kv], device),
            null_value: zeros([d_kv], device),
            gate: Some(zeros([1], device)),
            heads,
        }
    }

    /// Keys and values of the visual tokens `[B, V, E]`; of the null pair alone without a picture.
    pub fn keys(&self, visual: Option<Tensor<3>>, batch: usize) -> VisualKeys {
        let Heads { n_kv_heads: g, head_dim: d, .. } = self.heads;
        let null = |p: &Param<Tensor<1>>| p.val().reshape([1, g, 1, d]).expand([batch, g, 1, d]);
        let (null_key, null_value) = (null(&self.null_key), null(&self.null_value));
        let Some(visual) = visual else { return VisualKeys { k: null_key, v: null_value } };
        let visual = self.visual_norm.forward(visual);
        let k = self.heads.split(self.k_proj.forward(visual.clone())); // [B, G, V, D]
        let v = self.heads.split(self.v_proj.forward(visual)); // [B, G, V, D]
        VisualKeys {
            k: Tensor::cat(vec![null_key, k], 2), // [B, G, 1 + V, D]
            v: Tensor::cat(vec![null_value, v], 2),
        }
    }

    /// What the text `[B, T, E]` reads: `[B, T, E]`, to be added to it. `bias` is
    /// `[B or 1, 1, T, 1 + V]`.
    pub fn read(&self, text: Tensor<3>, keys: &VisualKeys, bias: Option<&Tensor<4>>) -> Tensor<3> {
        let q = self.heads.split(self.q_proj.forward(self.text_norm.forward(text))); // [B, H, T, D]
        let read = attend(q, keys.k.clone(), keys.v.clone(), bias); // [B, H, T, D]
        let read = self.o_proj.forward(self.heads.merge(read)); // [B, T, E]
        match &self.gate {
            Some(gate) => read * gate.val().tanh().reshape([1, 1, 1]),
            None => read,
        }
    }

    /// Folds `tanh(gate)` into the output projection, for inference.
    #[must_use]
    pub fn fold_gate(mut self) -> Self {
        if let Some(gate) = self.gate.take() {
            let scale = gate.val().tanh().reshape([1, 1]);
            self.o_proj.weight = self.o_proj.weight.map(|weight| weight * scale);
        }
        self
    }
}
