//! Between encoder and decoder: patch tokens to visual tokens, and the tokens of tiles to those of a
//! picture.

use crate::config::{ConnectorConfig, TextConfig, Tiling, VisionConfig};
use crate::feature_map;
use crate::linear::{Bias, Linear};
use crate::mlp::gelu;
use crate::precision::ForEach;
use crate::weight::Role;
use crate::weights::zeros;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use visor_processor::{Arrangement, ImageTokens};

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
    /// Ends a row of visual tokens (LLaVA-OneVision), `[E]`.
    newline: Option<Param<Tensor<1>>>,
}

impl Connector {
    /// A connector to be filled.
    pub fn new(
        config: &ConnectorConfig,
        tiling: &Tiling,
        vision: &VisionConfig,
        text: &TextConfig,
        device: &Device,
    ) -> Self {
        let (d_vision, d_model) = (vision.d_model, text.d_model);
        let newline = match tiling {
            Tiling::Whole | Tiling::Split => None,
            Tiling::AnyRes { .. } => Some(zeros([d_model], device)),
        };
        match *config {
            ConnectorConfig::PixelShuffle { scale } => {
                let d_in = d_vision * scale * scale;
                let proj = Linear::new(d_in, d_model, Bias::Without, device);
                let modality_projection = ModalityProjection { proj };
                let shuffle = Some(PixelShuffle { modality_projection, scale });
                Self { shuffle, mlp: None, newline }
            }
            ConnectorConfig::Mlp { d_hidden, bias } => {
                let linear_1 = Linear::new(d_vision, d_hidden, bias, device);
                let linear_2 = Linear::new(d_hidden, d_model, bias, device);
                let mlp = Some(MlpConnector { linear_1, linear_2 });
                Self { shuffle: None, mlp, newline }
            }
        }
    }

    pub(crate) fn for_each_weight(&mut self, each: ForEach<'_>) {
        if let Some(shuffle) = &mut self.shuffle {
            each(&mut shuffle.modality_projection.proj.weight, Role::Product);
        }
        if let Some(mlp) = &mut self.mlp {
            each(&mut mlp.linear_1.weight, Role::Product);
            each(&mut mlp.linear_2.weight, Role::Product);
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

    /// The visual tokens of a picture's tiles `[tiles, N, E]` as they stand in its places,
    /// `[places, N', E]`; `tile` is how the `N` tokens of a tile lie.
    pub fn pack(&self, tiles: Tensor<3>, arrangement: Arrangement, tile: ImageTokens) -> Tensor<3> {
        let newline = self.newline.as_ref().map(Param::val);
        match (arrangement, newline) {
            (Arrangement::Lined, Some(newline)) => {
                Tensor::cat(vec![tiles, newline.unsqueeze()], 1) // [1, N + 1, E]
            }
            (Arrangement::AnyRes { grid, .. }, Some(newline)) => {
                let [n_tiles, n, e] = tiles.dims();
                let whole = tiles.clone().narrow(0, 0, 1); // [1, N, E]
                let map = arrangement.feature_map(tile).filter(|map| map.tokens() > 0);
                let Some(map) = map else { return whole };
                let rest = tiles.narrow(0, 1, n_tiles - 1);
                let lines = feature_map::lines(rest, grid, map, newline); // [rows, cols + 1, E]
                let [rows, cols, _] = lines.dims();
                debug_assert_eq!(n, tile.rows * tile.cols);
                Tensor::cat(vec![whole, lines.reshape([1, rows * cols, e])], 1)
            }
            (Arrangement::Whole | Arrangement::Marked { .. }, _) | (_, None) => tiles,
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
        self.linear_2.forward(gelu(self.linear_1.forward(patches)))
    }
}
