//! Between encoder and decoder: patch tokens to visual tokens.

use crate::config::{ConnectorConfig, TextConfig, VisionConfig};
use crate::linear::{Bias, Linear};
use burn::module::Module;
use burn::tensor::{Device, Tensor, activation};

/// One linear map, named as Idefics3 checkpoints name it.
#[derive(Module, Debug)]
pub struct ModalityProjection {
    proj: Linear,
}

/// Squares of patches become one token (Idefics3, SmolVLM).
#[derive(Module, Debug)]
pub struct PixelShuffle {
    modality_projection: ModalityProjection,
    #[module(skip)]
    scale: usize,
}

/// Two linear maps with an exact GELU between (LLaVA).
#[derive(Module, Debug)]
pub struct MlpConnector {
    linear_1: Linear,
    linear_2: Linear,
}

/// A connector: exactly one of the two kinds.
#[derive(Module, Debug)]
pub struct Connector {
    shuffle: Option<PixelShuffle>,
    mlp: Option<MlpConnector>,
}

impl Connector {
    /// A connector to be filled.
    pub fn new(
        config: &ConnectorConfig,
        vision: &VisionConfig,
        text: &TextConfig,
        device: &Device,
    ) -> Self {
        let (d_vision, d_model) = (vision.d_model, text.d_model);
        match *config {
            ConnectorConfig::PixelShuffle { scale } => {
                let d_in = d_vision * scale * scale;
                let proj = Linear::new(d_in, d_model, Bias::Without, device);
                let modality_projection = ModalityProjection { proj };
                Self { shuffle: Some(PixelShuffle { modality_projection, scale }), mlp: None }
            }
            ConnectorConfig::Mlp { d_hidden, bias } => {
                let linear_1 = Linear::new(d_vision, d_hidden, bias, device);
                let linear_2 = Linear::new(d_hidden, d_model, bias, device);
                Self { shuffle: None, mlp: Some(MlpConnector { linear_1, linear_2 }) }
            }
        }
    }

    /// Patch tokens `[tiles, P, E_vision]` to visual tokens `[tiles, N, E]`.
    pub fn forward(&self, patches: Tensor<3>) -> Tensor<3> {
        match (&self.shuffle, &self.mlp) {
            (Some(shuffle), _) => shuffle.forward(patches),
            (_, Some(mlp)) => mlp.forward(patches),
            (None, None) => patches,
        }
    }
}

impl PixelShuffle {
    fn forward(&self, patches: Tensor<3>) -> Tensor<3> {
        let [tiles, p, e] = patches.dims();
        let (s, grid) = (self.scale, p.isqrt());
        let squares = grid / s;
        let shuffled = patches
            .reshape([tiles, squares, s, squares, s * e]) // columns of a square stand together
            .swap_dims(2, 3) // [tiles, squares, squares, s, s * e]
            .reshape([tiles, squares * squares, s * s * e]);
        self.modality_projection.proj.forward(shuffled)
    }
}

impl MlpConnector {
    fn forward(&self, patches: Tensor<3>) -> Tensor<3> {
        self.linear_2.forward(activation::gelu(self.linear_1.forward(patches)))
    }
}
