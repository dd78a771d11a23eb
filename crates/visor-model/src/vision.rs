//! A SigLIP-type vision encoder of any depth, possibly none.

use crate::attention::{Heads, attend};
use crate::config::VisionConfig;
use crate::counter;
use crate::error::ModelError;
use crate::linear::{Bias, Linear};
use crate::mlp::VisionMlp;
use crate::norm::LayerNorm;
use crate::weights::zeros;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use visor_core::cost::matmul;

/// Patches to tokens.
#[derive(Module, Debug)]
struct PatchEmbedding {
    /// `[E, 3, side, side]`.
    weight: Param<Tensor<4>>,
    /// `[E]`.
    bias: Param<Tensor<1>>,
}

/// A learned vector a place.
#[derive(Module, Debug)]
struct PositionEmbedding {
    /// `[P, E]`.
    weight: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
struct Embeddings {
    patch_embedding: PatchEmbedding,
    position_embedding: PositionEmbedding,
}

#[derive(Module, Debug)]
struct VisionAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    #[module(skip)]
    heads: Heads,
}

#[derive(Module, Debug)]
struct VisionLayer {
    layer_norm1: LayerNorm,
    self_attn: VisionAttention,
    layer_norm2: LayerNorm,
    mlp: VisionMlp,
}

#[derive(Module, Debug)]
struct Encoder {
    layers: Vec<VisionLayer>,
}

/// The vision encoder: pixels of a tile to patch tokens.
#[derive(Module, Debug)]
pub struct VisionEncoder {
    embeddings: Embeddings,
    encoder: Encoder,
    post_layernorm: Option<LayerNorm>,
    #[module(skip)]
    image_size: usize,
    #[module(skip)]
    patch_size: usize,
}

impl VisionEncoder {
    /// An encoder to be filled.
    pub fn new(config: &VisionConfig, device: &Device) -> Self {
        let &VisionConfig { d_model, patch_size, image_size, .. } = config;
        let norm = || LayerNorm::new(d_model, config.layer_norm_eps, device);
        let linear = || Linear::new(d_model, d_model, Bias::With, device);
        let heads = Heads {
            n_heads: config.n_heads,
            n_kv_heads: config.n_heads,
            head_dim: d_model / config.n_heads,
        };
        let layer = |_| VisionLayer {
            layer_norm1: norm(),
            self_attn: VisionAttention {
                q_proj: linear(),
                k_proj: linear(),
                v_proj: linear(),
                out_proj: linear(),
                heads,
            },
            layer_norm2: norm(),
            mlp: VisionMlp::new(d_model, config.d_ffn, device),
        };
        Self {
            embeddings: Embeddings {
                patch_embedding: PatchEmbedding {
                    weight: zeros([d_model, 3, patch_size, patch_size], device),
                    bias: zeros([d_model], device),
                },
                position_embedding: PositionEmbedding {
                    weight: zeros([config.n_patches(), d_model], device),
                },
            },
            encoder: Encoder { layers: (0..config.n_layers).map(layer).collect() },
            post_layernorm: config.post_norm.then(norm),
            image_size,
            patch_size,
        }
    }

    /// `[tiles, 3, side, side]` normalised pixels to `[tiles, P, E]`. `interrupt` is asked before
    /// each layer.
    ///
    /// # Errors
    /// [`ModelError::TileSize`], or what `interrupt` returns.
    pub fn forward(
        &self,
        pixels: Tensor<4>,
        interrupt: &dyn Fn() -> Result<(), ModelError>,
    ) -> Result<Tensor<3>, ModelError> {
        let [_, _, height, width] = pixels.dims();
        if height != self.image_size || width != self.image_size {
            return Err(ModelError::TileSize { expected: self.image_size, height, width });
        }
        let mut x = self.embed(pixels); // [tiles, P, E]
        for layer in &self.encoder.layers {
            interrupt()?;
            x = layer.forward(x);
        }
        Ok(match &self.post_layernorm {
            Some(norm) => norm.forward(x),
            None => x,
        })
    }

    /// A convolution whose stride is its kernel, as one matrix product over flattened patches.
    fn embed(&self, pixels: Tensor<4>) -> Tensor<3> {
        let PatchEmbedding { weight, bias } = &self.embeddings.patch_embedding;
        let [tiles, channels, _, _] = pixels.dims();
        let (side, grid) = (self.patch_size, self.image_size / self.patch_size);
        let [e, _, _, _] = weight.dims();
        let values = channels * side * side;
        counter::record(matmul(tiles * grid * grid, values, e));
        let used = grid * side; // a remainder of pixels at the right and bottom is dropped
        let patches = pixels
            .narrow(2, 0, used)
            .narrow(3, 0, used)
            .reshape([tiles, channels, grid, side, grid, side])
            .permute([0, 2, 4, 1, 3, 5]) // [tiles, grid, grid, channels, side, side]
            .reshape([tiles * grid * grid, values]);
        let x = patches.matmul(weight.val().reshape([e, values]).transpose()); // [tiles * P, E]
        let x = (x + bias.val().unsqueeze()).reshape([tiles, grid * grid, e]);
        x + self.embeddings.position_embedding.weight.val().unsqueeze()
    }
}

impl VisionLayer {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.self_attn.forward(&self.layer_norm1.forward(x));
        x.clone() + self.mlp.forward(self.layer_norm2.forward(x))
    }
}

impl VisionAttention {
    fn forward(&self, x: &Tensor<3>) -> Tensor<3> {
        let split = |linear: &Linear| self.heads.split(linear.forward(x.clone()));
        let (q, k, v) = (split(&self.q_proj), split(&self.k_proj), split(&self.v_proj));
        self.out_proj.forward(self.heads.merge(attend(q, k, v, None)))
    }
}
