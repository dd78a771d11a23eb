//! A square picture in memory, and its PNG bytes.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::TaskError;

/// A square picture of 8-bit RGB pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels a side.
    pub size: usize,
    /// Row-major, three bytes a pixel: `size * size * 3` bytes.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// A picture of one grey level, the same in all three channels.
    pub fn blank(size: usize, level: u8) -> Self {
        Self { size, rgb: vec![level; size * size * 3] }
    }

    /// Encodes the picture as PNG.
    ///
    /// # Errors
    /// [`TaskError::Encode`] where the encoder refuses, e.g. a picture without pixels.
    pub fn to_png(&self) -> Result<Vec<u8>, TaskError> {
        encode_png(&self.rgb, self.size, self.size)
    }
}

/// Encodes `width * height` RGB pixels as PNG.
///
/// # Errors
/// If the pixels do not fill the picture, or it is too large.
pub fn encode_png(rgb: &[u8], width: usize, height: usize) -> Result<Vec<u8>, TaskError> {
    let refuse = |reason: &str| TaskError::Encode { reason: reason.into() };
    let wide = u32::try_from(width).map_err(|_| refuse("too wide"))?;
    let high = u32::try_from(height).map_err(|_| refuse("too high"))?;
    if width == 0 || height == 0 || rgb.len() != width * height * 3 {
        return Err(refuse("the pixels do not fill the picture"));
    }
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(rgb, wide, high, ExtendedColorType::Rgb8)
        .map_err(|error| refuse(&error.to_string()))?;
    Ok(png)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_decodes_to_the_same_pixels() {
        let mut picture = Picture::blank(8, 9);
        picture.rgb[5] = 200;
        let png = picture.to_png().expect("a whole picture encodes");
        let back = image::load_from_memory(&png).expect("our own PNG decodes").to_rgb8();
        assert_eq!(back.into_raw(), picture.rgb);
    }

    #[test]
    fn a_picture_without_its_pixels_is_refused() {
        assert!(Picture { size: 4, rgb: vec![0; 5] }.to_png().is_err());
        assert!(Picture { size: 0, rgb: Vec::new() }.to_png().is_err());
    }
}
