//! From a picture to the tiles of a family: which resize, which cut, which normalisation.

use crate::normalize::Normalization;
use crate::picture::Picture;
use crate::pixels::Pixels;
use crate::prompt::ImageTokens;
use crate::resize::{Filter, resize};

/// Longest side of a tile that a checkpoint may ask for, in pixels.
pub const MAX_TILE_SIDE: u32 = 4096;

/// How a family of checkpoints prepares a picture.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ImageProcessor {
    /// The whole picture, stretched to a square: one tile.
    Whole {
        /// Side of the tile in pixels, 1..=[`MAX_TILE_SIDE`].
        size: u32,
        /// Resampling.
        filter: Filter,
        /// Levels to numbers.
        normalization: Normalization,
    },
}

/// A processor's configuration that no picture can be prepared with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageProcessorError {
    /// The tile's side is out of range.
    #[error("tiles of {size} pixels a side: expected 1 to {MAX_TILE_SIDE}")]
    TileSize {
        /// The side asked for.
        size: u32,
    },
    /// Some level would become infinite or no number.
    #[error("normalisation {0:?} gives values that are not finite")]
    Normalization(Normalization),
}

/// How the tiles of one picture lie: `rows` x `cols` pieces, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TileGrid {
    /// Rows of tiles, at least 1.
    pub rows: usize,
    /// Columns of tiles, at least 1.
    pub cols: usize,
}

impl TileGrid {
    /// The visual tokens of the whole grid where a tile gives `rows` x `cols` of them.
    pub fn tokens(&self, rows: usize, cols: usize) -> ImageTokens {
        ImageTokens { rows: self.rows.saturating_mul(rows), cols: self.cols.saturating_mul(cols) }
    }
}

/// A picture as a vision encoder takes it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProcessedPicture {
    /// The tiles' values.
    pub pixels: Pixels,
    /// How the tiles lie in the picture.
    pub grid: TileGrid,
}

impl ImageProcessor {
    /// Prepares one picture.
    ///
    /// # Errors
    ///
    /// [`ImageProcessorError`] where the configuration itself is out of range; a picture of any size
    /// is accepted.
    pub fn process(&self, picture: &Picture) -> Result<ProcessedPicture, ImageProcessorError> {
        self.check()?;
        match *self {
            Self::Whole { size, filter, normalization } => {
                let square = resize(picture, size, size, filter);
                Ok(ProcessedPicture {
                    pixels: Pixels::from_picture(&square, &normalization),
                    grid: TileGrid { rows: 1, cols: 1 },
                })
            }
        }
    }

    /// Whether pictures can be prepared with this configuration: worth asking when it is read.
    ///
    /// # Errors
    ///
    /// [`ImageProcessorError`], as [`process`](Self::process) would give.
    pub fn check(&self) -> Result<(), ImageProcessorError> {
        match *self {
            Self::Whole { size, normalization, .. } => {
                if !(1..=MAX_TILE_SIDE).contains(&size) {
                    return Err(ImageProcessorError::TileSize { size });
                }
                if !normalization.is_usable() {
                    return Err(ImageProcessorError::Normalization(normalization));
                }
                Ok(())
            }
        }
    }
}
