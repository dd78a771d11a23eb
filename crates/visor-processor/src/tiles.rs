//! How a picture becomes tiles, and what the tiles become in a prompt.
//!
//! Everything here is arithmetic on sizes: how many tiles and visual tokens a picture gives is known
//! before a pixel is touched. The numbers are those of `transformers`, whose Python rounds where it
//! does; sizes are computed in `f64` and cut, as there.

pub(crate) mod anyres;
mod panels;
pub(crate) mod split;

use crate::prompt::ImageTokens;
pub use anyres::{FeatureMap, Resolution};
pub use panels::{Cover, Frame, Panel};

/// The size of a picture in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PixelSize {
    /// Pixels in a row, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
}

impl PixelSize {
    /// Width by height.
    pub(crate) fn aspect(self) -> f64 {
        f64::from(self.width) / f64::from(self.height)
    }
}

/// Tiles that lie in `rows` x `cols`, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TileGrid {
    /// Rows of tiles, at least 1.
    pub rows: usize,
    /// Columns of tiles, at least 1.
    pub cols: usize,
}

impl TileGrid {
    /// Number of tiles.
    pub fn tiles(self) -> usize {
        self.rows.saturating_mul(self.cols)
    }
}

/// How the tiles of one picture lie, and what they become in a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arrangement {
    /// One tile, whose visual tokens stand in the prompt as they are.
    Whole,
    /// The tiles of a grid, then the whole picture as one more tile. Each has a place of its own in
    /// the prompt, between words that say which it is. Without a grid the whole picture alone
    /// (Idefics3, SmolVLM).
    Marked {
        /// The grid, unless the picture is small enough.
        grid: Option<TileGrid>,
    },
    /// The whole picture as one tile, then the tiles of a grid, whose tokens are put together again,
    /// freed of the padding and perhaps shrunk (LLaVA-OneVision, a picture alone in its prompt).
    AnyRes {
        /// The grid.
        grid: TileGrid,
        /// The picture as it came: says how much of the grid is padding.
        original: PixelSize,
        /// Grids with more tokens than this many tiles have are shrunk.
        max_tiles: usize,
    },
    /// One tile, of the square around the picture, and a new-line token (LLaVA-OneVision, one
    /// picture of several).
    Lined,
}

impl Arrangement {
    /// How many tiles the vision encoder sees.
    pub fn tiles(self) -> usize {
        match self {
            Self::Whole | Self::Lined | Self::Marked { grid: None } => 1,
            Self::Marked { grid: Some(grid) } | Self::AnyRes { grid, .. } => {
                grid.tiles().saturating_add(1)
            }
        }
    }

    /// The places of the picture in a prompt, in order, where a tile gives `tile` visual tokens.
    pub fn places(self, tile: ImageTokens) -> Vec<ImageTokens> {
        let base = tile.rows.saturating_mul(tile.cols);
        // Rows of different lengths make no rectangle: such a place is one row.
        let line = |cols| vec![ImageTokens { rows: 1, cols }];
        match self {
            Self::Whole | Self::Marked { .. } => vec![tile; self.tiles()],
            Self::Lined => line(base.saturating_add(1)),
            Self::AnyRes { .. } => {
                let map = self.feature_map(tile).map_or(0, |map| map.tokens());
                line(base.saturating_add(map))
            }
        }
    }

    /// What becomes of the tokens of the grid, where they are put together again.
    pub fn feature_map(self, tile: ImageTokens) -> Option<FeatureMap> {
        match self {
            Self::AnyRes { grid, original, max_tiles } => {
                Some(FeatureMap::new(grid, original, max_tiles, tile))
            }
            Self::Whole | Self::Marked { .. } | Self::Lined => None,
        }
    }

    /// What stands in a prompt in place of the picture's `marker`: markers, one a visual token, and
    /// the words around tiles.
    pub fn written(self, marker: &str, tile: ImageTokens) -> String {
        match self {
            Self::Marked { grid } => split::written(grid, marker, tile.rows * tile.cols),
            Self::Whole | Self::AnyRes { .. } | Self::Lined => {
                let tokens: usize =
                    self.places(tile).iter().map(|place| place.rows * place.cols).sum();
                marker.repeat(tokens)
            }
        }
    }

    /// How many tokens the words around the tiles are, where each of them is in the vocabulary.
    pub fn word_tokens(self) -> usize {
        match self {
            Self::Whole | Self::AnyRes { .. } | Self::Lined => 0,
            Self::Marked { grid: None } => 3,
            // Two words a tile, a new line a row; a new line, two words and one behind the whole.
            Self::Marked { grid: Some(TileGrid { rows, cols }) } => rows * (2 * cols + 1) + 3,
        }
    }
}
