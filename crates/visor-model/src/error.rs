//! What can go wrong in the network.

use std::sync::Arc;
use thiserror::Error;
use visor_core::LadderError;
use visor_runtime::{BackboneError, Cancelled};

/// An error of the network or of filling it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// More tokens than a cache was made for.
    #[error("the cache holds {capacity} positions and {wanted} are needed; ask for fewer tokens")]
    CacheFull {
        /// Positions it has room for.
        capacity: usize,
        /// Positions asked for.
        wanted: usize,
    },
    /// Weights that a number format does not hold.
    #[error("tensor `{name}`: {source}")]
    Packing {
        /// The parameter.
        name: String,
        /// Why.
        source: visor_kernels::MatrixError,
    },
    /// Pixels of another size than the encoder takes.
    #[error("the vision encoder takes tiles of {expected} px a side, got {height}x{width}")]
    TileSize {
        /// Side in pixels.
        expected: usize,
        /// What came.
        height: usize,
        /// What came.
        width: usize,
    },
    /// Nothing to encode.
    #[error("there is no picture to encode")]
    NoPictures,
    /// The prompt and the pictures do not match.
    #[error("the prompt has room for {expected} visual tokens, the pictures give {got}")]
    VisualTokens {
        /// Places in the prompt.
        expected: usize,
        /// Tokens that the encoder gave.
        got: usize,
    },
    /// A token that the vocabulary does not have.
    #[error(
        "token id {id} is outside the vocabulary of {vocab}: the model has no embedding for it"
    )]
    TokenId {
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        vocab: usize,
    },
    /// A text without the token that ends it, whose state stands for all of it.
    #[error("the text has no token that ends it: put the tokenizer's end of text behind it")]
    NoEndOfText,
    /// A picture whose tiles are not those of its arrangement.
    #[error("the picture is arranged as {expected} tiles and has {got}: it was not prepared whole")]
    Tiles {
        /// Tiles of the arrangement.
        expected: usize,
        /// Tiles of the picture.
        got: usize,
    },
    /// A routing token of another model.
    #[error("the routing token has {got} values, this model's tokens have {expected}")]
    RoutingToken {
        /// Width of a token.
        expected: usize,
        /// Width of the routing token.
        got: usize,
    },
    /// Patches are to be chosen, and nothing chooses.
    #[error("this model has no patch selector in front of its decision; ask for all patches")]
    NoSelector,
    /// The ladder cannot have such pairs of a rung and a number of patches.
    #[error(transparent)]
    Pairs(#[from] LadderError),
    /// More patches than there are.
    #[error("{asked} patches are asked for, the pictures have {n_visual}; ask for at most so many")]
    Patches {
        /// Patches asked for.
        asked: usize,
        /// Visual tokens of the pictures.
        n_visual: usize,
    },
    /// The work was called off.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A configuration that cannot be built.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// A default for answers that cannot be followed.
    #[error("`generation_config.json` has {field} = {got}: expected {expected}")]
    Generation {
        /// The field.
        field: &'static str,
        /// Its value.
        got: f64,
        /// What would do.
        expected: &'static str,
    },
    /// A checkpoint that does not fit.
    #[error(transparent)]
    Checkpoint(#[from] visor_checkpoint::CheckpointError),
}

impl From<ModelError> for BackboneError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            other => Self::Failed(Arc::new(other)),
        }
    }
}
