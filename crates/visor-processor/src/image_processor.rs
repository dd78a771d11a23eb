//! From a picture to the tiles of a family: which resize, which cut, which normalisation.

use crate::normalize::Normalization;
use crate::picture::Picture;
use crate::pixels::{Pixels, PixelsError};
use crate::resize::{Filter, resize, resize_squared};
use crate::tiles::{Arrangement, PixelSize, Resolution, TileGrid, anyres, split};
use std::num::NonZeroUsize;

/// Longest side of a tile, or of a resized picture, that a checkpoint may ask for, in pixels.
pub const MAX_TILE_SIDE: u32 = 4096;

/// Most tiles that a checkpoint may cut a picture into.
pub const MAX_TILES: usize = 1024;

/// Longest side that a checkpoint may resize a picture to, in pixels.
const MAX_RESIZED_SIDE: u32 = 2 * MAX_TILE_SIDE;

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
    /// A grid of square tiles and the whole picture (Idefics3, SmolVLM).
    Split {
        /// Side of a tile in pixels, 1..=[`MAX_TILE_SIDE`].
        size: u32,
        /// The longer side of the picture before it is cut.
        longest_edge: u32,
        /// Whether it is cut at all.
        splitting: Splitting,
        /// Resampling.
        filter: Filter,
        /// Levels to numbers.
        normalization: Normalization,
    },
    /// The whole picture and the tiles of the resolution that fits best (LLaVA-OneVision).
    AnyRes {
        /// Side of a tile in pixels, 1..=[`MAX_TILE_SIDE`].
        size: u32,
        /// Resolutions to choose from, in multiples of `size`.
        resolutions: Vec<Resolution>,
        /// Grids with more tokens than this many tiles have are shrunk.
        max_tiles: usize,
        /// Resampling.
        filter: Filter,
        /// Levels to numbers.
        normalization: Normalization,
    },
}

/// Whether pictures are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Splitting {
    /// Those that are larger than a tile.
    On,
    /// None: each is one tile.
    Off,
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
    /// A resolution is no grid of tiles.
    #[error(
        "the resolution {width}x{height} is no grid of tiles of {size} pixels a side, or beyond \
         {MAX_RESIZED_SIDE} pixels"
    )]
    Resolution {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Side of a tile.
        size: u32,
    },
    /// Pictures would be resized to a size out of range before they are cut.
    #[error("pictures resized to {longest} pixels: expected 1 to {MAX_RESIZED_SIDE}")]
    LongestEdge {
        /// Pixels along the longer side.
        longest: u32,
    },
    /// There is no resolution to choose, or no token is allowed.
    #[error("no resolution to cut pictures by: expected at least one, and at least one tile")]
    NoResolution,
    /// A picture could be cut into more tiles than any checkpoint asks for.
    #[error("pictures would be cut into {tiles} tiles: expected at most {MAX_TILES}")]
    TooManyTiles {
        /// The largest number.
        tiles: usize,
    },
    /// Some level would become infinite or no number.
    #[error(
        "pixels times {} (rescale_factor), less the mean {:?}, over the deviation {:?} are not \
         finite: expected finite numbers, and deviations other than 0", .0.rescale, .0.mean, .0.std
    )]
    Normalization(Normalization),
    /// Tiles that do not make one batch.
    #[error(transparent)]
    Pixels(#[from] PixelsError),
}

/// A picture as a vision encoder takes it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProcessedPicture {
    /// The tiles' values.
    pub pixels: Pixels,
    /// How the tiles lie in the picture.
    pub arrangement: Arrangement,
}

/// What the picture shares its prompt with, and what is allowed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Pictures in the prompt, this one included.
    pub pictures: usize,
    /// Most tiles of a picture; `None` is as many as the checkpoint makes.
    pub max_tiles: Option<NonZeroUsize>,
}

impl Default for Setting {
    /// A picture alone in its prompt.
    fn default() -> Self {
        Self { pictures: 1, max_tiles: None }
    }
}

impl Setting {
    fn allows(self, arrangement: Arrangement) -> bool {
        self.max_tiles.is_none_or(|most| arrangement.tiles() <= most.get())
    }
}

