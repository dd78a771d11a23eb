//! Normalised tiles: what a vision encoder takes, as plain numbers.

use crate::normalize::Normalization;
use crate::picture::Picture;

/// `tiles` pictures of equal size, in `[tile][channel][row][column]` order, channels red, green,
/// blue. There is at least one tile of at least one pixel.
#[derive(Clone, PartialEq)]
pub struct Pixels {
    tiles: usize,
    height: usize,
    width: usize,
    data: Vec<f32>,
}

/// Tiles that cannot be one batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PixelsError {
    /// There is nothing to join.
    #[error("no pictures: expected the pixels of at least one")]
    None,
    /// The numbers do not fill the tiles.
    #[error("{tiles} tiles of 3x{height}x{width} have another number of values than {found}")]
    WrongLength {
        /// Tiles said to be there.
        tiles: usize,
        /// Rows of a tile.
        height: usize,
        /// Columns of a tile.
        width: usize,
        /// Values given.
        found: usize,
    },
    /// Tiles of two sizes.
    #[error("tiles of {found_height}x{found_width} cannot join tiles of {height}x{width}")]
    SizesDiffer {
        /// Rows of the first tiles.
        height: usize,
        /// Columns of the first tiles.
        width: usize,
        /// Rows of the tiles that differ.
        found_height: usize,
        /// Columns of the tiles that differ.
        found_width: usize,
    },
}

impl Pixels {
    /// Channels of a tile: red, green, blue.
    pub const CHANNELS: usize = 3;

    /// Takes values in `[tile][channel][row][column]` order.
    ///
    /// # Errors
    ///
    /// [`PixelsError::WrongLength`] unless there are `tiles * 3 * height * width` values, and more
    /// than none.
    pub fn new(
        tiles: usize,
        height: usize,
        width: usize,
        data: Vec<f32>,
    ) -> Result<Self, PixelsError> {
        let expected = [tiles, Self::CHANNELS, height, width]
            .into_iter()
            .try_fold(1_usize, |product, side| product.checked_mul(side));
        if data.is_empty() || expected != Some(data.len()) {
            return Err(PixelsError::WrongLength { tiles, height, width, found: data.len() });
        }
        Ok(Self { tiles, height, width, data })
    }

    /// One tile of a picture's own size.
    pub fn from_picture(picture: &Picture, normalization: &Normalization) -> Self {
        let (pixels, _) = picture.rgb().as_chunks::<3>();
        let mut data = Vec::with_capacity(picture.rgb().len());
        for (channel, values) in normalization.table().iter().enumerate() {
            data.extend(pixels.iter().map(|pixel| values[usize::from(pixel[channel])]));
        }
        let (height, width) = (picture.height() as usize, picture.width() as usize);
        Self { tiles: 1, height, width, data }
    }

    /// All tiles of several pictures, in order.
    ///
    /// # Errors
    ///
    /// [`PixelsError::None`] without pictures, [`PixelsError::SizesDiffer`] where their tiles are
    /// not all of one size.
    pub fn concat<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Result<Self, PixelsError> {
        let mut parts = parts.into_iter();
        let mut joined = parts.next().ok_or(PixelsError::None)?.clone();
        for part in parts {
            if (part.height, part.width) != (joined.height, joined.width) {
                return Err(PixelsError::SizesDiffer {
                    height: joined.height,
                    width: joined.width,
                    found_height: part.height,
                    found_width: part.width,
                });
            }
            joined.tiles += part.tiles;
            joined.data.extend_from_slice(&part.data);
        }
        Ok(joined)
    }

    /// Number of tiles.
    pub fn tiles(&self) -> usize {
        self.tiles
    }

    /// Rows of a tile.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns of a tile.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Tiles, channels, rows, columns.
    pub fn shape(&self) -> [usize; 4] {
        [self.tiles, Self::CHANNELS, self.height, self.width]
    }

    /// The values in `[tile][channel][row][column]` order.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The values without a copy.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }
}

impl std::fmt::Debug for Pixels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pixels").field("shape", &self.shape()).finish_non_exhaustive()
    }
}
