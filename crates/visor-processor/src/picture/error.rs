//! Why a picture was refused: each message names what was expected.

use super::PictureFormat;

/// What is wrong with a picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// There are no bytes at all.
    #[error("the picture is empty: expected the bytes of a PNG, JPEG, WebP, BMP or GIF file")]
    Empty,
    /// The first bytes are the signature of no format that is read.
    #[error("unknown picture format: expected PNG, JPEG, WebP, BMP or GIF, found {found}")]
    UnknownFormat {
        /// What the bytes look like.
        found: &'static str,
    },
    /// A side is zero.
    #[error("the picture is {width}x{height}: expected at least 1x1")]
    NoPixels {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// A side is longer than [`PictureLimits::max_side`](super::PictureLimits::max_side).
    #[error("the picture is {width}x{height}: expected at most {max_side} pixels a side")]
    TooLarge {
        /// Pixels in a row, as the header has it.
        width: u32,
        /// Rows, as the header has it.
        height: u32,
        /// The limit.
        max_side: u32,
    },
    /// A side is shorter than [`PictureLimits::min_side`](super::PictureLimits::min_side).
    #[error("the picture is {width}x{height}: expected at least {min_side} pixels a side")]
    TooSmall {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// The limit.
        min_side: u32,
    },
    /// One side is more times longer than the other than
    /// [`PictureLimits::max_aspect`](super::PictureLimits::max_aspect) allows.
    #[error(
        "the picture is {width}x{height}: expected one side to be at most {max_aspect} times as \
         long as the other"
    )]
    TooNarrow {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// The limit.
        max_aspect: u32,
    },
    /// The area is larger than [`PictureLimits::max_pixels`](super::PictureLimits::max_pixels).
    #[error("the picture is {width}x{height}: expected at most {max_pixels} pixels in all")]
    TooManyPixels {
        /// Pixels in a row, as the header has it.
        width: u32,
        /// Rows, as the header has it.
        height: u32,
        /// The limit.
        max_pixels: u64,
    },
    /// Decoding would hold more than
    /// [`PictureLimits::max_alloc_bytes`](super::PictureLimits::max_alloc_bytes), or its metadata
    /// alone more than is set aside for them.
    #[error("decoding the {format} file takes more memory than the {max_bytes} bytes allowed")]
    TooMuchMemory {
        /// The file's format.
        format: PictureFormat,
        /// The limit.
        max_bytes: u64,
    },
    /// The file stops before the picture is complete.
    #[error("the {format} file ends before its picture does: expected the whole file")]
    Truncated {
        /// The file's format.
        format: PictureFormat,
    },
    /// The bytes break the rules of their format.
    #[error("the {format} file is damaged")]
    Malformed {
        /// The file's format.
        format: PictureFormat,
        /// What the decoder says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file is of a known format, in a variant that is not read.
    #[error("the {format} file uses a feature that is not read")]
    Unsupported {
        /// The file's format.
        format: PictureFormat,
        /// What the decoder says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Raw pixels do not fill the picture that they are said to be.
    #[error("a {width}x{height} RGB picture has {expected} bytes, found {found}")]
    WrongLength {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Three bytes a pixel.
        expected: u128,
        /// Bytes given.
        found: usize,
    },
}
