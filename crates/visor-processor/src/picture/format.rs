//! The picture formats that are read, and how a file shows which one it is.

use std::fmt;

use super::PictureError;

/// A file format that [`Picture::decode`](super::Picture::decode) reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PictureFormat {
    /// Portable Network Graphics; of an animated one the default image.
    Png,
    /// JPEG: gray, colour or CMYK, baseline or progressive.
    Jpeg,
    /// WebP, lossy or lossless; of an animation the first frame.
    WebP,
    /// Windows bitmap.
    Bmp,
    /// GIF; of an animation the first frame.
    Gif,
}

impl fmt::Display for PictureFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
        })
    }
}

impl PictureFormat {
    /// Reads the signature in the first bytes; names and extensions are never looked at.
    pub(super) fn sniff(bytes: &[u8]) -> Result<Self, PictureError> {
        match bytes {
            [] => Err(PictureError::Empty),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Ok(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Ok(Self::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(Self::WebP),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Ok(Self::Gif),
            [b'B', b'M', ..] => Ok(Self::Bmp),
            _ => Err(PictureError::UnknownFormat { found: foreign(bytes) }),
        }
    }

    pub(super) fn codec(self) -> image::ImageFormat {
        match self {
            Self::Png => image::ImageFormat::Png,
            Self::Jpeg => image::ImageFormat::Jpeg,
            Self::WebP => image::ImageFormat::WebP,
            Self::Bmp => image::ImageFormat::Bmp,
            Self::Gif => image::ImageFormat::Gif,
        }
    }
}

/// A guess at a file that is not read, so that the message can name it.
fn foreign(bytes: &[u8]) -> &'static str {
    match bytes {
        [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => "TIFF",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "AVIF, HEIC or a video",
        [b'%', b'P', b'D', b'F', ..] => "PDF",
        [0xff, 0x0a, ..] => "JPEG XL",
        [b'<', ..] => "SVG, HTML or XML",
        _ => "something else",
    }
}