impl ImageProcessor {
    /// Prepares one picture that is alone in its prompt.
    ///
    /// # Errors
    ///
    /// [`ImageProcessorError`] where the configuration itself is out of range; a picture of any size
    /// is accepted.
    pub fn process(&self, picture: &Picture) -> Result<ProcessedPicture, ImageProcessorError> {
        self.process_in(picture, Setting::default())
    }

    /// Prepares one picture in a setting.
    ///
    /// # Errors
    ///
    /// As [`process`](Self::process).
    pub fn process_in(
        &self,
        picture: &Picture,
        setting: Setting,
    ) -> Result<ProcessedPicture, ImageProcessorError> {
        self.check()?;
        let (tiles, arrangement) = self.tiles(picture, setting);
        let normalization = self.normalization();
        let parts: Vec<Pixels> =
            tiles.iter().map(|tile| Pixels::from_picture(tile, normalization)).collect();
        Ok(ProcessedPicture { pixels: Pixels::concat(&parts)?, arrangement })
    }

    /// The tiles of a picture as 8-bit levels, in the order in which the encoder sees them, and how
    /// they lie. The configuration must have passed [`check`](Self::check).
    pub fn tiles(&self, picture: &Picture, setting: Setting) -> (Vec<Picture>, Arrangement) {
        let original = picture.size();
        let (size, filter) = (self.tile_side(), self.filter());
        let whole = |picture: &Picture| resize(picture, size, size, filter);
        let arrangement = self.arrange(original, setting);
        let tiles = match (self, arrangement) {
            (Self::Split { longest_edge, .. }, Arrangement::Marked { grid }) => {
                let cut_at = self.cut_at(original, setting);
                let longest = cut_at.map_or(*longest_edge, |(longest, _)| longest);
                let PixelSize { width, height } = split::to_longest_edge(original, longest);
                let resized = resize(picture, width, height, filter);
                match grid {
                    None => vec![whole(&resized)],
                    Some(grid) => {
                        let (width, height) = (grid.cols as u32 * size, grid.rows as u32 * size);
                        let stretched = resize(&resized, width, height, filter);
                        let mut tiles = cut(&stretched, grid, size);
                        tiles.push(whole(&stretched));
                        tiles
                    }
                }
            }
            (Self::AnyRes { .. }, Arrangement::AnyRes { grid, .. }) => {
                let (width, height) = (grid.cols as u32 * size, grid.rows as u32 * size);
                let fitted = anyres::fitted(original, Resolution { height, width });
                let fitted = resize(picture, fitted.width, fitted.height, filter);
                let canvas = fitted.centred(width, height, [0; 3]);
                let mut tiles = vec![whole(picture)];
                tiles.extend(cut(&canvas, grid, size));
                tiles
            }
            (Self::AnyRes { normalization, .. }, _) => {
                let gray = normalization.mean.map(|mean| (f64::from(mean) * 255.0) as u8);
                vec![resize_squared(picture, gray, size, filter)]
            }
            _ => vec![whole(picture)],
        };
        (tiles, arrangement)
    }

    /// How many tiles a picture of this size gives and how they lie.
    pub fn arrange(&self, original: PixelSize, setting: Setting) -> Arrangement {
        match self {
            Self::Whole { .. } => Arrangement::Whole,
            Self::Split { splitting: Splitting::On, .. } => {
                let grid = self.cut_at(original, setting).map(|(_, grid)| grid);
                Arrangement::Marked { grid }
            }
            Self::Split { splitting: Splitting::Off, .. } => Arrangement::Marked { grid: None },
            Self::AnyRes { size, resolutions, max_tiles, .. } if setting.pictures == 1 => {
                let (size, max_tiles) = (*size, *max_tiles);
                let arrangement = |resolution: Resolution| {
                    let grid = resolution.grid(size);
                    Arrangement::AnyRes { grid, original, max_tiles }
                };
                let allowed = |resolution: &Resolution| setting.allows(arrangement(*resolution));
                let resolutions: Vec<Resolution> =
                    resolutions.iter().copied().filter(allowed).collect();
                anyres::best(original, &resolutions).map_or(Arrangement::Lined, arrangement)
            }
            Self::AnyRes { .. } => Arrangement::Lined,
        }
    }

