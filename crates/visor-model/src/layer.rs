//! A decoder layer and its three modes.

use crate::attention::{Heads, SelfAttention};
use crate::cache::{KvCache, LayerCache};
use crate::cross::CrossAttention;
use crate::error::ModelError;
use crate::linear::Bias;
use crate::mlp::SwiGlu;
use crate::norm::RmsNorm;
use crate::placement::Placement;
use crate::rotary::RotaryTable;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use visor_core::LayerMode;

/// The two streams of a sample.
#[derive(Clone, Debug)]
pub struct Streams {
    /// Text, `[B, T, E]`.
    pub text: Tensor<3>,
    /// The picture, `[B, V, E]`; `None` without pictures and in decode, where caches hold what is
    /// still needed of it.
    pub visual: Option<Tensor<3>>,
}

impl Streams {
    /// Picture and text as one sequence, `[B, V + T, E]`, and how long the picture is.
    fn join(self) -> (Tensor<3>, usize) {
        match self.visual {
            Some(visual) => {
                let [_, n_visual, _] = visual.dims();
                (Tensor::cat(vec![visual, self.text], 1), n_visual)
            }
            None => (self.text, 0),
        }
    }

    /// The inverse of [`join`](Self::join).
    fn split(joint: Tensor<3>, n_visual: usize) -> Self {
        let [_, tokens, _] = joint.dims();
        match n_visual {
            0 => Self { text: joint, visual: None },
            _ => Self {
                text: joint.clone().narrow(1, n_visual, tokens - n_visual),
                visual: Some(joint.narrow(1, 0, n_visual)),
            },
        }
    }
}

/// What becomes of the picture's update in a self-attention layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refinement {
    /// The picture is refined, as the method says.
    #[default]
    Apply,
    /// Text is updated, the picture stays as it was: an experiment's control.
    Discard,
}

/// A layer of the decoder: norm, self-attention, norm, SwiGLU, and cross-attention in front of it
/// where the layout has one.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    input_layernorm: RmsNorm,
    self_attn: SelfAttention,
    post_attention_layernorm: RmsNorm,
    mlp: SwiGlu,
    cross: Option<CrossAttention>,
}

/// Sizes of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerSizes {
    /// Width of a token.
    pub d_model: usize,
    /// Inner width of the SwiGLU.
    pub d_ffn: usize,
    /// Heads of self-attention.
    pub heads: Heads,
    /// Bias of its q, k and v.
    pub bias: Bias,
    /// Of the norms.
    pub eps: f64,
    /// Heads and bias of cross-attention, where the layer has it.
    pub cross: Option<(Heads, Bias)>,
}

impl DecoderLayer {
    /// A layer to be filled.
    pub fn new(sizes: &LayerSizes, device: &Device) -> Self {
        let &LayerSizes { d_model, d_ffn, heads, bias, eps, cross } = sizes;
        Self {
            input_layernorm: RmsNorm::new(d_model, eps, device),
            self_attn: SelfAttention::new(d_model, heads, bias, device),
            post_attention_layernorm: RmsNorm::new(d_model, eps, device),
            mlp: SwiGlu::new(d_model, d_ffn, device),
            cross: cross
                .map(|(heads, bias)| CrossAttention::new(d_model, heads, bias, eps, device)),
        }
    }

    /// One layer in one mode (VISOR, Eq. 1-3).
    ///
    /// # Errors
    /// [`ModelError::CacheFull`].
    ///
    /// # Panics
    /// If asked for cross-attention that the layout does not give this layer: schedules are made
    /// from the layout.
    pub fn forward(
        &self,
        mode: LayerMode,
        streams: Streams,
        at: &Placement,
        mut cache: Option<&mut LayerCache>,
    ) -> Result<Streams, ModelError> {
        match mode {
            LayerMode::TextOnly => {
                let text = self.block(streams.text, &at.text_rotary, &at.text_bias, at, cache)?;
                Ok(Streams { text, ..streams })
            }
            LayerMode::CrossAttention => {
                let cross = self.cross.as_ref().expect("schedules follow the layout");
                let [batch, _, _] = streams.text.dims();
                let make = || cross.keys(streams.visual.clone(), batch);
                let keys = match cache.as_deref_mut() {
                    Some(cache) => cache.visual(make),
                    None => make(),
                };
                let read = cross.read(streams.text.clone(), &keys, at.cross_bias.as_ref());
                let text = streams.text + read;
                let text = self.block(text, &at.text_rotary, &at.text_bias, at, cache)?;
                Ok(Streams { text, visual: streams.visual })
            }
            LayerMode::SelfAttention => {
                let (joint, n_visual) = streams.join();
                let joint = self.block(joint, &at.joint_rotary, &at.joint_bias, at, cache)?;
                Ok(Streams::split(joint, n_visual))
            }
        }
    }

    /// The pre-trained layer `TL`: `x + attention(norm(x))`, then `x + mlp(norm(x))`.
    fn block(
        &self,
        x: Tensor<3>,
        rotary: &RotaryTable,
        bias: &Option<Tensor<4>>,
        at: &Placement,
        cache: Option<&mut LayerCache>,
    ) -> Result<Tensor<3>, ModelError> {
        let cache: Option<&mut KvCache> = cache.map(LayerCache::own);
        let normed = self.input_layernorm.forward(x.clone());
        let x = x + self.self_attn.forward(normed, rotary, bias.as_ref(), cache, at.unwritten)?;
        Ok(x.clone() + self.mlp.forward(self.post_attention_layernorm.forward(x)))
    }

    /// Folds the gate of cross-attention, for inference.
    #[must_use]
    pub fn fold_gate(self) -> Self {
        Self { cross: self.cross.map(CrossAttention::fold_gate), ..self }
    }
}
