//! What is known about a model before anything runs.

use crate::dtype::Dtype;
use visor_core::cost::ModelShape;
use visor_core::{Ladder, PositionScheme};
use visor_processor::ImageTokens;

/// Whether a model also runs as the stock model it could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenseMode {
    /// Every layer may attend to picture and text together.
    Available,
    /// It was not trained to.
    Unavailable,
}

/// What is known about a model before anything runs: sizes, budgets, names, never a weight.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCard {
    /// The name that reports use.
    pub name: String,
    /// The trained budgets; `None` for a stock model, which runs dense alone.
    pub ladder: Option<Ladder>,
    /// The dense reference.
    pub dense: DenseMode,
    /// Sizes, for the cost formulas.
    pub shape: ModelShape,
    /// Most tokens of prompt and answer together, visual ones included.
    pub context: usize,
    /// Masks and rotary positions.
    pub positions: PositionScheme,
    /// The id that stands for a picture in a prompt.
    pub image_token: u32,
    /// Side of a tile in pixels, as the vision encoder takes it.
    pub tile_side: usize,
    /// Visual tokens of one tile.
    pub tile_tokens: ImageTokens,
    /// Ids that end an answer; possibly none.
    pub eos: Vec<u32>,
    /// Rows of the embedding table: ids beyond it cannot be asked for.
    pub vocab: usize,
    /// Number of weights.
    pub parameters: u64,
    /// The number format of activations, keys and values.
    pub dtype: Dtype,
    /// SHA-256 of the backbone, hexadecimal; `None` before the weights have been read.
    pub sha256: Option<String>,
    /// The policy that the model names as its own.
    pub default_policy: Option<String>,
}
