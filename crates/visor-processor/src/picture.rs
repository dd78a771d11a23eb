//! A decoded picture: 8-bit RGB of at least one pixel, whatever the file held.

mod color;
mod decode;
mod error;
mod format;
mod jpeg;
mod place;
mod webp;

use crate::tiles::PixelSize;
pub use error::PictureError;
pub use format::PictureFormat;

/// Bounds that are checked against a file's header before memory for its pixels exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureLimits {
    /// Longest side in pixels. Default 65535.
    pub max_side: u32,
    /// Width times height. Default 100 million.
    pub max_pixels: u64,
    /// Bytes that decoding, conversion to RGB and rotation may hold at once, the file's own bytes
    /// not counted. Default 1 GiB.
    pub max_alloc_bytes: u64,
    /// Shortest side in pixels. Default 1.
    pub min_side: u32,
    /// How many times longer one side may be than the other. Default: any number of times.
    pub max_aspect: u32,
}

impl Default for PictureLimits {
    /// For a user's own pictures: what a telephone takes, and long strips.
    fn default() -> Self {
        Self {
            max_side: 65_535,
            max_pixels: 100_000_000,
            max_alloc_bytes: 1 << 30,
            min_side: 1,
            max_aspect: u32::MAX,
        }
    }
}

/// An RGB picture, 8 bits a channel, rows from the top, at least 1x1.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Picture {
    /// Decodes PNG, JPEG, WebP, BMP or GIF, recognised by its first bytes.
    ///
    /// Animations give their first frame, transparency is composited on white, 16-bit channels keep
    /// their top byte, and the rotation that an EXIF tag asks for is applied.
    ///
    /// # Errors
    ///
    /// [`PictureError`], for a picture beyond `limits` before its pixels are decoded.
    pub fn decode(bytes: &[u8], limits: &PictureLimits) -> Result<Self, PictureError> {
        decode::decode(bytes, limits)
    }

    /// The size that [`decode`](Self::decode) would give, without decoding a pixel.
    ///
    /// # Errors
    ///
    /// [`PictureError`], for a size beyond `limits` and for what is wrong in front of the pixels;
    /// that they are damaged, or would take too much memory, shows when they are decoded.
    pub fn measure(bytes: &[u8], limits: &PictureLimits) -> Result<PixelSize, PictureError> {
        decode::measure(bytes, limits)
    }

    /// Its size.
    pub fn size(&self) -> PixelSize {
        PixelSize { width: self.width, height: self.height }
    }

    /// Takes `width * height` RGB triples, row by row from the top.
    ///
    /// # Errors
    ///
    /// [`PictureError::NoPixels`] where a side is 0, [`PictureError::WrongLength`] where `rgb` does
    /// not hold three bytes a pixel.
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, PictureError> {
        if width == 0 || height == 0 {
            return Err(PictureError::NoPixels { width, height });
        }
        // Three times the product of two u32 does not fit in a u64.
        let expected = u128::from(width) * u128::from(height) * 3;
        if rgb.len() as u128 != expected {
            return Err(PictureError::WrongLength { width, height, expected, found: rgb.len() });
        }
        Ok(Self { width, height, rgb })
    }

    /// For pixels that fill the picture by construction.
    pub(crate) fn from_parts(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        debug_assert_eq!(rgb.len(), width as usize * height as usize * 3);
        Self { width, height, rgb }
    }

    /// Pixels in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels: `height` rows of `width` RGB triples.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Millions of numbers help nobody.
        f.debug_struct("Picture")
            .field("width", &self.width)
            .field("height", &self.height)
            .finish_non_exhaustive()
    }
}