    /// Bytes of the values of a picture that lies like this.
    pub fn pixel_bytes(&self, arrangement: Arrangement) -> u64 {
        let side = u64::from(self.tile_side());
        let tile = Pixels::CHANNELS as u64 * side * side * size_of::<f32>() as u64;
        (arrangement.tiles() as u64).saturating_mul(tile)
    }

    /// The longer side of a picture that is cut, and its grid: at the checkpoint's own size, or at
    /// the most whole tiles whose grid is allowed. None where the picture stays whole.
    fn cut_at(&self, original: PixelSize, setting: Setting) -> Option<(u32, TileGrid)> {
        let Self::Split { size, longest_edge, splitting: Splitting::On, .. } = *self else {
            return None;
        };
        let smaller = (1..longest_edge.div_ceil(size)).rev().map(|tiles| tiles * size);
        let cut = |longest: u32| {
            let grid = split::grid(split::to_longest_edge(original, longest), size)?;
            let allowed = setting.allows(Arrangement::Marked { grid: Some(grid) });
            allowed.then_some((longest, grid))
        };
        [longest_edge].into_iter().chain(smaller).find_map(cut)
    }

    /// Whether pictures can be prepared with this configuration: worth asking when it is read.
    ///
    /// # Errors
    ///
    /// [`ImageProcessorError`], as [`process`](Self::process) would give.
    pub fn check(&self) -> Result<(), ImageProcessorError> {
        let size = self.tile_side();
        if !(1..=MAX_TILE_SIDE).contains(&size) {
            return Err(ImageProcessorError::TileSize { size });
        }
        let most = match self {
            Self::Whole { .. } | Self::Split { splitting: Splitting::Off, .. } => 1,
            Self::Split { longest_edge, .. } => {
                let side = (*longest_edge).min(MAX_TILE_SIDE).div_ceil(size) as usize;
                side * side + 1
            }
            Self::AnyRes { resolutions, max_tiles, .. } => {
                if resolutions.is_empty() || !(1..=MAX_TILES).contains(max_tiles) {
                    return Err(ImageProcessorError::NoResolution);
                }
                let is_grid =
                    |side| (1..=MAX_RESIZED_SIDE).contains(&side) && side.is_multiple_of(size);
                let none = |r: &&Resolution| !is_grid(r.width) || !is_grid(r.height);
                if let Some(&Resolution { height, width }) = resolutions.iter().find(none) {
                    return Err(ImageProcessorError::Resolution { width, height, size });
                }
                resolutions.iter().map(|r| r.grid(size).tiles()).max().unwrap_or(0)
            }
        };
        if let Self::Split { longest_edge: longest, .. } = *self
            && !(1..=MAX_RESIZED_SIDE).contains(&longest)
        {
            return Err(ImageProcessorError::LongestEdge { longest });
        }
        if most > MAX_TILES {
            return Err(ImageProcessorError::TooManyTiles { tiles: most });
        }
        let normalization = *self.normalization();
        match normalization.is_usable() {
            true => Ok(()),
            false => Err(ImageProcessorError::Normalization(normalization)),
        }
    }

    /// Side of a tile in pixels.
    pub fn tile_side(&self) -> u32 {
        match *self {
            Self::Whole { size, .. } | Self::Split { size, .. } | Self::AnyRes { size, .. } => size,
        }
    }

    fn filter(&self) -> Filter {
        match *self {
            Self::Whole { filter, .. }
            | Self::Split { filter, .. }
            | Self::AnyRes { filter, .. } => filter,
        }
    }

    fn normalization(&self) -> &Normalization {
        match self {
            Self::Whole { normalization, .. }
            | Self::Split { normalization, .. }
            | Self::AnyRes { normalization, .. } => normalization,
        }
    }
}

/// The tiles of a picture of whole tiles, row by row.
fn cut(picture: &Picture, grid: TileGrid, side: u32) -> Vec<Picture> {
    let places = (0..grid.rows).flat_map(|row| (0..grid.cols).map(move |col| (row, col)));
    places.map(|(row, col)| picture.tile(col as u32 * side, row as u32 * side, side)).collect()
}
